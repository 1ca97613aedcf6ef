"""What waits for an HTTP/2 client that does not read: flow control holds it back, and mitmproxy keeps all of it.

Over HTTP/1.1 there is no need of one: there the sockets hold an upstream back.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections import defaultdict, deque
from typing import override

from mitmproxy.proxy.layers.http._http2 import Http2Server  # pyright: ignore[reportPrivateUsage]
from mitmproxy.proxy.layers.http._http_h2 import SendH2Data  # pyright: ignore[reportPrivateUsage]

UNREAD_BYTES = 64 << 20
"""What may wait for one client connection, of all its streams that have not ended upstream."""


class Waiting(deque[SendH2Data]):
    """Data of one stream that waits for its client, and how much it is."""

    size = 0

    @override
    def append(self, item: SendH2Data, /) -> None:
        self.size += len(item.data)
        super().append(item)

    @override
    def appendleft(self, item: SendH2Data, /) -> None:
        self.size += len(item.data)
        super().appendleft(item)

    @override
    def popleft(self) -> SendH2Data:
        item = super().popleft()
        self.size -= len(item.data)
        return item


def measure(layer: object) -> None:
    """Have what waits for a client counted from now on, given the lowest layer on its connection."""
    server = _server(layer)
    if server is not None:
        server.h2_conn.stream_buffers = defaultdict(Waiting)


def waiting(layer: object) -> dict[int, int]:
    """Return how many bytes wait for a client, by stream. Empty over HTTP/1, and while the client reads."""
    server = _server(layer)
    if server is None or not server.h2_conn.stream_buffers:
        return {}
    return {number: data.size for number, data in server.h2_conn.stream_buffers.items() if isinstance(data, Waiting)}


def _server(layer: object) -> Http2Server | None:
    layers = getattr(getattr(layer, "context", None), "layers", None)
    last = layers[-1] if layers else None
    return last if isinstance(last, Http2Server) else None
