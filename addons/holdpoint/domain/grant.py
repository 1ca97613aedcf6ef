"""What an approval opens: bound to a digest, spent once or valid for a window."""

from dataclasses import dataclass
from enum import StrEnum

from holdpoint.domain.decision import Scope


class GrantState(StrEnum):
    """Where a grant stands."""

    ACTIVE = "active"
    SPENT = "spent"
    """Taken for dispatch; the outcome is not known yet."""
    ANSWERED = "answered"
    UNKNOWN = "unknown"
    """The gateway ended between dispatch and answer. Never sent again."""
    VOID = "void"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission that reviewers gave."""

    id: str
    approval: str
    principal: str
    """`Principal.id`."""
    target: str
    intent: str
    scope: Scope
    state: GrantState
    created_at: float
    expires_at: float
    """Unix seconds."""
    session: str = ""
    wire: str = ""
    """Digest of what was dispatched, once spent."""
    exchange: str = ""
    """Exchange that spent it."""
    window: str = ""
    """Digest of what a window pins; empty: the intent alone."""
    opens: str = ""
    """The sentence that the reviewers read: what it lets pass. Masked."""
    stream_until: float = 0.0
    """Unix seconds at which a stream that it opened ends; 0: with the token."""
    ended_at: float = 0.0
    ended_why: str = ""

    def covers(self, *, principal: str, target: str, intent: str, at: float) -> bool:
        """Tell whether this grant clears that request at that time (Unix seconds)."""
        return (
            self.state is GrantState.ACTIVE
            and at < self.expires_at
            and (self.principal, self.target, self.intent) == (principal, target, intent)
        )
