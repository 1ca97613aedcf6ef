"""Hears what other gateways changed, on a connection of its own (LISTEN), in a thread of its own."""

import logging
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

from holdpoint.store.postgres_backend import FIRST_PAUSE, LONGEST_PAUSE
from holdpoint.store.protocol import Change, StoreUnavailable

logger = logging.getLogger(__name__)

ANYTHING = Change("", "")
"""Told after each time that nobody listened."""


class Listener:
    """Listens from `start` to `stop`, whatever becomes of the server."""

    def __init__(
        self,
        channel: str,
        connect: Callable[[], "psycopg.Connection"],
        heard: Callable[[frozenset[Change], int], None],
        lost: Callable[[], None],
    ) -> None:
        """`heard` gets changes and the server process that made them (0: any); both are called in the thread."""
        self._channel = channel
        self._connect = connect
        self._heard = heard
        self._lost = lost
        self._closing = threading.Event()
        self._wake_read = self._wake_write = -1
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="holdpoint-store-listen", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and wait until it has ended."""
        self._closing.set()
        if self._thread is None:
            return
        os.write(self._wake_write, b".")
        self._thread.join()
        self._thread = None
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            try:
                raw = self._connect()
            except StoreUnavailable as error:
                logger.info("not listening to other gateways: %s", error)
                self._closing.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            try:
                self._listen(raw)
            except psycopg.Error as error:
                logger.warning("not listening to other gateways: the connection was lost (%s)", error.sqlstate or "")
                self._lost()
                self._closing.wait(pause)
            finally:
                with suppress(psycopg.Error):
                    raw.close()

    def _listen(self, raw: "psycopg.Connection") -> None:
        raw.execute(f'LISTEN "{self._channel}"'.encode())
        self._heard(frozenset({ANYTHING}), 0)
        # NOTE: not `select`, which knows file descriptors below 1,024 alone: as many callers may be on the line.
        ready = select.poll()
        for descriptor in (raw.fileno(), self._wake_read):
            ready.register(descriptor, select.POLLIN)
        while not self._closing.is_set():
            changes: dict[int, set[Change]] = {}
            raw.pgconn.consume_input()
            while (found := raw.pgconn.notifies()) is not None:
                table, _, row = found.extra.decode("utf-8", "replace").partition(" ")
                changes.setdefault(found.be_pid, set()).add(Change(table, row))
            for pid, some in changes.items():
                self._heard(frozenset(some), pid)
            ready.poll()
