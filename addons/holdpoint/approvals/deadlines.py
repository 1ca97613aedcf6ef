"""The one timer of the approvals: it looks when the next thing is due, and outlives a store that fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from holdpoint.clock import Clock
from holdpoint.tasks import spawn

logger = logging.getLogger(__name__)

_RETRY = 1.0  # seconds before a deadline that could not be stored is tried again


class Deadlines:
    """Calls `tick` when `due` (steady clock, or None) says so."""

    def __init__(self, clock: Clock, due: Callable[[], float | None], tick: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._due = due
        self._tick = tick
        self._task: asyncio.Task[None] | None = None
        self._asleep_until: float | None = None
        self._closing = False
        self.wake = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        self._task = spawn(self._run(), name="approval deadlines")

    async def close(self) -> None:
        """End, after what it does right now."""
        self._closing = True
        self.wake.set()
        if self._task is not None:
            await self._task
            self._task = None

    @property
    def running(self) -> bool:
        """Whether it still looks."""
        return self._task is not None and not self._task.done()

    def rouse(self) -> None:
        """Look again where something is due earlier than was thought."""
        due = self._due()
        if due is not None and (self._asleep_until is None or due < self._asleep_until):
            self.wake.set()

    async def _run(self) -> None:
        pause = 0.0
        while not self._closing:
            due = self._due()
            self._asleep_until = due
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(pause, due - self._clock.monotonic())):
                    await self.wake.wait()
            self.wake.clear()
            pause = 0.0
            try:
                await self._tick()
            except Exception as error:  # noqa: BLE001  # the timer must outlive a full disk
                logger.error("deadlines could not be stored, trying again: %s", error)  # noqa: TRY400  # says what to do
                pause = _RETRY
