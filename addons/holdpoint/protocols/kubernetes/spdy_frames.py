"""Frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00), cut from bytes and checked.

What reads them on the other side is spdystream (docker, now moby), which trusts a frame's type more than its length:
RST_STREAM is eight bytes to it whatever its head says. So each length must be the one that everybody would take.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from holdpoint.protocols.kubernetes.frames import MAX_FRAME_BYTES, BadTunnel
from holdpoint.protocols.kubernetes.spdy_dictionary import HEADER_DICTIONARY

VERSION = 3
FIN = 0x01

SYN_STREAM = 1
SYN_REPLY = 2
RST_STREAM = 3
SETTINGS = 4
PING = 6
GOAWAY = 7
HEADERS = 8
WINDOW_UPDATE = 9

CANCEL = 5
"""Status of a RST_STREAM whose sender has no more use for the stream."""

_HEAD = struct.Struct("!II")
_CONTROL = 0x80000000
_LENGTH = 0x00FFFFFF
_MAX_CONTROL_BYTES = 16 << 10
_MAX_HEADER_BYTES = 64 << 10
_MAX_HEADERS = 64
_BLOCK_AT = {SYN_STREAM: 10, SYN_REPLY: 4, HEADERS: 4}
"""Where the header block begins in the payload."""
_EXACT = {RST_STREAM: 8, PING: 4, GOAWAY: 8, WINDOW_UPDATE: 8}
_FLAGS = {SYN_STREAM: FIN, SYN_REPLY: FIN, HEADERS: FIN, SETTINGS: FIN}
"""Bits that may be set; of SYN_STREAM not UNIDIRECTIONAL, which nobody uses here."""


@dataclass(frozen=True, slots=True)
class Data:
    """A data frame."""

    stream: int
    data: bytes
    final: bool


@dataclass(frozen=True, slots=True)
class Control:
    """A control frame."""

    kind: int
    stream: int
    """0 where it is about the connection."""
    final: bool
    wire: bytes
    """The whole frame."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Reader:
    """One direction of a connection: bytes to frames. Feed it everything, in order: the headers share a context."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=HEADER_DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Data | Control]:
        """Give the frames that `data` completes. Raises BadTunnel; do not call it after that."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= _HEAD.size:
                first, second = _HEAD.unpack_from(buffer, at)
                length = second & _LENGTH
                _check_head(first, second >> 24, length)
                end = at + _HEAD.size + length
                if end > len(buffer):
                    break
                begin, at = at, end
                if first & _CONTROL:
                    yield self._control(first & 0xFFFF, second >> 24, bytes(buffer[begin:end]))
                else:
                    yield Data(first, bytes(memoryview(buffer)[begin + _HEAD.size : end]), bool(second >> 24 & FIN))
        finally:
            del buffer[:at]

    def _control(self, kind: int, flags: int, wire: bytes) -> Control:
        payload = wire[_HEAD.size :]
        stream = 0
        if kind not in {SETTINGS, PING, GOAWAY}:
            (stream,) = struct.unpack_from("!I", payload)
            # WINDOW_UPDATE of stream 0 is about the session (SPDY/3.1).
            if stream & _CONTROL or (not stream and kind != WINDOW_UPDATE):
                raise BadTunnel("a SPDY frame names no stream")
        if kind == SETTINGS:
            _check_settings(payload)
        if kind in {PING, RST_STREAM} and payload[-4:] == b"\0\0\0\0":
            raise BadTunnel("a SPDY frame has an id or a status of 0")
        headers = self._headers(payload[_BLOCK_AT[kind] :]) if kind in _BLOCK_AT else {}
        return Control(kind, stream, bool(flags & FIN) and kind in _BLOCK_AT, wire, headers)

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            text = self._inflate.decompress(block, _MAX_HEADER_BYTES)
        except zlib.error as error:
            raise BadTunnel("a SPDY header block is not compressed as agreed") from error
        if self._inflate.unconsumed_tail or self._inflate.eof:
            raise BadTunnel("a SPDY header block is too large, or ends the compression")
        return _header_block(text)


def _check_head(first: int, flags: int, length: int) -> None:
    if not first & _CONTROL:
        if length > MAX_FRAME_BYTES:
            raise BadTunnel(f"a SPDY frame is larger than {MAX_FRAME_BYTES} bytes")
        if not first or flags & ~FIN:
            raise BadTunnel("a SPDY data frame has no stream, or is compressed")
        return
    kind = first & 0xFFFF
    if first >> 16 & 0x7FFF != VERSION:
        raise BadTunnel("a SPDY frame is of another version")
    if length > _MAX_CONTROL_BYTES:
        raise BadTunnel(f"a SPDY control frame is larger than {_MAX_CONTROL_BYTES} bytes")
    is_fitting = length == _EXACT[kind] if kind in _EXACT else kind in _FLAGS and length >= _BLOCK_AT.get(kind, 4)
    if not is_fitting or flags & ~_FLAGS.get(kind, 0):
        raise BadTunnel("a SPDY control frame is of an unknown kind, length or flag")


def _check_settings(payload: bytes) -> None:
    (count,) = struct.unpack_from("!I", payload)
    if len(payload) != 4 + 8 * count:
        raise BadTunnel("a SPDY settings frame has another length than it says")


def _header_block(text: bytes) -> dict[str, str]:
    at = 0

    def take(length: int) -> bytes:
        nonlocal at
        part = text[at : at + length]
        if len(part) != length:
            raise BadTunnel("a SPDY header block is cut short")
        at += length
        return part

    def number() -> int:
        return int.from_bytes(take(4))

    count = number()
    if count > _MAX_HEADERS:
        raise BadTunnel("a SPDY header block has too many headers")
    headers: dict[str, str] = {}
    for _ in range(count):
        name, value = take(number()), take(number())
        # Several values in one (NUL) read differently to each reader.
        if not _is_plain(name) or not _is_plain(value, blank=True) or name != name.lower():
            raise BadTunnel("a SPDY header is not plain text with a lower-case name")
        if name.decode() in headers:
            raise BadTunnel("a SPDY header is there twice")
        headers[name.decode()] = value.decode()
    if at != len(text):
        raise BadTunnel("a SPDY header block is longer than it says")
    return headers


def _is_plain(text: bytes, *, blank: bool = False) -> bool:
    return (blank or bool(text)) and text.isascii() and text.decode("ascii").isprintable()


def data_frame(stream: int, data: bytes, *, final: bool = False) -> bytes:
    """Write data frames: one, or several where one is too small for the data."""
    said = b""
    while len(data) > _LENGTH:
        said += _HEAD.pack(stream, _LENGTH) + data[:_LENGTH]
        data = data[_LENGTH:]
    return said + _HEAD.pack(stream, len(data) | (FIN << 24 if final else 0)) + data


def rst_stream(stream: int, status: int = CANCEL) -> bytes:
    """Write the frame that ends a stream at once, in both directions."""
    return _HEAD.pack(_CONTROL | VERSION << 16 | RST_STREAM, 8) + struct.pack("!II", stream, status)


def goaway(last_stream: int) -> bytes:
    """Write the frame that ends a connection; `last_stream` is the last that was accepted of the other side's."""
    return _HEAD.pack(_CONTROL | VERSION << 16 | GOAWAY, 8) + struct.pack("!II", last_stream, 0)
