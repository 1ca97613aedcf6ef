"""Several brokers, each with a PostgreSQL store of its own, as gateways that share a database."""

import asyncio
from collections.abc import Callable

from holdpoint.approvals.broker import Broker
from holdpoint.approvals.events import BrokerEvent
from holdpoint.clock import Clock, ManualClock
from holdpoint.store.sql import SqlStore


class PostgresGateways:
    """Start with `open`; `store` is one more, for the test to look with."""

    def __init__(self, make: Callable[[Clock], SqlStore], count: int, *, broker: type[Broker] = Broker) -> None:
        self.clock = ManualClock()
        self.make = make
        self.store = make(self.clock)
        self.stores = [make(self.clock) for _ in range(count)]
        self.told: list[BrokerEvent] = []
        self.brokers = [broker(store, self.clock, self.told.append, each=5_000) for store in self.stores]

    async def open(self) -> None:
        """Start all at once, as gateways that are deployed together."""
        await asyncio.gather(*(store.open() for store in (self.store, *self.stores)))
        for broker in self.brokers:
            await broker.start()

    async def close(self) -> None:
        """End all."""
        for broker in self.brokers:
            await broker.close()
        for store in (*self.stores, self.store):
            await store.close()
