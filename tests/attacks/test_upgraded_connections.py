"""Upgraded connections against those who misuse them: at the head, in the middle, and from the side of the upstream."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest
import wsproto.events as ws
from tests.fakes.kube_tunnels import SpdyEnd
from tests.fakes.pod_world import Client, PodWorld
from tests.fakes.pods import Carrier, websocket_frame
from tests.fakes.wire import Wire, h2_connection, request

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SECRET = "AKIAIOSFODNN7EXAMPLE"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodWorld]:
    with PodWorld(tmp_path_factory.mktemp("pods")) as world:
        world.start()
        yield world


@pytest.fixture(autouse=True)
def well(world: PodWorld) -> None:
    world.pods.say, world.pods.head = None, lambda head: head
    world.pods.refuse.clear()


def websocket(*more: tuple[str, str], drop: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    fields = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"),
    ]
    changed = {name for name, _ in more}
    return [f for f in fields if f[0] not in changed and f[0] not in drop] + [f for f in more if f[1]]


def spdy(*more: tuple[str, str], drop: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    fields = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v4.channel.k8s.io")]
    changed = {name for name, _ in more}
    return [f for f in fields if f[0] not in changed and f[0] not in drop] + [f for f in more if f[1]]


EXEC = "/api/v1/namespaces/default/pods/web/exec?command=id&container=main&stdout=true&stderr=true"

HEADS = {
    "no-connection": ("GET", EXEC, websocket(drop=("Connection",))),
    "no-upgrade": ("GET", EXEC, websocket(drop=("Upgrade",))),
    "connection-names-another": ("GET", EXEC, websocket(("Connection", "Upgrade, X-Secret"))),
    "connection-twice": ("GET", EXEC, [*websocket(), ("Connection", "Upgrade")]),
    "connection-upgrade-twice": ("GET", EXEC, websocket(("Connection", "Upgrade, Upgrade"))),
    "two-upgrades": ("GET", EXEC, [*websocket(), ("Upgrade", "SPDY/3.1")]),
    "upgrade-list": ("GET", EXEC, websocket(("Upgrade", "h2c, websocket"))),
    "upgrade-list-after": ("GET", EXEC, websocket(("Upgrade", "websocket, h2c"))),
    "h2c": ("GET", EXEC, websocket(("Upgrade", "h2c"))),
    "h2c-settings": ("GET", EXEC, [*websocket(("Upgrade", "h2c")), ("HTTP2-Settings", "AAMAAABkAAQCAAAA")]),
    "tls": ("GET", EXEC, websocket(("Upgrade", "TLS/1.3"))),
    "spdy-2": ("POST", EXEC, spdy(("Upgrade", "SPDY/2"))),
    "underscore": ("GET", EXEC, websocket(("Up_grade", "x"), ("Upgrade", ""))),
    "websocket-by-post": ("POST", EXEC, websocket()),
    "websocket-by-put": ("PUT", EXEC, websocket()),
    "websocket-body": ("GET", EXEC, [*websocket(), ("Content-Length", "5")]),
    "websocket-chunked": ("GET", EXEC, [*websocket(), ("Transfer-Encoding", "chunked")]),
    "spdy-body": ("POST", EXEC, [*spdy(), ("Content-Length", "5")]),
    "expect": ("POST", EXEC, [*spdy(), ("Expect", "100-continue")]),
    "version-8": ("GET", EXEC, websocket(("Sec-WebSocket-Version", "8"))),
    "no-version": ("GET", EXEC, websocket(drop=("Sec-WebSocket-Version",))),
    "two-versions": ("GET", EXEC, [*websocket(), ("Sec-WebSocket-Version", "13")]),
    "no-key": ("GET", EXEC, websocket(drop=("Sec-WebSocket-Key",))),
    "short-key": ("GET", EXEC, websocket(("Sec-WebSocket-Key", "AAAA"))),
    "two-keys": ("GET", EXEC, [*websocket(), ("Sec-WebSocket-Key", KEY)]),
    "no-subprotocol": ("GET", EXEC, websocket(drop=("Sec-WebSocket-Protocol",))),
    "v1": ("GET", EXEC, websocket(("Sec-WebSocket-Protocol", "channel.k8s.io"))),
    "v3": ("GET", EXEC, websocket(("Sec-WebSocket-Protocol", "v3.channel.k8s.io"))),
    "base64": ("GET", EXEC, websocket(("Sec-WebSocket-Protocol", "v4.base64.channel.k8s.io"))),
    "bearer-alone": ("GET", EXEC, websocket(("Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.eHg"))),
    "portforward-on-exec": ("GET", EXEC, websocket(("Sec-WebSocket-Protocol", "SPDY/3.1+portforward.k8s.io"))),
    "spdy-v3": ("POST", EXEC, spdy(("X-Stream-Protocol-Version", "v3.channel.k8s.io"))),
    "spdy-none": ("POST", EXEC, spdy(drop=("X-Stream-Protocol-Version",))),
    "spdy-with-websocket-key": ("POST", EXEC, [*spdy(), ("Sec-WebSocket-Key", KEY)]),
    "not-an-exec": ("GET", "/api/v1/namespaces/default/pods/web", websocket()),
    "watch": ("GET", "/api/v1/pods?watch=true", websocket()),
    "proxy": ("GET", "/api/v1/namespaces/default/pods/web/proxy/exec", websocket()),
    "service": ("GET", "/api/v1/namespaces/default/services/web/exec", websocket()),
    "of-a-group": ("GET", "/apis/x.io/v1/namespaces/default/pods/web/exec?command=id", websocket()),
    "escaped": ("GET", EXEC.replace("exec?", "%65xec?"), websocket()),
    "slash": ("GET", EXEC.replace("exec?", "exec/?"), websocket()),
    "more-path": ("GET", EXEC.replace("exec?", "exec/x?"), websocket()),
}


@pytest.mark.threat("T46")
@pytest.mark.parametrize("name", HEADS)
def test_an_unclear_upgrade_reaches_nobody(world: PodWorld, name: str) -> None:
    method, path, fields = HEADS[name]
    before = len(world.pods.requests)
    with Wire(world.reverse) as wire:
        body = b"hello" if ("Content-Length", "5") in fields else b""
        body = b"0\r\n\r\n" if ("Transfer-Encoding", "chunked") in fields else body
        answer = wire.ask(request(method, f"/k8s/pods{path}", world.plain(*fields), length=False) + body, method)
    assert answer.status == 400, answer.text
    assert json.loads(answer.body)["kind"] == "Status"
    assert len(world.pods.requests) == before


@pytest.mark.threat("T46")
def test_an_upgrade_to_another_kind_of_target_reaches_nobody(world: PodWorld) -> None:
    with Wire(world.reverse) as wire:
        answer = wire.ask(request("GET", "/mcp/demo", world.plain(*websocket())), "GET")
    assert answer.status == 400


@pytest.mark.threat("T46")
def test_an_upgrade_over_http2_reaches_nobody(world: PodWorld) -> None:
    before = len(world.pods.requests)
    with h2_connection(world.reverse_tls) as wire:
        fields = [(n.lower(), v) for n, v in (*world.plain()[1:], *websocket(drop=("Connection",)))]
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", f"127.0.0.1:{world.reverse_tls}")]
        stream = wire.ask([*pseudo, (":path", f"/k8s/pods{EXEC}"), *fields])
        answer = wire.wait(stream)
    assert answer.status in (0, 400)
    assert len(world.pods.requests) == before


@pytest.mark.threat("T46")
def test_what_is_asked_upstream_is_what_was_understood(world: PodWorld) -> None:
    more = [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "WebSocket"),
        ("Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.eHg, v4.channel.k8s.io, v5.channel.k8s.io"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Keep-Alive", "timeout=5"),
    ]
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy=False)
        client.begin(request("GET", f"/k8s/pods{EXEC}", world.plain(*websocket(*more))))
        assert client.status == 101
        client.rest()
    seen = world.pods.opened[-1].request
    assert seen.header("connection") == ["Upgrade"]
    assert seen.header("upgrade") == ["websocket"]
    assert seen.header("sec-websocket-protocol") == ["v4.channel.k8s.io, v5.channel.k8s.io"]
    assert not seen.header("sec-websocket-extensions")
    assert not seen.header("keep-alive")
    assert seen.header("authorization") == ["Bearer upstream-token-of-the-notes-server"]


@pytest.mark.threat("T46")
@pytest.mark.parametrize("is_spdy", [False, True], ids=["websocket", "spdy"])
def test_early_data_is_never_passed_on(world: PodWorld, is_spdy: bool) -> None:
    head = world.spdy(EXEC) if is_spdy else world.websocket(EXEC)
    early = b"GET /api/v1/secrets HTTP/1.1\r\nHost: x\r\n\r\n"
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy).begin(head + early, streams=())
    assert client.status != 101
    for opened in world.pods.opened:
        assert b"secrets" not in opened.raw
    assert not [r for r in world.pods.requests if b"/api/v1/secrets" in r.head]


SWITCHES = {
    "accept-of-another": lambda h: h.replace(b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: A"),
    "no-accept": lambda h: h.replace(b"Sec-WebSocket-Accept", b"X-Accept"),
    "another-protocol": lambda h: h.replace(b"v5.channel.k8s.io", b"v4.base64.channel.k8s.io"),
    "not-offered": lambda h: h.replace(b"v5.channel.k8s.io", b"v4.channel.k8s.io"),
    "no-protocol": lambda h: h.replace(b"Sec-WebSocket-Protocol", b"X-Protocol"),
    "two-protocols": lambda h: h.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n"),
    "extensions": lambda h: h.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
    "another-upgrade": lambda h: h.replace(b"Upgrade: websocket", b"Upgrade: SPDY/3.1"),
    "no-upgrade": lambda h: h.replace(b"Upgrade: websocket\r\n", b""),
    "no-connection": lambda h: h.replace(b"Connection: Upgrade\r\n", b""),
    "length": lambda h: h.replace(b"\r\n\r\n", b"\r\nContent-Length: 7\r\n\r\n"),
    "chunked": lambda h: h.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "http-1.0": lambda h: h.replace(b"HTTP/1.1 101", b"HTTP/1.0 101"),
}


@pytest.mark.threat("T47")
@pytest.mark.parametrize("name", SWITCHES)
def test_an_upstream_that_switches_to_something_else_is_not_followed(world: PodWorld, name: str) -> None:
    world.pods.head = lambda head: SWITCHES[name](head) + websocket_frame(2, b"\x01" + SECRET.encode(), mask=None)
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy=False).begin(world.websocket(EXEC))
        assert client.status == 502
        shown = client.head + client.body
        wire.socket.settimeout(1)
        with contextlib.suppress(OSError):
            while more := wire.socket.recv(65536):
                shown += more
        assert SECRET.encode() not in shown


@pytest.mark.threat("T47")
def test_a_switch_that_nobody_asked_for_is_withheld_and_its_connection_not_used_again(world: PodWorld) -> None:
    world.pods.answers["/healthz"] = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nX"
    )
    with Wire(world.reverse) as wire:
        first = wire.ask(request("GET", "/k8s/pods/healthz", world.plain()), "GET")
        assert first.status == 502
    with Wire(world.reverse) as wire:
        assert wire.ask(request("GET", "/k8s/pods/version", world.plain()), "GET").status == 200


GARBAGE = {
    "unmasked": websocket_frame(2, b"\0x", mask=None),
    "rsv1": websocket_frame(2, b"\0x", first=0xC0),
    "rsv2": websocket_frame(2, b"\0x", first=0xA0),
    "opcode-3": websocket_frame(3, b"\0x"),
    "continuation-of-nothing": websocket_frame(0, b"\0x"),
    "long-ping": websocket_frame(9, b"x" * 126),
    "fragmented-ping": websocket_frame(9, b"x", first=0),
    "unknown-channel": websocket_frame(2, b"\x09x"),
    "writes-stdout": websocket_frame(2, b"\x01x"),
    "closes-stdout": websocket_frame(2, b"\xff\x01"),
    "close-of-one-byte": websocket_frame(8, b"x"),
    "oversized": b"\x82\xff" + (1 << 40).to_bytes(8) + b"\1\2\3\4" + b"x" * (9 << 20),
    "length-with-top-bit": b"\x82\xff" + (1 << 63).to_bytes(8) + b"\1\2\3\4" + b"x" * 100,
    "spdy": SpdyEnd().syn_stream(1, {"streamtype": "stdin"}),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.threat("T48")
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_from_the_client_of_a_websocket_ends_it_and_is_not_passed_on(world: PodWorld, name: str) -> None:
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy=False)
        client.begin(world.websocket(world.path("exec", "default", "cat", stdin=True)))
        client.say("stdin", b"before\n")
        client.until(lambda: client.text("stdout") == "before\n")
        with contextlib.suppress(OSError):
            wire.send(GARBAGE[name])
        client.rest()
    assert client.close_code is not None or client.closed
    opened = world.pods.opened[-1]
    assert opened.gone.wait(10)
    assert bytes(opened.heard["stdin"]) == b"before\n"
    assert world.ended(client.refusal)["stage"] == "Failed"


@pytest.mark.threat("T48")
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(lambda e: e.data(99, b"x"), id="stream-of-nobody"),
        pytest.param(lambda e: e.syn_stream(2, {"streamtype": "stdin"}), id="even-stream"),
        pytest.param(lambda e: e.syn_stream(21, {"streamtype": "shell"}), id="unknown-stream"),
        pytest.param(lambda e: e.syn_stream(21, {"streamtype": "error"}), id="second-error"),
        pytest.param(lambda e: e.control(1, b"\0" * 4), id="short-syn"),
        pytest.param(lambda e: e.control(99, b""), id="unknown-kind"),
        pytest.param(lambda e: e.control(6, b"\0\0\0\1", version=2), id="version-2"),
        pytest.param(lambda _: b"\0\0\0\1\2\0\0\1x", id="compressed-data"),
        pytest.param(lambda _: b"\0\0\0\1\0\xff\xff\xff" + b"x" * 1000, id="oversized"),
        pytest.param(lambda e: e.control(1, b"\0\0\0\x15\0\0\0\0\0\0junk"), id="no-zlib"),
        pytest.param(lambda _: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="http"),
    ],
)
def test_garbage_from_the_client_of_spdy_ends_it_and_is_not_passed_on(world: PodWorld, frame: object) -> None:
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy=True)
        client.begin(
            world.spdy(world.path("exec", "default", "cat", stdin=True)), streams=("error", "stdin", "stdout", "stderr")
        )
        client.say("stdin", b"before\n")
        client.until(lambda: client.text("stdout") == "before\n")
        passed = bytes(world.pods.opened[-1].raw)
        wire.send(frame(client.end))  # type: ignore[operator]
        client.rest()
    opened = world.pods.opened[-1]
    assert opened.gone.wait(10)
    # What follows is the gateway's own: streams reset, and a goodbye.
    rest = bytes(opened.raw)[len(passed) :]
    assert all(rest[i : i + 2] == b"\x80\x03" for i in range(0, len(rest), 16))
    assert b"GET /" not in rest


@pytest.mark.threat("T48")
@pytest.mark.parametrize("is_spdy", [False, True], ids=["websocket", "spdy"])
def test_garbage_from_the_upstream_ends_it_and_is_not_shown(world: PodWorld, is_spdy: bool) -> None:
    def babble(carrier: Carrier) -> None:
        if is_spdy:
            carrier.wait_for({"error", "stdout", "stderr"})  # type: ignore[attr-defined]
        carrier.send("stdout", b"before\n")
        carrier.write(b"HTTP/1.1 200 OK\r\n\r\n" + SECRET.encode() * 100)
        carrier.opened.gone.wait(10)

    world.pods.say = babble
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy).begin(world.spdy(EXEC) if is_spdy else world.websocket(EXEC))
        client.rest()
    # What came in one piece with it may be lost with it.
    assert client.text("stdout") in ("", "before\n")
    assert SECRET not in client.text("stderr") + client.text("error")
    assert client.outcome["status"] == "Failure"
    assert "holdpoint" in client.text("stderr")


@pytest.mark.threat("T49")
@pytest.mark.parametrize("is_spdy", [False, True], ids=["websocket", "spdy"])
def test_a_secret_is_masked_however_it_is_cut(world: PodWorld, is_spdy: bool) -> None:
    def piecemeal(carrier: Carrier) -> None:
        if is_spdy:
            carrier.wait_for({"error", "stdout", "stderr"})  # type: ignore[attr-defined]
        for piece in (b"key " + SECRET[:5].encode(), SECRET[5:].encode() + b" end\n"):
            carrier.send("stdout", piece)
        carrier.send("error", b'{"metadata":{},"status":"Success"}', final=True)
        for stream in ("stdout", "stderr"):
            if is_spdy:
                carrier.send(stream, b"", final=True)
        carrier.bye()

    world.pods.say = piecemeal
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy).begin(world.spdy(EXEC) if is_spdy else world.websocket(EXEC))
        client.rest()
    assert SECRET not in client.text("stdout")
    assert client.text("stdout").startswith("key ")
    assert client.text("stdout").endswith(" end\n")


@pytest.mark.threat("T47")
def test_a_websocket_that_is_cut_at_every_byte_says_the_same(world: PodWorld) -> None:
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy=False)
        client.begin(world.websocket(world.path("exec", "default", "cat", stdin=True)))
        said = websocket_frame(2, b"\0ab", first=0) + websocket_frame(9, b"ping") + websocket_frame(0, b"cd\n")
        for byte in said + websocket_frame(2, b"\xff\x00"):
            wire.send(bytes((byte,)))
        client.rest()
    assert client.text("stdout") == "abcd\n"
    assert client.pongs == [b"ping"]
    assert client.outcome["status"] == "Success"


def test_a_bound_is_kept_where_the_client_does_not_read(world: PodWorld) -> None:
    sent = threading.Event()

    def flood(carrier: Carrier) -> None:
        for _ in range(3000):
            carrier.send("stdout", b"x" * 32768)
            if carrier.opened.gone.is_set():
                return
        sent.set()

    world.pods.say = flood
    with Wire(world.reverse) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client = Client(wire, is_spdy=False).begin(world.websocket(EXEC))
        assert client.status == 101
        # The sockets on the way hold some megabytes, and the gateway not the rest.
        assert not sent.wait(3)
        wire.socket.close()
    assert world.pods.opened[-1].gone.wait(10)


def test_a_close_is_answered_end_to_end(world: PodWorld) -> None:
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy=False)
        client.begin(world.websocket(world.path("attach", "default", stdin=True)))
        wire.send(client.socket.send(ws.CloseConnection(1000)))
        client.rest()
    assert client.close_code == 1000
