"""The two forms of exec and attach in the test API server: WebSocket channels and SPDY streams, behind one face."""

import asyncio
import base64
import contextlib
import hashlib
import json
from typing import ClassVar, Protocol

from tests.fakes.kube_server_http import Request
from tests.fakes.kube_spdy import Session, Stream
from tests.fakes.kube_store import ApiError
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Size = tuple[int, int]


class Channels(Protocol):
    """What a program in a pod talks to."""

    stdin: "asyncio.Queue[bytes]"
    """Nothing is the end of it."""
    sizes: "asyncio.Queue[Size]"
    """Width and height of the terminal."""
    gone: asyncio.Event
    """The client went away."""

    async def write(self, channel: int, data: bytes) -> None:
        """Send output."""

    async def finish(self, status: dict[str, object]) -> None:
        """Send how it ended, and close."""


def _size(data: bytes) -> Size:
    found = json.loads(data)
    return found["Width"], found["Height"]


class WebSocket:
    """Messages over a connection that was upgraded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: bytes) -> None:
        self._reader, self._writer, self._begun = reader, writer, begun
        self._ws = Connection(ConnectionType.SERVER)
        self._closed = False

    async def read(self) -> bytes:
        """Return the next message as bytes; nothing at the end."""
        parts = bytearray()
        while True:
            for event in self._ws.events():
                if isinstance(event, BytesMessage | TextMessage):
                    parts += event.data if isinstance(event, BytesMessage) else event.data.encode()
                    if event.message_finished:
                        if parts:
                            return bytes(parts)
                        parts.clear()
                elif isinstance(event, Ping):
                    await self._send(self._ws.send(event.response()))
                elif isinstance(event, CloseConnection):
                    if not self._closed:
                        self._closed = True
                        await self._send(self._ws.send(event.response()))
                    return b""
            data, self._begun = self._begun or await self._reader.read(1 << 16), b""
            if not data:
                return b""
            self._ws.receive_data(data)

    async def write(self, data: bytes) -> None:
        """Send a binary message."""
        if not self._closed:
            await self._send(self._ws.send(BytesMessage(data=data)))

    async def close(self) -> None:
        """Say goodbye."""
        if not self._closed:
            self._closed = True
            await self._send(self._ws.send(CloseConnection(code=1000)))

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


def accept(request: Request, protocols: tuple[str, ...]) -> tuple[str, list[tuple[str, str]]]:
    """Choose a subprotocol of a WebSocket request; return it and the headers of 101. Raises ApiError (400)."""
    offered = [p.strip() for p in request.header("sec-websocket-protocol").split(",")]
    chosen = next((p for p in offered if p in protocols), None)
    if chosen is None:
        raise ApiError(400, "BadRequest", f"unable to upgrade: unable to negotiate protocol: client supports {offered}")
    digest = hashlib.sha1((request.header("sec-websocket-key") + _MAGIC).encode()).digest()  # noqa: S324  # RFC 6455
    answer = base64.b64encode(digest).decode()
    heads = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", answer)]
    return chosen, [*heads, ("Sec-WebSocket-Protocol", chosen)]


class SocketChannels:
    """v4 and v5 over WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.stdin: asyncio.Queue[bytes] = asyncio.Queue()
        self.sizes: asyncio.Queue[Size] = asyncio.Queue()
        self.gone = asyncio.Event()

    async def run(self) -> None:
        """Read until the client goes."""
        try:
            await self._socket.write(bytes([STDOUT]))
            while message := await self._socket.read():
                channel, data = message[0], message[1:]
                if channel == STDIN and data:
                    self.stdin.put_nowait(data)
                elif channel == RESIZE:
                    self.sizes.put_nowait(_size(data))
                elif channel == CLOSE and data == bytes([STDIN]):
                    self.stdin.put_nowait(b"")
        finally:
            self.stdin.put_nowait(b"")
            self.gone.set()

    async def write(self, channel: int, data: bytes) -> None:
        """Send output."""
        for at in range(0, len(data), 1 << 15):
            await self._socket.write(bytes([channel]) + data[at : at + (1 << 15)])

    async def finish(self, status: dict[str, object]) -> None:
        """Send how it ended, and close; waits a little for the client to close too."""
        await self._socket.write(bytes([ERROR]) + json.dumps(status, separators=(",", ":")).encode())
        await self._socket.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), 5)


class StreamChannels:
    """v4 over SPDY/3.1: a stream for each."""

    _NUMBERS: ClassVar = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}

    def __init__(self, session: Session, wanted: int) -> None:
        self._session, self._wanted = session, wanted
        self._streams: dict[int, Stream] = {}
        self._ready = asyncio.Event()
        self.stdin: asyncio.Queue[bytes] = asyncio.Queue()
        self.sizes: asyncio.Queue[Size] = asyncio.Queue()
        self.gone = asyncio.Event()

    async def run(self) -> None:
        """Read until the client goes."""
        readers: list[asyncio.Task[None]] = []
        session = asyncio.ensure_future(self._session.run())
        try:
            while (stream := await self._session.opened.get()) is not None:
                number = self._NUMBERS[stream.headers["streamtype"]]
                self._streams[number] = stream
                if number in {STDIN, RESIZE}:
                    readers.append(asyncio.ensure_future(self._follow(number, stream)))
                if len(self._streams) == self._wanted:
                    self._ready.set()
        finally:
            session.cancel()
            for reader in readers:
                reader.cancel()
            self.stdin.put_nowait(b"")
            self.gone.set()

    async def _follow(self, number: int, stream: Stream) -> None:
        while data := await stream.read():
            if number == STDIN:
                self.stdin.put_nowait(data)
            else:
                self.sizes.put_nowait(_size(data))
        if number == STDIN:
            self.stdin.put_nowait(b"")

    async def write(self, channel: int, data: bytes) -> None:
        """Send output."""
        await self._ready.wait()
        if channel in self._streams:
            await self._streams[channel].write(data)

    async def finish(self, status: dict[str, object]) -> None:
        """Send how it ended, and close; waits a little for the client to close too."""
        await self._ready.wait()
        for number in (STDOUT, STDERR):
            if number in self._streams:
                await self._streams[number].close()
        await self._streams[ERROR].write(json.dumps(status, separators=(",", ":")).encode())
        await self._streams[ERROR].close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), 5)
