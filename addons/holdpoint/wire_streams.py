"""mitmproxy's HTTP stream with the gateway's fence in it, early events, and ends that leave nobody hanging."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterator
from dataclasses import dataclass

from mitmproxy import flow as mitmproxy_flow
from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.net.http.http1 import expected_http_body_size
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import DropStream, GetHttpConnection, SendHttp
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpRequestHeadersHook, HttpResponseHook

from holdpoint.passes import dressed
from holdpoint.wire_answers import SWITCHING, AnswerStream
from holdpoint.wire_early import EarlyEvents
from holdpoint.wire_events import AbortStream, BeginEvents, FlowEvent, GiveUp, SendEvents
from holdpoint.wire_tunnel import TunnelLayer

type Commands = Iterator[commands.Command]

_CONTINUE = 100
SURPLUS_BYTES = 32 << 20
"""What a client may go on sending once it was answered. Cut off at once, many would never read the answer."""


@dataclass
class Unreadable(HttpEvent):
    """The rest of a request cannot be read, and its client is still there to be told so."""

    message: str


class GatewayHttpStream(AnswerStream):
    """An HttpStream that sends nothing upstream without a pass."""

    _fenced = False
    _head_sent = False
    _request_ended = False
    _unwanted = False
    _client_left = False
    _early: EarlyEvents | None = None
    _surplus: int | None = None
    """Bytes that came after the client was answered, while it has not ended its request."""

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Handle an event; an abort, early events and the client's leaving are noticed even while a hook waits."""
        self._crowd(event)
        if isinstance(event, FlowEvent) and getattr(self, "flow", None) is event.flow:
            yield from self._told(event)
            return
        if isinstance(event, FlowEvent) and self.child_layer is None:
            return  # of another stream. Through a tunnel, which has a child layer, it goes on.
        if isinstance(event, RequestProtocolError) and hasattr(self, "flow"):
            self._client_left = True
            self.wire.on_client_left(self.flow)
        self._request_ended = self._request_ended or isinstance(event, RequestEndOfMessage)
        for command in super().handle_event(event):
            yield from self._through_fence(command)
        if self._unwanted:
            self._unwanted = False
            for command in super().handle_event(Unreadable(self.stream_id, "the body is not wanted")):
                yield from self._through_fence(command)
        if self._surplus is not None:
            yield from self._drain(event)

    @property
    def is_streaming(self) -> bool:
        """Whether an answer passes piece by piece."""
        return self.server_state == self.state_stream_response_body and not self._aborted

    @property
    def awaits_switch(self) -> bool:
        """Whether an upgrade was asked for and not answered: its client has nothing to say meanwhile."""
        return self._request_ended and not self._head_sent and "upgrade" in self.flow.request.headers

    def _told(self, event: FlowEvent) -> Commands:
        match event:
            case AbortStream() if isinstance(self.child_layer, TunnelLayer):
                for command in self.passthrough(event):
                    yield from self._through_fence(command)
            case AbortStream():
                yield from self._abort(event)
            case BeginEvents():
                if self._early is None and self._can_begin():
                    self._early = EarlyEvents(self.stream_id, self.wire.on_early(self.flow))
                    yield SendHttp(
                        self._early.head(self.flow.request, self.wire.early_fields(self.flow)), self.context.client
                    )
                event.delivered = self._early is not None and not self._client_left
            case SendEvents():
                event.delivered = self._early is not None and not self._head_sent and not self._client_left
                if event.delivered and event.data and self._early is not None:
                    yield SendHttp(self._early.data(event.data), self.context.client)
            case GiveUp():
                for command in super().handle_event(event):
                    yield from self._through_fence(command)
            case _:
                return

    def _can_begin(self) -> bool:
        gone = self._client_left or self._aborted or self.client_state == self.state_errored
        return self._request_ended and not self._head_sent and not gone

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Unreadable):
            if self.client_state != self.state_errored:
                self.wire.on_unreadable(self.flow, event.message)
                yield from self._refuse(event.message)
            if self.context.client.alpn != b"h2":
                error = ResponseProtocolError(self.stream_id, event.message, ErrorCode.CANCEL)
                yield SendHttp(error, self.context.client)
            return
        if isinstance(event, GiveUp):
            yield from self._give_up()
            return
        yield from super()._handle_event(event)

    def _through_fence(self, command: commands.Command) -> Commands:
        if self._aborted and isinstance(command, SendHttp | GetHttpConnection):
            return  # of a hook that came back too late
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
                yield from self._answer_with(self.flow.response)
                return
            self._sent = True
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
            if command.event.response.status_code == _CONTINUE:
                self._unwanted = self.wire.is_unwanted(self.flow)
                if self._unwanted:
                    return
            elif command.event.response.status_code == SWITCHING and not self.wire.is_tunnel(self.flow):
                return  # `flow_done` ends it
            else:
                self._head_sent = True
        elif isinstance(command.event, ResponseProtocolError) and hasattr(self, "flow"):
            answer = self.wire.take_answer(self.flow)
            if answer is not None and not self._head_sent and command.event.code.http_status_code() is not None:
                yield from self._answer_with(answer)
                return
        if self._early is None:
            yield command
            return
        for event in self._early.answer(command.event):
            yield SendHttp(event, self.context.client)

    def _answer_with(self, answer: http.Response | None) -> Commands:
        for command in self._close_with(answer):
            yield from self._through_fence(command)

    def _close_with(self, answer: http.Response | None) -> Commands:
        """End this stream with a whole answer of our own."""
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        if self._request_ended:
            yield DropStream(self.stream_id)
        else:
            self._surplus = 0
            if answer is not None and self.context.client.alpn != b"h2":
                answer.headers["connection"] = "close"
        if answer is None:
            failed = ResponseProtocolError(self.stream_id, "refused by the gateway", ErrorCode.CONNECT_FAILED)
            yield SendHttp(failed, self.context.client)
            return
        yield from self._whole(answer)

    def _whole(self, answer: http.Response) -> Commands:
        yield SendHttp(ResponseHeaders(self.stream_id, answer, end_stream=False), self.context.client)
        yield SendHttp(ResponseData(self.stream_id, answer.raw_content or b""), self.context.client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def _drain(self, event: events.Event) -> Commands:
        if isinstance(event, RequestData) and self._surplus is not None:
            self._surplus += len(event.data)
            if self._surplus <= SURPLUS_BYTES:
                return
            error = ResponseProtocolError(self.stream_id, "answered already", ErrorCode.CANCEL)
            yield SendHttp(error, self.context.client)
        elif not isinstance(event, RequestEndOfMessage | RequestProtocolError):
            return
        self._surplus = None
        yield DropStream(self.stream_id)

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:  # noqa: FBT001  # mitmproxy's signature
        """Refuse a body over the target's limit in the caller's own protocol; leave the rest to mitmproxy."""
        if (limit := self.wire.limit(self.flow, request)) and self._size(request) > limit:
            if request and not self.request_body_buf:
                # Announced by its head alone: no stage has seen this flow yet; they know its target and its caller.
                yield HttpRequestHeadersHook(self.flow)
            self.wire.on_too_large(self.flow, request)
            if not request:
                yield from self._leave_upstream("body over the limit")
            yield from self._refuse("body over the limit")
            return True
        return (yield from super().check_body_size(request))

    def _size(self, request: bool) -> int:  # noqa: FBT001
        buffered = len(self.request_body_buf if request else self.response_body_buf)
        try:
            announced = expected_http_body_size(self.flow.request, None if request else self.flow.response)
        except ValueError:
            announced = None
        return max(buffered, announced or 0)

    def _refuse(self, why: str) -> layer.CommandGenerator[None]:
        """End a stream that no response hook will see with the refusal in its flow."""
        self.flow.error = _error(why)
        self.request_body_buf.clear()
        self.response_body_buf.clear()
        self.client_state = self.server_state = self.state_errored
        answer = self.flow.response
        yield HttpErrorHook(self.flow)
        yield from self._close_with(answer)

    def start_response_stream(self) -> layer.CommandGenerator[None]:
        """Stream an answer; or, where it was refused by its head, end it with the refusal, whatever else it brings."""
        answer = self.wire.take_answer(self.flow)
        if answer is None:
            yield from super().start_response_stream()
            return
        yield from self._leave_upstream("refused by the gateway")
        self.flow.response = answer
        yield HttpResponseHook(self.flow)
        yield from self._close_with(self.flow.response)

    def _abort(self, event: AbortStream) -> Commands:
        self.wire.take_abort(self.flow)
        was_over = self._aborted or self.server_state == self.state_errored
        self.flow.error = self.flow.error or _error(event.reason)
        # NOTE: no error hook here: this runs beside a hook that may still wait, and a second one cannot be awaited.
        # Whoever aborts does what that hook would do.
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        # What the caller gets now is what is said here, not an answer to be turned into events.
        early, self._early = self._early, None
        if not was_over:
            yield from self._leave_upstream(event.reason)
            if event.last is not None and (self._head_sent or early is not None) and self._request_ended:
                if event.last:
                    yield SendHttp(ResponseData(self.stream_id, event.last), self.context.client)
                yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
            elif event.answer is not None and not self._head_sent and early is None and self._request_ended:
                self._head_sent = True
                yield from self._whole(event.answer)
            else:
                error = ResponseProtocolError(self.stream_id, event.reason, ErrorCode.CANCEL)
                yield SendHttp(error, self.context.client)
        self._aborted = True
        yield DropStream(self.stream_id)


def _error(message: str) -> mitmproxy_flow.Error:
    return mitmproxy_flow.Error(message)
