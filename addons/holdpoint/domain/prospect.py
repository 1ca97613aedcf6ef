"""What policy could say to a request that is known in part: by its caller, its verb and its resource."""

from dataclasses import dataclass
from enum import StrEnum

from holdpoint.domain.decision import RuleRef


class Outlook(StrEnum):
    """What may come of it. The default is that nothing does."""

    NO_RULE = "no rule allows this"
    DENIED = "a rule denies this"
    """Whatever else the request says."""
    HELD = "allowed after approval"
    """A hold rule matches, or nothing else could open it."""
    ALLOWED = "allowed"
    """Some such request could pass at once."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What may come of a request, and by which rules."""

    outlook: Outlook = Outlook.NO_RULE
    rules: tuple[RuleRef, ...] = ()
    """Those that deny it, or hold it."""
    message: str = ""
    """Reasons of those rules, written for the caller."""
    doubt: tuple[RuleRef, ...] = ()
    """Rules that deny or hold some such requests, by what is not known here."""

    @property
    def possible(self) -> bool:
        """Whether some such request could pass, at once or after approval."""
        return self.outlook in (Outlook.HELD, Outlook.ALLOWED)
