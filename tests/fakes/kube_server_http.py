"""HTTP/1.1 and HTTP/2 of the test API server, by h11 and h2: answers may stream, and break off in bad ways."""

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import h11

Headers = list[tuple[str, str]]
_READ = 1 << 16


class Break(enum.Enum):
    """How a connection or a stream is broken off."""

    CLOSE = "the connection is closed without a last chunk"
    RESET = "the stream is reset; over HTTP/1.1 the connection is"
    GOAWAY = "GOAWAY, and the connection is closed"


class BrokenOff(Exception):  # noqa: N818  # no error: a test asked for it
    """Raised within an answer to break it off."""

    def __init__(self, how: Break) -> None:
        super().__init__(how.value)
        self.how = how


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    target: str
    headers: Headers
    body: bytes
    http: str

    @property
    def path(self) -> str:
        """Without the query, percent-decoded."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> list[tuple[str, str]]:
        """In order, with empty values."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query key."""
        return next((v for k, v in self.query if k == name), default)

    def params(self, name: str) -> list[str]:
        """All values of a query key."""
        return [v for k, v in self.query if k == name]

    def header(self, name: str) -> str:
        """All values of a header, joined."""
        return ", ".join(v for k, v in self.headers if k == name)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; a body that is no bytes is streamed."""

    status: int
    body: bytes | AsyncIterator[bytes] = b""
    headers: Headers = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The answer 101, and what happens on the connection after it."""

    headers: Headers
    run: Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]
    """Reader, writer, and what was read already."""


Handler = Callable[[Request], Awaitable[Response | Upgrade]]


