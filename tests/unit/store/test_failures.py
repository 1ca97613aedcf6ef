import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from holdpoint.clock import ManualClock
from holdpoint.store import schema
from holdpoint.store.failure import unavailable
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.store.sqlite import SqliteBackend, SqliteStore
from holdpoint.store.writer import Writer


async def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path, ManualClock())
    await store.open()
    return store


@pytest.mark.failure("F-second-gateway")
async def test_second_store_is_refused_by_the_name_of_the_first(tmp_path):
    first = await opened(tmp_path / "s.db")
    with pytest.raises(StoreUnavailable, match=rf"in use by process {os.getpid()}; stop that gateway"):
        await opened(tmp_path / "s.db")
    await first.close()
    await (await opened(tmp_path / "s.db")).close()


@pytest.mark.failure("F-second-gateway")
async def test_second_process_is_refused(tmp_path):
    store = await opened(tmp_path / "s.db")
    script = (
        "import asyncio, pathlib, sys\n"
        "from holdpoint.clock import SystemClock\n"
        "from holdpoint.store.sqlite import SqliteStore\n"
        "asyncio.run(SqliteStore(pathlib.Path(sys.argv[1]), SystemClock()).open())"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, str(tmp_path / "s.db")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": "addons"},
    )
    assert done.returncode == 1
    assert f"in use by process {os.getpid()}" in done.stderr
    await store.close()


@pytest.mark.failure("F-store-locked")
async def test_other_program_cannot_read_while_it_is_open(tmp_path):
    store = await opened(tmp_path / "s.db")
    other = sqlite3.connect(tmp_path / "s.db", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT * FROM approvals")
    other.close()
    await store.close()


@pytest.mark.failure("F-store-locked")
async def test_file_locked_by_another_program_says_so(tmp_path):
    await (await opened(tmp_path / "s.db")).close()
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("INSERT INTO notes VALUES ('a', 'b', 0)")
    with pytest.raises(StoreUnavailable, match="locked by another program; close"):
        await opened(tmp_path / "s.db")
    other.close()


async def test_files_are_for_the_owner_alone(tmp_path):
    store = await opened(tmp_path / "new" / "s.db")
    await store.set_note("a", "b")
    modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "new").iterdir()}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}
    assert {"s.db", "s.db-wal", "s.db.lock"} == modes.keys()
    await store.close()


@pytest.mark.failure("F-store-full")
async def test_full_disk_says_so_and_heals(tmp_path):
    store = await opened(tmp_path / "s.db")
    (pages,) = await store._writer.run(lambda c: c.execute("PRAGMA page_count").fetchone())
    await store._writer.run(lambda c: c.execute(f"PRAGMA max_page_count={pages}").fetchone())
    with pytest.raises(StoreUnavailable, match="the disk is full; free some space"):
        await store.set_note("big", "x" * 1_000_000)
    await store._writer.run(lambda c: c.execute("PRAGMA max_page_count=100000").fetchone())
    await store.set_note("big", "y")
    assert await store.note("big") == "y"
    await store.close()


@pytest.mark.failure("F-store-damaged")
async def test_file_that_is_no_database_says_so(tmp_path):
    (tmp_path / "s.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreUnavailable, match="not a SQLite database"):
        await opened(tmp_path / "s.db")


@pytest.mark.failure("F-store-damaged")
async def test_damaged_file_says_so(tmp_path):
    store = await opened(tmp_path / "s.db")
    for i in range(50):
        await store.set_note(f"n{i}", "x" * 5_000)
    await store.close()
    data = bytearray((tmp_path / "s.db").read_bytes())
    data[4096 * 2 :] = os.urandom(len(data) - 4096 * 2)
    (tmp_path / "s.db").write_bytes(data)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await opened(tmp_path / "s.db")


@pytest.mark.failure("F-store-damaged")
async def test_database_of_another_program_is_left_alone(tmp_path):
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    with pytest.raises(StoreUnavailable, match="another program's database"):
        await opened(tmp_path / "s.db")
    other = sqlite3.connect(tmp_path / "s.db")
    assert [r[0] for r in other.execute("SELECT name FROM sqlite_master")] == ["theirs"]
    other.close()


async def test_store_of_a_newer_version_is_refused(tmp_path):
    store = await opened(tmp_path / "s.db")
    await store._writer.run(lambda c: c.execute("INSERT INTO schema_version VALUES (99, 0)"))
    await store.close()
    with pytest.raises(StoreUnavailable, match=r"schema version 99.*run the newer version"):
        await opened(tmp_path / "s.db")


@pytest.mark.failure("F-unwritable")
async def test_path_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="check that the gateway's user may write"):
        await opened(tmp_path / "file" / "s.db")


