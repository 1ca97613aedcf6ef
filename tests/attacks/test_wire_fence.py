"""The last line: whatever went wrong before it, no request leaves without its pass; and nothing is left of a flow."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import http
from tests.fakes.byte_upstream import Trickle, answer, chunk
from tests.fakes.saboteur import SabotagedGateway
from tests.fakes.wire import Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld
from tests.fakes.world import UPSTREAM_TOKEN

from holdpoint.passes import Pass

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("fence")) as world:
        yield world


@pytest.fixture(scope="module")
def running(world: WireWorld) -> Iterator[SabotagedGateway]:
    patch = pytest.MonkeyPatch()
    patch.setenv("NOTES_TOKEN", UPSTREAM_TOKEN)
    try:
        with SabotagedGateway(world.settings_file) as running:
            yield running
    finally:
        patch.undo()


@pytest.fixture
def gateway(running: SabotagedGateway) -> Any:
    return running.gateway


def forgets(_flow: http.HTTPFlow, _permission: Pass) -> Pass | None:
    return None


def leads_elsewhere(_flow: http.HTTPFlow, permission: Pass) -> Pass | None:
    return Pass(("127.0.0.1", permission.address[1] + 1), permission.headers)


def is_spent(_flow: http.HTTPFlow, permission: Pass) -> Pass | None:
    return Pass(permission.address, permission.headers, sent=True)


def is_revoked(_flow: http.HTTPFlow, permission: Pass) -> Pass | None:
    return Pass(permission.address, permission.headers, revoked=True)


def request_led_astray(flow: http.HTTPFlow, permission: Pass) -> Pass | None:
    flow.request.host = "localhost"
    return permission


@pytest.mark.parametrize("change", [forgets, leads_elsewhere, is_spent, is_revoked, request_led_astray])
@pytest.mark.parametrize("client", ["http1", "http2"])
def test_no_request_leaves_without_a_pass_of_its_own(
    world: WireWorld, gateway: Any, monkeypatch: pytest.MonkeyPatch, change: Any, client: str
) -> None:
    admit = gateway.wire.admit

    def sabotaged(flow: http.HTTPFlow, permission: Pass) -> None:
        if (changed := change(flow, permission)) is not None:
            admit(flow, changed)

    monkeypatch.setattr(gateway.wire, "admit", sabotaged)
    before = len(world.raw.requests)
    if client == "http2":
        with h2_connection(world.reverse_tls) as wire:
            got = wire.wait(wire.ask(world.over_h2("/raw/fenced", world.plain(), "GET")))
    else:
        got = world.get("/raw/fenced")
    assert got.status in (502, 503)
    assert got.json["kind"] in ("fault", "upstream")
    assert len(world.raw.requests) == before
    monkeypatch.undo()
    assert world.get("/raw/fine").status == 200


def test_of_flows_that_ended_nothing_is_left(world: WireWorld, gateway: Any) -> None:
    sse = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    head = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    world.raw.answers |= {
        "/withheld": answer("x", "application/octet-stream"),
        "/mute": Trickle([head], stay=True),
        "/switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "/broken-stream": Trickle([sse, chunk(b"data: {\n\n")], stay=True),
        "/cut-stream": Trickle([sse, chunk(b"data: 1\n\n")]),
        "/trailers": Trickle([sse, b"0\r\nA: b\r\n\r\n"], stay=True),
        "/large": answer("a" * (2 << 20), "text/plain"),
        "/gone": lambda connection, _request: connection.close(),
    }
    paths = ["/nowhere", "/raw/admin", "/raw/fine", *(f"/raw{path}" for path in world.raw.answers)]
    for path in paths:
        world.get(path)
    with h2_connection(world.reverse_tls) as wire:
        for path in paths:
            wire.wait(wire.ask(world.over_h2(path, world.plain(), "GET")))
        stream = wire.ask(world.over_h2("/raw/fine", world.plain()), b"a", end=False)
        wire.state.reset_stream(stream)
        wire.flush()
    chunked = ("Transfer-Encoding", "chunked")
    for said in (
        request("POST", "/raw/x", world.plain(("Content-Length", "3"), chunked), length=False),
        request("POST", "/raw/x", world.plain(chunked), b"0\r\nA: b\r\n\r\n", length=False),
        request("POST", "/raw/x", world.plain(("Content-Length", "99999999")), length=False),
        request("POST", "/raw/x", world.plain(("Content-Length", "10")), b"cut", length=False),
        b"GET /raw/x HTTP/1.1\r\n",
        f"CONNECT 127.0.0.1:{world.raw.port} HTTP/1.1\r\n\r\n".encode(),
    ):
        for listener in (world.reverse, world.forward):
            with Wire(listener) as raw, contextlib.suppress(OSError):
                raw.send(said)
                raw.socket.settimeout(0.2)
                raw.socket.recv(4096)
    # The last of them may still be ending: one more round trip for each listener, and a bounded look.
    for _ in range(100):
        assert world.get("/nowhere").status == 404
        if not len(gateway.exchanges) and not gateway.wire._passes:
            break
    assert len(gateway.exchanges) == 0, list(gateway.exchanges._by_flow.values())
    assert not gateway.wire._passes
