"""Write down how an exchange ended."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from mitmproxy import http

from holdpoint.domain.audit import AuditStage
from holdpoint.domain.exchange import Answered, Forwarded, Refused, Replied
from holdpoint.stages import describe
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.fields import text
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.metering import meter


def keep(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Record the flow and chain the event that carries its digest; settle the grant that let it through. Once."""
    if exchange.recorded:
        return
    exchange.recorded = True
    services = gateway.services
    if isinstance(exchange.state, Replied):
        # Made of the settings alone, for whoever asks: one line says it all, and nobody fills the recordings with it.
        detail = describe.ending(flow, exchange, was_sent=False) | {"reply": exchange.state.what}
        services.submit(gateway.event(exchange, AuditStage.REPLIED, detail))
        return
    stage, forwarded = _ending(exchange)
    permission = gateway.wire.permission(flow)
    was_sent = permission is not None and permission.sent
    if forwarded is not None and stage is AuditStage.ANSWERED:
        _join_session(gateway, flow, exchange, forwarded)
    if forwarded is not None and not exchange.settled:
        exchange.settled = True
        # What was opened has taken effect, however it ended; what the upstream did not open has not.
        answered = stage is AuditStage.ANSWERED or exchange.tunnel is not None
        did_something = was_sent and not exchange.undone
        services.settle(forwarded.cleared.grant, exchange, sent=did_something, answered=answered)
    detail = describe.ending(flow, exchange, was_sent=was_sent)
    if linked := services.calls.requests(exchange.id):
        detail["requests"] = [*linked]
    event = gateway.event(exchange, stage, detail)
    services.record(flow, exchange, event)
    meter(services, flow, exchange)


def _join_session(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, forwarded: Forwarded) -> None:
    """Keep the start of an MCP session and what follows under its id in one recording."""
    access = forwarded.cleared.permitted.decoded.access
    if flow.response is None:
        return
    if access.action.verb == "session/delete" and flow.response.status_code < 300:  # noqa: PLR2004  # success
        session = forwarded.cleared.permitted.decoded.session
        gateway.services.handles.ended("session", access.target, session)
    if access.action.verb == "initialize" and (named := text(flow.response.headers, b"mcp-session-id")):
        gateway.services.sessions.join(access.principal.id, access.target, exchange.id, named)


def _ending(exchange: Exchange) -> tuple[AuditStage, Forwarded | None]:
    match exchange.state:
        case Answered(forwarded):
            return AuditStage.ANSWERED, forwarded
        case Forwarded() as forwarded:
            return AuditStage.FAILED, forwarded
        case Refused(reached=Forwarded() as forwarded, ended=True):
            return AuditStage.ENDED, forwarded
        case Refused(reached=Forwarded() as forwarded):
            return AuditStage.FAILED, forwarded
        case Refused():
            return AuditStage.REFUSED, None
        case _:
            return AuditStage.FAILED, None
