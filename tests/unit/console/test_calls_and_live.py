import asyncio
from collections.abc import AsyncGenerator

import pytest
from tests.fakes.admin_gateway import AdminError, FakeGateway
from tests.fakes.console_browser import request_wire

from holdpoint.console.calls import AT_ONCE, AT_ONCE_EACH, Gateway, GatewayTrouble, Trouble
from holdpoint.console.live import ChangeFeed
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.tasks import spawn

PATIENCE = 5


@pytest.fixture
def fake() -> FakeGateway:
    fake = FakeGateway()
    fake.add(request_wire())
    return fake


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(AdminError("unauthenticated", "too old"), Trouble.LOGIN, id="login"),
        pytest.param(AdminError("not_allowed", "no"), Trouble.NOT_ALLOWED, id="not allowed"),
        pytest.param(AdminError("already_resolved", "late"), Trouble.RESOLVED, id="resolved"),
        pytest.param(AdminError("conflict", "other digest"), Trouble.CHANGED, id="changed"),
        pytest.param(AdminError("not_found", "none"), Trouble.NOT_FOUND, id="not found"),
        pytest.param(AdminError("unheard_of", "hm"), Trouble.REFUSED, id="a code of tomorrow"),
        pytest.param(ConnectionRefusedError(), Trouble.UNAVAILABLE, id="no gateway"),
        pytest.param(TimeoutError(), Trouble.UNAVAILABLE, id="no answer"),
    ],
)
async def test_an_error_of_the_gateway_says_what_to_do_next(fake: FakeGateway, error: Exception, kind: Trouble) -> None:
    fake.fail["approvals.decide"] = error
    with pytest.raises(GatewayTrouble) as caught:
        await Gateway(fake).decide("token", "apr-1", verdict="approve", comment="", expect="sha256:0")
    assert caught.value.kind is kind


async def test_a_mistake_of_our_own_is_not_taken_for_an_answer(fake: FakeGateway) -> None:
    fake.fail["approvals.get"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await Gateway(fake).get("token", "apr-1")


async def test_every_call_bears_the_reviewers_token(fake: FakeGateway) -> None:
    gateway = Gateway(fake)
    await gateway.list("token", states=("pending",), limit=5)
    await gateway.get("token", "apr-1")
    assert [params["id_token"] for _, params in fake.calls] == ["token", "token"]


class Slow:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.go = asyncio.Event()

    async def call(self, _method: str, params: JsonObject) -> JsonValue:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if params["id_token"] != "rita":
            await self.go.wait()
        self.under_way -= 1
        return {}


async def test_who_asks_for_everything_at_once_makes_nobody_else_wait() -> None:
    slow = Slow()
    gateway = Gateway(slow)
    eager = [spawn(gateway.get("mallory", "apr-1"), name="eager") for _ in range(200)]
    async with asyncio.timeout(PATIENCE):
        while slow.under_way < AT_ONCE_EACH:
            await asyncio.sleep(0)
        assert await gateway.get("rita", "apr-1") == {}
        assert slow.under_way == AT_ONCE_EACH
        slow.go.set()
        await asyncio.gather(*eager)
    assert not gateway._turns


async def test_all_together_leave_the_gateway_connections_for_others() -> None:
    slow = Slow()
    gateway = Gateway(slow)
    eager = [spawn(gateway.get(f"m-{number % 20}", "apr-1"), name="eager") for number in range(200)]
    while slow.under_way < AT_ONCE:
        await asyncio.sleep(0)
    slow.go.set()
    await asyncio.gather(*eager)
    assert slow.most == AT_ONCE


class Odd:
    async def call(self, _method: str, _params: object) -> str:
        return "odd"


async def test_an_answer_that_is_no_list_is_trouble() -> None:
    with pytest.raises(GatewayTrouble, match="not a list"):
        await Gateway(Odd()).list("token", states=("pending",), limit=5)


async def test_an_answer_that_is_no_request_is_trouble() -> None:
    with pytest.raises(GatewayTrouble, match="not an object"):
        await Gateway(Odd()).get("token", "apr-1")


@pytest.fixture
async def feed(fake: FakeGateway) -> AsyncGenerator[ChangeFeed]:
    feed = ChangeFeed(Gateway(fake), pause=0)
    task = spawn(feed.follow(), name="feed")
    await feed.wait(feed.version, timeout=PATIENCE)
    yield feed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_change_wakes_every_page_that_waits(fake: FakeGateway, feed: ChangeFeed) -> None:
    seen = feed.version
    waiting = [asyncio.ensure_future(feed.wait(seen, timeout=PATIENCE)) for _ in range(3)]
    await asyncio.sleep(0)
    await fake.change()
    woken = await asyncio.gather(*waiting)
    assert seen not in woken
    assert len(set(woken)) == 1


async def test_a_page_that_is_behind_does_not_wait(fake: FakeGateway, feed: ChangeFeed) -> None:
    seen = feed.version
    await fake.change()
    now = await feed.wait(seen, timeout=PATIENCE)
    assert await feed.wait("of another run", timeout=PATIENCE) == now


async def test_without_a_change_the_wait_ends_by_itself(feed: ChangeFeed) -> None:
    assert await feed.wait(feed.version, timeout=0.01) == feed.version


async def test_pages_learn_that_the_gateway_is_lost_and_that_it_is_back(fake: FakeGateway, feed: ChangeFeed) -> None:
    seen = feed.version
    fake.fail["approvals.wait_change"] = ConnectionRefusedError()
    await fake.change()
    lost = await feed.wait(await feed.wait(seen, timeout=PATIENCE), timeout=PATIENCE)
    assert not feed.connected
    fake.fail.clear()
    assert await feed.wait(lost, timeout=PATIENCE) != lost
    assert feed.connected


async def test_a_long_poll_that_runs_out_changes_nothing(fake: FakeGateway) -> None:
    fake.fail["approvals.wait_change"] = TimeoutError()
    assert await Gateway(fake).wait_change(7) == 7
    fake.fail["approvals.wait_change"] = AdminError("timeout", "nothing new")
    assert await Gateway(fake).wait_change(7) == 7


async def test_pages_that_wait_are_let_go_when_the_console_stops(feed: ChangeFeed) -> None:
    waiting = asyncio.ensure_future(feed.wait(feed.version, timeout=3_600))
    await asyncio.sleep(0)
    feed.close()
    await asyncio.wait_for(waiting, PATIENCE)
    assert await feed.wait(feed.version, timeout=3_600) == feed.version
