"""An upstream that costs next to nothing: fixed answers, whole requests looked for and nothing else read.

python -m tests.benchmarks.upstream PORT
"""

import asyncio
import sys

from tests.benchmarks.profiles import HTTP_ANSWER, MCP_ANSWER


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


_HTTP, _MCP = _answer(HTTP_ANSWER), _answer(MCP_ANSWER)


class Upstream(asyncio.Protocol):
    """One connection. Serves GET without a body, and POST with a `Content-Length`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            end += 4
            answer = _HTTP
            if buffer.startswith(b"POST"):
                head = buffer[:end].lower()
                at = head.index(b"content-length:") + 15
                end += int(head[at : head.index(b"\r\n", at)])
                answer = _MCP
            if len(buffer) < end:
                break
            buffer = buffer[end:]
            if self._transport is not None:
                self._transport.write(answer)
        self._buffer = buffer


async def serve(port: int) -> None:
    """Serve on loopback until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=512)
    sys.stdout.write("upstream: serving\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
