"""mitmproxy's HTTP layers with the gateway's fence in them, and ends of streams that leave nobody hanging."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import logging
from collections.abc import Iterator

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseProtocolError,
)

from holdpoint import wire_http1, wire_http2
from holdpoint.wire import Wire
from holdpoint.wire_events import FlowEvent
from holdpoint.wire_streams import GatewayHttpStream, Unreadable

type Commands = Iterator[commands.Command]

logger = logging.getLogger(__name__)


def adopt(wire: Wire, built: HttpLayer) -> None:
    """Turn a freshly built HttpLayer, which has seen no event yet, into a gateway layer."""
    built.__class__ = GatewayHttpLayer
    assert isinstance(built, GatewayHttpLayer)  # noqa: S101  # tells the type checker what the line above did
    built.wire = wire


class GatewayHttpLayer(HttpLayer):
    """An HttpLayer whose streams pass the fence, and whose connections end where they would hang."""

    wire: Wire

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, FlowEvent):
            for stream in list(self.streams.values()):
                yield from self.event_to_child(stream, event)
            return
        try:
            yield from super()._handle_event(event)
        except Exception as error:  # noqa: BLE001  # mitmproxy would log it and leave both sides waiting for ever
            yield from self._broken(event, error)
        client = self.connections.get(self.context.client)
        if isinstance(event, events.Start):
            wire_http2.measure(client)
        elif sizes := wire_http2.waiting(client):
            yield from self._stop_sending(sizes)
        if isinstance(event, events.DataReceived):
            speaker = wire_http1.speaker(self.connections.get(event.connection))
            if speaker is not None and (why := wire_http1.overrun(speaker) or self._came_early(speaker)):
                yield from self._stop_reading(speaker, why)

    def _came_early(self, speaker: wire_http1.Speaker) -> str:
        """Say what is wrong where a client says more before an upgrade was answered: in which protocol is not known."""
        if not (wire_http1.is_client(speaker) and len(speaker.buf) and speaker.stream_id is not None):
            return ""
        stream = self.streams.get(speaker.stream_id)
        is_early = isinstance(stream, GatewayHttpStream) and hasattr(stream, "flow") and stream.awaits_switch
        return "more was sent before the protocol was switched" if is_early else ""

    def _stop_sending(self, sizes: dict[int, int]) -> Commands:
        """Reset the stream for which most waits, and forget that, where more waits for a client than may."""
        running = [s for n in sizes if isinstance(s := self.streams.get(n), GatewayHttpStream) and s.is_streaming]
        if not running:
            return
        fullest = max(running, key=lambda stream: sizes[stream.stream_id])
        # One large event, which comes at once, is no sign of a client that does not read.
        most = max(wire_http2.UNREAD_BYTES, 2 * self.wire.limit(fullest.flow, False))  # noqa: FBT003
        if sum(sizes[stream.stream_id] for stream in running) > most:
            self.wire.on_unread(fullest.flow)
            if (abort := self.wire.take_abort(fullest.flow)) is not None:
                yield from self.event_to_child(fullest, abort)

    def _broken(self, event: events.Event, error: Exception) -> Commands:
        connection = event.connection if isinstance(event, events.ConnectionEvent) else None
        speaker = wire_http1.speaker(self.connections.get(connection)) if connection else None
        if speaker is not None and isinstance(error, NotImplementedError):
            yield from self._stop_reading(speaker, "trailers are not served")
            return
        logger.critical("a connection is ended: mitmproxy failed on it", exc_info=error)
        yield commands.CloseConnection(self.context.client)

    def _stop_reading(self, speaker: wire_http1.Speaker, why: str) -> Commands:
        """End a connection whose other side sends what cannot be read, and tell the stream that waits for it."""
        stream = self.streams.get(speaker.stream_id) if speaker.stream_id is not None else None
        is_client = wire_http1.is_client(speaker)
        answered = wire_http1.stop(speaker)
        if not is_client:
            yield commands.CloseConnection(speaker.conn)
            if stream is not None:
                error = ResponseProtocolError(stream.stream_id, why, ErrorCode.GENERIC_SERVER_ERROR)
                yield from self.event_to_child(stream, error)
        elif stream is not None and not answered:
            yield from self.event_to_child(stream, Unreadable(stream.stream_id, why))
        else:
            if stream is None:
                yield commands.SendData(speaker.conn, wire_http1.error_answer(431, why))
            yield commands.CloseConnection(speaker.conn)
            if stream is not None:
                left = RequestProtocolError(stream.stream_id, why, ErrorCode.CLIENT_DISCONNECTED)
                yield from self.event_to_child(stream, left)

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        """Make the stream as HttpLayer does, of our own class."""
        stream = GatewayHttpStream(self.context.fork(), stream_id)
        stream.wire = self.wire
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())


class RefuseLayer(layer.Layer):
    """A layer that closes the client's connection and reads nothing."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start | events.DataReceived) and self.context.client.connected:
            yield commands.CloseConnection(self.context.client)
