import asyncio

import pytest

from holdpoint.tasks import uninterrupted


async def test_work_goes_on_where_the_caller_is_cancelled():
    gate, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await gate.wait()
        done.set()

    async def caller() -> None:
        await uninterrupted(work())

    calling = asyncio.ensure_future(caller())
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    gate.set()
    await asyncio.wait_for(done.wait(), 10)


async def test_result_and_error_reach_the_caller(caplog):
    async def good() -> int:
        return 7

    async def bad() -> int:
        raise KeyError("x")

    assert await uninterrupted(good()) == 7
    with pytest.raises(KeyError):
        await uninterrupted(bad())
    assert not caplog.records


async def test_error_that_nobody_waits_for_is_logged(caplog):
    gate = asyncio.Event()

    async def bad() -> None:
        await gate.wait()
        raise KeyError("x")

    result = uninterrupted(bad())
    await asyncio.sleep(0)
    result.cancel()
    await asyncio.sleep(0)
    gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert "failed" in caplog.text
