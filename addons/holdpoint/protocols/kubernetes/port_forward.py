"""Forwarded ports: over bare SPDY, over SPDY inside a WebSocket, and over channels of a WebSocket.

`SPDY/3.1+portforward.k8s.io` (KEP-4006; k8s.io/apimachinery/pkg/util/portforward) puts SPDY's bytes, cut anyhow, into
binary messages. The channel form is what the kubelet knows since 1.6 and the Python client uses: two channels a port,
2n for data and 2n+1 for an error, each begun by the server with the port, little endian.
"""

import re
from collections.abc import Mapping

from holdpoint.protocols.kubernetes.frames import BadTunnel, Ending, Frame, Item, Raw, Side
from holdpoint.protocols.kubernetes.spdy import Spdy
from holdpoint.protocols.kubernetes.websockets import WebSocketPair, WholeMessage

_PORT = re.compile(r"[1-9][0-9]{0,4}")
_MAX_PORT = 65535
_MAX_CHANNELS = 254


class ForwardedPorts:
    """Streams come in pairs, `data` and `error`, of one `port` and one `requestID`."""

    def __init__(self) -> None:
        self._pairs: dict[str, tuple[str, set[str]]] = {}
        """Port and types of the open streams, by requestID."""

    def open(self, headers: Mapping[str, str]) -> str:
        """See Naming. kubectl has sent `requestID` since 1.3; without it streams could be paired in two ways."""
        if set(headers) != {"streamtype", "port", "requestid"}:
            raise BadTunnel("a stream of a forwarded port needs streamType, port and requestID, and nothing else")
        kind, port, request = headers["streamtype"], headers["port"], headers["requestid"]
        if kind not in {"data", "error"} or not request or not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
            raise BadTunnel("a stream of a forwarded port is of an unknown type, or its port is none")
        known, kinds = self._pairs.setdefault(request, (port, set()))
        if known != port or kind in kinds:
            raise BadTunnel("a second stream of one type and request, or one of another port")
        kinds.add(kind)
        return f"port:{port}:{kind}"

    def close(self, headers: Mapping[str, str]) -> None:
        """See Naming."""
        _, kinds = self._pairs[headers["requestid"]]
        kinds.discard(headers["streamtype"])
        if not kinds:
            del self._pairs[headers["requestid"]]

    def may_write(self, side: Side, name: str) -> bool:
        """See Naming."""
        return side is Side.SERVER or name.endswith(":data")


class TunnelledSpdy:
    """A Codec of SPDY/3.1 inside the binary messages of a WebSocket."""

    def __init__(self, spdy: Spdy) -> None:
        """`spdy` is the codec of what is inside."""
        self._sockets = WebSocketPair()
        self._spdy = spdy

    def receive(self, side: Side, data: bytes) -> list[Item]:
        """See Codec."""
        items: list[Item] = []
        for heard in self._sockets.receive(side, data):
            if isinstance(heard, Raw):
                items.append(heard)
                continue
            if heard.is_text:
                raise self._sockets.fail("a text message came where SPDY is spoken")
            try:
                inner = self._spdy.receive(side, heard.data)
            except BadTunnel as error:
                raise self._sockets.fail(str(error)) from error
            items.extend(self._wrapped(item) if isinstance(item, Raw) else item for item in inner)
        return items

    def send(self, frame: Frame) -> bytes:
        """See Codec."""
        return self._sockets.message(frame.side.other, self._spdy.send(frame))

    def say(self, text: str) -> bytes:
        """See Codec."""
        said = self._spdy.say(text)
        return self._sockets.message(Side.CLIENT, said) if said else b""

    def end(self, text: str, status: bytes) -> Ending:
        """See Codec."""
        inner = self._spdy.end(text, status)
        to_client = self._sockets.message(Side.CLIENT, inner.client)
        to_server = self._sockets.message(Side.SERVER, inner.server)
        return Ending(to_client + self._sockets.close(Side.CLIENT), to_server + self._sockets.close(Side.SERVER))

    def _wrapped(self, item: Raw) -> Raw:
        data = self._sockets.message(item.side.other, item.data)
        return Raw(item.side, data, closes=item.closes, opens=item.opens, ends=item.ends, channel=item.channel)


class ForwardChannels:
    """A Codec of forwarded ports over channels of a WebSocket (`v4.channel.k8s.io`)."""

    def __init__(self, ports: tuple[int, ...]) -> None:
        """`ports` in the order in which the query named them. Raises BadTunnel."""
        if not ports or 2 * len(ports) > _MAX_CHANNELS:
            raise BadTunnel("forwarding over channels needs between 1 and 127 ports in the query")
        self._sockets = WebSocketPair()
        self._ports = ports
        self._begun: set[int] = set()
        """Channels whose port the server has said."""

    def receive(self, side: Side, data: bytes) -> list[Item]:
        """See Codec."""
        items: list[Item] = []
        for heard in self._sockets.receive(side, data):
            if isinstance(heard, Raw):
                items.append(heard)
            else:
                items.extend(self._items(side, heard))
        return items

    def send(self, frame: Frame) -> bytes:
        """See Codec. The end of a channel cannot be said."""
        if not frame.data:
            return b""
        return self._sockets.message(frame.side.other, bytes((frame.channel,)) + frame.data, is_text=frame.is_text)

    def say(self, text: str) -> bytes:
        """See Codec."""
        errors = (channel for channel in sorted(self._begun) if channel % 2)
        return b"".join(self._sockets.message(Side.CLIENT, bytes((one,)) + text.encode()) for one in errors)

    def end(self, text: str, status: bytes) -> Ending:
        """See Codec. There is no place for a Status."""
        del status
        last = self.say(text) if text else b""
        return Ending(last + self._sockets.close(Side.CLIENT), self._sockets.close(Side.SERVER))

    def _items(self, side: Side, message: WholeMessage) -> list[Item]:
        if not message.data:
            return []
        channel, data = message.data[0], message.data[1:]
        if channel >= 2 * len(self._ports):
            raise self._sockets.fail("a message is for a channel that does not exist")
        is_error = bool(channel % 2)
        port = self._ports[channel // 2]
        items: list[Item] = []
        name = f"port:{port}:{'error' if is_error else 'data'}"
        if side is Side.SERVER and channel not in self._begun:
            said = port.to_bytes(2, "little")
            if not data.startswith(said):
                raise self._sockets.fail("a channel began without its port")
            self._begun.add(channel)
            wrapped = self._sockets.message(Side.CLIENT, bytes((channel,)) + said)
            items.append(Raw(side, wrapped, opens=name, channel=channel))
            data = data[2:]
        if side is Side.CLIENT and is_error and data:
            raise self._sockets.fail("the error of a port was written from the wrong side")
        if data:
            items.append(Frame(side, name, data, channel=channel, is_text=message.is_text))
        return items
