"""The grant that an approval makes. Pure."""

from math import isfinite

from holdpoint.approvals.terms import reach
from holdpoint.domain.approval import ApprovalRequest
from holdpoint.domain.decision import RequireApproval, Scope
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.store.protocol import Key

CLAIM_TIME = 60.0
"""Seconds for which a single request can be sent after its approval, at least: also one approved in the last second."""


def make_grant(  # all of it decides what is open
    request: ApprovalRequest, key: Key, *, grant_id: str, now: float, left: float, glass: float | None = None
) -> Grant:
    """Return what an approval at `now` (Unix seconds) opens. `left`: seconds to the deadline.

    `glass`: seconds for which what was opened by breaking the glass stays open, whatever else the terms allow.
    """
    ask = request.ask
    carries = reach(ask.terms, ask.session)
    is_once = carries.scope is Scope.REQUEST
    open_for = max(left, CLAIM_TIME) if is_once else carries.duration
    stream_for = carries.stream_seconds
    if glass is not None:
        open_for = min(CLAIM_TIME if is_once else open_for, glass)
        stream_for = min(stream_for, glass)
    return Grant(
        id=grant_id,
        approval=request.id,
        principal=key.principal,
        target=key.target,
        intent=key.intent,
        scope=carries.scope,
        state=GrantState.ACTIVE,
        created_at=now,
        expires_at=now + open_for,
        session=ask.session if carries.scope is Scope.SESSION else "",
        window="" if is_once else ask.window,
        opens=ask.opens,
        stream_until=now + stream_for if isfinite(stream_for) else 0.0,
    )


def glass_time(terms: tuple[RequireApproval, ...]) -> float:
    """Return the seconds for which a broken glass opens: the least that any term allows, 0 where one allows none."""
    return min((t.break_glass.duration if t.break_glass else 0.0 for t in terms), default=0.0)
