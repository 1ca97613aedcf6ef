"""Many of a kind within a minute are one notice with a count: who scans a gateway must not ring a bell each time."""

from dataclasses import dataclass, field
from typing import Final

from holdpoint.domain.notice import Notice, NoticeEvent, plain
from holdpoint.domain.values import JsonObject
from holdpoint.ids import new_id

WINDOW: Final = 60.0
"""Seconds."""
MOST_KINDS: Final = 200
"""How many of them are counted apart. What callers choose is no kind."""
MOST_NAMES: Final = 5
OTHERS: Final = ""


@dataclass(slots=True)
class _Kind:
    until: float
    """Steady clock."""
    count: int = 0
    at: float = 0.0
    people: dict[str, None] = field(default_factory=dict[str, None])
    rules: dict[str, None] = field(default_factory=dict[str, None])
    exchanges: dict[str, None] = field(default_factory=dict[str, None])


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that is counted."""

    event: NoticeEvent
    target: str = ""
    what: str = ""
    """In words of the gateway's own, for a violation."""
    who: str = ""
    rules: tuple[str, ...] = ()
    exchange: str = ""


@dataclass(slots=True)
class Counts:
    """Denials are told at the end of their minute; of violations the first one at once, and the others then."""

    kinds: dict[tuple[NoticeEvent, str, str], _Kind] = field(default_factory=dict[tuple[NoticeEvent, str, str], _Kind])

    @property
    def next(self) -> float | None:
        """Steady clock: when `due` has something to do."""
        return min((kind.until for kind in self.kinds.values()), default=None)

    def add(self, what: Happened, *, now: float, steady: float) -> Notice | None:
        """Count something. Returns what is to be told at once."""
        key = (what.event, what.target, what.what)
        if key not in self.kinds and len(self.kinds) >= MOST_KINDS:
            key = (what.event, OTHERS, OTHERS)
        kind, is_first = self.kinds.get(key), False
        if kind is None:
            kind = self.kinds[key] = _Kind(steady + WINDOW)
            is_first = what.event is not NoticeEvent.DENIED
        kind.count += 1
        kind.at = kind.at or now
        for names, name in (
            (kind.people, what.who),
            (kind.exchanges, what.exchange),
            *((kind.rules, r) for r in what.rules),
        ):
            if name and len(names) < MOST_NAMES:
                names[plain(name)] = None
        if not is_first:
            return None
        told = _told(key, kind, now)
        self.kinds[key] = _Kind(kind.until)
        return told

    def due(self, *, now: float, steady: float) -> tuple[Notice, ...]:
        """Return what is to be told of the minutes that are over."""
        over = [key for key, kind in self.kinds.items() if kind.until <= steady]
        kinds = [(key, self.kinds.pop(key)) for key in over]
        return tuple(_told(key, kind, now) for key, kind in kinds if kind.count)

    def all(self, *, now: float) -> tuple[Notice, ...]:
        """Return everything that was counted, when the gateway ends."""
        return self.due(now=now, steady=float("inf"))


def _told(key: tuple[NoticeEvent, str, str], kind: _Kind, now: float) -> Notice:
    event, target, what = key
    data: JsonObject = {
        "count": kind.count,
        "target": target,
        "people": [*kind.people],
        "rules": [*kind.rules],
        "exchanges": [*kind.exchanges],
    }
    if event is not NoticeEvent.DENIED:
        data["what"] = plain(what) or "several kinds"
    subject = next(iter(kind.exchanges), "")
    return Notice(event, now, subject, data, once=new_id("cnt"))
