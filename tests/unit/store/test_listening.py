"""What other gateways change is heard, however busy this one is."""

import asyncio
import os
import resource
from collections.abc import Callable, Iterator

import pytest
from tests.fakes.approvals import ask

from holdpoint.clock import Clock, ManualClock
from holdpoint.domain.approval import ApprovalRequest, ApprovalState
from holdpoint.store.protocol import Change, Key
from holdpoint.store.sql import SqlStore

PAST_SELECT = 1_100
"""`select` knows file descriptors below 1,024 alone."""


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < PAST_SELECT * 2:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, PAST_SELECT * 2), hard))
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(PAST_SELECT)]
    yield
    for one in opened:
        os.close(one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_a_gateway_with_a_thousand_callers_on_the_line_hears_the_others(
    make_postgres: Callable[[Clock], SqlStore],
) -> None:
    here, there = make_postgres(ManualClock()), make_postgres(ManualClock())
    heard: asyncio.Queue[Change] = asyncio.Queue()
    await here.open()
    await there.open()
    try:
        here.listen(heard.put_nowait)
        asked = ask()
        request = ApprovalRequest("apr-1", asked, ApprovalState.PENDING, 100.0, 700.0)
        await there.add_approval(request, Key("p", "", "shop", asked.intent), "")
        async with asyncio.timeout(10):
            while (await heard.get()).id != "apr-1":
                pass
    finally:
        await here.close()
        await there.close()
