"""Who is turned away whatever policy says, until somebody lets them in again."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from holdpoint.domain.access import Principal, person_name
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.refusal import Refusal, RefusalKind

SUSPENDED: Final = "access is suspended"
"""What everybody is told who is turned away for this, and before the reason."""
MAX_WHO: Final = 500
_PERSON: Final = "person:"


@dataclass(frozen=True, slots=True)
class Suspension:
    """One name that is turned away, and why."""

    who: str
    """A person, a `Principal.id`, a subject, or the subject of an agent; `person:NAME` is a person alone."""
    reason: str
    """Shown to those whom it concerns. One line."""
    by: str
    """Who did it, in one word. Never shown to those whom it concerns."""
    at: float
    """Unix seconds."""
    until: float = 0.0
    """Unix seconds; 0: until somebody resumes it."""

    def is_over(self, at: float) -> bool:
        """Tell whether its time is over (Unix seconds)."""
        return 0 < self.until <= at

    @property
    def words(self) -> frozenset[str]:
        """What `names_of` must hold one of."""
        return words_of(self.who)

    @property
    def public(self) -> str:
        """What those are told whom it concerns."""
        until = f" until {datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%M:%SZ}" if self.until else ""
        return f"{SUSPENDED}{until}{f': {self.reason}' if self.reason else ''}"

    def refusal(self) -> Refusal:
        """Return how a request is turned away for it."""
        return Refusal(RefusalKind.DENIED, self.public, detail=f"`{self.who}` is suspended by {self.by}")


def words_of(who: str) -> frozenset[str]:
    """Return the names that somebody may have meant: as it was written, and as a person."""
    if who.startswith(_PERSON):
        return frozenset({_PERSON + person_name(who.removeprefix(_PERSON))})
    return frozenset({who, _PERSON + person_name(who)})


def names_of(principal: Principal) -> frozenset[str]:
    """Return every name that turns a request away: of its caller, of the person behind, of each agent on the way.

    Agents that are known by the word of another alone (`Actor.chain`) count too: this only ever refuses.
    """
    names: set[str] = set()
    for who in (principal, *principal.legs):
        names |= {who.id, who.subject}
        if who.person:
            names.add(_PERSON + who.person)
        if who.actor is not None:
            names |= {who.actor.subject, f"{who.actor.issuer}#{who.actor.subject}", *who.actor.chain}
    return frozenset(names)


def names_of_reviewer(reviewer: Reviewer) -> frozenset[str]:
    """Return the same for somebody who logged in to review."""
    names = {reviewer.subject, f"{reviewer.issuer}#{reviewer.subject}"}
    if reviewer.person:
        names.add(_PERSON + reviewer.person)
    return frozenset(names)


def objection(who: str) -> str:
    """Say why nobody can be meant by this name, or return an empty string."""
    name = who.removeprefix(_PERSON)
    if not name.strip():
        return "say who: a person, a principal's id, a subject, or the subject of an agent"
    if len(who) > MAX_WHO or not who.isprintable() or name != name.strip():
        return f"a name is one line of at most {MAX_WHO} characters, without blanks around it"
    if who.startswith("group:"):
        return "a group cannot be suspended: name a person, a principal's id, a subject, or the subject of an agent"
    if "*" in who:
        return "a name stands for itself: patterns are not known here"
    if name.startswith("#") or name.endswith("#"):
        return "the id of a principal is its issuer, `#`, and its subject"
    return ""
