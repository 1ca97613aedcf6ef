"""Time as an argument. The only module that reads the machine's clocks."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Wall clock, Unix seconds. For claims and records, never for deadlines inside one process."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back. For deadlines and durations."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()  # noqa: TID251  # the one place

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic()


class ManualClock:
    """A clock that a test moves by hand."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._wall = start
        self._steady = 1_000.0

    def now(self) -> float:
        """Return Unix seconds as set."""
        return self._wall

    def monotonic(self) -> float:
        """Return seconds as advanced."""
        return self._steady

    def advance(self, seconds: float) -> None:
        """Let both clocks run on."""
        self._wall += seconds
        self._steady += seconds

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as an operator or NTP does."""
        self._wall += seconds
