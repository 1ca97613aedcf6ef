"""Upstreams that answer badly, or to harm: nothing unmasked comes back, and the caller is never left hanging."""

import gzip
import socket
import time
import zlib
from collections.abc import Callable, Iterator

import h2.connection
import pytest
from tests.fakes.byte_upstream import RawRequest, Trickle, answer, chunk
from tests.fakes.wire import Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld
from tests.fakes.world import UPSTREAM_TOKEN

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T07"), pytest.mark.threat("T10"), pytest.mark.threat("T20")]

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = f'{{"password":"hunter2-hunter2","key":"{KEY}"}}'
SHOWS = ("hunter2", KEY)
SSE = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("answers")) as world:
        world.start()
        yield world


def result(text: str, request_id: int = 1) -> str:
    """An MCP answer with this text."""
    return f'{{"jsonrpc":"2.0","id":{request_id},"result":{{"content":[{{"type":"text","text":{text!r}}}]}}}}'.replace(
        "'", '"'
    )


def close_early(connection: socket.socket, _request: RawRequest) -> None:
    connection.close()


def reset(connection: socket.socket, _request: RawRequest) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


HOSTILE = {
    "early-close": close_early,
    "reset": reset,
    "half-a-head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "no-http": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "http-0.9": SECRET.encode(),
    "short-of-its-length": answer(SECRET).replace(b"Content-Length: ", b"Content-Length: 9"),
    "two-lengths": answer(SECRET, "application/json", "Content-Length: 5"),
    "length-and-chunked": answer(SECRET, "application/json", "Transfer-Encoding: chunked"),
    "bad-length": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: +5\r\n\r\n" + SECRET.encode(),
    "bad-chunk": f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{CHUNKED}zz\r\n{SECRET}\r\n".encode(),
    "cut-in-a-chunk": f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{CHUNKED}ff\r\n{SECRET}".encode(),
    "trailers": f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{CHUNKED}".encode()
    + chunk(b'{"a":1}')
    + f"0\r\nX-Secret: {KEY}\r\n\r\n".encode(),
    "unknown-coding": answer(SECRET, "text/plain", "Content-Encoding: br"),
    "two-codings": answer(
        gzip.compress(SECRET.encode()), "text/plain", "Content-Encoding: identity", "Content-Encoding: gzip"
    ),
    "gzip-as-plain": answer(gzip.compress(SECRET.encode()), "text/plain"),
    "gzip-transfer": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    + chunk(gzip.compress(SECRET.encode()))
    + b"0\r\n\r\n",
    "identity-transfer": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: gzip\r\n\r\n"
    + SECRET.encode(),
    "gzip-bomb": answer(gzip.compress(b"a" * (40 << 20)), "text/plain", "Content-Encoding: gzip"),
    "deflate-bomb": answer(zlib.compress(b"a" * (40 << 20)), "text/plain", "Content-Encoding: deflate"),
    "gzip-cut": answer(gzip.compress(SECRET.encode())[:-4], "text/plain", "Content-Encoding: gzip"),
    "gzip-twice": answer(
        gzip.compress(b"{}") + gzip.compress(SECRET.encode()), "application/json", "Content-Encoding: gzip"
    ),
    "too-large": answer("a" * (2 << 20), "text/plain"),
    "too-large-unannounced": answer("a" * (2 << 20), "text/plain", length=False),
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    + SECRET.encode(),
    "switching-raw": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\n\r\n" + SECRET.encode(),
    "hints-without-an-end": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nX: " + SECRET.encode(),
    "hints-alone": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    "status-600": answer(SECRET, status="600 What"),
    "status-99": answer(SECRET, status="099 What"),
    "two-lengths-alike": answer(SECRET, "application/json", f"Content-Length: {len(SECRET)}"),
    "two-types": answer(SECRET, "application/json", "Content-Type: application/octet-stream"),
    "no-type": b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + b'{"a":"secret"}'[:13],
    "binary": answer(SECRET, "application/octet-stream"),
    "utf-16": answer(SECRET.encode("utf-16"), "application/json; charset=utf-16"),
    "utf-7": answer(SECRET, "text/plain; charset=utf-7"),
    "duplicate-keys": answer('{"password":"a","password":"hunter2-hunter2"}'),
    "nan": answer(f'{{"a":NaN,"password":"{KEY}"}}'),
    "deep": answer("[" * 5000 + "]" * 5000),
    "partial": answer("AKIAIOSFO", "text/plain", "Content-Range: bytes 0-8/20", status="206 Partial Content"),
    "unauthorized": answer(SECRET, status="401 Unauthorized"),
    "push-type": answer("--x\r\n\r\nhunter2\r\n", 'multipart/x-mixed-replace; boundary="x"'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_answer_that_cannot_be_looked_at_becomes_a_refusal(world: WireWorld, name: str) -> None:
    world.raw.answers[f"/{name}"] = HOSTILE[name]
    got = world.get(f"/raw/{name}")
    assert got.status == 502, got
    assert got.header("content-type") == "application/problem+json"
    assert got.json["kind"] in ("upstream", "withheld")
    assert not any(s in got.text for s in SHOWS), got.text
    assert "mitmproxy" not in got.text


@pytest.mark.parametrize("name", HOSTILE)
def test_over_http2_it_becomes_the_same_refusal(world: WireWorld, name: str) -> None:
    world.raw.answers[f"/{name}"] = HOSTILE[name]
    with h2_connection(world.reverse_tls) as wire:
        got = wire.wait(wire.ask(world.over_h2(f"/raw/{name}", world.plain(), "GET")))
    assert got.status == 502, got
    assert got.json["kind"] in ("upstream", "withheld")
    assert not any(s in got.text for s in SHOWS), got.text


@pytest.mark.parametrize(
    "name", ["early-close", "trailers", "switching", "too-large", "bad-chunk", "two-lengths", "deep"]
)
def test_an_mcp_caller_reads_it_as_json_rpc(world: WireWorld, name: str) -> None:
    world.rawmcp.answers[name] = HOSTILE[name]
    got = world.tool(name)
    assert got.status == 200, got  # a legacy client reads nothing else
    assert got.json["id"] == 1
    assert got.json["error"]["data"]["kind"] in ("upstream", "withheld")


MASKED = {
    "early-hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(SECRET),
    "hints-in-pieces": Trickle(
        [b"HTTP/1.1 100 Continue\r\n\r", b"\nHTTP/1.1 10", b"3 Early Hints\n\n" + answer(SECRET)]
    ),
    "json": answer(SECRET),
    "json-chunked": f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{CHUNKED}".encode()
    + b"".join(chunk(bytes([b])) for b in SECRET.encode())
    + b"0\r\n\r\n",
    "gzip": answer(gzip.compress(SECRET.encode()), "application/json", "Content-Encoding: gzip"),
    "http-1.0": answer(SECRET, length=False).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "until-the-end": answer(SECRET, length=False),
    "an-error": answer(SECRET, status="500 Internal Server Error"),
    "in-a-header": answer(
        "{}", "application/json", f"X-Note: {KEY}", f"Location: https://x/?k={KEY}", status="302 Found"
    ),
    "in-the-reason": answer("{}", status=f"200 {KEY}"),
    "in-a-cookie": answer("{}", "application/json", "Set-Cookie: session=hunter2-hunter2; HttpOnly"),
    "folded": answer("{}", "application/json", f"X-Note: a\r\n {KEY}"),
    "sse-1.0": (SSE.replace("1.1", "1.0") + f"\r\ndata: {SECRET}\n\n").encode(),
    "sse-by-byte": (SSE + CHUNKED).encode()
    + b"".join(chunk(bytes([b])) for b in f"event: a\ndata: {SECRET}\n\n".encode())
    + b"0\r\n\r\n",
    "sse-cr": (SSE + f"\r\n: {KEY}\rid: {KEY}\revent: {KEY}\rdata: {SECRET}\r\r").encode(),
    "sse-with-length": (SSE + f"Content-Length: {len(SECRET) + 8}\r\n\r\ndata: {SECRET}\n\n").encode(),
    "sse-lines": (SSE + f'\r\ndata: {{"password":\ndata: "hunter2-hunter2"}}\n\ndata: {KEY}\n\n').encode(),
}


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("h2", [False, True], ids=["http1", "http2"])
def test_a_good_answer_is_masked_and_whole(world: WireWorld, name: str, h2: bool) -> None:
    world.raw.answers[f"/{name}"] = MASKED[name]
    if h2:
        with h2_connection(world.reverse_tls) as wire:
            got = wire.wait(wire.ask(world.over_h2(f"/raw/{name}", world.plain(), "GET")))
    else:
        got = world.get(f"/raw/{name}")
    assert got.status in (200, 302, 500), got
    assert not got.torn
    assert not got.timed_out
    assert not any(s in got.text for s in SHOWS), got.text
    assert got.body


def test_what_an_upstream_streams_in_http_1_0_is_framed_for_http_1_1(world: WireWorld) -> None:
    world.raw.answers["/sse-1.0"] = MASKED["sse-1.0"]
    with Wire(world.reverse) as wire:
        wire.send(request("GET", "/raw/sse-1.0", world.plain()))
        assert wire.rest().startswith(b"HTTP/1.1 200 ")


def test_an_upstream_that_shows_the_gateways_credential_back_is_masked(world: WireWorld) -> None:
    world.raw.answers["/echo"] = lambda c, r: c.sendall(answer(f"you said {r.header('x-api-key')}", "text/plain"))
    got = world.get("/raw/echo")
    assert world.raw.seen("/echo")[-1].header("x-api-key") == [UPSTREAM_TOKEN]
    assert UPSTREAM_TOKEN not in got.text


# Streams


def events(count: int) -> list[bytes]:
    return [chunk(f'data: {{"n":{n}}}\n\n'.encode()) for n in range(count)]


BROKEN_STREAMS = {
    "huge-event": [chunk(b"data: "), *[chunk(b"a" * (64 << 10))] * 800],
    "broken-json": [chunk(f'data: {{"a": {KEY}\n\n'.encode())],
    "bad-chunk": [b"zz\r\n"],
    "trailers": [b"0\r\nX-Secret: " + KEY.encode() + b"\r\n\r\n"],
}
ROADS = ("route", "route-h2", "connect", "absolute")


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_a_stream_that_goes_wrong_ends_at_once(world: WireWorld, road: str, name: str) -> None:
    key = f"/stream-{name}-{road}"
    trickle = Trickle([(SSE + CHUNKED).encode(), *events(1), *BROKEN_STREAMS[name]], stay=True)
    world.raw.answers[key] = trickle
    host = f"127.0.0.1:{world.raw.port}"
    own = [("Host", host), *world.plain()[1:]]
    if road == "route-h2":
        with h2_connection(world.reverse_tls) as wire:
            stream = wire.ask(world.over_h2(f"/raw{key}", world.plain(), "GET"))
            other = wire.ask(world.over_h2("/raw/other", world.plain(), "GET"))
            got = wire.wait(stream)
            assert wire.wait(other).status == 200  # the connection lives on
    else:
        with Wire(world.forward if road in ("connect", "absolute") else world.reverse) as wire:
            if road == "connect":
                assert b" 200 " in wire.connect(host)
            said = {
                "route": request("GET", f"/raw{key}", world.plain()),
                "connect": request("GET", key, own),
                "absolute": request("GET", f"http://{host}{key}", own),
            }[road]
            got = wire.ask(said)
    assert got.status == 200
    assert got.torn, got
    assert not got.timed_out
    assert KEY not in got.text
    assert b'{"n":0}' in got.body
    assert trickle.gone.wait(10), "the upstream's connection was left open"


def test_an_mcp_stream_that_goes_wrong_tells_its_caller_why(world: WireWorld) -> None:
    world.rawmcp.answers["sse-broken"] = Trickle([(SSE + CHUNKED).encode(), chunk(b'data: {"jsonrpc"\n\n')], stay=True)
    got = world.tool("sse-broken")
    assert got.status == 200
    assert not got.timed_out
    assert b'"kind":"withheld"' in got.body
    assert b'"id":1' in got.body


def test_a_refused_answer_that_never_ends_ends_for_the_caller(world: WireWorld) -> None:
    head = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    host = f"127.0.0.1:{world.raw.port}"
    for road in ("route", "connect"):
        trickle = Trickle([head, chunk(b"hunter2")], stay=True)
        world.raw.answers[f"/endless-{road}"] = trickle
        with Wire(world.forward if road == "connect" else world.reverse) as wire:
            if road == "connect":
                wire.connect(host)
                got = wire.ask(request("GET", f"/endless-{road}", [("Host", host), *world.plain()[1:]]))
            else:
                got = wire.ask(request("GET", f"/raw/endless-{road}", world.plain()))
        assert got.status == 502, road
        assert b"hunter2" not in got.body
        assert not got.timed_out
        assert trickle.gone.wait(10)


def test_a_refused_answer_that_sends_no_body_yet_is_refused_at_once(world: WireWorld) -> None:
    head = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n"
    trickle = Trickle([head], stay=True)
    world.raw.answers["/mute"] = trickle
    got = world.get("/raw/mute")
    assert got.status == 502
    assert not got.timed_out
    assert got.json["kind"] == "upstream"
    assert trickle.gone.wait(10)


def test_json_that_never_ends_is_cut_at_the_limit(world: WireWorld) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    trickle = Trickle([head, chunk(b"["), *[chunk(b'"hunter2",' * 4096)] * 100], stay=True)
    world.raw.answers["/endless-json"] = trickle
    got = world.get("/raw/endless-json")
    assert got.status == 502
    assert trickle.gone.wait(10)


def test_a_head_that_never_ends_is_cut(world: WireWorld) -> None:
    trickle = Trickle([b"HTTP/1.1 200 OK\r\n", *[b"X-A: " + b"a" * 65536 + b"\r\n"] * 4], stay=True)
    world.raw.answers["/endless-head"] = trickle
    got = world.get("/raw/endless-head")
    assert got.status == 502
    assert got.json["kind"] == "upstream"
    assert trickle.gone.wait(10)


def test_an_upstream_that_talks_on_after_its_answer_poisons_no_later_one(world: WireWorld) -> None:
    extra = answer('{"who":"a"}', "application/json", "Connection: keep-alive") + answer('{"who":"poison"}')
    world.raw.answers["/poison"] = extra
    with Wire(world.reverse) as wire:
        assert wire.ask(request("GET", "/raw/poison", world.plain())).json == {"who": "a"}
        again = wire.ask(request("GET", "/raw/clean", world.plain()))
    assert b"poison" not in again.body


def test_an_answer_before_the_request_ended_is_the_answer(world: WireWorld) -> None:
    world.raw.answers["/hasty"] = answer('{"hasty":1}')
    body = b'{"a":"' + b"a" * 60_000 + b'"}'
    with Wire(world.reverse) as wire:
        got = wire.ask(request("POST", "/raw/hasty", world.plain(("Content-Type", "application/json")), body))
    assert got.json == {"hasty": 1}


# Upstreams that speak HTTP/2


type H2Answer = Callable[[h2.connection.H2Connection, int], None]


def h2_answers() -> dict[str, H2Answer]:
    def head(more: list[tuple[str, str]], body: bytes = b"", trailers: list[tuple[str, str]] | None = None) -> H2Answer:
        def run(state: h2.connection.H2Connection, stream: int) -> None:
            state.send_headers(stream, [(":status", "200"), *more])
            state.send_data(stream, body)
            if trailers:
                state.send_headers(stream, trailers, end_stream=True)
            else:
                state.end_stream(stream)

        return run

    def hints(state: h2.connection.H2Connection, stream: int) -> None:
        state.send_headers(stream, [(":status", "103"), ("link", "</x>")])
        head([("content-type", "application/json")], SECRET.encode())(state, stream)

    js = ("content-type", "application/json")
    return {
        "json": head([js], SECRET.encode()),
        "trailers": head([js], SECRET.encode(), [("x-secret", KEY)]),
        "sse": head([("content-type", "text/event-stream")], f"data: {SECRET}\n\n".encode(), [("x-secret", KEY)]),
        "hints": hints,
    }


@pytest.mark.parametrize("name", ["json", "trailers", "sse", "hints"])
def test_an_http2_upstream_is_masked(world: WireWorld, name: str) -> None:
    world.h2up.answers[f"/{name}"] = h2_answers()[name]
    with h2_connection(world.reverse_tls) as wire:
        got = wire.wait(wire.ask(world.over_h2(f"/h2up/{name}", world.plain(), "GET")))
    assert got.status == 200, got
    assert not got.torn
    assert got.body
    assert not any(s in got.text for s in SHOWS), got.text


def test_an_http2_upstream_that_breaks_a_header_line_splits_no_answer(world: WireWorld) -> None:
    def split(state: h2.connection.H2Connection, stream: int) -> None:
        state.send_headers(
            stream, [(":status", "200"), ("content-type", "application/json"), ("x-a", "b\r\nX-Evil: yes")]
        )
        state.send_data(stream, b"{}", end_stream=True)

    world.h2up.answers["/split"] = split
    with h2_connection(world.reverse_tls) as wire:
        got = wire.wait(wire.ask(world.over_h2("/h2up/split", world.plain(), "GET")))
    assert got.status in (200, 502)
    assert "\r\nX-Evil" not in "".join(v for _, v in got.headers)


def test_the_gateway_is_still_there(world: WireWorld) -> None:
    assert world.gateway is not None
    assert "has crashed" not in world.gateway.output
    assert world.get("/raw/last").status == 200
    sent = {e["exchange"] for e in world.audited() if e["stage"] == "Forwarded"}
    assert len(sent) >= len(world.raw.requests) + len(world.rawmcp.requests) + len(world.h2up.requests)
    assert time.monotonic() > 0
