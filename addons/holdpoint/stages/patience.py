"""How long an upstream may take over an answer that is read whole, once it has begun."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mitmproxy import http

from holdpoint.clock import Clock

TOTAL: Final = 10
"""An answer may take so many times as long as it may be silent."""
_ROUND: Final = 0.5
"""Seconds between two looks, while there is something to look at."""


@dataclass(slots=True)
class _Reading:
    flow: http.HTTPFlow
    size: Callable[[], int]
    silence: float
    until: float
    had: int
    since: float


class Patience:
    """Every answer that is being read whole. No timer of its own for each: most are there at once."""

    def __init__(
        self,
        clock: Clock,
        give_up: Callable[[http.HTTPFlow], None],
        later: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """`later` calls a function some time later; by default the event loop does, in half a second."""
        self._clock = clock
        self._later = later or _in_a_moment
        self._give_up = give_up
        self._readings: dict[str, _Reading] = {}
        self._looking = False

    def __len__(self) -> int:
        return len(self._readings)

    def begin(self, flow: http.HTTPFlow, size: Callable[[], int], silence: float) -> None:
        """Measure the time of an answer. `size`: how many bytes are there; `silence`: seconds without a new one."""
        now = self._clock.monotonic()
        self._readings[flow.id] = _Reading(flow, size, silence, now + TOTAL * silence, -1, now)
        self._look_later()

    def end(self, flow: http.HTTPFlow) -> None:
        """Measure no more: the answer is there, or will never be."""
        self._readings.pop(flow.id, None)

    def _look_later(self) -> None:
        if not self._looking:
            self._looking = True
            self._later(self._look)

    def _look(self) -> None:
        self._looking = False
        now = self._clock.monotonic()
        for reading in list(self._readings.values()):
            size = reading.size()
            if size != reading.had:
                reading.had, reading.since = size, now
            if now - reading.since >= reading.silence or now >= reading.until:
                self.end(reading.flow)
                self._give_up(reading.flow)
        if self._readings:
            self._look_later()


def _in_a_moment(call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(_ROUND, call)
