"""Hold one request until it is approved.

It is folded into one that waits already, its caller is kept on the line, and told what became of it.
"""

import asyncio
from typing import Final, assert_never

from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, Verdict
from holdpoint.domain.canonical import digest
from holdpoint.domain.exchange import Permitted
from holdpoint.domain.grant import Grant
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.settings import Target
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.pin_checks import shown_pins
from holdpoint.stages.preview import preview, sealed_intent
from holdpoint.stages.services import Services

RETRY_AFTER: Final = 5
"""Seconds after which a caller that got a ticket may ask again."""


def make_ask(services: Services, exchange: Exchange, target: Target, state: Permitted) -> Ask:
    """Put together what the reviewers will read. Masked leaves are keyed hashes: equal secrets look equal, no more."""
    decoded = state.decoded
    masker = services.policies.masker(exchange.masks)
    sealed = sealed_intent(decoded.intent, masker, services.digest_key)
    return Ask(
        access=decoded.access,
        terms=state.decision.approvals,
        intent=digest({"principal": decoded.access.principal.id, "target": target.name, "intent": sealed}),
        preview=preview(decoded, target, masker, sealed) | shown_pins(services.pins, decoded.access, masker),
        bundle=state.decision.bundle,
        exchange=exchange.id,
        session=decoded.session,
    )


async def hold(services: Services, exchange: Exchange, target: Target, ask: Ask) -> Grant:
    """Return the grant that clears this request. Raises Refusal when there is none in time, TooManyHeld."""
    found = await _find(services, ask)
    if found is not None:
        return await _use(services, exchange, found)
    request = await services.broker.request(ask)
    if request.state is ApprovalState.PENDING:
        services.note_held(exchange, request)
        request = await _wait(services, exchange, request.id, target.hold_wait)
    if request.state is not ApprovalState.APPROVED:
        raise _refusal(services, request)
    found = await _find(services, ask)
    if found is None:
        raise Refusal(
            RefusalKind.CONFLICT,
            "this request was approved and already sent once for another caller",
            ticket=request.id,
            link=services.link(request.id),
        )
    return await _use(services, exchange, found)


async def _find(services: Services, ask: Ask) -> Grant | None:
    access = ask.access
    return await services.broker.find_grant(
        access.principal.id, access.target, ask.intent, ask.session, actor=access.principal.actor, terms=ask.terms
    )


async def _use(services: Services, exchange: Exchange, grant: Grant) -> Grant:
    approval = await services.broker.get(grant.approval)
    voters = {v.reviewer.person for v in approval.votes if v.verdict is Verdict.APPROVE}
    exchange.approved_by = tuple(sorted(voters))
    return grant


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


def _refusal(services: Services, request: ApprovalRequest) -> Refusal:
    """Say why a request that was held does not pass."""
    link = services.link(request.id)
    match request.state:
        case ApprovalState.PENDING:
            return Refusal(RefusalKind.HELD, "held for review", ticket=request.id, link=link, retry_after=RETRY_AFTER)
        case ApprovalState.DENIED:
            why = f": {request.resolution}" if request.resolution else ""
            return Refusal(RefusalKind.REVIEW_DENIED, f"a reviewer denied this{why}", ticket=request.id, link=link)
        case ApprovalState.EXPIRED:
            return Refusal(RefusalKind.EXPIRED, "nobody approved this in time", ticket=request.id, link=link)
        case ApprovalState.WITHDRAWN:
            return Refusal(
                RefusalKind.DENIED,
                "policy no longer allows this",
                detail=request.resolution,
                ticket=request.id,
                link=link,
            )
        case ApprovalState.APPROVED:
            raise GatewayFault("an approved request is not refused")
        case _:
            assert_never(request.state)
