"""Both ends of an upgraded connection, and the recorded bytes of real ones, for tests of what stands in between."""

import base64
import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage

from holdpoint.protocols.kubernetes.spdy_dictionary import HEADER_DICTIONARY
from holdpoint.protocols.kubernetes.tunnels import Codec, Frame, Side, codec_for

_RECORDED = Path(__file__).parent.parent / "data/kubernetes/tunnels.json"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What two real programs said: `messages` are WebSocket messages, or pieces of SPDY, in order."""

    upgrade: str
    subprotocol: str
    path: str
    messages: tuple[tuple[Side, bool, bytes], ...]
    """Who, whether as text, what."""

    def codec(self) -> Codec:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        return codec_for(
            upgrade=self.upgrade,
            subprotocol=self.subprotocol,
            subresource=url.path.rsplit("/", 1)[1],
            tty=query.get("tty") == ["true"],
            stdin=query.get("stdin") == ["true"],
        )

    def pieces(self) -> list[tuple[Side, bytes]]:
        """Return the bytes as they were on the wire."""
        if self.upgrade != "websocket":
            return [(side, data) for side, _, data in self.messages]
        ends = {Side.CLIENT: client_end(), Side.SERVER: server_end()}
        return [
            (side, ends[side].send(TextMessage(data.decode()) if is_text else BytesMessage(data)))
            for side, is_text, data in self.messages
        ]


def recorded(name: str) -> Recorded:
    one = json.loads(_RECORDED.read_text())[name]
    messages = tuple((Side(side), kind == 1, base64.b64decode(data)) for side, kind, data in one["messages"])
    return Recorded(one["upgrade"], one["subprotocol"], one["path"], messages)


def recorded_names() -> list[str]:
    return list(json.loads(_RECORDED.read_text()))


def client_end() -> Connection:
    return Connection(ConnectionType.CLIENT)


def server_end() -> Connection:
    return Connection(ConnectionType.SERVER)


def heard(end: Connection, data: bytes) -> list[Event]:
    """Return what an end makes of bytes that came in."""
    end.receive_data(data)
    return list(end.events())


def messages(end: Connection, data: bytes) -> list[bytes]:
    """Return the messages among them."""
    return [bytes(e.data) for e in heard(end, data) if isinstance(e, BytesMessage)]


def closes(events: Iterable[Event]) -> list[int]:
    return [int(e.code) for e in events if isinstance(e, CloseConnection)]


def through(codec: Codec, side: Side, data: bytes) -> tuple[list[Frame], bytes]:
    """Pass bytes through a codec as the gateway does; return the frames, and what reaches the other side."""
    out = b""
    frames: list[Frame] = []
    for item in codec.receive(side, data):
        if isinstance(item, Frame):
            frames.append(item)
            out += codec.send(item)
        else:
            out += item.data
    return frames, out


def joined(frames: Iterable[Frame]) -> dict[tuple[Side, str, int], tuple[bytes, bool]]:
    """Return what each stream carried in all, and whether it ended."""
    made: dict[tuple[Side, str, int], tuple[bytes, bool]] = {}
    for frame in frames:
        key = (frame.side, frame.stream, frame.channel)
        data, final = made.get(key, (b"", False))
        made[key] = (data + frame.data, final or frame.final)
    return made


class SpdyEnd:
    """Writes SPDY/3.1 as spdystream does, and whatever it must not."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(level=9, zdict=HEADER_DICTIONARY)

    def control(self, kind: int, payload: bytes, *, flags: int = 0, version: int = 3) -> bytes:
        return struct.pack("!HHI", 0x8000 | version, kind, flags << 24 | len(payload)) + payload

    def block(self, headers: Mapping[str, str] | list[tuple[str, str]]) -> bytes:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        text = struct.pack("!I", len(pairs))
        for name, value in pairs:
            text += struct.pack("!I", len(name)) + name.encode() + struct.pack("!I", len(value)) + value.encode()
        return self.compressed(text)

    def compressed(self, text: bytes) -> bytes:
        return self._deflate.compress(text) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def syn_stream(self, stream: int, headers: Mapping[str, str] | list[tuple[str, str]], *, flags: int = 0) -> bytes:
        return self.control(1, struct.pack("!IIH", stream, 0, 0) + self.block(headers), flags=flags)

    def syn_reply(self, stream: int, headers: Mapping[str, str] | None = None) -> bytes:
        return self.control(2, struct.pack("!I", stream) + self.block(headers or {}))

    def rst(self, stream: int, status: int = 5) -> bytes:
        return self.control(3, struct.pack("!II", stream, status))

    def data(self, stream: int, data: bytes, *, flags: int = 0) -> bytes:
        return struct.pack("!II", stream, flags << 24 | len(data)) + data
