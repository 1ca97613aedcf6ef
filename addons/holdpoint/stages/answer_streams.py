"""Answers of MCP and plain HTTP that stream end with what let them begin, as watches and terminals of a cluster do."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Callable

from mitmproxy import http

from holdpoint.domain.access import AccessRequest, Principal
from holdpoint.domain.approval import ApprovalRequest
from holdpoint.domain.decision import Scope
from holdpoint.domain.exchange import Decoded, Forwarded
from holdpoint.domain.grant import Grant
from holdpoint.domain.refusal import Refusal
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.live import NO_END, LiveStream, refuse_changed
from holdpoint.stages.running import cut_off, refuse_over
from holdpoint.stages.services import Services


def register_answer(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Have an answer that begins to stream end with its token, its grant, what policy allows, or by an operator.

    Raises Refusal where that is over already.
    """
    state = gateway.exchanges.expect(flow, Forwarded)
    permitted, grant = state.cleared.permitted, state.cleared.grant
    access = permitted.decoded.access
    try:
        refuse_over(exchange, streams=True)
        refuse_changed(access, permitted.decision, gateway.services.policies, gateway.exchanges.target(flow))
    except Refusal as refusal:
        raise cut_off(refusal, permitted.decoded) from None

    def end(refusal: Refusal) -> None:
        gateway.abort(flow, cut_off(refusal, permitted.decoded), ended=True)

    until = _token_ends(access.principal)
    if grant is not None and grant.scope is not Scope.REQUEST:
        until = min(until, grant.expires_at)
    keep_live(gateway, exchange, access, grant, until=until, end=end)


def keep_live(
    gateway: Gateway,
    exchange: Exchange,
    access: AccessRequest,
    grant: Grant | None,
    *,
    until: float,
    end: Callable[[Refusal], None],
) -> None:
    """Register the stream of an exchange until the exchange is over. Raises GatewayFault where it has one already."""
    close = gateway.services.live.open(
        LiveStream(
            exchange=exchange.id,
            principal=access.principal,
            access=access,
            target=access.target,
            since=gateway.clock.now(),
            until=until,
            approval=grant.approval if grant is not None else "",
            end=end,
        )
    )
    before = exchange.release

    def release() -> None:
        close()
        before()

    exchange.release = release


def register_waiting(
    services: Services, exchange: Exchange, asked: Decoded, request: ApprovalRequest
) -> Callable[[], None]:
    """Do the same for a stream on which a held caller waits: nothing was sent for it yet. Returns what forgets it."""

    def end(refusal: Refusal) -> None:
        exchange.over = exchange.over or refusal
        services.client_left(exchange.id)

    access = asked.access
    return services.live.open(
        LiveStream(
            exchange=exchange.id,
            principal=access.principal,
            access=access,
            target=access.target,
            since=services.clock.now(),
            until=_token_ends(access.principal),
            approval=request.id,
            end=end,
            waits=True,
        )
    )


def _token_ends(principal: Principal) -> float:
    return min((who.expires_at for who in (principal, *principal.legs) if who.expires_at), default=NO_END)
