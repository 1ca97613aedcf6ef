"""Upstreams that answer anything, byte by byte: over HTTP/1 from a raw socket, over HTTP/2 frame by frame."""

import contextlib
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import h2.config
import h2.connection
import h2.events


@dataclass
class RawRequest:
    """What arrived, as it arrived."""

    head: bytes
    body: bytes = b""

    @property
    def path(self) -> str:
        """Path without query."""
        return self.head.split(b" ", 2)[1].decode("latin-1").partition("?")[0]

    @property
    def lines(self) -> list[bytes]:
        """The header lines."""
        return [line for line in self.head.split(b"\r\n")[1:] if line]

    def header(self, name: str) -> list[str]:
        """Every value of a header."""
        wanted = name.lower().encode() + b":"
        return [x[len(wanted) :].strip().decode("latin-1") for x in self.lines if x.lower().startswith(wanted)]

    @property
    def tool(self) -> str:
        """Name of the MCP tool that is called, if one is."""
        try:
            return str(json.loads(self.body)["params"]["name"])
        except (ValueError, KeyError, TypeError):
            return ""


type Answer = bytes | Callable[[socket.socket, RawRequest], None]


def answer(
    body: bytes | str, content_type: str = "application/json", *more: str, status: str = "200 OK", length: bool = True
) -> bytes:
    """A whole HTTP/1.1 answer. Without `length` its end is the end of the connection."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", *more]
    if length:
        lines.append(f"Content-Length: {len(raw)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + raw


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class _Listening:
    def __init__(self, tls: tuple[Path, Path] | None = None, alpn: tuple[str, ...] = ()) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
            if alpn:
                self._context.set_alpn_protocols(list(alpn))
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError), connection:
            connection.settimeout(60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                self.speak(connection)
            else:
                with self._context.wrap_socket(connection, server_side=True) as safe:
                    self.speak(safe)
        self._open.discard(connection)

    def speak(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)


class RawUpstream(_Listening):
    """Answers by path, or by MCP tool. Closes the connection after every answer that is bytes. A context manager."""

    def __init__(self, tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(tls)
        self.answers: dict[str, Answer] = {}
        self.requests: list[RawRequest] = []
        self.heard = threading.Condition()
        self.closed: dict[str, threading.Event] = {}
        """Set by name once a streaming answer found its connection closed."""

    def seen(self, key: str) -> list[RawRequest]:
        """Requests for a path or a tool."""
        return [r for r in self.requests if key in (r.path, r.tool)]

    def wait_for(self, key: str, count: int = 1) -> None:
        """Wait until so many requests for a path or a tool arrived."""
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.seen(key)) >= count, 20), f"{key} did not arrive"

    def closing(self, key: str) -> threading.Event:
        """The event that `key`'s connection is gone."""
        return self.closed.setdefault(key, threading.Event())

    def speak(self, connection: socket.socket) -> None:
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                more = connection.recv(65536)
                if not more:
                    return
                buffer += more
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            request = RawRequest(head)
            buffer = self._body(connection, request, buffer)
            with self.heard:
                self.requests.append(request)
                self.heard.notify_all()
            said = self.answers.get(request.tool) or self.answers.get(request.path) or answer('{"ok":true}')
            if not isinstance(said, bytes):
                said(connection, request)
                return
            connection.sendall(said)
            if b"connection: keep-alive" not in said.lower():
                return

    @staticmethod
    def _body(connection: socket.socket, request: RawRequest, buffer: bytes) -> bytes:
        length = int((request.header("content-length") or ["0"])[0])
        if request.header("transfer-encoding"):
            while b"0\r\n\r\n" not in buffer:
                buffer += connection.recv(65536)
            raw, _, buffer = buffer.partition(b"0\r\n\r\n")
            while raw:
                size, _, raw = raw.partition(b"\r\n")
                request.body += raw[: int(size, 16)]
                raw = raw[int(size, 16) + 2 :]
            return buffer
        while len(buffer) < length:
            more = connection.recv(65536)
            if not more:
                break
            buffer += more
        request.body = buffer[:length]
        return buffer[length:]


class H2Upstream(_Listening):
    """Speaks HTTP/2 over TLS; `answers` by path get the connection, the stream and a function that sends."""

    def __init__(self, tls: tuple[Path, Path]) -> None:
        super().__init__(tls, ("h2",))
        self.answers: dict[str, Callable[[h2.connection.H2Connection, int], None]] = {}
        self.requests: list[list[tuple[bytes, bytes]]] = []
        self.resets: list[int] = []

    def speak(self, connection: socket.socket) -> None:
        config = h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        state = h2.connection.H2Connection(config)
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        paths: dict[int, str] = {}
        while data := connection.recv(65536):
            for event in state.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.requests.append(list(event.headers))
                    paths[event.stream_id] = dict(event.headers)[b":path"].decode().partition("?")[0]
                elif isinstance(event, h2.events.StreamReset):
                    self.resets.append(event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self.answers.get(paths[event.stream_id], plain_h2)(state, event.stream_id)
            connection.sendall(state.data_to_send())


def plain_h2(state: h2.connection.H2Connection, stream: int) -> None:
    """Answer what needs no looking at."""
    state.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
    state.send_data(stream, b'{"ok":true}', end_stream=True)


@dataclass
class Trickle:
    """An answer in pieces, sent one by one; then it ends, or stays open until the other side leaves."""

    pieces: list[bytes]
    stay: bool = False
    gone: threading.Event = field(default_factory=threading.Event)

    def __call__(self, connection: socket.socket, _request: RawRequest) -> None:
        try:
            for piece in self.pieces:
                _send(connection, piece)
            if self.stay and not connection.recv(1):
                self.gone.set()
        except OSError:
            self.gone.set()
            raise


def _send(connection: socket.socket, data: bytes) -> None:
    """Send all. A connection that is reset is noticed even where the system leaves a sender waiting."""
    while data:
        readable, writable, _ = select.select([connection], [connection], [], 20)
        if readable and not connection.recv(1):
            raise ConnectionResetError
        if writable:
            data = data[connection.send(data[:16384]) :]
        elif not readable:
            raise TimeoutError
