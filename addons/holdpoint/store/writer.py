"""The one thread that touches the database, and its group commit.

Operations queue up while a commit waits for the disk; the next commit takes them all. Each has a savepoint of its own:
one that fails takes no other with it. A result is handed back only after the commit that holds it.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from holdpoint.store.codec import Unreadable
from holdpoint.store.failure import unavailable
from holdpoint.store.protocol import StoreUnavailable

logger = logging.getLogger(__name__)

MAX_BATCH = 512
MAX_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    future: "asyncio.Future[Any] | None"
    loop: asyncio.AbstractEventLoop | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    value: Any = None
    error: Exception | None = None


class Writer:
    """Runs operations on a connection in a thread of its own."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        """`connect` is called in the thread, once."""
        self._path = path
        self._connect = connect
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._open = False
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Connect. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[Any] = loop.create_future()
        self._thread = threading.Thread(
            target=self._run, args=(_Job(_nothing, ready, loop),), name="holdpoint-store", daemon=True
        )
        self._open = True
        self._thread.start()
        try:
            await ready
        except BaseException:
            self._open = False
            raise

    async def run[T](self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` and return its result once that is durable. Raises what `work` raises, or StoreUnavailable.

        A caller that is cancelled gives up the result, not the work.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Job(work, future, loop))
        return await future

    def submit(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Run `work` some time, and log if it fails. Returns False, and does nothing, where too much waits already."""
        try:
            self._put(_Job(work, None, None))
        except StoreUnavailable as error:
            logger.warning("not stored: %s", error)
            return False
        return True

    async def stop(self) -> None:
        """Finish what is queued, then disconnect."""
        with self._gate:
            if self._open:
                self._open = False
                self._queue.put(None)
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _put(self, job: _Job) -> None:
        with self._gate:
            if not self._open:
                raise StoreUnavailable(f"store `{self._path}` is closed")
            if self._queue.qsize() >= MAX_WAITING:
                raise StoreUnavailable(f"store `{self._path}` cannot keep up: the disk is too slow or hangs")
            self._queue.put(job)

    def _run(self, ready: _Job) -> None:
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001  # it must reach whoever waits for the start
            _deliver([(ready, _Outcome(error=_translated(error, self._path)))])
            return
        _deliver([(ready, _Outcome())])
        try:
            for batch in self._batches():
                _deliver(list(zip(batch, self._commit(connection, batch), strict=True)))
        finally:
            with suppress(sqlite3.Error):
                connection.close()

    def _batches(self) -> Iterator[list[_Job]]:
        while True:
            first = self._queue.get()
            if first is None:
                return
            batch = [first]
            last = False
            while len(batch) < MAX_BATCH and not last:
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    last = True
                else:
                    batch.append(job)
            yield batch
            if last:
                return

    def _commit(self, connection: sqlite3.Connection, batch: list[_Job]) -> list[_Outcome]:
        try:
            connection.execute("BEGIN")
            outcomes = [self._one(connection, job) for job in batch]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            logger.error("%s", unavailable(error, self._path))  # noqa: TRY400  # the message says what to do
            return [_Outcome(error=unavailable(error, self._path)) for _ in batch]
        return outcomes

    def _one(self, connection: sqlite3.Connection, job: _Job) -> _Outcome:
        connection.execute("SAVEPOINT job")
        try:
            value = job.work(connection)
        except Exception as error:
            if not connection.in_transaction:
                # SQLite itself rolled back (disk full, I/O error): with it went everything else in this batch.
                raise
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            return _Outcome(error=_translated(error, self._path))
        connection.execute("RELEASE job")
        return _Outcome(value)


def _nothing(_: sqlite3.Connection) -> None:
    return None


def _translated(error: Exception, path: Path) -> Exception:
    if isinstance(error, sqlite3.Error):
        return unavailable(error, path)
    if isinstance(error, Unreadable):
        return StoreUnavailable(
            f"store `{path}` holds a row that this version cannot read ({error}); restore a copy or the version before"
        )
    return error


def _deliver(results: list[tuple[_Job, _Outcome]]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, _Outcome]]] = {}
    for job, outcome in results:
        if job.loop is not None:
            by_loop.setdefault(job.loop, []).append((job, outcome))
        elif outcome.error is not None:
            logger.warning("not stored: %s", outcome.error)
    for loop, mine in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more, and the work is done
            loop.call_soon_threadsafe(partial(_settle, mine))


def _settle(results: list[tuple[_Job, _Outcome]]) -> None:
    for job, outcome in results:
        if job.future is None or job.future.done():
            continue
        if outcome.error is not None:
            job.future.set_exception(outcome.error)
        else:
            job.future.set_result(outcome.value)
