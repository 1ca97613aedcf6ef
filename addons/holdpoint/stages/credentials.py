"""Open the road: the upstream's address and credential; the caller's own credential ends here."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import ClassVar

from mitmproxy import http

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import Cleared
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.passes import outgoing
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes import accept
from holdpoint.stages.fields import raw
from holdpoint.stages.guard import Stage
from holdpoint.stages.routing import authority

_OURS = frozenset({b"host", b"accept-encoding"})
_PIECES = frozenset({b"range", b"if-range"})
"""An answer in pieces cannot be masked. Servers may ignore a range (RFC 9110 section 14.2), and so does the gateway."""


class Credentials(Stage):
    """The sixth stage. The credential itself goes on the wire only, with the pass that the last stage issues."""

    name: ClassVar[str] = "credentials"

    async def request(self, flow: http.HTTPFlow) -> None:
        """Point the request at its upstream, and make sure that a credential is there."""
        state = self.gateway.exchanges.expect(flow, Cleared)
        exchange = self.gateway.exchanges.of(flow)
        target = self.gateway.exchanges.target(flow)
        # The data and not its properties: each of those would write the `Host` header anew.
        data = flow.request.data
        data.scheme = target.scheme.encode("ascii")
        data.host = target.host
        data.port = target.port
        data.path = state.permitted.decoded.identified.received.path.encode("utf-8", "surrogateescape")
        name = authority(target.host, target.port, target.scheme).encode("ascii")
        kept = outgoing(raw(data.headers), len(data.content or b""))
        kept = [(n, v) for n, v in kept if n.lower() not in _OURS]
        if target.protocol is Protocol.KUBERNETES:
            kept = _inspectable(kept, state.permitted.decoded.access.action.verb)
        if flow.request.is_http2:
            data.authority = name
        else:
            data.authority = b""
            kept.insert(0, (b"Host", name))
        data.headers = http.Headers((*kept, (b"accept-encoding", b"identity")))
        if not await self.gateway.services.credentials.available(target, exchange.credential):
            raise Refusal(
                RefusalKind.UPSTREAM,
                "the gateway has no credential for this target",
                detail=f"target `{target.name}`, credential `{exchange.credential}`",
            )


def _inspectable(fields: list[tuple[bytes, bytes]], verb: str) -> list[tuple[bytes, bytes]]:
    """Let the API server answer in a form that masks read."""
    try:
        accepted = accept.rewritten(fields, verb=verb)
    except Undecodable as error:
        raise error.refusal() from error
    return [*((n, v) for n, v in fields if n.lower() != b"accept"), (b"accept", accepted.encode("latin-1"))]
