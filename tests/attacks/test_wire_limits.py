"""What of a clear request reaches its upstream, how large it may be, and what ends one that goes on for ever."""

import json
import socket
from collections.abc import Iterator

import pytest
from tests.fakes.byte_upstream import answer
from tests.fakes.wire import Answer, Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld
from tests.fakes.world import UPSTREAM_TOKEN, call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T02"), pytest.mark.threat("T12"), pytest.mark.threat("T20")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("limits")) as world:
        world.start()
        yield world


JSON = ("Content-Type", "application/json")


# What reaches an upstream that is allowed to

STRIPPED = [
    ("Cookie", "session=1"),
    ("Proxy-Authorization", "Basic x"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X_Forwarded_For", "10.0.0.1"),
    ("X-FORWARDED_Host", "evil"),
    ("Forwarded", "for=10.0.0.1"),
    ("Via", "1.1 x"),
    ("X-Real-IP", "10.0.0.1"),
    ("X_Real_IP", "10.0.0.1"),
    ("Impersonate-User", "root"),
    ("Impersonate_User", "root"),
    ("Impersonate-Extra-scopes", "x"),
    ("X-Remote-User", "root"),
    ("X_Remote_Group", "root"),
    ("Remote-User", "root"),
    ("X-Original-URL", "/admin"),
    ("X_Original_URL", "/admin"),
    ("X-Rewrite-URL", "/admin"),
    ("X-Client-IP", "10.0.0.1"),
    ("True-Client-IP", "10.0.0.1"),
    ("CF-Connecting-IP", "10.0.0.1"),
    ("X-Envoy-Original-Path", "/admin"),
    ("X-SSL-Client-Verify", "SUCCESS"),
    ("SSL-Client-Cert", "x"),
    ("X-Client-Cert", "x"),
    ("Range", "bytes=0-8"),
    ("If-Range", "x"),
    ("TE", "gzip"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Connection", "keep-alive"),
    ("X-Api-Key", "mine"),
    ("X_Api_Key", "mine"),
    ("Transfer_Encoding", "chunked"),
    ("Accept_Encoding", "gzip"),
]


def test_what_the_caller_says_of_itself_does_not_reach_the_upstream(world: WireWorld) -> None:
    with Wire(world.reverse) as wire:
        assert wire.ask(request("GET", "/raw/stripped", world.plain(*STRIPPED))).status == 200
    with h2_connection(world.reverse_tls) as wire2:
        lower = [(n.lower(), v) for n, v in STRIPPED if n.lower() not in ("te", "keep-alive", "proxy-connection")]
        assert wire2.wait(wire2.ask([*world.over_h2("/raw/stripped", world.plain(), "GET"), *lower])).status == 200
    for sent in world.raw.seen("/stripped"):
        assert sent.header("x-api-key") == [UPSTREAM_TOKEN]
        assert sent.header("accept-encoding") == ["identity"]
        assert sent.header("host") == [f"127.0.0.1:{world.raw.port}"]
        assert sent.header("authorization") == []
        names = {line.partition(b":")[0].decode().lower() for line in sent.lines}
        assert names <= {"host", "accept-encoding", "x-api-key", "content-length"}


def test_a_header_that_the_caller_declares_hop_by_hop_is_no_way_to_drop_one(world: WireWorld) -> None:
    with Wire(world.reverse) as wire:
        got = wire.ask(
            request("GET", "/raw/hop", world.plain(("Connection", "keep-alive, X-Api-Key, X-A"), ("X-A", "1")))
        )
    if got.status == 200:
        assert world.raw.seen("/hop")[-1].header("connection") in ([], ["keep-alive"])


def test_a_token_never_reaches_an_mcp_upstream(world: WireWorld) -> None:
    assert world.tool("plain").status == 200
    sent = world.rawmcp.seen("plain")[-1]
    assert sent.header("authorization") == [f"Bearer {UPSTREAM_TOKEN}"]
    assert world.token()[:20].encode() not in sent.head + sent.body


@pytest.mark.parametrize("header", ["Mcp-Name", "Mcp_Name", "MCP_NAME", "Mcp_Method", "Mcp-Method"])
def test_an_mcp_header_that_disagrees_with_its_body_is_refused(world: WireWorld, header: str) -> None:
    before = world.reached()
    more = [("Mcp-Method", "tools/call"), ("Mcp-Name", "plain")] if header in ("Mcp_Name", "MCP_NAME") else []
    body = json.dumps(call("other")).encode()
    headers = [h for h in world.mcp(*more, (header, "plain")) if h[0] != "MCP-Protocol-Version"]
    with Wire(world.reverse) as wire:
        got = wire.ask(request("POST", "/rawmcp", [*headers, ("MCP-Protocol-Version", "2026-07-28")], body))
    assert got.status == 400
    assert got.json["error"]["code"] < 0
    assert world.reached() == before


# Sizes


def big(world: WireWorld, path: str, size: int) -> bytes:
    body = b'{"a":"' + b"a" * size + b'"}'
    return request("POST", path, world.mcp(), body)


@pytest.mark.parametrize("size", [70_000, 9 << 20])
@pytest.mark.parametrize("path", ["/raw/big", "/rawmcp"])
def test_a_body_over_the_limit_is_refused_in_the_protocols_own_shape(world: WireWorld, path: str, size: int) -> None:
    before = world.reached()
    with Wire(world.reverse) as wire:
        got = wire.ask(big(world, path, size))
    assert got.status == 413, got
    check_too_large(got, path)
    assert world.reached() == before


@pytest.mark.parametrize("size", [70_000, 9 << 20])
@pytest.mark.parametrize("path", ["/raw/big", "/rawmcp"])
def test_so_is_one_that_was_not_announced(world: WireWorld, path: str, size: int) -> None:
    before = world.reached()
    pieces = b"".join(b"%x\r\n%s\r\n" % (4096, b"a" * 4096) for _ in range(size // 4096 + 1))
    with Wire(world.reverse) as wire:
        got = wire.ask(
            request("POST", path, world.mcp(("Transfer-Encoding", "chunked")), pieces + b"0\r\n\r\n", length=False)
        )
    assert got.status == 413, got
    check_too_large(got, path)
    assert world.reached() == before


@pytest.mark.parametrize("path", ["/raw/big", "/rawmcp"])
def test_and_one_over_http2(world: WireWorld, path: str) -> None:
    before = world.reached()
    with h2_connection(world.reverse_tls) as wire:
        stream = wire.ask(world.over_h2(path, world.mcp()), b"a" * 65_000, end=False)
        while stream not in wire.ended and stream not in wire.reset:
            if wire.state.local_flow_control_window(stream) >= 16_000:
                wire.state.send_data(stream, b"a" * 16_000)
                wire.flush()
            wire.pump()
        got = wire.answers[stream]
        assert got.status == 413
        check_too_large(got, path)
        assert wire.wait(wire.ask(world.over_h2("/raw/after", world.plain(), "GET"))).status == 200
    assert world.raw.seen("/after")
    assert world.reached() == before + 1


def check_too_large(got: Answer, path: str) -> None:
    if path == "/rawmcp":
        assert got.json["error"]["data"]["kind"] == "too_large"
    else:
        assert got.json["kind"] == "too_large"


def test_who_is_not_known_is_told_so_before_the_size(world: WireWorld) -> None:
    with Wire(world.reverse) as wire:
        got = wire.ask(request("POST", "/rawmcp", [*world.plain()[:1], JSON], b"a" * (9 << 20)))
    assert got.status in (401, 413)
    assert got.json["error"]["data"]["kind"] in ("unauthenticated", "too_large")


def test_an_expected_continue_is_given_to_what_may_come_only(world: WireWorld) -> None:
    expect = ("Expect", "100-continue")
    with Wire(world.reverse) as wire:
        wire.send(request("POST", "/raw/go", world.plain(JSON, expect, ("Content-Length", "2")), length=False))
        assert wire.socket.recv(100).startswith(b"HTTP/1.1 100 ")
        assert wire.ask(b"{}").status == 200
    assert world.raw.seen("/go")[-1].header("expect") == []
    with Wire(world.reverse) as wire:
        said = request("POST", "/rawmcp", world.mcp(expect, ("Content-Length", "70000")), length=False)
        got = wire.ask(said)
        assert got.status == 413
        check_too_large(got, "/rawmcp")
    stranger = [*world.mcp(expect, ("Content-Length", "2"))]
    del stranger[1]
    with Wire(world.reverse) as wire:
        assert wire.ask(request("POST", "/rawmcp", stranger, length=False)).status == 401


def test_an_upstream_that_fails_after_a_continue_is_still_told_of(world: WireWorld) -> None:
    world.raw.answers["/gone"] = lambda connection, _request: connection.close()
    expect = ("Expect", "100-continue")
    with Wire(world.reverse) as wire:
        wire.send(request("POST", "/raw/gone", world.plain(JSON, expect, ("Content-Length", "2")), length=False))
        got = wire.ask(b"{}")
    assert got.status == 502
    assert got.json["kind"] == "upstream"


def test_a_head_without_end_is_cut(world: WireWorld) -> None:
    with Wire(world.reverse, timeout=10) as wire:
        try:
            wire.send(b"GET /raw/x HTTP/1.1\r\n")
            for _ in range(6):
                wire.send(b"X-A: " + b"a" * 65536 + b"\r\n")
        except OSError:
            return
        got = wire.read("GET")
    assert got.status == 431
    assert got.json["kind"] == "bad_request"


def test_a_chunk_size_without_end_is_cut(world: WireWorld) -> None:
    with Wire(world.reverse, timeout=10) as wire:
        try:
            wire.send(request("POST", "/raw/x", world.plain(JSON, ("Transfer-Encoding", "chunked")), length=False))
            for _ in range(6):
                wire.send(b"0" * 65536)
        except OSError:
            return
        assert not wire.read("POST").timed_out


def test_a_large_head_is_refused(world: WireWorld) -> None:
    before = world.reached()
    got = world.get("/raw/x", *[(f"X-{n}", "a" * 8000) for n in range(60)])
    assert got.status in (0, 400, 431)
    assert not got.timed_out
    assert world.reached() == before


def test_a_body_that_comes_byte_by_byte_arrives_whole(world: WireWorld) -> None:
    said = request("POST", "/raw/slow", world.plain(JSON), b'{"slow":"body"}')
    with Wire(world.reverse) as wire:
        for n in range(len(said)):
            wire.send(said[n : n + 1])
        assert wire.read().status == 200
    assert world.raw.seen("/slow")[-1].body == b'{"slow":"body"}'


def test_of_pipelined_requests_each_is_decided(world: WireWorld) -> None:
    world.raw.answers["/first"] = answer('{"n":1}', "application/json", "Connection: keep-alive")
    said = [request("GET", f"/raw/{p}", world.plain()) for p in ("first", "admin", "third")]
    anonymous = request("GET", "/raw/fourth", world.plain()[:1])
    with Wire(world.reverse) as wire:
        wire.send(b"".join([*said[:2], anonymous, said[2]]))
        assert [wire.read("GET").status for _ in range(4)] == [200, 403, 401, 200]
    assert not world.raw.seen("/admin")
    assert not world.raw.seen("/fourth")


def test_what_follows_a_body_is_the_next_request(world: WireWorld) -> None:
    inner = request("GET", "/raw/smuggled", world.plain()[:1])
    with Wire(world.reverse) as wire:
        wire.send(request("POST", "/raw/outer", world.plain(JSON), b"{}") + inner)
        first = wire.read()
        rest = wire.read("GET")
    assert first.status == 200
    assert rest.status in (0, 401)
    assert not world.raw.seen("/smuggled")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_head_and_options_are_answered_and_leave_the_connection_whole(world: WireWorld, method: str) -> None:
    key = f"/{method.lower()}"
    body = "" if method == "HEAD" else '{"password":"hunter2-hunter2"}'
    world.raw.answers[key] = answer(body, "application/json", "Connection: keep-alive")
    with Wire(world.reverse) as wire:
        got = wire.ask(request(method, f"/raw{key}", world.plain()), method)
        assert got.status == 200
        assert b"hunter2" not in got.body
        refused = wire.ask(request(method, "/nowhere", world.plain()), method)
        assert refused.status == 404
        assert wire.ask(request("GET", "/raw/after-head", world.plain())).status == 200


MCP_BODIES = {
    "duplicate-keys": b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}',
    "nan": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}',
    "deep": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 100 + b"1" + b"}" * 101,
    "bad-utf-8": b'{"jsonrpc":"2.0","id":1,"method":"ping\xff"}',
    "bom": b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
    "batch": b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
    "two-documents": b'{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}',
    "empty": b"",
    "surrogate": b'{"jsonrpc":"2.0","id":1,"method":"ping\\ud800"}',
    "look-alike": b'{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}',
}


@pytest.mark.parametrize("name", MCP_BODIES)
def test_a_message_that_can_be_read_in_two_ways_reaches_no_upstream(world: WireWorld, name: str) -> None:
    before = world.reached()
    with Wire(world.reverse) as wire:
        got = wire.ask(request("POST", "/rawmcp", world.mcp(), MCP_BODIES[name]))
    assert got.status in (200, 400)
    assert got.json["error"]["code"]
    assert world.reached() == before


def test_a_client_that_leaves_in_the_middle_of_a_body_sends_nothing_on(world: WireWorld) -> None:
    before = world.reached()
    for how in (socket.SHUT_WR, socket.SHUT_RDWR):
        with Wire(world.reverse) as wire:
            wire.send(request("POST", "/raw/cut", world.plain(JSON, ("Content-Length", "500")), b"{}", length=False))
            wire.socket.shutdown(how)
            if how == socket.SHUT_WR:
                wire.rest()
    with h2_connection(world.reverse_tls) as h2_wire:
        stream = h2_wire.ask(world.over_h2("/raw/cut", world.plain(JSON)), b"{}", end=False)
        h2_wire.state.reset_stream(stream)
        h2_wire.flush()
        assert h2_wire.wait(h2_wire.ask(world.over_h2("/nowhere", world.plain(), "GET"))).status == 404
    assert world.reached() == before


def test_the_gateway_came_through_it_all(world: WireWorld) -> None:
    assert world.gateway is not None
    assert "has crashed" not in world.gateway.output
    assert "Traceback" not in world.gateway.output
    assert world.get("/raw/last").status == 200
    forwarded = [e for e in world.audited() if e["stage"] == "Forwarded"]
    assert len(forwarded) == world.reached(), "what reached an upstream and what was written down differ"
