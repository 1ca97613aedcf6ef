"""Hold one request until it is approved: fold it into one that waits already, keep its caller on the line, and tell the
caller what became of it."""

import asyncio

from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask
from holdpoint.domain.canonical import digest
from holdpoint.domain.decision import Scope
from holdpoint.domain.exchange import Permitted
from holdpoint.domain.grant import Grant
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.settings import Target
from holdpoint.stages import describe
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.services import Services


def make_ask(services: Services, exchange: Exchange, target: Target, state: Permitted) -> Ask:
    """Put together what the reviewers will read. Masked leaves are keyed hashes: equal secrets look equal, no more."""
    decoded = state.decoded
    masker = services.policies.masker(exchange.masks)
    sealed = masker.sealed(decoded.intent)
    preview = describe.preview(decoded, target, masker)
    return Ask(
        access=decoded.access,
        terms=state.decision.approvals,
        intent=digest({"principal": decoded.access.principal.id, "target": target.name, "intent": sealed}),
        preview=preview,
        bundle=state.decision.bundle,
        exchange=exchange.id,
        session=decoded.session,
    )


async def hold(services: Services, exchange: Exchange, target: Target, state: Permitted) -> Grant:
    """Return the grant that clears this request. Raises Refusal when there is none in time."""
    ask = make_ask(services, exchange, target, state)
    principal = ask.access.principal
    found = await services.broker.find_grant(principal.id, target.name, ask.intent, ask.session)
    if found is not None and _covers(found, state):
        return found
    request = await services.broker.request(ask)
    if request.state is ApprovalState.PENDING:
        services.note_held(exchange, request)
        request = await _wait(services, exchange, request.id, target.hold_wait)
    return await _conclude(services, request, ask)


def _covers(grant: Grant, state: Permitted) -> bool:
    # A window opened for fewer people than the rules ask for now does not count.
    wanted = {term.scope for term in state.decision.approvals}
    return grant.scope is Scope.REQUEST or grant.scope in wanted


async def _wait(services: Services, exchange: Exchange, approval_id: str, seconds: float) -> ApprovalRequest:
    """Wait for the answer, or until the caller leaves, or until the caller's patience ends."""
    left = services.watch_client(exchange.id)
    waiting = asyncio.ensure_future(services.broker.wait(approval_id, timeout=seconds))
    leaving = asyncio.ensure_future(left.wait())
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if exchange.client_left:
            raise Refusal(
                RefusalKind.HELD,
                "the caller left while the request was held",
                detail="client gone",
                ticket=approval_id,
            )
        return waiting.result()
    finally:
        services.unwatch_client(exchange.id)
        for task in (waiting, leaving):
            if not task.done():
                task.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)


async def _conclude(services: Services, request: ApprovalRequest, ask: Ask) -> Grant:
    link = services.link(request.id)
    match request.state:
        case ApprovalState.APPROVED:
            grant = await services.broker.find_grant(ask.access.principal.id, ask.access.target, ask.intent, ask.session)
            if grant is None:
                raise Refusal(
                    RefusalKind.CONFLICT,
                    "this request was approved and already sent once for another caller",
                    ticket=request.id,
                    link=link,
                )
            return grant
        case ApprovalState.PENDING:
            raise Refusal(
                RefusalKind.HELD,
                "held for review; the same call made again goes through once it is approved",
                ticket=request.id,
                link=link,
                retry_after=5,
            )
        case ApprovalState.DENIED:
            raise Refusal(
                RefusalKind.REVIEW_DENIED,
                f"a reviewer denied this: {request.resolution}" if request.resolution else "a reviewer denied this",
                ticket=request.id,
                link=link,
            )
        case ApprovalState.EXPIRED:
            raise Refusal(RefusalKind.EXPIRED, "nobody approved this in time", ticket=request.id, link=link)
        case ApprovalState.WITHDRAWN:
            raise Refusal(
                RefusalKind.DENIED,
                "policy no longer allows this",
                detail=request.resolution,
                ticket=request.id,
                link=link,
            )
    raise GatewayFault(f"an approval request in state `{request.state}`")
