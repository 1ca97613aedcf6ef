"""A hop that gives requests a bearer token, for programs that cannot: everything else goes through byte by byte.

It stands for the gateway's own address: where the client names the hop (`Host`, `Origin`) the gateway's name is put, so
that the gateway sees what it would see from a client that was given its URL. Any other name is left as it came.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from types import TracebackType
from urllib.parse import urlsplit

_NAMES = frozenset({b"host", b"origin"})
_PIECE = 65536


class BearerHop:
    """A hop on a port of its own, in a thread. A context manager."""

    def __init__(self, url: str, token: str) -> None:
        self._to = urlsplit(url)
        self._authorization = f"authorization: Bearer {token}\r\n".encode()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bearer-hop", daemon=True)
        self._port = 0
        self._links: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The gateway's URL with the hop in its place."""
        return f"http://127.0.0.1:{self._port}{self._to.path}"

    def __enter__(self) -> "BearerHop":
        self._thread.start()
        if not self._ready.wait(20):
            raise RuntimeError("the hop did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _link(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            gateway, to_gateway = await asyncio.open_connection(self._to.hostname, self._to.port)
            try:
                async with asyncio.TaskGroup() as both:
                    # Whichever side ends first ends the other: going away is how a client of 2026-07-28 cancels.
                    both.create_task(_then_stop(self._requests(client, to_gateway)))
                    both.create_task(_then_stop(_pump(gateway, to_client)))
            except* _LinkEnded:
                pass
            finally:
                to_gateway.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            to_client.close()
            self._links.discard(task)

    async def _requests(self, client: asyncio.StreamReader, to_gateway: asyncio.StreamWriter) -> None:
        while True:
            head = await client.readuntil(b"\r\n\r\n")
            line, *fields = head[:-4].split(b"\r\n")
            to_gateway.write(line + b"\r\n" + self._authorization)
            to_gateway.write(b"".join(f + b"\r\n" for f in self._renamed(fields)) + b"\r\n")
            await to_gateway.drain()
            await _body(client, to_gateway, fields)

    def _renamed(self, fields: list[bytes]) -> Iterator[bytes]:
        own = f"127.0.0.1:{self._port}".encode()
        for one in fields:
            name = one.partition(b":")[0].strip().lower()
            yield one.replace(own, self._to.netloc.encode()) if name in _NAMES else one


class _LinkEnded(Exception):  # noqa: N818  # no error: it takes the other direction down
    """One direction has ended."""


async def _then_stop(direction: Coroutine[None, None, None]) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        await direction
    raise _LinkEnded


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: list[bytes]) -> None:
    """Pass on the body that the fields of its head announce (RFC 9112 section 6.3)."""
    named = {n.strip().lower(): v.strip() for n, _, v in (f.partition(b":") for f in fields)}
    if named.get(b"transfer-encoding", b"").lower() == b"chunked":
        while True:
            size = await reader.readuntil(b"\r\n")
            writer.write(size + await reader.readexactly(int(size.split(b";")[0], 16) + 2))
            await writer.drain()
            if int(size.split(b";")[0], 16) == 0:
                return
    writer.write(await reader.readexactly(int(named.get(b"content-length", b"0"))))
    await writer.drain()
