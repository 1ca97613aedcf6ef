"""What people are told, and who: never more than where to look."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.visible_text import spelled_out

MOST_OF_A_TEXT: Final = 300
"""Characters of one text of a notice: it is read on a telephone."""


class NoticeEvent(StrEnum):
    """What a notice is about. The values stand in settings and in the type of what is sent."""

    HELD = "held"
    REMINDER = "reminder"
    """Half of the time to answer is over."""
    VOTED = "voted"
    RESOLVED = "resolved"
    REASON_WANTED = "reason-wanted"
    """Nobody can approve before the requester says why."""
    BREAK_GLASS = "break-glass"
    REVIEW_DUE = "review-due"
    """Glass was broken a while ago, and nobody has looked at it."""
    DENIED = "denied"
    """Policy said no. Many of them within a minute are one notice."""
    VIOLATION = "violation"
    """A guard, a pin or the gateway's own rules stopped something that does not happen by mistake; or the gateway
    cannot vouch for what happened."""
    GRANT_REVOKED = "grant-revoked"
    SUSPENDED = "suspended"
    TEST = "test"


class Audience(StrEnum):
    """Who reads what goes to a sink."""

    REVIEWERS = "reviewers"
    OPERATORS = "operators"
    REQUESTERS = "requesters"


_E = NoticeEvent
OFFERED: Final[Mapping[Audience, frozenset[NoticeEvent]]] = {
    Audience.REVIEWERS: frozenset(
        {_E.HELD, _E.REMINDER, _E.VOTED, _E.RESOLVED, _E.BREAK_GLASS, _E.REVIEW_DUE, _E.GRANT_REVOKED}
    ),
    Audience.OPERATORS: frozenset(NoticeEvent) - {_E.REASON_WANTED, _E.TEST},
    Audience.REQUESTERS: frozenset(
        {_E.HELD, _E.VOTED, _E.RESOLVED, _E.REASON_WANTED, _E.BREAK_GLASS, _E.GRANT_REVOKED}
    ),
}
"""Which events an audience may be told of."""
USUAL: Final[Mapping[Audience, frozenset[NoticeEvent]]] = {
    Audience.REVIEWERS: frozenset({_E.HELD, _E.RESOLVED, _E.BREAK_GLASS, _E.REVIEW_DUE}),
    Audience.OPERATORS: frozenset(
        {_E.BREAK_GLASS, _E.REVIEW_DUE, _E.DENIED, _E.VIOLATION, _E.GRANT_REVOKED, _E.SUSPENDED}
    ),
    Audience.REQUESTERS: frozenset({_E.RESOLVED, _E.REASON_WANTED, _E.GRANT_REVOKED}),
}
"""Which events a sink gets that names none."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that people are told. Masked, bounded and visible: it leaves the house."""

    event: NoticeEvent
    at: float
    """Unix seconds."""
    subject: str
    """Id of the approval request, grant or exchange."""
    data: JsonObject = field(default_factory=dict[str, JsonValue])
    """docs/reference/notices.md names every key. `link` leads to a login."""
    approval: str = ""
    """Id of the approval request that it is about, where there is one."""
    once: str = ""
    """What tells it from others of its event and subject: the same thing is told once, by however many gateways."""

    @property
    def target(self) -> str:
        """The target that it is about, or empty."""
        target = self.data.get("target")
        return target if isinstance(target, str) else ""


def plain(text: str, most: int = MOST_OF_A_TEXT) -> str:
    """Return a text on one line, with everything visible that hides, moves or reorders, and not too long."""
    shown = spelled_out(text[: most * 2].encode("utf-8", "replace").decode("utf-8"))
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
