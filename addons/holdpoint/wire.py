"""The one place that touches mitmproxy's private layers.

Three things cannot be done with mitmproxy's public API, and the gateway needs each of them:

- a **fence**: whatever addons did or failed to do, no request head leaves for an upstream without a pass that the last
  stage issued for exactly that request;
- **credentials on the wire**: the upstream's credential is added to a copy of the request at the moment it is sent, so
  that it never enters a flow, a log or a recording;
- **one stream's end**: ending a single HTTP stream in the middle (`flow.kill()` only sets a flag while data flows on),
  and noticing that the client of a held stream has left.

Private names relied on, checked by `verify_private_names` at start: `HttpLayer._handle_event`, `make_stream`,
`streams`; `HttpStream.handle_event`, `flow`, `stream_id`, `check_body_size`; `SendHttp`; `Proxyserver.connections`.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mitmproxy import flow as mitmproxy_flow
from mitmproxy import http
from mitmproxy.connection import Client, Server
from mitmproxy.net.http.http1 import expected_http_body_size
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import DropStream, HttpLayer, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpRequestHeadersHook

type Commands = Iterator[commands.Command]

_NEVER_FORWARDED = (b"authorization", b"proxy-authorization", b"cookie", b"forwarded", b"via", b"x-real-ip")
_NEVER_FORWARDED_PREFIXES = (b"x-forwarded-", b"impersonate-", b"x-remote-")


def is_forwardable(name: bytes) -> bool:
    """Tell whether a header of the caller may go upstream. Underscores count as dashes, as some servers read them."""
    folded = name.lower().replace(b"_", b"-")
    return folded not in _NEVER_FORWARDED and not folded.startswith(_NEVER_FORWARDED_PREFIXES)


@dataclass(slots=True)
class Pass:
    """Permission for one flow's request to be sent once, with what is added on the wire."""

    address: tuple[str, int]
    """Host and port that the request may go to."""
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    """Set on the copy that is sent; they replace the caller's of the same name."""
    sent: bool = False
    revoked: bool = False


@dataclass
class AbortStream(events.Event):
    """End the one stream of this flow, on both sides."""

    flow: http.HTTPFlow
    reason: str
    finish: bool = False
    """End the answer as if it were whole, because what was sent of it is the gateway's own."""
    acted: bool = False
    """Set where the stream was ended. Otherwise it was ending by itself."""


class Wire:
    """What the layers need to know about flows. One for each gateway."""

    def __init__(self) -> None:
        self._passes: dict[str, Pass] = {}
        self.on_client_left: Callable[[http.HTTPFlow], None] = lambda _flow: None
        """Called when the client of a stream leaves, even while a hook of that stream waits."""
        self.on_too_large: Callable[[http.HTTPFlow, bool], None] = lambda _flow, _is_request: None
        """Called to set the refusal as `flow.response` when a request (True) or an answer is larger than allowed."""
        self.on_fenced: Callable[[http.HTTPFlow], None] = lambda _flow: None
        """Called to set the refusal as `flow.response` when a request came to the fence without a pass."""
        self.limit: Callable[[http.HTTPFlow, bool], int] = lambda _flow, _is_request: 0
        """Largest body of a request (True) or an answer of this flow, in bytes."""
        self._answers: dict[str, http.Response] = {}

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
        self._passes.pop(flow.id, None)

    def leave_answer(self, flow: http.HTTPFlow, answer: http.Response) -> None:
        """Have this sent to the caller in place of mitmproxy's own error page."""
        self._answers[flow.id] = answer

    def take_answer(self, flow: http.HTTPFlow) -> http.Response | None:
        """Return what was left for this flow, once."""
        return self._answers.pop(flow.id, None)

    def take(self, flow: http.HTTPFlow, connection_address: tuple[str, int] | None) -> Pass | None:
        """Spend the pass of this flow. None where there is none, it was spent, or it is for another address."""
        permission = self._passes.get(flow.id)
        if permission is None or permission.sent or permission.revoked:
            return None
        if connection_address is None or connection_address[:2] != permission.address:
            return None
        permission.sent = True
        return permission

    def adopt(self, built: HttpLayer) -> HttpLayer:
        """Turn a freshly built HttpLayer, which has seen no event yet, into a gateway layer."""
        built.__class__ = GatewayHttpLayer
        assert isinstance(built, GatewayHttpLayer)  # noqa: S101  # tells the type checker what the line above did
        built.wire = self
        return built


