"""The number that grows with every change that a list or page would show."""

import asyncio
from contextlib import suppress


class Version:
    """A number that others wait for. For the event loop alone."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._changed = asyncio.Event()

    def grow(self) -> None:
        """Count one change, and tell whoever waits."""
        self.number += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait(self, since: int, *, timeout: float | None) -> int:  # noqa: ASYNC109  # part of the answer
        """Return the number as soon as it is not `since`, or after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.number == since:
                    await self._changed.wait()
        return self.number
