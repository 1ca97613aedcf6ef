"""Write down how an exchange ended."""

from mitmproxy import http

from holdpoint.domain.audit import AuditStage
from holdpoint.domain.exchange import Answered, Forwarded, Refused
from holdpoint.stages import describe
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway


def keep(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Record the flow and chain the event that carries its digest; settle the grant that let it through. Once."""
    if exchange.recorded:
        return
    exchange.recorded = True
    services = gateway.services
    stage, forwarded = _ending(exchange)
    permission = gateway.wire.permission(flow)
    was_sent = permission is not None and permission.sent
    if forwarded is not None and not exchange.settled:
        exchange.settled = True
        services.settle(
            forwarded.cleared.grant, exchange, sent=was_sent, answered=stage is AuditStage.ANSWERED or exchange.streamed
        )
    event = describe.event(
        exchange, stage, at=gateway.clock.now(), detail=describe.ending(flow, exchange, was_sent=was_sent)
    )
    services.record(flow, exchange, event)


def _ending(exchange: Exchange) -> tuple[AuditStage, Forwarded | None]:
    match exchange.state:
        case Answered(forwarded):
            return AuditStage.ANSWERED, forwarded
        case Forwarded() as forwarded:
            return AuditStage.FAILED, forwarded
        case Refused(reached=Forwarded() as forwarded):
            return AuditStage.FAILED, forwarded
        case Refused():
            return AuditStage.REFUSED, None
        case _:
            return AuditStage.FAILED, None
