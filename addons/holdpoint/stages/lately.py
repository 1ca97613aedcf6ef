"""What callers were told a moment ago, for those that ask again by themselves.

client-go tries again a second after a 429, and kubectl tries an exec again as SPDY after any answer to its WebSocket. A
review that ended in between, or that the first try was told of, answers the second one too: nobody is asked twice.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from holdpoint.domain.approval import Ask

REMEMBERED = 10.0
"""Seconds. After them the same request is a new one, and asks anew."""
_MOST = 10_000

type _Key = tuple[str, str, str]


@dataclass(slots=True)
class Lately:
    """Tickets by the request that they were for, for as long as a retry takes."""

    _told: OrderedDict[_Key, tuple[str, float]] = field(default_factory=OrderedDict[_Key, tuple[str, float]])

    def note(self, ask: Ask, ticket: str, now: float) -> None:
        """Remember what a caller was told of. `now` in steady seconds."""
        key = _key(ask)
        self._told[key] = ticket, now + REMEMBERED
        self._told.move_to_end(key)
        while self._told and (len(self._told) > _MOST or next(iter(self._told.values()))[1] <= now):
            self._told.popitem(last=False)

    def ticket(self, ask: Ask, now: float) -> str:
        """Return what its caller was told of, empty where that is too long ago."""
        ticket, until = self._told.get(_key(ask), ("", 0.0))
        return ticket if now < until else ""


def _key(ask: Ask) -> _Key:
    actor = ask.access.principal.actor
    return ask.intent, ask.session, actor.id if actor else ""
