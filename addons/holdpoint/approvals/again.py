"""Decide again what was decided under another policy. Whatever goes wrong counts as no."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from holdpoint.approvals.checks import still_opens
from holdpoint.approvals.terms import suffices
from holdpoint.domain.access import AccessRequest
from holdpoint.domain.approval import ApprovalRequest, Glass
from holdpoint.domain.decision import Decision, Deny, DenyReason, Permit
from holdpoint.domain.grant import Grant

logger = logging.getLogger(__name__)

_AT_ONCE = 200  # how many pending requests a reload decides in one go

type Decide = Callable[[AccessRequest], Decision]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a policy reload did to what is held and granted."""

    withdrawn: tuple[ApprovalRequest, ...] = ()
    tightened: tuple[ApprovalRequest, ...] = ()
    revoked: tuple[Grant, ...] = ()


def in_turns[T](these: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield a few at a time."""
    return (these[i : i + _AT_ONCE] for i in range(0, len(these), _AT_ONCE))


def decide_again(decide: Decide, access: AccessRequest) -> Decision:
    """Return what policy says now."""
    try:
        return decide(access)
    except Exception:
        logger.exception("a request to `%s` could not be decided again", access.target)
        return Deny(DenyReason.EVALUATION_ERROR)


def why_denied(decision: Deny) -> str:
    """Say why, for reviewers and the requester."""
    rules = ", ".join(str(r) for r in decision.rules)
    reason = decision.message or decision.reason.value
    return f"policy changed: {reason}" + (f" ({rules})" if rules else "")


def why_revoked(decide: Decide, approval: ApprovalRequest | None) -> str:
    """Say why an unspent grant may no longer be spent, or return an empty string."""
    if approval is None:
        return "its approval cannot be found"
    match decide_again(decide, approval.ask.access):
        case Deny() as deny:
            return why_denied(deny)
        case Permit() as permit:
            broken = approval.glass is not Glass.NONE
            enough = suffices(approval.ask.terms, permit.approvals, glass=broken)
            enough = enough and still_opens(approval, permit.approvals)
            return "" if enough else "policy asks for more than it was given under"
