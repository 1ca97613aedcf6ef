"""The loopback redirect of a native app (RFC 8252 section 7.3): one answer, to the state that was asked with."""

import asyncio
import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

HOST = "127.0.0.1"
PATH = "/callback"
MAX_BYTES = 16 * 1024
_READ_FOR = 10.0
_PARTS = 3


class RedirectReceiver:
    """Listens on a free port of loopback until the browser brings the answer. Use as an async context manager."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._answer: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None
        self._authority = ""
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def uri(self) -> str:
        """The redirect URI. The address is a literal: `localhost` may be somebody else's."""
        return f"http://{self._authority}{PATH}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0, limit=MAX_BYTES)
        self._authority = f"{HOST}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            # Browsers open connections in advance and say nothing on them: not waited for.
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def answer(self) -> Mapping[str, str]:
        """Wait for the parameters that came with our state. Requests without it are turned away and waited past."""
        return await self._answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            async with asyncio.timeout(_READ_FOR):
                head = await reader.readuntil(b"\r\n\r\n")
                status, text, found = self._judge(head.decode("ascii", "replace"))
                body = f"{text}\n".encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
                    "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                writer.write(body)
                await writer.drain()
            # Only now: whoever waits for the answer closes the connection.
            if found is not None and not self._answer.done():
                self._answer.set_result(found)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whatever this was, it was not the answer; the login has its own deadline
        finally:
            self._writers.discard(writer)
            writer.close()

    def _judge(self, head: str) -> tuple[str, str, Mapping[str, str] | None]:
        lines = head.split("\r\n")
        request = lines[0].split(" ")
        hosts = [line.partition(":")[2].strip() for line in lines[1:] if line.lower().startswith("host:")]
        if len(request) != _PARTS or request[0] != "GET" or hosts != [self._authority]:
            return "400 Bad Request", "not understood", None
        parts = urlsplit(request[1])
        if parts.path != PATH or parts.netloc:
            return "404 Not Found", "nothing here", None
        try:
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True, max_num_fields=20)
        except ValueError:
            return "400 Bad Request", "not understood", None
        found = dict(pairs)
        if len(found) != len(pairs) or not secrets.compare_digest(
            found.get("state", "").encode(), self._state.encode()
        ):
            return "400 Bad Request", "this is not the login that was begun here", None
        return "200 OK", "the answer was received; close this page and return to the terminal", found
