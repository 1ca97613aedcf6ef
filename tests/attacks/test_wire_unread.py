"""Clients that ask and do not read: what waits for them is bounded."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.audit_trail import until_written
from tests.fakes.byte_upstream import RawRequest, answer, chunk
from tests.fakes.processes import Program
from tests.fakes.wire import Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T20")]

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
NOTICE = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"' + b"a" * 60_000 + b'"}}\n\n'
MOST = 384 << 20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("unread")) as world:
        world.start()
        yield world


class Flood:
    """Says the same without end, and counts how much of it was taken."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self.head, self.piece = head, piece
        self.taken = 0
        self.over = threading.Event()

    def __call__(self, connection: socket.socket, _request: RawRequest) -> None:
        connection.settimeout(3)
        try:
            connection.sendall(self.head)
            while self.taken < MOST:
                connection.sendall(self.piece)
                self.taken += len(self.piece)
                time.sleep(0.002)  # no faster than it is looked at
        except OSError:
            pass  # nobody takes more: the other side waits, or is gone
        finally:
            self.over.set()


def memory(gateway: Program | None) -> int:
    """Bytes that a gateway holds."""
    assert gateway is not None
    (line,) = [x for x in Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines() if x.startswith("VmRSS")]
    return int(line.split()[1]) << 10


@pytest.mark.parametrize("client", ["http1", "http2"])
def test_a_stream_that_its_client_does_not_read_fills_no_memory(world: WireWorld, client: str) -> None:
    flood = Flood(SSE, chunk(NOTICE))
    world.rawmcp.answers[client] = flood
    before = memory(world.gateway)
    if client == "http1":
        with Wire(world.reverse) as wire:
            wire.send(world.tool_call(client))
            assert flood.over.wait(60)
            assert memory(world.gateway) - before < 200 << 20
    else:
        with h2_connection(world.reverse_tls) as h2:
            body = world.tool_call(client).partition(b"\r\n\r\n")[2]
            stream = h2.ask(world.over_h2("/rawmcp", world.mcp()), body)
            assert flood.over.wait(60)
            assert memory(world.gateway) - before < 200 << 20
            got = h2.wait(stream)
            assert got.torn
            # The connection is whole.
            assert h2.wait(h2.ask(world.over_h2("/raw/sibling", world.plain(), "GET"))).status == 200
        until_written(world.var / "recordings", stage="Withheld", resource=f"tool {client}")
    assert flood.taken < MOST


def test_the_gateway_is_still_there(world: WireWorld) -> None:
    world.raw.answers["/fine"] = answer('{"ok":true}')
    with Wire(world.reverse) as wire:
        assert wire.ask(request("GET", "/raw/fine", world.plain()), "GET").status == 200
    assert world.gateway is not None
    assert "Traceback" not in world.gateway.output
