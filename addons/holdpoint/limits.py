"""How often calls may be made: exactly, over any minute, and in the whole of a session.

A refused call counts for nothing, so that a caller who waits as long as he is told gets through.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from holdpoint.domain.decision import Charge

MINUTE: Final = 60.0
MOST_KEYS: Final = 200_000
"""Counters at a time; beyond, the one used longest ago is forgotten. Keys hold verified or approved names only."""

type Key = tuple[str, ...]


@dataclass(slots=True)
class _Counter:
    times: list[float] = field(default_factory=list[float])
    """Steady seconds of the calls in the last minute, in order."""
    total: int = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose calls are counted together."""

    principal: str
    actor: str
    target: str
    session: str
    """Of the recording: an MCP session, or an idle window where the protocol has none."""


class RateLimiter:
    """Counts calls. For the event loop alone."""

    def __init__(self, most_keys: int = MOST_KEYS) -> None:
        self._most = most_keys
        self._counters: OrderedDict[Key, _Counter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counters)

    def wait(self, charges: Sequence[Charge], caller: Caller, now: float) -> float:
        """Return the seconds until all of this may be called: 0 now, `inf` never in this session. Counts nothing."""
        return max((self._wait_for(charge, _key(charge, caller), now) for charge in charges), default=0.0)

    def take(self, charges: Sequence[Charge], caller: Caller, now: float) -> float:
        """Count the calls if all of them may be made now and return 0; else count nothing and return the wait."""
        if (longest := self.wait(charges, caller, now)) > 0:
            return longest
        for charge in charges:
            counter = self._counter(_key(charge, caller))
            if charge.rate.per == "session":
                counter.total += charge.calls
            else:
                # A call made exactly a minute ago no longer counts.
                del counter.times[: bisect_right(counter.times, now - MINUTE)]
                counter.times.extend([now] * charge.calls)
        return 0.0

    def _wait_for(self, charge: Charge, key: Key, now: float) -> float:
        most = charge.rate.calls
        if charge.calls > most:
            return inf
        counter = self._counters.get(key)
        if counter is None:
            return 0.0
        if charge.rate.per == "session":
            return inf if counter.total + charge.calls > most else 0.0
        old = bisect_right(counter.times, now - MINUTE)
        surplus = len(counter.times) - old + charge.calls - most
        return counter.times[old + surplus - 1] + MINUTE - now if surplus > 0 else 0.0

    def _counter(self, key: Key) -> _Counter:
        counter = self._counters.setdefault(key, _Counter())
        self._counters.move_to_end(key)
        while len(self._counters) > self._most:
            self._counters.popitem(last=False)
        return counter


def _key(charge: Charge, caller: Caller) -> Key:
    rate = charge.rate
    session = caller.session if rate.per == "session" else ""
    return (str(rate.rule), rate.per, caller.principal, caller.actor, caller.target, session, charge.tool)
