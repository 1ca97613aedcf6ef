"""How often policy lets a caller call: asked before a reviewer is bothered, counted when the request is about to go."""

import math

from holdpoint.domain.access import AccessRequest
from holdpoint.domain.decision import Permit, charges
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.limits import Caller
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.services import Services


def refuse_too_many(
    services: Services, exchange: Exchange, access: AccessRequest, permit: Permit, *, session: str, count: bool
) -> None:
    """Refuse a call over the limits of the rules that permit it. With `count`, one that passes counts. Raises Refusal.

    `session` is what the caller's protocol calls it. Members of a batch are calls of their own.
    """
    if not exchange.rates:
        return
    who = access.principal
    recorded = services.session(who, access.target, session).id
    caller = Caller(who.id, who.actor.id if who.actor else "", access.target, recorded)
    act = services.rates.take if count else services.rates.wait
    seconds = act(charges(access, permit), caller, services.clock.monotonic())
    if seconds <= 0:
        return
    rules = ", ".join(str(r.rule) for r in exchange.rates)
    if math.isinf(seconds):
        raise Refusal(
            RefusalKind.RATE_LIMITED, "too many calls in this session: begin a new one", detail=f"limits of {rules}"
        )
    after = math.ceil(seconds)
    raise Refusal(
        RefusalKind.RATE_LIMITED,
        f"too many calls: try again in {after} s",
        detail=f"limits of {rules}",
        retry_after=after,
    )
