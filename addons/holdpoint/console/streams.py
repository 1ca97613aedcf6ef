"""Open streams of events: bounded, alive, and over as soon as the session is."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from holdpoint.console.live import ChangeFeed
from holdpoint.console.sessions import Sessions

HEARTBEAT = 15.0
"""Seconds between two signs of life, so that no proxy takes the stream for dead and an ended session is noticed."""
RETRY = 3_000
"""Milliseconds after which a browser comes back."""


@dataclass(eq=False, slots=True)
class Stream:
    """One open page."""

    session: str
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    bye: str = ""
    """Why it has to end; empty: it does not."""


class Streams:
    """All open streams: a browser has six connections to a host, and a session may not take all of them."""

    def __init__(self, feed: ChangeFeed, *, each: int = 3, most: int = 600) -> None:
        self._feed = feed
        self._each = each
        self._most = most
        self._open: OrderedDict[Stream, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, session: str) -> Stream | None:
        """Begin a stream, or return None where there are too many. A session's oldest gives way to its newest."""
        own = [stream for stream in self._open if stream.session == session]
        for stream in own[: len(own) - self._each + 1]:
            self._end(stream, "crowded")
        if len(self._open) >= self._most:
            return None
        stream = Stream(session)
        self._open[stream] = None
        self._feed.listen(stream.wake)
        return stream

    def end(self, session: str) -> None:
        """End every stream of a session that is over."""
        for stream in [stream for stream in self._open if stream.session == session]:
            self._end(stream, "login")

    def forget(self, stream: Stream) -> None:
        """Let go of a stream that nobody reads any more."""
        self._open.pop(stream, None)
        self._feed.leave(stream.wake)

    def _end(self, stream: Stream, why: str) -> None:
        stream.bye = why
        stream.wake.set()
        self.forget(stream)


async def tell(
    feed: ChangeFeed,
    sessions: Sessions,
    streams: Streams,
    stream: Stream,
    *,
    cookie: str,
    seen: str,
    heartbeat: float = HEARTBEAT,
) -> AsyncGenerator[str]:
    """Yield `change` with the version at each change, a comment as heartbeat, and at last `bye` with why."""
    try:
        yield f"retry: {RETRY}\n\n"
        while not feed.closed:
            stream.wake.clear()
            if not stream.bye and sessions.find(cookie, by_hand=False) is None:
                stream.bye = "login"
            if stream.bye:
                yield f"event: bye\ndata: {stream.bye}\n\n"
                return
            if feed.version != seen:
                seen = feed.version
                yield f"id: {seen}\nevent: change\ndata: {seen}\n\n"
                continue  # it may have changed again while that went out
            try:
                async with asyncio.timeout(heartbeat):
                    await stream.wake.wait()
            except TimeoutError:
                yield ": still here\n\n"
    finally:
        streams.forget(stream)
