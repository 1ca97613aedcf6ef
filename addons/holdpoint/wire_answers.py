"""The half of an HTTP stream that reads an upstream's answer: piece by piece as a stream, or whole and in time."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterator

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import DropStream, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

from holdpoint.wire import StreamWork, StreamWorkHook, Wire
from holdpoint.wire_events import AbortStream
from holdpoint.wire_tunnel import TunnelLayer

type Commands = Iterator[commands.Command]

SWITCHING = 101
WAITING_BYTES = 64 << 20
"""What may come of a stream while a piece of it is worked on."""


class AnswerStream(HttpStream):
    """An HttpStream whose answers are worked on, and end, as the gateway wants."""

    wire: Wire
    _aborted = False
    _sent = False
    """Whether the request went upstream."""
    _switched = False
    """Whether the upstream speaks another protocol from now on: it can be asked nothing more."""
    _waiting: int | None = None
    """Bytes of a stream that came while a piece of it is worked on."""

    def _abort(self, event: AbortStream) -> Commands:
        raise NotImplementedError

    def _refuse(self, why: str) -> layer.CommandGenerator[None]:
        raise NotImplementedError

    def state_stream_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Pass on a piece of a stream, and nothing after it where it made the gateway end the stream."""
        response = self.flow.response
        if isinstance(event, ResponseEndOfMessage) and response is not None and callable(response.stream):
            # The last call of the transform comes here, because a hook would follow in mitmproxy's own.
            chunks = response.stream(b"")
            for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
                yield SendHttp(ResponseData(self.stream_id, chunk), self.context.client)
            response.stream = _nothing
        abort = self.wire.take_abort(self.flow)
        if abort is None:
            yield from super().state_stream_response_body(event)
            if (work := self.wire.take_work(self.flow)) is not None:
                yield from self._work_on(work)
            abort = self.wire.take_abort(self.flow)
        if abort is not None:
            yield from self._abort(abort)

    def flow_done(self) -> layer.CommandGenerator[None]:
        """End an exchange; or, where the upstream has switched, hand both connections to what was left for them."""
        through = self.wire.take_tunnel(self.flow)
        is_switched = self.flow.response is not None and self.flow.response.status_code == SWITCHING
        if is_switched and self._switched and through is not None and not self._aborted:
            self.child_layer = TunnelLayer(self.context, self.flow, through)
            self._handle_event = self.passthrough
            yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
            return
        if self._switched:
            yield from self._leave_upstream("refused by the gateway")
        if is_switched:
            # INVARIANT: never mitmproxy's own: its layers pass bytes on whatever becomes of their hooks.
            self.client_state = self.server_state = self.state_errored
            refused = ResponseProtocolError(self.stream_id, "refused by the gateway", ErrorCode.CANCEL)
            yield SendHttp(refused, self.context.client)
            yield DropStream(self.stream_id)
            return
        yield from super().flow_done()

    def check_killed(self, emit_error_hook: bool) -> layer.CommandGenerator[bool]:  # noqa: FBT001  # mitmproxy's signature
        """Tell whether the stream ends here, and see to it that a tunnel that never began is noted as over."""
        if (abort := self.wire.take_abort(self.flow)) is not None:
            # Ended while a hook waited. What is told of it may come behind what the hook left to be sent.
            yield from self._abort(abort)
            return True
        killed = yield from super().check_killed(emit_error_hook)
        if killed and not emit_error_hook and (through := self.wire.take_tunnel(self.flow)) is not None:
            yield from self._leave_upstream("the client left")
            through.over()
        return killed

    def _work_on(self, work: StreamWork) -> layer.CommandGenerator[None]:
        self._waiting = 0
        yield StreamWorkHook(work)
        self._waiting = None
        if work.shown is None and not self._aborted:
            self.wire.on_unshown(self.flow, "it was not looked at")
        for chunk in work.shown or ():
            yield SendHttp(ResponseData(self.stream_id, chunk), self.context.client)

    def _crowd(self, event: events.Event) -> None:
        """Count what comes of a stream while a piece of it is worked on: nothing else bounds it."""
        if self._waiting is not None and isinstance(event, ResponseData):
            self._waiting += len(event.data)
            if self._waiting > WAITING_BYTES and not self._aborted:
                self.wire.on_unshown(self.flow, "it comes faster than it can be looked at")

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        """Wait for an answer; where it is read whole, have its time measured. Nothing of it passes after an abort."""
        if (abort := self.wire.take_abort(self.flow)) is not None:
            yield from self._abort(abort)
            return
        self._switched = event.response.status_code == SWITCHING
        yield from super().state_wait_for_response_headers(event)
        if self.server_state == self.state_consume_response_body:
            self.wire.on_reading(self.flow, lambda: len(self.response_body_buf))

    def state_consume_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Read an answer whole. Nothing of it passes after an abort."""
        if (abort := self.wire.take_abort(self.flow)) is not None:
            yield from self._abort(abort)
            return
        if isinstance(event, ResponseEndOfMessage):
            self.wire.on_read(self.flow)
        yield from super().state_consume_response_body(event)

    def _give_up(self) -> layer.CommandGenerator[None]:
        if self.server_state == self.state_consume_response_body:
            self.wire.on_too_slow(self.flow)
            yield from self._leave_upstream("the answer takes too long")
            yield from self._refuse("the answer takes too long")

    def _leave_upstream(self, why: str) -> Commands:
        # NOTE: by now the flow may be written down and its pass forgotten.
        if self._sent and self.flow.server_conn.connected:
            error = RequestProtocolError(self.stream_id, why, ErrorCode.CANCEL)
            yield SendHttp(error, self.flow.server_conn)


def _nothing(_chunk: bytes) -> list[bytes]:
    return []
