"""The one thread that touches a database connection, and its group commit.

Operations queue up while a commit waits for the disk; the next commit takes them all. Each has a savepoint of its own:
one that fails takes no other with it. A result is handed back only after the commit that holds it.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from holdpoint.store.codec import Unreadable
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.store.rows import Connection

logger = logging.getLogger(__name__)

MAX_BATCH = 512
MAX_WAITING = 20_000


type Work = Callable[[Connection], Any]
"""An operation. One that raises has no effect; where the database asks for it, it is run again from the start."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An operation that changes nothing. Alone, it needs no transaction: each statement sees what is committed."""

    work: Callable[[Connection], Any]

    def __call__(self, connection: Connection) -> Any:  # noqa: ANN401  # whatever the operation gives
        """Run it."""
        return self.work(connection)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an operation."""

    value: Any = None
    error: Exception | None = None


class Backend(Protocol):
    """One database connection and how it commits. Everything but `name` is called in the writer's thread alone."""

    @property
    def name(self) -> str:
        """What messages call the store; never holds a password."""
        ...

    def open(self) -> None:
        """Connect, once. Raises StoreUnavailable."""
        ...

    def commit(self, works: Sequence[Work]) -> list[Outcome]:
        """Run all of them in one transaction and return what became of each. Never raises."""
        ...

    def close(self) -> None:
        """Disconnect. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work
    future: "asyncio.Future[Any] | None"
    loop: asyncio.AbstractEventLoop | None
    quiet: bool = False
    """Whether nobody needs to know that it failed."""


class Writer:
    """Runs operations on a connection in a thread of its own."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
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

    async def run[T](self, work: Callable[[Connection], T]) -> T:
        """Run `work` and return its result once that is durable. Raises what `work` raises, or StoreUnavailable.

        A caller that is cancelled gives up the result, not the work.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Job(work, future, loop))
        return await future

    def submit(self, work: Callable[[Connection], object], *, quiet: bool = False) -> bool:
        """Run `work` some time, and log if it fails. Returns False, and does nothing, where too much waits already."""
        try:
            self._put(_Job(work, None, None, quiet))
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
                raise StoreUnavailable(f"store `{self._backend.name}` is closed")
            if self._queue.qsize() >= MAX_WAITING:
                raise StoreUnavailable(f"store `{self._backend.name}` cannot keep up: its disk is too slow or hangs")
            self._queue.put(job)

    def _run(self, ready: _Job) -> None:
        try:
            self._backend.open()
        except Exception as error:  # noqa: BLE001  # it must reach whoever waits for the start
            _deliver([(ready, Outcome(error=error))])
            return
        _deliver([(ready, Outcome())])
        try:
            for batch in self._batches():
                _deliver(list(zip(batch, self._backend.commit([job.work for job in batch]), strict=True)))
        finally:
            self._backend.close()

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


def _nothing(_: Connection) -> None:
    return None


def unreadable(error: Unreadable, name: str) -> StoreUnavailable:
    """Say what to do about a row that this version did not write."""
    return StoreUnavailable(
        f"store `{name}` holds a row that this version cannot read ({error}); restore a copy or the version before"
    )


def _deliver(results: list[tuple[_Job, Outcome]]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, Outcome]]] = {}
    for job, outcome in results:
        if job.loop is not None:
            by_loop.setdefault(job.loop, []).append((job, outcome))
        elif outcome.error is not None and not job.quiet:
            logger.warning("not stored: %s", outcome.error)
    for loop, mine in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more, and the work is done
            loop.call_soon_threadsafe(partial(_settle, mine))


def _settle(results: list[tuple[_Job, Outcome]]) -> None:
    for job, outcome in results:
        if job.future is None or job.future.done():
            continue
        if outcome.error is not None:
            job.future.set_exception(outcome.error)
        else:
            job.future.set_result(outcome.value)
