"""Servers of tests on loopback: of the standard library in threads, and ASGI applications."""

import asyncio
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn

OFTEN = 0.01
"""Seconds between two looks whether a server shall end; the half second of the library adds up."""


class Handler(BaseHTTPRequestHandler):
    """Says what it is told to over HTTP/1.1, and nothing to the terminal.

    Those that answer name the base class again, for the linter knows the names of their methods by it.
    """

    protocol_version = "HTTP/1.1"

    def heard(self) -> bytes:
        """The body of the request."""
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def say(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """Answer; a `_` in the name of a header stands for a hyphen."""
        self.send_response(status)
        if body:
            self.send_header("content-type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the base class
        """Say nothing."""


class Threaded:
    """A server of the standard library on a port of its own, in threads. A context manager."""

    def __init__(self, handler: type[Handler], *, tls: tuple[Path, Path] | None = None) -> None:
        """Answer by this handler; `tls` are certificate and key."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._base = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(OFTEN,), name=type(self).__name__, daemon=True
        )

    @property
    def url(self) -> str:
        """Base URL."""
        return self._base

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class Asgi:
    """An ASGI application on a port of its own, in a thread. A context manager."""

    def __init__(self, app: Any, *, port: int = 0, tls: tuple[Path, Path] | None = None) -> None:
        """Serve an application; `port` 0 takes any, `tls` are certificate and key."""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_level="warning",
            lifespan="on",
            ssl_certfile=str(tls[0]) if tls else None,
            ssl_keyfile=str(tls[1]) if tls else None,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=type(self).__name__, daemon=True)

    @property
    def url(self) -> str:
        """URL of the MCP endpoint, plain HTTP."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def _serve(self) -> None:
        async def main() -> None:
            serving = asyncio.ensure_future(self._server.serve(sockets=[self._socket]))
            while not self._server.started and not serving.done():
                await asyncio.sleep(0.005)
            self._ready.set()
            await serving

        asyncio.run(main())

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(20):
            raise RuntimeError(f"{type(self).__name__} did not start")
        return self

    def end(self) -> None:
        """Tell it to end, without waiting for that."""
        self._server.should_exit = True

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._thread.join(10)
        self._socket.close()
