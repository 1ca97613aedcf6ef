"""What mitmproxy's private layers are told of flows, and what is done to live connections.

Four things cannot be done with mitmproxy's public API, and the gateway needs each of them:

- a **fence**: whatever addons did or failed to do, no request head leaves for an upstream without a pass that the last
  stage issued for exactly that request;
- **credentials on the wire**: the upstream's credential is added to a copy of the request at the moment it is sent, so
  that it never enters a flow, a log or a recording;
- **one stream's end**: ending a single HTTP stream in the middle (`flow.kill()` only sets a flag while data flows on),
  and noticing that the client of a held stream has left;
- **early events**: telling a caller how his request fares while a hook of it still waits.

This module, `wire_cut`, `wire_events`, `wire_layers`, `wire_streams`, `wire_answers`, `wire_tunnel`, `wire_early`,
`wire_http1` and `wire_http2` are the one place that touches mitmproxy's private names. `Connections` lists those that
they rely on, and they are checked at start.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import contextlib
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.connection import Client, Connection
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream
from mitmproxy.proxy.layers.http import _http1 as http1  # pyright: ignore[reportPrivateUsage]
from mitmproxy.proxy.server import TimeoutWatchdog

from holdpoint.passes import Pass
from holdpoint.through import Through
from holdpoint.wire_cut import cut_off
from holdpoint.wire_events import AbortStream, BeginEvents, FlowEvent, GiveUp, SendEvents


class StreamWork:
    """Something about a piece of a stream that takes long, done away from the stream's own layer."""

    def __init__(self, run: Callable[[], Awaitable[list[bytes]]]) -> None:
        self.run = run
        self.shown: list[bytes] | None = None
        """What may pass on. None: it was not done."""


@dataclass
class StreamWorkHook(commands.StartHook):
    """A piece of a stream is to be worked on (hook `stream_work`). The stream waits, and nobody else does."""

    work: StreamWork


type AsEvents = Callable[[http.Response, bytes], bytes]
"""Writes a whole answer, given with its body, as events of a stream that was begun early."""


