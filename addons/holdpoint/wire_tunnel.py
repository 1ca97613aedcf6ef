"""What an HTTP stream becomes after a 101: bytes of both sides pass through the gateway's hands, and in no other way.

mitmproxy would pass raw bytes on, and call hooks beside them whose failure lets them through. Here the layer itself has
nothing to send: every byte that leaves is one that `Through` returned, and `Through` never fails to have an answer.

There is back-pressure without any of our own: mitmproxy reads nothing more of either side while one of them has more
to take than its socket holds. What waits is thus what one read made, and what the codec holds of a frame not complete.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import logging
from collections.abc import Callable, Iterator
from typing import Final

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context

from holdpoint.protocols.kubernetes.frames import Ending, Side
from holdpoint.through import Passed, Through
from holdpoint.wire_events import AbortStream

type Commands = Iterator[commands.Command]

logger = logging.getLogger(__name__)

LINGER: Final = 5.0
"""Seconds for which a client may read its last words. Closed at once, what it sent meanwhile would tear them away: a
socket that is closed on unread bytes takes back what its other side has not read yet."""
CLOSING: Final = 5.0
"""Seconds between the word of one side that it is done, and the end of both connections."""


class TunnelLayer(layer.Layer):
    """Pumps the bytes of both sides through a `Through`."""

    def __init__(self, context: Context, flow: http.HTTPFlow, through: Through) -> None:
        super().__init__(context)
        self.flow = flow
        self._through = through
        self._ended = False
        """Nothing passes any more; the client may still read."""
        self._over = False
        self._wakes: commands.RequestWakeup | None = None
        self._linger: commands.RequestWakeup | None = None

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        match event:
            case events.DataReceived():
                if not self._ended:
                    side = self._side(event)
                    yield from self._pass(lambda: self._through.receive(side, event.data))
            case AbortStream():
                yield from self.end(event.ending or Ending(b"", b""))
            case events.ConnectionClosed():
                yield from self._closed(self._side(event))
            case events.Wakeup() if event.command is self._linger:
                yield from self._close()
            case events.Wakeup() if event.command is self._wakes and not self._ended:
                self._wakes = None
                yield from self._pass(self._through.tick)
            case _:
                return

    def end(self, ending: Ending) -> Commands:
        """Say the last words to both sides, and close both."""
        if self._ended:
            return
        self._ended = True
        yield from self._send(ending.client, ending.server)
        yield commands.CloseConnection(self.context.server)
        yield from self._close_after(LINGER)

    def _side(self, event: events.ConnectionEvent) -> Side:
        return Side.CLIENT if event.connection is self.context.client else Side.SERVER

    def _ask(self, what: Callable[[], Passed]) -> Passed:
        try:
            return what()
        except BaseException:  # the last line: mitmproxy would log it, and leave both sides waiting
            logger.critical("an upgraded connection is ended: what it passes through failed", exc_info=True)
            return Passed(ending=Ending(b"", b""))

    def _pass(self, what: Callable[[], Passed]) -> Commands:
        passed = self._ask(what)
        if passed.ending is not None:
            yield from self.end(passed.ending)
            return
        yield from self._send(passed.client, passed.server)
        if passed.closes and self._linger is None:
            yield from self._close_after(CLOSING)
        if passed.wake is not None and self._wakes is None:
            self._wakes = commands.RequestWakeup(passed.wake)
            yield self._wakes

    def _send(self, client: bytes, server: bytes) -> Commands:
        if client:
            yield commands.SendData(self.context.client, client)
        if server:
            yield commands.SendData(self.context.server, server)

    def _closed(self, side: Side) -> Commands:
        if self._ended:
            if side is Side.CLIENT:
                yield from self._close()
            return
        passed = self._ask(lambda: self._through.closed(side))
        if passed.ending is not None:
            yield from self.end(passed.ending)
        else:
            self._ended = True
            yield from self._send(passed.client, passed.server)
        if side is Side.CLIENT:
            yield from self._close()
        elif passed.ending is None:
            # What it said last may not have reached the client, who answers it, and closes by itself.
            yield commands.CloseConnection(self.context.server)
            yield from self._close_after(LINGER)

    def _close_after(self, seconds: float) -> Commands:
        self._linger = commands.RequestWakeup(seconds)
        yield self._linger

    def _close(self) -> Commands:
        if self._over:
            return
        self._ended = self._over = True
        yield commands.CloseConnection(self.context.server)
        yield commands.CloseConnection(self.context.client)
        try:
            self._through.over()
        except BaseException:
            logger.critical("the end of an upgraded connection could not be noted", exc_info=True)
