"""What goes out on an open stream of events, and when it ends."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tests.fakes.admin_gateway import FakeGateway
from tests.fakes.console_browser import Browser, browser_of

from holdpoint.clock import ManualClock
from holdpoint.console.calls import Gateway
from holdpoint.console.live import ChangeFeed
from holdpoint.console.sessions import Login, Sessions
from holdpoint.console.streams import Streams, tell

PATIENCE = 5
RITA = Login(id_token="token", name="Rita", person="rita@corp.example", groups=frozenset())


class Desk:
    """One session with its streams."""

    def __init__(self, *, each: int = 3, most: int = 600) -> None:
        self.clock = ManualClock()
        self.feed = ChangeFeed(Gateway(FakeGateway()))
        self.sessions = Sessions(self.clock, idle=60)
        self.cookie = self.sessions.open(RITA).session_cookie
        self.streams = Streams(self.feed, each=each, most=most)

    def follow(self, *, seen: str | None = None, heartbeat: float = PATIENCE) -> AsyncGenerator[str]:
        stream = self.streams.open("rita")
        assert stream is not None
        since = self.feed.version if seen is None else seen
        return tell(self.feed, self.sessions, self.streams, stream, cookie=self.cookie, seen=since, heartbeat=heartbeat)

    def change(self) -> None:
        self.feed._bump()


async def after(told: AsyncGenerator[str]) -> str:
    """The next event behind the first line."""
    async with asyncio.timeout(PATIENCE):
        return await anext(told)


async def begun(told: AsyncGenerator[str]) -> AsyncGenerator[str]:
    assert (await after(told)).startswith("retry: ")
    return told


async def test_a_change_goes_out_with_its_version() -> None:
    desk = Desk()
    told = await begun(desk.follow())
    waiting = asyncio.ensure_future(after(told))
    await asyncio.sleep(0)
    desk.change()
    assert await waiting == f"id: {desk.feed.version}\nevent: change\ndata: {desk.feed.version}\n\n"
    await told.aclose()


async def test_who_comes_back_is_told_what_was_missed_once() -> None:
    desk = Desk()
    seen = desk.feed.version
    desk.change()
    desk.change()
    told = await begun(desk.follow(seen=seen, heartbeat=0))
    assert desk.feed.version in await after(told)
    assert (await after(told)).startswith(":")
    await told.aclose()


async def test_a_change_while_another_goes_out_is_not_lost() -> None:
    desk = Desk()
    told = await begun(desk.follow(seen="behind"))
    await after(told)
    desk.change()
    assert desk.feed.version in await after(told)
    await told.aclose()


async def test_a_quiet_stream_shows_that_it_lives() -> None:
    told = await begun(Desk().follow(heartbeat=0))
    assert (await after(told)).startswith(":")
    await told.aclose()


async def test_a_session_that_ran_out_ends_its_stream() -> None:
    desk = Desk()
    told = await begun(desk.follow(heartbeat=0))
    await after(told)
    desk.clock.advance(60)
    assert await after(told) == "event: bye\ndata: login\n\n"
    with pytest.raises(StopAsyncIteration):
        await after(told)
    assert len(desk.streams) == 0


async def test_an_open_stream_keeps_nobody_logged_in() -> None:
    desk = Desk()
    told = await begun(desk.follow(heartbeat=0))
    for _ in range(3):
        desk.clock.advance(25)
        last = await after(told)
    assert "login" in last
    await told.aclose()


async def test_a_logout_ends_every_stream_of_the_session_at_once() -> None:
    desk = Desk()
    one, other = await begun(desk.follow()), await begun(desk.follow())
    waiting = [asyncio.ensure_future(after(told)) for told in (one, other)]
    await asyncio.sleep(0)
    desk.streams.end("rita")
    assert await asyncio.gather(*waiting) == ["event: bye\ndata: login\n\n"] * 2


async def test_a_console_that_stops_lets_everybody_go() -> None:
    desk = Desk()
    told = await begun(desk.follow())
    waiting = asyncio.ensure_future(after(told))
    await asyncio.sleep(0)
    desk.feed.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert len(desk.streams) == 0


@pytest.mark.threat("T78")
async def test_a_sessions_oldest_stream_gives_way_to_its_newest() -> None:
    desk = Desk(each=2)
    first = await begun(desk.follow())
    waiting = asyncio.ensure_future(after(first))
    await asyncio.sleep(0)
    others = [await begun(desk.follow()) for _ in range(2)]
    assert await waiting == "event: bye\ndata: crowded\n\n"
    assert len(desk.streams) == 2
    for told in others:
        await told.aclose()
    assert len(desk.streams) == 0


@pytest.mark.threat("T78")
async def test_beyond_so_many_streams_there_are_no_more() -> None:
    streams = Streams(ChangeFeed(Gateway(FakeGateway())), most=2)
    assert [streams.open(name) is not None for name in ("a", "b", "c")] == [True, True, False]


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with browser_of() as browser:
        yield browser


@pytest.mark.threat("T78")
async def test_a_stranger_gets_no_stream(browser: Browser) -> None:
    assert (await browser.get("/events")).status_code == 401
