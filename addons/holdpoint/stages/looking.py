"""What looks at the answers of upstreams, chosen and made ready when their heads have come."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from mitmproxy import http

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import decoded
from holdpoint.domain.refusal import GatewayFault
from holdpoint.domain.values import JsonObject, as_object
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.guarding import Plain
from holdpoint.stages.handles import ForeignHandle
from holdpoint.stages.look import Look, reused

_SESSION = "mcp-session-id"


def stream_look(gateway: Gateway, flow: http.HTTPFlow) -> Plain:
    """Return what each message of an answer is passed through before it is masked, and each event after.

    Called once for each answer, when its head has come. Raises Refusal.
    """
    exchange, target = gateway.exchanges.of(flow), gateway.exchanges.target(flow)
    if target.protocol is not Protocol.MCP:
        return Plain(exchange.guards)
    return message_look(gateway, flow)


def message_look(gateway: Gateway, flow: http.HTTPFlow) -> Look:
    """Return the same, for what is known to be an answer of an MCP server."""
    exchange = gateway.exchanges.of(flow)
    call = decoded(exchange.state)
    if call is None:
        raise GatewayFault("an answer came for a request that was not decoded")
    note_session(gateway, flow)
    return Look(gateway, exchange, gateway.exchanges.target(flow), call)


def note_session(gateway: Gateway, flow: http.HTTPFlow) -> None:
    """Note whose a session is that an upstream gives out, before its id goes out. Raises Refusal."""
    exchange = gateway.exchanges.of(flow)
    call, response = decoded(exchange.state), flow.response
    if call is None or response is None or call.access.action.verb != "initialize":
        return
    session = response.headers.get(_SESSION, "")
    if not session or response.status_code >= 300 or exchange.begun_session == session:  # noqa: PLR2004  # success
        return
    capabilities = call.capabilities or as_object(call.access.arguments.get("capabilities"))
    facts: JsonObject = {"capabilities": dict(capabilities), "version": call.protocol_version}
    access = call.access
    try:
        gateway.services.handles.began("session", access.target, session, access.principal.id, lambda: facts)
    except ForeignHandle as error:
        raise reused(error) from None
    exchange.begun_session = session