class Wire:
    """What the layers need to know about flows. One for each gateway."""

    def __init__(self) -> None:
        self._passes: dict[str, Pass] = {}
        self.on_client_left: Callable[[http.HTTPFlow], None] = lambda _flow: None
        """Called when the client of a stream leaves, even while a hook of that stream waits."""
        self.on_too_large: Callable[[http.HTTPFlow, bool], None] = lambda _flow, _is_request: None
        """Called to set the refusal as `flow.response` when a request (True) or an answer is larger than allowed."""
        self.on_unreadable: Callable[[http.HTTPFlow, str], None] = lambda _flow, _why: None
        """Called to set the refusal as `flow.response` when the rest of a request cannot be read."""
        self.is_unwanted: Callable[[http.HTTPFlow], bool] = lambda _flow: False
        """Called before a client is told to go on with its body. True: it need not, `flow.response` is a refusal."""
        self.on_fenced: Callable[[http.HTTPFlow], None] = lambda _flow: None
        """Called to set the refusal as `flow.response` when a request came to the fence without a pass."""
        self.limit: Callable[[http.HTTPFlow, bool], int] = lambda _flow, _is_request: 0
        """Largest body of a request (True) or an answer of this flow, in bytes."""
        self.on_early: Callable[[http.HTTPFlow], AsEvents] = lambda _flow: lambda _answer, _body: b""
        """Called when an event stream is begun before there is an answer. Returns what writes the answer as events."""
        self.early_fields: Callable[[http.HTTPFlow], Sequence[tuple[bytes, bytes]]] = lambda _flow: ()
        """Headers that the head of such a stream has beside its own."""
        self.on_unshown: Callable[[http.HTTPFlow, str], None] = lambda _flow, _why: None
        """Called to end a stream of which a piece could not be worked on."""
        self.on_unread: Callable[[http.HTTPFlow], None] = lambda _flow: None
        """Called to end a stream whose client does not read it."""
        self.on_reading: Callable[[http.HTTPFlow, Callable[[], int]], None] = lambda _flow, _size: None
        """Called when an answer begins to be read whole, with what tells how many bytes of it are there."""
        self.on_read: Callable[[http.HTTPFlow], None] = lambda _flow: None
        """Called when all of it is there."""
        self.on_too_slow: Callable[[http.HTTPFlow], None] = lambda _flow: None
        """Called to set the refusal as `flow.response` when an answer takes too long."""
        self._answers: WeakKeyDictionary[http.HTTPFlow, http.Response] = WeakKeyDictionary()
        self._work: WeakKeyDictionary[http.HTTPFlow, StreamWork] = WeakKeyDictionary()
        self._aborts: WeakKeyDictionary[http.HTTPFlow, AbortStream] = WeakKeyDictionary()
        self._tunnels: WeakKeyDictionary[http.HTTPFlow, Through] = WeakKeyDictionary()

    def admit(self, flow: http.HTTPFlow, permission: Pass) -> None:
        """Let this flow's request go upstream, once."""
        self._passes[flow.id] = permission

    def permission(self, flow: http.HTTPFlow) -> Pass | None:
        """Return the pass of this flow, spent or not."""
        return self._passes.get(flow.id)

    def revoke(self, flow: http.HTTPFlow) -> None:
        """Take the pass of this flow back, if it was not used yet. What was sent stays known."""
        if permission := self._passes.get(flow.id):
            permission.revoked = True

    def forget(self, flow: http.HTTPFlow) -> None:
        """Drop what is known of a flow that ended."""
        self.on_read(flow)
        self._passes.pop(flow.id, None)

    def leave_answer(self, flow: http.HTTPFlow, answer: http.Response) -> None:
        """Have this sent to the caller in place of mitmproxy's own error page, or of an upstream's body."""
        self._answers[flow] = answer

    def take_answer(self, flow: http.HTTPFlow) -> http.Response | None:
        """Return what was left for this flow, once."""
        return self._answers.pop(flow, None)

    def leave_abort(self, abort: AbortStream) -> None:
        """Have a stream end as soon as what it is doing is done: not one event of it is handled any more."""
        self._aborts[abort.flow] = abort

    def take_abort(self, flow: http.HTTPFlow) -> AbortStream | None:
        """Return the abort that was left for this flow, once."""
        return self._aborts.pop(flow, None)

    def leave_work(self, flow: http.HTTPFlow, work: StreamWork) -> None:
        """Have this done before the next piece of a stream is looked at."""
        self._work[flow] = work

    def take_work(self, flow: http.HTTPFlow) -> StreamWork | None:
        """Return the work that was left for this flow, once."""
        return self._work.pop(flow, None)

    def leave_tunnel(self, flow: http.HTTPFlow, through: Through) -> None:
        """Have the connections of a flow, which the upstream has switched, pass through this. Without it they end."""
        self._tunnels[flow] = through

    def is_tunnel(self, flow: http.HTTPFlow) -> bool:
        """Tell whether something was left for the connections of this flow to pass through."""
        return flow in self._tunnels

    def take_tunnel(self, flow: http.HTTPFlow) -> Through | None:
        """Return what was left for the connections of this flow, once."""
        return self._tunnels.pop(flow, None)

    def take(self, flow: http.HTTPFlow, connection_address: tuple[str, int] | None) -> Pass | None:
        """Spend the pass of this flow. None where there is none, it was spent, or it is for another address."""
        permission = self._passes.get(flow.id)
        if permission is None or permission.sent or permission.revoked:
            return None
        if connection_address is None or connection_address[:2] != permission.address:
            return None
        permission.sent = True
        return permission


_KEEPALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A client that vanished without a word is found out after two minutes."""


class Connections:
    """Live connections, by way of the Proxyserver addon."""

    _private: ClassVar[tuple[tuple[type, str], ...]] = (
        (HttpLayer, "_handle_event"),
        (HttpLayer, "make_stream"),
        (HttpLayer, "event_to_child"),
        (HttpStream, "_handle_event"),
        (HttpStream, "handle_event"),
        (HttpStream, "check_body_size"),
        (HttpStream, "start_response_stream"),
        (HttpStream, "state_stream_response_body"),
        (HttpStream, "state_wait_for_response_headers"),
        (HttpStream, "state_consume_response_body"),
        (HttpStream, "state_errored"),
        (HttpStream, "flow_done"),
        (HttpStream, "passthrough"),
        (HttpStream, "check_killed"),
        (TimeoutWatchdog, "disarm"),
        (http1.Http1Server, "read_headers"),
        (http1.Http1Server, "read_body"),
        (http1.Http1Server, "wait"),
        (http1.Http1Client, "read_headers"),
        (http1.Http1Client, "read_body"),
    )

    def __init__(self, proxyserver: Any) -> None:  # noqa: ANN401  # an addon of mitmproxy, untyped
        self._proxyserver = proxyserver

    @classmethod
    def verify_private_names(cls) -> list[str]:
        """Return the private names that this mitmproxy lacks. Empty: all there."""
        return [f"{owner.__name__}.{name}" for owner, name in cls._private if not hasattr(owner, name)]

    def widen(self, client: Client, limit: int) -> None:
        """Let one client connection use `limit` upstream connections per address instead of five (they would hang).

        And have the system look whether the client is still there, where nothing is said for long.
        """
        handler = self._proxyserver.connections.get(client.id)
        if handler is None:
            return
        handler.max_conns = defaultdict(lambda: asyncio.Semaphore(limit))
        transport = handler.transports.get(client)
        wire = transport.writer.get_extra_info("socket") if transport is not None and transport.writer else None
        if wire is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def keep_open(self, client: Client) -> Callable[[], None]:
        """Do not take this client's connection for idle until the function that is returned is called.

        mitmproxy closes a connection on which nothing was said for `tcp_timeout`; a stream may be silent for hours.
        """
        open_until = contextlib.ExitStack()
        if handler := self._proxyserver.connections.get(client.id):
            open_until.enter_context(handler.timeout_watchdog.disarm())
        return open_until.close

    def pause(self, flow: http.HTTPFlow) -> Callable[[], None]:
        """Read no more from a flow's upstream until what is returned is called: a hook that waits does not stop it."""
        handler = self._proxyserver.connections.get(flow.client_conn.id)
        found = handler.transports.get(flow.server_conn) if handler is not None else None
        transport = found.writer.transport if found is not None and found.writer is not None else None
        if not isinstance(transport, asyncio.ReadTransport) or not transport.is_reading():
            return lambda: None
        transport.pause_reading()
        return lambda: None if transport.is_closing() else transport.resume_reading()

    def cutter(self, flow: http.HTTPFlow) -> Callable[[float, float], None]:
        """Return what cuts off the client's and the server's connection of a flow in so many seconds, if still there.

        One that is closed stays open as long as its other side does not read what waits for it. Only for a flow that
        has both for itself.
        """
        handler = self._proxyserver.connections.get(flow.client_conn.id)
        found = [
            handler.transports.get(c) if handler is not None else None for c in (flow.client_conn, flow.server_conn)
        ]
        writers = [one.writer if one is not None else None for one in found]

        def cut(client: float, server: float) -> None:
            cut_off(zip(writers, (client, server), strict=True))

        return cut

    async def abort_stream(self, abort: AbortStream) -> None:
        """End the one stream of a flow."""
        await self._tell(abort)

    async def give_up(self, flow: http.HTTPFlow) -> None:
        """Read no more of an answer that is read whole."""
        await self._tell(GiveUp(flow))

    async def begin_events(self, flow: http.HTTPFlow) -> bool:
        """Send the caller the head of an event stream while a hook of this flow still waits.

        Whatever becomes the answer then reaches him as events of that stream, and the stream ends. Beginning twice
        changes nothing. Returns False where he has left or has an answer already.
        """
        event = BeginEvents(flow)
        await self._tell(event)
        return event.delivered

    async def send_events(self, flow: http.HTTPFlow, data: bytes) -> bool:
        """Send encoded events or comments on the stream that `begin_events` began. Returns False as that does."""
        event = SendEvents(flow, data)
        await self._tell(event)
        return event.delivered

    async def _tell(self, event: FlowEvent) -> None:
        if handler := self._proxyserver.connections.get(event.flow.client_conn.id):
            await handler.server_event(event)

    def release(self, client: Client, connection: Connection) -> None:
        """Close the socket of a connection that mitmproxy is done with, should it have forgotten to.

        It does where it closes a connection on which more data waits while a hook is pending: its task is then ended
        before it comes to the socket, which stays open until the gateway has none left.
        """
        handler = self._proxyserver.connections.get(client.id)
        left = handler.transports.pop(connection, None) if handler is not None else None
        if left is not None and left.writer is not None:
            left.writer.close()

    def close_client(self, client: Client) -> None:
        """Close a client's connection and everything on it."""
        handler = self._proxyserver.connections.get(client.id)
        if handler is not None and client in handler.transports and handler.transports[client].handler is not None:
            handler.close_connection(client)
