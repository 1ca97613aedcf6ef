"""An upstream that answers byte for byte what a test tells it to, and remembers what reached it. Loopback only."""

import json
import queue
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Arrived:
    """One request, as it came."""

    head: bytes
    body: bytes

    def headers(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        pairs = (line.partition(":") for line in self.head.decode("latin-1").split("\r\n")[1:])
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]

    @property
    def names(self) -> set[str]:
        """Every header's name, lower case."""
        return {line.partition(":")[0].lower() for line in self.head.decode("latin-1").split("\r\n")[1:] if line}

    @property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC message."""
        return json.loads(self.body)


type Behaviour = Callable[[socket.socket, Arrived], None]


def whole(body: bytes, *headers: str, content_type: str = "application/json", status: str = "200 OK") -> bytes:
    """An HTTP answer with its length."""
    fields = [f"content-type: {content_type}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + body


def result(request: Arrived, text: str) -> bytes:
    """The JSON of a tool result with one text, for this request."""
    content = {"content": [{"type": "text", "text": text}], "isError": False}
    return json.dumps({"jsonrpc": "2.0", "id": request.message.get("id"), "result": content}).encode()


def stream(*events: bytes, end: bool = True) -> bytes:
    """An event stream, chunked; each argument is one chunk."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    chunks = b"".join(f"{len(e):x}\r\n".encode() + e + b"\r\n" for e in events)
    return head + chunks + (b"0\r\n\r\n" if end else b"")


def well(connection: socket.socket, request: Arrived) -> None:
    """Answer as a server that is well."""
    connection.sendall(whole(result(request, "well")))


class RawUpstream:
    """Answers each connection's one request by `behave`, then closes. A context manager."""

    def __init__(self) -> None:
        self.behave: Behaviour = well
        self.requests: list[Arrived] = []
        self._news: queue.Queue[Arrived] = queue.Queue()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def calls(self, tool: str) -> int:
        """How often a tool was called."""
        bodies = [r.message for r in self.requests if r.body]
        return sum(m.get("params", {}).get("name") == tool for m in bodies)

    def next(self) -> Arrived:
        """Wait for the next request that nobody waited for yet."""
        return self._news.get(timeout=20)

    def forget(self) -> None:
        """Begin anew: well, and nothing seen."""
        self.behave = well
        self.requests.clear()
        while not self._news.empty():
            self._news.get_nowait()

    def down(self) -> None:
        """Refuse connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def up(self) -> None:
        """Take connections again, on the same port."""
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listen()

    def _listen(self) -> None:
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, name="raw-upstream", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = _read(connection)
                if request is None:
                    return
                self.requests.append(request)
                self._news.put(request)
                self.behave(connection, request)
            except OSError:
                return  # the gateway hung up

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


def _read(connection: socket.socket) -> Arrived | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return Arrived(data, b"") if data else None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int((Arrived(head, b"").headers("content-length") or ["0"])[0])
    while len(body) < length:
        chunk = connection.recv(65536)
        if not chunk:
            break
        body += chunk
    return Arrived(head, body)
