"""The two ends of a WebSocket that passes through the gateway (RFC 6455), with whole messages in between.

Fragments are put together: what serves the API server's side, golang.org/x/net/websocket, takes each fragment for a
message of its own, with a channel byte of its own, so a fragment passed on would say another thing than was decided.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError

from holdpoint.protocols.kubernetes.frames import MAX_FRAME_BYTES, BadTunnel, Raw, Side

_NORMAL = 1000
_CLOSING = frozenset({ConnectionState.REMOTE_CLOSING, ConnectionState.CLOSED})
"""Where an end is once the other program has said goodbye."""


@dataclass(frozen=True, slots=True)
class WholeMessage:
    """One message, whatever fragments it came in."""

    data: bytes
    is_text: bool


class _Gathering:
    """A message of which not everything is there yet: its bytes alone, for a fragment may be one of them."""

    def __init__(self) -> None:
        self._parts = bytearray()

    def add(self, event: BytesMessage | TextMessage) -> WholeMessage | None:
        data = event.data.encode() if isinstance(event.data, str) else event.data
        if len(self._parts) + len(data) > MAX_FRAME_BYTES:
            raise BadTunnel(f"a message is larger than {MAX_FRAME_BYTES} bytes")
        is_text = isinstance(event, TextMessage)
        if event.message_finished and not self._parts:
            return WholeMessage(bytes(data), is_text)
        self._parts += data
        if not event.message_finished:
            return None
        whole, self._parts = bytes(self._parts), bytearray()
        return WholeMessage(whole, is_text)


class WebSocketPair:
    """A WebSocket server for the client, a WebSocket client for the server, and no extensions on either."""

    def __init__(self) -> None:
        self._ends = {Side.CLIENT: Connection(ConnectionType.SERVER), Side.SERVER: Connection(ConnectionType.CLIENT)}
        self._gathering = {Side.CLIENT: _Gathering(), Side.SERVER: _Gathering()}
        self._closed: set[Side] = set()
        """To whom a close was written."""
        self._unsure: set[Side] = set()
        """To whom it was written by the last `receive`: whoever failed at what came before has not passed it on."""
        self._failed = ""

    def receive(self, side: Side, data: bytes) -> Iterator[WholeMessage | Raw]:
        """Give what `side` said. Raises BadTunnel, and from then on always.

        What comes after a close is no part of the connection (RFC 6455 section 5.5.1), and given to nobody.
        """
        if self._failed:
            raise BadTunnel(self._failed)
        end = self._ends[side]
        self._unsure.clear()
        if end.state in _CLOSING:
            return
        try:
            end.receive_data(data)
            for event in end.events():
                if isinstance(event, BytesMessage | TextMessage):
                    if (whole := self._gathering[side].add(event)) is not None:
                        yield whole
                elif isinstance(event, Ping | Pong | CloseConnection):
                    yield Raw(side, self._pass(side, event), closes=isinstance(event, CloseConnection))
        except BadTunnel as error:
            self._failed = str(error)
            raise

    def fail(self, reason: str) -> BadTunnel:
        """Return the error that this and every later call ends with."""
        self._failed = reason
        return BadTunnel(reason)

    def message(self, to: Side, data: bytes, *, is_text: bool = False) -> bytes:
        """Return the bytes of one message; empty once `to` is closing."""
        end = self._ends[to]
        if end.state is not ConnectionState.OPEN:
            return b""
        if is_text:
            try:
                return bytes(end.send(TextMessage(data.decode())))
            except UnicodeDecodeError:
                pass  # What was cut or masked may no longer be text; readers take the two kinds alike.
        return bytes(end.send(BytesMessage(data)))

    def close(self, to: Side) -> bytes:
        """Return the bytes of a normal close; empty where one was surely sent.

        A second one is read by nobody (RFC 6455 section 5.5.1); without any, the other side would wait.
        """
        self._closed -= self._unsure
        return self.goodbye(to, CloseConnection(_NORMAL))

    def _pass(self, side: Side, event: Ping | Pong | CloseConnection) -> bytes:
        if isinstance(event, CloseConnection) and self._ends[side].state not in _CLOSING:
            # So wsproto reports what it could not read, too.
            raise BadTunnel("not a WebSocket frame that is allowed here")
        if isinstance(event, CloseConnection):
            # NOTE: written beside the end it is for, which stays open: frames that came before this, in the same bytes
            # or kept back by a mask, are written after it and sent before.
            if said := self.goodbye(side.other, event):
                self._unsure.add(side.other)
            return said
        try:
            return bytes(self._ends[side.other].send(event))
        except LocalProtocolError:
            # The other side said goodbye before.
            return b""

    def goodbye(self, to: Side, event: CloseConnection) -> bytes:
        """Return the bytes of a close; empty where one was said before."""
        if to in self._closed:
            return b""
        self._closed.add(to)
        beside = Connection(ConnectionType.SERVER if to is Side.CLIENT else ConnectionType.CLIENT)
        return bytes(beside.send(event))
