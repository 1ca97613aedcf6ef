import asyncio
import sqlite3
from pathlib import Path

import pytest

from holdpoint.clock import ManualClock
from holdpoint.store.sqlite import SqliteStore


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock):
    it = SqliteStore(tmp_path / "store.db", clock)
    await it.open()
    yield it
    await it.close()


async def test_many_operations_share_a_commit(store):
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    statements: list[str] = []

    def block(connection: sqlite3.Connection) -> None:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        connection.set_trace_callback(statements.append)

    blocked = asyncio.ensure_future(store._writer.run(block))
    notes = [asyncio.ensure_future(store.set_note(f"n{i}", "x")) for i in range(100)]
    while store._writer._queue.qsize() < 100:  # the tasks above fill it
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(blocked, *notes)
    # The commit of what blocked, and one for the hundred.
    assert statements.count("COMMIT") <= 2


def test_closed_loop_does_not_stop_the_thread(tmp_path):
    store = SqliteStore(tmp_path / "s.db", ManualClock())

    async def leave() -> None:
        await store.open()
        task = asyncio.ensure_future(store.set_note("a", "1"))
        await asyncio.sleep(0)
        task.cancel()

    async def come_back() -> str | None:
        try:
            return await store.note("a")
        finally:
            await store.close()

    asyncio.run(leave())
    assert asyncio.run(come_back()) == "1"
