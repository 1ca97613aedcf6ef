"""SPDY/3.1 of the test API server, as docker's spdystream speaks it: no flow control, one stream of headers."""

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable

from tests.fakes.kube_kinds import DATA

_DICTIONARY = (DATA / "spdy_dictionary.bin").read_bytes()
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 1, 2, 3, 4, 6, 7
_FIN = 1


class Stream:
    """One stream that the client opened."""

    def __init__(self, session: "Session", number: int, headers: dict[str, str], *, finished: bool) -> None:
        self._session, self.number, self.headers = session, number, headers
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._over = False
        if finished:
            self.feed(b"", finished=True)

    def feed(self, data: bytes, *, finished: bool) -> None:
        """What the client sent."""
        if data:
            self._incoming.put_nowait(data)
        if finished:
            self._incoming.put_nowait(b"")

    async def read(self) -> bytes:
        """Return what came next; nothing at the end, ever after."""
        if self._over:
            return b""
        data = await self._incoming.get()
        self._over = not data
        return data

    async def write(self, data: bytes) -> None:
        """Send data."""
        for at in range(0, len(data), 1 << 15):
            await self._session.data(self.number, data[at : at + (1 << 15)], 0)

    async def close(self) -> None:
        """Send nothing more."""
        await self._session.data(self.number, b"", _FIN)


class Session:
    """The server's side, over any road for bytes."""

    def __init__(self, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]) -> None:
        self._read, self._write = read, write
        self._deflate = zlib.compressobj(zdict=_DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=_DICTIONARY)
        self._streams: dict[int, Stream] = {}
        self.opened: asyncio.Queue[Stream | None] = asyncio.Queue()
        """Streams in the order in which they were opened; None at the end of the connection."""

    async def run(self) -> None:
        """Read until the client goes."""
        waiting = b""
        try:
            while data := await self._read():
                waiting += data
                while len(waiting) >= 8:
                    size = int.from_bytes(waiting[5:8])
                    if len(waiting) < 8 + size:
                        break
                    frame, waiting = waiting[: 8 + size], waiting[8 + size :]
                    await self._frame(frame)
        finally:
            for stream in self._streams.values():
                stream.feed(b"", finished=True)
            self.opened.put_nowait(None)

    async def data(self, number: int, data: bytes, flags: int) -> None:
        """Send a data frame."""
        await self._write(struct.pack(">II", number, flags << 24 | len(data)) + data)

    async def _control(self, sort: int, flags: int, payload: bytes) -> None:
        await self._write(struct.pack(">HHI", 0x8003, sort, flags << 24 | len(payload)) + payload)

    async def _frame(self, frame: bytes) -> None:
        flags, payload = frame[4], frame[8:]
        if not frame[0] & 0x80:
            stream = self._streams.get(int.from_bytes(frame[:4]))
            if stream is not None:
                stream.feed(payload, finished=bool(flags & _FIN))
            return
        match int.from_bytes(frame[2:4]):
            case 1:
                number = int.from_bytes(payload[:4])
                stream = Stream(self, number, self._headers(payload[10:]), finished=bool(flags & _FIN))
                self._streams[number] = stream
                head = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
                await self._control(_SYN_REPLY, 0, struct.pack(">I", number) + head)
                self.opened.put_nowait(stream)
            case 3:
                stream = self._streams.get(int.from_bytes(payload[:4]))
                if stream is not None:
                    stream.feed(b"", finished=True)
            case 6:
                await self._control(_PING, 0, payload)
            case _:
                pass

    def _headers(self, packed: bytes) -> dict[str, str]:
        data = self._inflate.decompress(packed)
        (count,) = struct.unpack_from(">I", data)
        at, found = 4, []
        for _ in range(2 * count):
            (size,) = struct.unpack_from(">I", data, at)
            found.append(data[at + 4 : at + 4 + size].decode())
            at += 4 + size
        return dict(zip(found[::2], found[1::2], strict=True))