@pytest.mark.failure("F-store-damaged")
async def test_row_that_cannot_be_read_says_so(tmp_path):
    store = await opened(tmp_path / "s.db")
    await store._writer.run(
        lambda c: c.execute(
            "INSERT INTO approvals (id, principal, actor, target, intent, session, state, ask, created_at, deadline)"
            " VALUES ('a', '', '', '', '', '', 'pending', '{}', 0, 0)"
        )
    )
    with pytest.raises(StoreUnavailable, match="holds a row that this version cannot read"):
        await store.approval("a")
    assert await store.note("still") is None
    await store.close()


async def test_closed_store_says_so(tmp_path):
    store = await opened(tmp_path / "s.db")
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.note("a")


async def test_what_was_queued_before_closing_is_done(tmp_path):
    store = await opened(tmp_path / "s.db")
    writes = [asyncio.ensure_future(store.set_note(f"n{i}", "x")) for i in range(700)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    store = await opened(tmp_path / "s.db")
    assert await store.note("n699") == "x"
    await store.close()


async def test_store_that_cannot_keep_up_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr("holdpoint.store.writer.MAX_WAITING", 0)
    writer = Writer(SqliteBackend(tmp_path / "s.db", lambda: sqlite3.connect(":memory:", isolation_level=None)))
    await writer.start()
    with pytest.raises(StoreUnavailable, match="cannot keep up"):
        await writer.run(lambda _: None)
    assert writer.submit(lambda _: None) is False
    await writer.stop()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        pytest.param(sqlite3.SQLITE_READONLY, "is read-only; let the gateway's user write", id="read-only"),
        pytest.param(sqlite3.SQLITE_IOERR_FSYNC, "the disk reports an error; check the disk", id="extended I/O error"),
        pytest.param(sqlite3.SQLITE_CANTOPEN, "cannot be opened; check", id="cannot open"),
        pytest.param(sqlite3.SQLITE_CORRUPT, "damaged; stop the gateway", id="corrupt"),
        pytest.param(sqlite3.SQLITE_MISUSE, "failed: it broke", id="anything else"),
    ],
)
def test_failure_says_what_to_do(code, advice):
    error = sqlite3.OperationalError("it broke")
    error.sqlite_errorcode = code
    assert advice in str(unavailable(error, Path("/var/lib/s.db")))


@pytest.mark.failure("F-unwritable")
async def test_read_only_file_says_so(tmp_path):
    path = tmp_path / "s.db"
    await (await opened(path)).close()
    writer = Writer(
        SqliteBackend(path, lambda: sqlite3.connect(f"file:{path}?immutable=1", uri=True, isolation_level=None))
    )
    await writer.start()
    with pytest.raises(StoreUnavailable, match="is read-only; let the gateway's user write"):
        await writer.run(lambda c: c.execute("INSERT INTO notes VALUES ('a', 'b', 0)"))
    await writer.stop()


def test_migrations_have_no_gap_and_every_statement_ends():
    assert len(schema.migrations()) >= 1
    assert schema.statements("CREATE TABLE a (x); -- y;\nCREATE TABLE b (x\n);\n") == [
        "CREATE TABLE a (x); -- y;\n",
        "CREATE TABLE b (x\n);\n",
    ]
    with pytest.raises(ValueError, match="semicolon"):
        schema.statements("CREATE TABLE a (x)")


def test_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    monkeypatch.setattr(schema, "migrations", lambda: ["CREATE TABLE a (x);\nCREATE TABLE a (x);\n"])
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, tmp_path, 0.0)
    assert [r[0] for r in connection.execute("SELECT name FROM sqlite_master")] == ["schema_version"]
    connection.close()
