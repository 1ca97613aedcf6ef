"""The embedded store: SQLite, opened by the gateway alone."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from holdpoint.clock import Clock
from holdpoint.lock_file import AlreadyLocked, LockFile
from holdpoint.store.codec import Unreadable
from holdpoint.store.failure import unavailable
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.store.schema import connect
from holdpoint.store.sql import SqlStore
from holdpoint.store.writer import Outcome, Work, Writer, unreadable

logger = logging.getLogger(__name__)


class SqliteBackend:
    """A file, open from start to end."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        """`connect` is called in the writer's thread, once."""
        self._path = path
        self._connect = connect
        self._connection: sqlite3.Connection | None = None

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    def open(self) -> None:
        """Open the file. Raises StoreUnavailable."""
        try:
            self._connection = self._connect()
        except sqlite3.Error as error:
            raise unavailable(error, self._path) from error

    def commit(self, works: Sequence[Work]) -> list[Outcome]:
        """Run all of them in one transaction."""
        connection = self._connection
        if connection is None:
            raise RuntimeError("the store is not open")
        try:
            connection.execute("BEGIN")
            outcomes = [self._one(connection, work) for work in works]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            logger.error("%s", unavailable(error, self._path))  # noqa: TRY400  # the message says what to do
            return [Outcome(error=unavailable(error, self._path)) for _ in works]
        return outcomes

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()

    def _one(self, connection: sqlite3.Connection, work: Work) -> Outcome:
        connection.execute("SAVEPOINT job")
        try:
            value = work(connection)
        except Exception as error:
            if not connection.in_transaction:
                # SQLite itself rolled back (disk full, I/O error): with it went everything else in this batch.
                raise
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            return Outcome(error=self._translated(error))
        connection.execute("RELEASE job")
        return Outcome(value)

    def _translated(self, error: Exception) -> Exception:
        match error:
            case sqlite3.Error():
                return unavailable(error, self._path)
            case Unreadable():
                return unreadable(error, self.name)
            case _:
                return error


class SqliteStore(SqlStore):
    """A `Store` in one file, beside its lock file. Call `open` first."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._lock: LockFile | None = None
        super().__init__(clock, Writer(SqliteBackend(path, lambda: connect(path, clock.now()))))

    async def open(self) -> None:
        """Take the lock, open the file, migrate. Raises StoreUnavailable."""
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = LockFile(lock)
        except AlreadyLocked as error:
            who = f"process {error.owner}" if error.owner else "another process"
            raise StoreUnavailable(
                f"store `{self._path}` is in use by {who}; stop that gateway, or give this one another `store`"
            ) from None
        except OSError as error:
            raise StoreUnavailable(
                f"store `{self._path}` cannot be locked: {error.strerror}; check that the gateway's user may write to "
                "its folder"
            ) from error
        try:
            await self._writer.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what is queued, close the file, let go of the lock."""
        await self._writer.stop()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
