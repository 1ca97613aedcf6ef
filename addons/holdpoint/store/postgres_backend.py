"""One PostgreSQL connection and how it commits; lost ones are made again in the background.

While there is none, callers are told at once. Nothing is ever run again whose commit may have taken effect.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import psycopg
from psycopg.pq import TransactionStatus

from holdpoint.store import postgres_failure
from holdpoint.store.codec import Unreadable
from holdpoint.store.postgres_place import Place
from holdpoint.store.postgres_schema import prepare
from holdpoint.store.postgres_sql import Link
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.store.writer import Outcome, Reading, Work, unreadable

logger = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often a transaction is run that another gateway's got in the way of."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to connect: doubled each time."""
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"


def connect(place: Place, name: str) -> "psycopg.Connection":
    """Return a connection in autocommit with everything set that a gateway relies on. Raises StoreUnavailable."""
    try:
        raw = psycopg.connect(place.conninfo, autocommit=True, cursor_factory=psycopg.RawCursor, application_name=name)
    except psycopg.Error as error:
        raise postgres_failure.unreachable(error, place.name, place.password) from None
    try:
        prepare(raw, place)
    except psycopg.Error as error:
        raw.close()
        raise postgres_failure.unavailable(error, place.name) from None
    except BaseException:
        raw.close()
        raise
    return raw


class PostgresBackend:
    """A connection for one writer."""

    def __init__(
        self,
        place: Place,
        connect: Callable[[], "psycopg.Connection"],
        *,
        read_only: bool = False,
        taken: Callable[["psycopg.Connection"], None] = lambda _: None,
        pause: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        """`connect` raises StoreUnavailable; `taken` is told each connection before anything runs on it."""
        self._place = place
        self._connect = connect
        self._begin = _READ if read_only else _WRITE
        self._taken = taken
        self._pause = pause
        self._raw: psycopg.Connection | None = None
        self._down = StoreUnavailable(f"store `{place.name}` is not open")
        self._fresh: queue.SimpleQueue[psycopg.Connection] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._again: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Host, port, database, schema."""
        return self._place.name

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._raw is not None or not self._fresh.empty()

    def open(self) -> None:
        """Connect. Raises StoreUnavailable."""
        raw = self._connect()
        try:
            self._taken(raw)
        except BaseException as error:
            raw.close()
            if isinstance(error, psycopg.Error):
                raise postgres_failure.unavailable(error, self.name) from None
            raise
        self._raw = raw

    def commit(self, works: Sequence[Work]) -> list[Outcome]:
        """Run all of them in one transaction, or each in its own where one of them was in another gateway's way."""
        raw = self._current()
        if raw is None:
            return [Outcome(error=self._down) for _ in works]
        if len(works) == 1:
            return [self._single(works[0])]
        try:
            return self._batch(raw, works)
        except psycopg.Error as error:
            if self._is_lost(raw, error):
                return [Outcome(error=self._down) for _ in works]
            logger.info("store `%s`: a batch of %d is run one by one (%s)", self.name, len(works), error.sqlstate)
        except StoreUnavailable as error:
            self._lose(raw, error)
            return [Outcome(error=error) for _ in works]
        return [self._single(work) for work in works]

    def close(self) -> None:
        """Disconnect, and stop trying to."""
        self._closing.set()
        if self._again is not None:
            self._again.join()
        while not self._fresh.empty():
            self._fresh.get().close()
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _single(self, work: Work) -> Outcome:
        for attempt in range(1, ATTEMPTS + 1):
            raw = self._current()
            if raw is None:
                break
            try:
                return self._batch(raw, [work])[0]
            except StoreUnavailable as error:
                self._lose(raw, error)
                return Outcome(error=error)
            except psycopg.Error as error:
                if self._is_lost(raw, error):
                    break
                if not postgres_failure.is_retried(error) or attempt == ATTEMPTS:
                    return Outcome(error=postgres_failure.unavailable(error, self.name))
        return Outcome(error=self._down)

    def _batch(self, raw: "psycopg.Connection", works: Sequence[Work]) -> list[Outcome]:
        """Run them. Raises psycopg.Error where nothing took effect, StoreUnavailable where that is in doubt."""
        link = Link(raw)
        alone = len(works) == 1
        if alone and isinstance(works[0], Reading):
            return [self._one(raw, link, works[0], alone=True)]
        try:
            raw.execute(self._begin.encode())
            outcomes = [self._one(raw, link, work, alone=alone) for work in works]
        except psycopg.Error:
            with suppress(psycopg.Error):
                raw.execute("ROLLBACK")
            raise
        if alone and outcomes[0].error is not None:
            raw.execute("ROLLBACK")
            return outcomes
        try:
            done = raw.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            if error.sqlstate and not raw.closed and raw.info.transaction_status is TransactionStatus.IDLE:
                raise  # the server itself said that it did not commit
            raise postgres_failure.in_doubt(self.name) from None
        if done != "COMMIT":
            # An operation went on after a statement of its own had failed: the server rolled all of it back.
            return [Outcome(error=RuntimeError("an operation hid the failure of a statement")) for _ in works]
        return outcomes

    def _one(self, raw: "psycopg.Connection", link: Link, work: Work, *, alone: bool) -> Outcome:
        if not alone:
            raw.execute("SAVEPOINT job")
        try:
            value = work(link)
        except psycopg.Error as error:
            if alone or postgres_failure.is_retried(error) or raw.closed or raw.broken:
                raise
            raw.execute("ROLLBACK TO SAVEPOINT job")
            return Outcome(error=postgres_failure.unavailable(error, self.name))
        except Exception as error:  # noqa: BLE001  # it belongs to whoever asked
            if not alone:
                raw.execute("ROLLBACK TO SAVEPOINT job")
            return Outcome(error=unreadable(error, self.name) if isinstance(error, Unreadable) else error)
        if not alone:
            raw.execute("RELEASE SAVEPOINT job")
        return Outcome(value)

    def _current(self) -> "psycopg.Connection | None":
        if self._raw is None and not self._fresh.empty():
            self._raw = self._fresh.get()
        return self._raw

    def _is_lost(self, raw: "psycopg.Connection", error: psycopg.Error) -> bool:
        if not raw.closed and not raw.broken and raw.info.transaction_status is TransactionStatus.IDLE:
            return False
        self._lose(raw, postgres_failure.unavailable(error, self.name))
        return True

    def _lose(self, raw: "psycopg.Connection", error: StoreUnavailable) -> None:
        logger.error("%s", error)
        with suppress(psycopg.Error):
            raw.close()
        self._raw = None
        self._down = postgres_failure.away(self.name)
        if self._again is None or not self._again.is_alive():
            self._again = threading.Thread(target=self._reconnect, name="holdpoint-store-connect", daemon=True)
            self._again.start()

    def _reconnect(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            try:
                raw = self._connect()
                try:
                    self._taken(raw)
                except BaseException:
                    raw.close()
                    raise
            except (StoreUnavailable, psycopg.Error) as error:
                said = error if isinstance(error, StoreUnavailable) else postgres_failure.unavailable(error, self.name)
                logger.info("%s", said)
                self._pause(self._closing, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            self._fresh.put(raw)
            logger.warning("store `%s` is back", self.name)
            return