class Connection:
    """One connection of a client; ends by itself or by `break_off`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
        self._reader, self._writer, self._handler = reader, writer, handler
        chosen = writer.get_extra_info("ssl_object")
        self.http2 = chosen is not None and chosen.selected_alpn_protocol() == "h2"
        self._h2: h2.connection.H2Connection | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Event()

    async def serve(self) -> None:
        """Answer until the client goes away."""
        try:
            if self.http2:
                await self._serve_h2()
            else:
                await self._serve_h1()
        except (ConnectionError, OSError, h11.RemoteProtocolError, h2.exceptions.ProtocolError, BrokenOff):
            pass
        finally:
            for task in self._tasks.values():
                task.cancel()
            self._writer.close()
            with contextlib.suppress(ConnectionError, OSError):
                await self._writer.wait_closed()

    def break_off(self, how: Break) -> None:
        """End the connection, or every stream on it."""
        if self._h2 is not None and how is Break.RESET:
            for stream in list(self._tasks):
                self._reset(stream)
            return
        if self._h2 is not None and how is Break.GOAWAY:
            self._h2.close_connection()
            self._writer.write(self._h2.data_to_send())
            return
        self._writer.transport.abort()

    # HTTP/1.1

    async def _serve_h1(self) -> None:
        while True:
            http = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
            request = await self._read_h1(http)
            while request is not None:
                answer = await self._handler(request)
                if isinstance(answer, Upgrade):
                    lines = "".join(f"{k}: {v}\r\n" for k, v in answer.headers)
                    self._writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode())
                    await answer.run(self._reader, self._writer, http.trailing_data[0])
                    return
                await self._answer_h1(http, request, answer)
                if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                    return
                http.start_next_cycle()
                request = await self._read_h1(http)
            return

    async def _read_h1(self, http: h11.Connection) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                if http.they_are_waiting_for_100_continue:
                    self._writer.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                http.receive_data(await self._reader.read(_READ))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in head.headers]
                return Request(head.method.decode(), head.target.decode("latin-1"), headers, bytes(body), "1.1")
            else:
                return None

    async def _answer_h1(self, http: h11.Connection, request: Request, answer: Response) -> None:
        headers = list(answer.headers)
        if isinstance(answer.body, bytes):
            headers.append(("content-length", str(len(answer.body))))
        else:
            headers.append(("transfer-encoding", "chunked"))
        self._writer.write(http.send(h11.Response(status_code=answer.status, headers=headers)) or b"")
        if isinstance(answer.body, bytes):
            if request.method != "HEAD":
                self._writer.write(http.send(h11.Data(answer.body)) or b"")
        else:
            task = asyncio.ensure_future(self._stream_h1(http, answer.body))
            self._tasks[0] = task
            gone = asyncio.ensure_future(self._reader.read(_READ))
            try:
                await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done() and gone.result() and not task.done():
                    http.receive_data(gone.result())
                    await task
                if not task.done():
                    task.cancel()
                    raise ConnectionResetError("the client went away")
                task.result()
                if gone.done() and not gone.exception() and gone.result():
                    http.receive_data(gone.result())
            except BrokenOff:
                self._writer.transport.abort()
                raise
            finally:
                if not gone.done():
                    gone.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await gone
        self._writer.write(http.send(h11.EndOfMessage()) or b"")
        await self._writer.drain()

    async def _stream_h1(self, http: h11.Connection, body: AsyncIterator[bytes]) -> None:
        async for chunk in body:
            if chunk:
                self._writer.write(http.send(h11.Data(chunk)) or b"")
                await self._writer.drain()

    # HTTP/2

    async def _serve_h2(self) -> None:
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._h2 = http
        codes = h2.settings.SettingCodes
        http.initiate_connection()
        http.update_settings({codes.MAX_CONCURRENT_STREAMS: 250, codes.INITIAL_WINDOW_SIZE: 1 << 20})
        http.increment_flow_control_window(1 << 24)
        self._writer.write(http.data_to_send())
        heads: dict[int, Headers] = {}
        bodies: dict[int, bytearray] = {}
        while data := await self._reader.read(_READ):
            for event in http.receive_data(data):
                match event:
                    case h2.events.RequestReceived(stream_id=stream, headers=headers):
                        heads[stream], bodies[stream] = [(str(k), str(v)) for k, v in headers], bytearray()
                    case h2.events.DataReceived(stream_id=stream, data=chunk, flow_controlled_length=length):
                        bodies[stream] += chunk
                        http.acknowledge_received_data(length, stream)
                    case h2.events.StreamEnded(stream_id=stream):
                        request = _request(heads.pop(stream), bytes(bodies.pop(stream)))
                        self._tasks[stream] = asyncio.ensure_future(self._answer_h2(stream, request))
                    case h2.events.StreamReset(stream_id=stream):
                        if task := self._tasks.pop(stream, None):
                            task.cancel()
                    case h2.events.ConnectionTerminated():
                        return
                    case _:
                        pass
            self._room.set()
            self._writer.write(http.data_to_send())
            await self._writer.drain()

    async def _answer_h2(self, stream: int, request: Request) -> None:
        assert self._h2 is not None
        try:
            answer = await self._handler(request)
            assert isinstance(answer, Response), "there are no upgrades over HTTP/2"
            headers = [(":status", str(answer.status)), *answer.headers]
            if isinstance(answer.body, bytes):
                headers.append(("content-length", str(len(answer.body))))
            self._h2.send_headers(stream, headers)
            self._writer.write(self._h2.data_to_send())
            if not isinstance(answer.body, bytes):
                async for chunk in answer.body:
                    await self._send_h2(stream, chunk)
            elif request.method != "HEAD":
                await self._send_h2(stream, answer.body)
            self._h2.end_stream(stream)
            self._writer.write(self._h2.data_to_send())
        except BrokenOff as broken:
            if broken.how is Break.RESET:
                self._reset(stream)
            else:
                self.break_off(broken.how)
        except (ConnectionError, OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            self._tasks.pop(stream, None)

    async def _send_h2(self, stream: int, data: bytes) -> None:
        assert self._h2 is not None
        view = memoryview(data)
        while view:
            size = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, len(view))
            if size <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            self._h2.send_data(stream, bytes(view[:size]))
            view = view[size:]
            self._writer.write(self._h2.data_to_send())
            await self._writer.drain()

    def _reset(self, stream: int) -> None:
        assert self._h2 is not None
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        self._writer.write(self._h2.data_to_send())
        task = self._tasks.pop(stream, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()


def _request(headers: Headers, body: bytes) -> Request:
    pseudo = {k: v for k, v in headers if k.startswith(":")}
    rest = [(k, v) for k, v in headers if not k.startswith(":")]
    return Request(pseudo[":method"], pseudo[":path"], [("host", pseudo.get(":authority", "")), *rest], body, "2")
