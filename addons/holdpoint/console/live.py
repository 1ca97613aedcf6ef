"""Tell open pages that something changed: one long-poll at the gateway for all of them."""

import asyncio
import logging
import secrets

from holdpoint.console.calls import Gateway, GatewayTrouble
from holdpoint.domain.values import JsonValue

PAUSE = 0.2
"""Seconds between two polls at least, whatever the gateway answers."""
LONGEST_PAUSE = 10.0
NEVER = 0
"""A version that no gateway has: it is answered at once."""
logger = logging.getLogger(__name__)


class ChangeFeed:
    """Follows the gateway's version of the requests. While it runs the gateway can tell that a console is up."""

    def __init__(self, gateway: Gateway, *, pause: float = PAUSE) -> None:
        self._gateway = gateway
        self._pause = pause
        self._run = secrets.token_hex(4)
        self._count = 0
        self._changed = asyncio.Event()
        self._listeners: set[asyncio.Event] = set()
        self.closed = False
        """Whether the console stops."""
        self.connected = True
        """Whether the last poll reached the gateway."""

    @property
    def version(self) -> str:
        """A name for what pages show now. Another one after every change and every restart."""
        return f"{self._run}-{self._count}"

    async def follow(self) -> None:
        """Poll until cancelled."""
        since: JsonValue = NEVER
        pause = self._pause
        while True:
            try:
                version = await self._gateway.wait_change(since)
            except GatewayTrouble as trouble:
                if self.connected:
                    logger.warning("lost the gateway: %s", trouble.message)
                    self.connected = False
                    self._bump()
                since = NEVER  # a gateway that is back answers this at once
                pause = min(max(pause, 0.5) * 2, LONGEST_PAUSE) if self._pause else 0
            else:
                if version != since or not self.connected:
                    self.connected = True
                    self._bump()
                since, pause = version, self._pause
            await asyncio.sleep(pause)

    async def wait(self, seen: str, *, timeout: float) -> str:  # noqa: ASYNC109  # running out is an answer here
        """Return the version as soon as it is not `seen`, or after so many seconds."""
        try:
            async with asyncio.timeout(timeout):
                while self.version == seen and not self.closed:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.version

    def listen(self, wake: asyncio.Event) -> None:
        """Set `wake` at every change, until `leave`."""
        self._listeners.add(wake)

    def leave(self, wake: asyncio.Event) -> None:
        """Stop telling."""
        self._listeners.discard(wake)

    def close(self) -> None:
        """Let every page that waits go: the console stops."""
        self.closed = True
        self._bump()

    def _bump(self) -> None:
        self._count += 1
        self._changed.set()
        self._changed = asyncio.Event()
        for wake in self._listeners:
            wake.set()
