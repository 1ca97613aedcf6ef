"""The store that several gateways share: PostgreSQL.

Three connections: one writes and holds this gateway's sign of life, one reads what is long, one listens to what other
gateways change. Time is the gateways' own: the database's clock decides nothing.
"""

import asyncio
import logging
from contextlib import suppress
from functools import partial

import psycopg

from holdpoint.clock import Clock
from holdpoint.store import gateway_rows
from holdpoint.store.postgres_backend import PostgresBackend, connect
from holdpoint.store.postgres_listener import Listener
from holdpoint.store.postgres_place import Place
from holdpoint.store.postgres_schema import lock_key, migrate
from holdpoint.store.protocol import Change, StoreUnavailable
from holdpoint.store.rows import Connection
from holdpoint.store.sql import SqlStore
from holdpoint.store.writer import Writer

logger = logging.getLogger(__name__)

GONE_AFTER = 20.0
"""Seconds for which a gateway must show no sign of life before its dispatches are given up. A server that restarts
cuts off every gateway at once: those that live are back by then."""
_LOCKS = (
    "SELECT classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class PostgresStore(SqlStore):
    """A `Store` in a schema of a PostgreSQL database. Call `open` first."""

    shared = True

    def __init__(self, place: Place, clock: Clock) -> None:
        self._place = place
        self._connections = 0
        self._process = 0
        self._unseen: dict[str, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        backend = PostgresBackend(place, self._connect, taken=self._sign)
        reader = PostgresBackend(place, self._connect, read_only=True)
        super().__init__(clock, Writer(backend), Writer(reader))
        self._life: str = self._gateway
        self._listener = Listener(f"holdpoint:{place.schema}", self._connect, self._heard, self._look)

    async def open(self) -> None:
        """Connect and migrate. Raises StoreUnavailable."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._writer.start()
            await self._reader.start()
        except BaseException:
            await self.close()
            raise
        self._listener.start()

    async def close(self) -> None:
        """Finish what is queued and disconnect; the sign of life goes with the connection."""
        await asyncio.to_thread(self._listener.stop)
        await self._writer.stop()
        await self._reader.stop()

    def _connect(self) -> "psycopg.Connection":
        return connect(self._place, f"holdpoint {self._life}")

    def _sign(self, raw: "psycopg.Connection") -> None:
        """Take the lock that shows that this gateway lives, under a new name, and keep what the old name spent.

        A new name for each connection: the old one's lock may still be held by a connection that only the server takes
        for alive, and would be let go of at any time.
        """
        migrate(raw, self._place.schema, self._place.name, self._clock.now())
        self._connections += 1
        before, now = self._gateway, f"{self._life}.{self._connections}"
        locked = raw.execute("SELECT pg_try_advisory_lock($1::bigint)", (lock_key(self._place.schema, now),)).fetchall()
        if locked != [(True,)]:
            raise StoreUnavailable(f"store `{self._place.name}` gives no lock to this gateway")
        raw.execute("UPDATE spends SET gateway = $1 WHERE gateway = $2 AND state = 'spent'", (now, before))
        self._gateway, self._process = now, raw.info.backend_pid

    def _gone(self, connection: Connection) -> frozenset[str]:
        others = gateway_rows.spending(connection) - {self.gateway}
        if not others:
            self._unseen.clear()
            return frozenset()
        held = {(int(high) << 32) | int(low) for high, low in connection.execute(_LOCKS).fetchall()}
        dead = {name for name in others if not name or lock_key(self._place.schema, name) not in held}
        now = self._clock.monotonic()
        self._unseen = {name: self._unseen.get(name, now) for name in dead}
        return frozenset(name for name, since in self._unseen.items() if now - since >= GONE_AFTER)

    def _heard(self, changes: frozenset[Change], process: int) -> None:
        if process == self._process or self._loop is None:
            return
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self._loop.call_soon_threadsafe(partial(self._tell, changes))

    def _tell(self, changes: frozenset[Change]) -> None:
        for change in sorted(changes, key=lambda c: (c.table, c.id)):
            for callback in self._hear:
                callback(change)

    def _look(self) -> None:
        """Find out now, not with the next request, whether the other connections are lost too."""
        self._writer.submit(_nothing, quiet=True)
        self._reader.submit(_nothing, quiet=True)


def _nothing(_: Connection) -> None:
    return None


__all__ = ["PostgresStore"]
