from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdpoint.clock import ManualClock
from holdpoint.store.sqlite import SqliteStore


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    it = SqliteStore(tmp_path / "store.db", clock)
    await it.open()
    try:
        yield it
    finally:
        await it.close()