class GatewayHttpLayer(HttpLayer):
    """An HttpLayer whose streams pass the fence."""

    wire: Wire

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, AbortStream):
            for stream in list(self.streams.values()):
                if getattr(stream, "flow", None) is event.flow:
                    yield from self.event_to_child(stream, event)
            return
        yield from super()._handle_event(event)

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        """Make the stream as HttpLayer does, of our own class."""
        stream = GatewayHttpStream(self.context.fork(), stream_id)
        stream.wire = self.wire
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())


class GatewayHttpStream(HttpStream):
    """An HttpStream that sends nothing upstream without a pass."""

    wire: Wire
    _fenced = False
    _head_sent = False
    _upstream_ended = False

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Handle an event; an abort and the client's leaving are noticed even while a hook waits."""
        if isinstance(event, AbortStream):
            yield from self._abort(event)
            return
        if isinstance(event, RequestProtocolError) and hasattr(self, "flow"):
            self.wire.on_client_left(self.flow)
        if isinstance(event, ResponseEndOfMessage | ResponseProtocolError):
            self._upstream_ended = True
        for command in super().handle_event(event):
            yield from self._through_fence(command)

    def _through_fence(self, command: commands.Command) -> Commands:
        if not isinstance(command, SendHttp):
            yield command
            return
        if command.connection is self.context.client:
            yield from self._to_client(command)
            return
        if isinstance(command.event, RequestHeaders):
            upstream = command.connection
            permission = self.wire.take(self.flow, upstream.address if isinstance(upstream, Server) else None)
            if permission is None:
                self._fenced = True
                self.flow.error = self.flow.error or _error("refused: no pass for this request")
                self.wire.on_fenced(self.flow)
                self.client_state = self.server_state = self.state_errored
                yield from self._answer(self.flow.response)
                return
            command = SendHttp(
                RequestHeaders(
                    command.event.stream_id, dressed(command.event.request, permission), command.event.end_stream
                ),
                command.connection,
            )
        if not self._fenced:
            yield command

    def _to_client(self, command: SendHttp) -> Commands:
        if isinstance(command.event, ResponseHeaders):
            self._head_sent = True
        elif isinstance(command.event, ResponseProtocolError) and hasattr(self, "flow"):
            answer = self.wire.take_answer(self.flow)
            if answer is not None and not self._head_sent and command.event.code.http_status_code() is not None:
                yield from self._answer(answer)
                return
        yield command

    def _answer(self, answer: http.Response | None) -> Commands:
        """Send a whole answer of our own to the client."""
        if answer is None:
            yield SendHttp(
                ResponseProtocolError(self.stream_id, "refused by the gateway", ErrorCode.CONNECT_FAILED),
                self.context.client,
            )
            return
        self._head_sent = True
        yield SendHttp(ResponseHeaders(self.stream_id, answer, end_stream=False), self.context.client)
        yield SendHttp(ResponseData(self.stream_id, answer.raw_content or b""), self.context.client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:  # noqa: FBT001  # mitmproxy's signature
        """Refuse a body over the target's limit in the caller's own protocol; leave the rest to mitmproxy."""
        if (limit := self.wire.limit(self.flow, request)) and self._size(request) > limit:
            yield from self._refuse_body(request)
            return True
        return (yield from super().check_body_size(request))

    def _size(self, request: bool) -> int:  # noqa: FBT001
        buffered = len(self.request_body_buf if request else self.response_body_buf)
        if buffered:
            return buffered
        try:
            announced = expected_http_body_size(self.flow.request, None if request else self.flow.response)
        except ValueError:
            return 0
        return announced or 0

    def _refuse_body(self, request: bool) -> layer.CommandGenerator[None]:  # noqa: FBT001
        if request and not self.request_body_buf:
            # Announced by its head alone: no stage has seen this flow yet, and they know its target and its caller.
            yield HttpRequestHeadersHook(self.flow)
        self.wire.on_too_large(self.flow, request)
        self.flow.error = _error("body over the limit")
        self.request_body_buf.clear()
        self.response_body_buf.clear()
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        answer = self.flow.response
        yield HttpErrorHook(self.flow)
        if request and not self.flow.request.is_http2:
            # The rest of the body will not be read: this connection cannot be used again.
            if answer is not None:
                answer.headers["connection"] = "close"
                yield SendHttp(ResponseHeaders(self.stream_id, answer, end_stream=False), self.context.client)
                yield SendHttp(ResponseData(self.stream_id, answer.raw_content or b""), self.context.client)
            yield SendHttp(
                ResponseProtocolError(self.stream_id, "body over the limit", ErrorCode.CANCEL), self.context.client
            )
        else:
            if not request:
                yield SendHttp(
                    RequestProtocolError(self.stream_id, "body over the limit", ErrorCode.CANCEL), self.flow.server_conn
                )
            yield from self._answer(answer)
        yield DropStream(self.stream_id)

    def _abort(self, event: AbortStream) -> Commands:
        if event.finish and self._upstream_ended:
            return
        event.acted = True
        if self.server_state != self.state_errored:
            upstream = self.flow.server_conn
            if upstream.connected and (permission := self.wire.permission(self.flow)) and permission.sent:
                yield SendHttp(
                    RequestProtocolError(self.stream_id, event.reason, ErrorCode.CANCEL),
                    upstream,
                )
            if event.finish and self._head_sent:
                yield DropStream(self.stream_id)
                yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
            else:
                yield SendHttp(
                    ResponseProtocolError(self.stream_id, event.reason, ErrorCode.CANCEL), self.context.client
                )
        self.flow.error = self.flow.error or _error(event.reason)
        # NOTE: no error hook here: this runs beside a hook that may still wait, and a second one cannot be awaited.
        # Whoever aborts does what that hook would do.
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False


def dressed(request: http.Request, permission: Pass) -> http.Request:
    """Return a copy as it goes on the wire: without the caller's credentials, with the upstream's own."""
    sent = copy(request)
    sent.data = copy(request.data)
    ours = {name.lower() for name, _ in permission.headers}
    kept = [(n, v) for n, v in request.headers.fields if is_forwardable(n) and n.lower() not in ours]
    sent.data.headers = http.Headers((*kept, *permission.headers))
    return sent


def _error(message: str) -> mitmproxy_flow.Error:
    return mitmproxy_flow.Error(message)


class RefuseLayer(layer.Layer):
    """A layer that closes the client's connection and reads nothing."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start | events.DataReceived) and self.context.client.connected:
            yield commands.CloseConnection(self.context.client)


class Connections:
    """Live connections, by way of the Proxyserver addon."""

    _private: ClassVar[tuple[tuple[type, str], ...]] = (
        (HttpLayer, "_handle_event"),
        (HttpLayer, "make_stream"),
        (HttpLayer, "event_to_child"),
        (HttpStream, "handle_event"),
        (HttpStream, "check_body_size"),
        (HttpStream, "state_errored"),
    )

    def __init__(self, proxyserver: Any) -> None:  # noqa: ANN401  # an addon of mitmproxy, untyped
        self._proxyserver = proxyserver

    @classmethod
    def verify_private_names(cls) -> list[str]:
        """Return the private names that this mitmproxy lacks. Empty: all there."""
        return [f"{owner.__name__}.{name}" for owner, name in cls._private if not hasattr(owner, name)]

    def widen(self, client: Client, limit: int) -> None:
        """Let one client connection use `limit` upstream connections per address instead of five (they would hang)."""
        if handler := self._proxyserver.connections.get(client.id):
            handler.max_conns = defaultdict(lambda: asyncio.Semaphore(limit))

    async def abort_stream(self, flow: http.HTTPFlow, reason: str) -> None:
        """End the one stream of this flow."""
        if handler := self._proxyserver.connections.get(flow.client_conn.id):
            await handler.server_event(AbortStream(flow, reason))

    async def finish_stream(self, flow: http.HTTPFlow, reason: str) -> bool:
        """End the one stream of this flow, whole to the client. Returns False where it was ending by itself."""
        event = AbortStream(flow, reason, finish=True)
        if handler := self._proxyserver.connections.get(flow.client_conn.id):
            await handler.server_event(event)
        return event.acted

    def close_client(self, client: Client) -> None:
        """Close a client's connection and everything on it."""
        handler = self._proxyserver.connections.get(client.id)
        if handler is not None and client in handler.transports and handler.transports[client].handler is not None:
            handler.close_connection(client)
