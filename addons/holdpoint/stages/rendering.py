"""A refusal in the caller's own language."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import assert_never

from mitmproxy import http

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import Refusal
from holdpoint.protocols import http as plain_http
from holdpoint.protocols import mcp_refusals as mcp
from holdpoint.protocols.call import Rendered, Undecodable
from holdpoint.protocols.kubernetes import status
from holdpoint.protocols.mcp_methods import BATCH
from holdpoint.settings import Settings
from holdpoint.stages import routing
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.verdicts import owed_to_batch


def render(
    refusal: Refusal,
    *,
    exchange: Exchange,
    call: Decoded | None,
    flow: http.HTTPFlow,
    settings: Settings | None = None,
) -> http.Response:
    """Make the answer that carries a refusal. `settings` tell what a caller speaks whose target was not found yet."""
    protocol = exchange.target.protocol if exchange.target is not None else _spoken(flow.request, settings)
    match protocol:
        case Protocol.MCP:
            rendered = _mcp(refusal, exchange, call, flow)
        case Protocol.KUBERNETES:
            rendered = status.refusal(refusal, refusal_id=exchange.id)
        case Protocol.HTTP:
            cause = refusal.__cause__
            if isinstance(cause, Undecodable):
                rendered = plain_http.undecodable(cause, refusal_id=exchange.id)
            else:
                rendered = plain_http.refusal(refusal, refusal_id=exchange.id)
        case _:
            assert_never(protocol)
    response = http.Response.make(rendered.status, rendered.body, list(_headers(rendered)))
    if flow.request.method == "HEAD":
        response.content = b""
    return response


def _spoken(request: http.Request, settings: Settings | None) -> Protocol:
    named = request.authority if request.is_http2 else request.headers.get("host", "")
    if settings is not None and routing.speaks_kubernetes(settings, host=named, path=request.path):
        return Protocol.KUBERNETES
    return Protocol.HTTP


def _mcp(refusal: Refusal, exchange: Exchange, call: Decoded | None, flow: http.HTTPFlow) -> Rendered:
    cause = refusal.__cause__
    if isinstance(cause, Undecodable):
        return mcp.undecodable(cause, refusal_id=exchange.id)
    version = call.protocol_version if call else flow.request.headers.get("mcp-protocol-version", "")
    if call is not None and call.access.action.verb == BATCH:
        owed = owed_to_batch(refusal, call, exchange.denied)
        return mcp.batch_refusal(refusal, refusal_id=exchange.id, owed=owed, protocol_version=version)
    return mcp.refusal(
        refusal,
        refusal_id=exchange.id,
        request_id=call.request_id if call else None,
        protocol_version=version,
        verb=call.access.action.verb if call else "",
    )


def _headers(rendered: Rendered) -> list[tuple[bytes, bytes]]:
    fields = [(n.encode("latin-1"), v.encode("latin-1", "replace")) for n, v in rendered.headers]
    if not any(n.lower() == b"cache-control" for n, _ in fields):
        fields.append((b"cache-control", b"no-store"))
    return fields
