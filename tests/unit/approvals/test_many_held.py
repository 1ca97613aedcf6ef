import asyncio
import gc
import tracemalloc

import pytest
from tests.fakes.approvals import House, ask, reviewer, term

from holdpoint.domain.approval import ApprovalState, Verdict

MANY = 1_000


async def test_thousand_held_requests_are_cheap_and_all_wake(home: House):
    gc.collect()
    tracemalloc.start()
    held = await asyncio.gather(*(home.broker.request(ask(what=f"w{i}")) for i in range(MANY)))
    home.told.events.clear()
    waiting = [asyncio.ensure_future(home.broker.wait(h.id, timeout=None)) for h in held]
    del held
    await asyncio.sleep(0)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / MANY < 50_000
    assert home.broker.held == MANY
    # Not one of them polls: beside the waits themselves nothing runs but the timer and who listens.
    assert len(asyncio.all_tasks()) <= MANY + 3
    await home.later(600)
    assert {r.state for r in await asyncio.gather(*waiting)} == {ApprovalState.EXPIRED}
    assert home.broker.held == 0


@pytest.mark.threat("T20")
async def test_held_requests_do_not_hold_up_another_one(home: House):
    await asyncio.gather(*(home.broker.request(ask(what=f"w{i}")) for i in range(MANY)))
    other = await home.broker.request(ask(term(), what="other"))
    voting = asyncio.ensure_future(home.broker.vote(other.id, reviewer(), Verdict.APPROVE, ""))
    assert (await home.broker.wait(other.id, timeout=30)).state is ApprovalState.APPROVED
    await voting
