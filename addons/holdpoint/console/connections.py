"""Connections that say nothing: none of them takes the place of somebody who wants to decide.

uvicorn waits for a request for as long as it takes, and counts who keeps it waiting among those whom it serves.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE: Final = 10.0
"""Seconds that a connection has for the head of its next request, and in which it reads anything of an answer."""


class Impatient(H11Protocol):
    """Ends a connection whose next request does not come, or that reads nothing of its answer.

    Where there are many, the one that waits for longest gives way to a new one.
    """

    _since = 0.0
    """Loop time since when no request is under way."""
    _unread = -1
    """Bytes that could not be written when it was last looked at; -1: there were none."""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make place, and begin to count."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(PATIENCE, self._look)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._make_place()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begin to count anew."""
        self._since = self.loop.time()
        super().on_response_complete()

    @property
    def waits(self) -> bool:
        """Whether no request is under way."""
        # None before the first request, whatever its type says.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be done for it as long as it does nothing itself."""
        return self.waits or self.flow.write_paused

    def _look(self) -> None:
        left = self._since + PATIENCE - self.loop.time() if self.waits else PATIENCE
        before, self._unread = self._unread, self.transport.get_write_buffer_size() if self.flow.write_paused else -1
        if left <= 0 or 0 <= before == self._unread:
            self._timer = None
            self.transport.abort()
            return
        self._timer = self.loop.call_later(left, self._look)

    def _make_place(self) -> None:
        mine: list[Impatient] = [c for c in self.connections if isinstance(c, Impatient)]
        waiting = [c for c in mine if c is not self and c.is_idle]
        if waiting:
            oldest = min(waiting, key=lambda c: c._since)  # noqa: SLF001  # another of the same class
            # Counted out at once: `connection_lost` is called only later.
            self.connections.discard(oldest)
            oldest.transport.abort()
