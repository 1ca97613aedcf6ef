"""One store under several gateways, each of which can lose it, or be killed, at any call."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdpoint.approvals.broker import Broker
from holdpoint.approvals.events import BrokerEvent
from holdpoint.clock import ManualClock
from holdpoint.store.protocol import Change, Spend, StoreUnavailable
from holdpoint.store.sqlite import SqliteStore


class Killed(BaseException):
    """The process is no more: nobody handles this."""


class Line:
    """The way of one gateway to the store. Of its next calls it lets some pass, then fails or is dead."""

    def __init__(self, store: SqliteStore, mine: Callable[[Spend], bool]) -> None:
        self._store = store
        self._mine = mine
        self.fails_after: int | None = None
        """Calls that pass before one fails; None: all do."""
        self.keeps = False
        """Whether the one that fails has its effect all the same: the answer was lost."""
        self.dies_after: int | None = None

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._store, name)

        async def call(*args: Any, **more: Any) -> Any:
            if self.dies_after is not None:
                self.dies_after -= 1
                if self.dies_after < 0:
                    raise Killed
            if self.fails_after is not None:
                self.fails_after -= 1
                if self.fails_after < 0:
                    self.fails_after = None
                    if self.keeps:
                        await work(*args, **more)
                    raise StoreUnavailable("the store is away")
            return await work(*args, **more)

        return call

    shared = False  # the tests say themselves when one hears of another

    def listen(self, callback: Callable[[Change], None]) -> None:
        """Tell nothing."""

    async def take_over(self) -> tuple[Spend, ...]:
        """Only what this gateway left behind: the others live."""
        return tuple(s for s in await self._store.open_spends() if self._mine(s))


class Gateways:
    """Several brokers on one store, as gateways that share it."""

    def __init__(self, path: Path, count: int, reachable: Callable[[], bool] = lambda: True) -> None:
        self.clock = ManualClock()
        self.store = SqliteStore(path, self.clock)
        self.told: list[BrokerEvent] = []
        self.reachable = reachable
        self.count = count
        self.lines: list[Line] = []
        self.brokers: list[Broker] = []

    async def open(self) -> None:
        """Open the store and start all."""
        await self.store.open()
        for number in range(self.count):
            line, broker = self._new(number)
            self.lines.append(line)
            self.brokers.append(broker)
            await broker.start()

    async def restart(self, number: int) -> None:
        """Start one anew after it was killed, or kill it and do."""
        self.lines[number].dies_after = 0
        self.brokers[number]._deadlines._task.cancel()
        self.brokers[number]._neighbours._task.cancel()
        self.lines[number], self.brokers[number] = self._new(number)
        await self.brokers[number].start()

    async def close(self) -> None:
        """End all."""
        for line, broker in zip(self.lines, self.brokers, strict=True):
            line.dies_after = line.fails_after = None
            await broker.close()
        await self.store.close()
        await asyncio.sleep(0)

    def _new(self, number: int) -> tuple[Line, Broker]:
        line = Line(self.store, lambda spend: spend.exchange.startswith(f"g{number}-"))
        return line, Broker(line, self.clock, self.told.append, reachable=self.reachable, each=5_000)
