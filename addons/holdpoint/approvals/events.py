"""What the broker tells: for the audit log and the log."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from holdpoint.domain.approval import ApprovalRequest, Vote
from holdpoint.domain.grant import Grant


class BrokerEventKind(StrEnum):
    """What happened."""

    HELD = "held"
    """A new request waits for reviewers."""
    FOLDED = "folded"
    """The same request was asked again, while pending."""
    VOTED = "voted"
    """A vote that does not end it yet. The vote that ends it comes with `resolved`."""
    RESOLVED = "resolved"
    TIGHTENED = "tightened"
    """Policy asks for more than before; votes were counted again."""
    PREVIEWED = "previewed"
    """What a pending request would change is known, or cannot be; votes were counted again."""
    REASONED = "reasoned"
    """A requester said why."""
    GLASS_BROKEN = "glass_broken"
    """A requester opened what he asked for without reviewers. `resolved` follows."""
    GLASS_REVIEWED = "glass_reviewed"
    """A reviewer looked at what was opened so."""
    CHANGED = "changed"
    """Another gateway changed a pending request."""
    GRANT_ENDED = "grant_ended"
    """Expired, revoked or void. What is open under it must be closed."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """It was dispatched, and no answer came before the gateway ended or gave up. It is never sent again."""


@dataclass(frozen=True, slots=True)
class BrokerEvent:
    """One change, already durable in the store except `outcome_unknown` at a start, which is told first."""

    kind: BrokerEventKind
    request: ApprovalRequest | None = None
    grant: Grant | None = None
    vote: Vote | None = None
    exchange: str = ""
    """The exchange concerned, where it is another than `request.ask.exchange`."""
    detail: str = ""
    elsewhere: bool = False
    """Another gateway that shares the store did it, and has written it down and told people."""


type EventSink = Callable[[BrokerEvent], Awaitable[None] | None]
"""Called in order. Where it returns an awaitable, waiters are woken only after that is done."""
