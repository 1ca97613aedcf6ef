"""A sleep that a test ends by hand."""

import asyncio


class ManualSleep:
    """Stands in for `asyncio.sleep`: `next` tells how long the sleeper meant to sleep, `wake` ends it."""

    def __init__(self) -> None:
        self._naps: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()
        self._asleep: asyncio.Event | None = None

    async def __call__(self, seconds: float) -> None:
        event = asyncio.Event()
        self._naps.put_nowait((seconds, event))
        await event.wait()

    async def next(self) -> float:
        """Wait until somebody sleeps; return the seconds asked for."""
        async with asyncio.timeout(10):
            seconds, self._asleep = await self._naps.get()
        return seconds

    def wake(self) -> None:
        """End the sleep that `next` returned last."""
        assert self._asleep is not None
        self._asleep.set()
