"""Open the database file and bring its schema up to date, by numbered SQL files."""

import os
import sqlite3
from importlib import resources
from pathlib import Path
from typing import Literal

from holdpoint.store.protocol import StoreUnavailable

type Dialect = Literal["sqlite", "postgres"]

APPLICATION_ID = 0x484C4450  # "HLDP": tells our file from another program's


def connect(path: Path, now: float) -> sqlite3.Connection:
    """Open or make the file, mode 0600. Raises StoreUnavailable or sqlite3.Error."""
    _make(path)
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    try:
        # Exclusive: no other program can read or write while the gateway runs, and no shared memory file is needed.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        _check(connection, path)
        migrate(connection, path, now)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, path: Path, now: float) -> int:
    """Apply every migration that is missing, each in a transaction. Returns the version reached."""
    steps = migrations()
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, at REAL NOT NULL) STRICT"
    )
    (reached,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    if reached > len(steps):
        raise StoreUnavailable(
            f"store `{path}` has schema version {reached}, this version knows {len(steps)}; run the newer version again"
        )
    for version, script in enumerate(steps[reached:], start=reached + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements(script):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version VALUES (?, ?)", (version, now))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return len(steps)


def migrations(dialect: Dialect = "sqlite") -> list[str]:
    """Return the SQL of every migration, in order. Raises ValueError where the numbers have a gap."""
    folder = resources.files("holdpoint.store") / "migrations"
    if dialect != "sqlite":
        folder /= dialect
    found = sorted((f.name, f.read_text("utf-8")) for f in folder.iterdir() if f.name.endswith(".sql"))
    for number, (name, _) in enumerate(found, start=1):
        if not name.startswith(f"{number:04d}_"):
            raise ValueError(f"migration `{name}` should be number {number:04d}")
    return [text for _, text in found]


def statements(script: str) -> list[str]:
    """Split a script into statements. `executescript` would commit in between."""
    found: list[str] = []
    current = ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    if current.strip():
        raise ValueError("the last statement of a migration lacks its semicolon")
    return found


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreUnavailable(
            f"store `{path}` cannot be opened: {error.strerror}; check that the gateway's user may write to it "
            "and to its folder"
        ) from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID:
        if tables:
            raise StoreUnavailable(f"store `{path}` is another program's database; point `store` at another file")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreUnavailable(
            f"store `{path}` is damaged ({verdict}); stop the gateway, keep the file, and put back a copy"
        )
