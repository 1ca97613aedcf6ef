from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from holdpoint.clock import Clock, ManualClock
from holdpoint.store.sql import SqlStore
from holdpoint.store.sqlite import SqliteStore

type Make = Callable[[Clock], SqlStore]
"""Makes a store, not open yet; every one that a test makes is on the same data."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "sqlite":
        return lambda clock: SqliteStore(tmp_path / "store.db", clock)
    return request.getfixturevalue("make_postgres")


@pytest.fixture
async def store(make: Make, clock: ManualClock) -> AsyncIterator[SqlStore]:
    it = make(clock)
    await it.open()
    try:
        yield it
    finally:
        await it.close()
