"""Streams of MCP servers, good and bad: each message is looked at and passed at once, and every end is one."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.audit_trail import trail, until_written
from tests.fakes.byte_upstream import RawRequest, Trickle, answer, chunk
from tests.fakes.wire import Answer, H2Wire, Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld
from tests.fakes.world import call

from holdpoint.protocols.sse import Parser

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T07"), pytest.mark.threat("T20")]

KEY = "AKIAIOSFODNN7EXAMPLE"
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LINES = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
CLIENTS = pytest.mark.parametrize("client", ["http1", "http2"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("streams")) as world:
        world.start()
        yield world


def said(text: str, request_id: int | str = 1) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {"content": [{"type": "text", "text": text}]}})


def notice(text: str) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}})


def event(data: str) -> bytes:
    return f"event: message\ndata: {data}\n\n".encode()


def told(body: bytes) -> list[dict[str, Any]]:
    """The messages of an event stream."""
    return [json.loads(e.data) for e in Parser().feed(body) if e.data]


def via(world: WireWorld, client: str, tool: str, gone: threading.Event | None = None) -> Answer:
    """Call a tool, and something else on the same connection. `gone`: what happens at once when the stream is ended."""
    if client == "http1":
        with Wire(world.reverse, timeout=20) as wire:
            got = wire.ask(world.tool_call(tool))
            assert gone is None or gone.wait(10), "the upstream's stream was left open"
            if not got.torn:
                assert wire.ask(request("GET", "/raw/sibling", world.plain()), "GET").status == 200
        return got
    with h2_connection(world.reverse_tls) as h2:
        got = h2.wait(start(world, h2, tool))
        assert gone is None or gone.wait(10), "the upstream's stream was left open"
        assert h2.wait(h2.ask(world.over_h2("/raw/sibling", world.plain(), "GET"))).status == 200
    return got


def start(world: WireWorld, wire: H2Wire, tool: str) -> int:
    return wire.ask(world.over_h2("/rawmcp", world.mcp()), json.dumps(call(tool)).encode())


def read_until(wire: Wire, ending: bytes) -> bytes:
    data = b""
    while ending not in data:
        more = wire.socket.recv(65536)
        assert more, data
        data += more
    return data


def acknowledged() -> str:
    return json.dumps(
        {
            "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged",
            "params": {"_meta": {"io.modelcontextprotocol/subscriptionId": 1}, "notifications": {}},
        }
    )


# JSON that never ends


def test_json_documents_of_a_listening_stream_pass_one_by_one_and_masked(world: WireWorld) -> None:
    go_on, gone = threading.Event(), threading.Event()

    def speak(connection: socket.socket, _request: RawRequest) -> None:
        connection.sendall(LINES + chunk(acknowledged().encode() + b"\n"))
        assert go_on.wait(20)
        late = notice(KEY)
        for at in range(0, len(late), 7):  # in pieces, and the end of it with the start of another
            connection.sendall(chunk(late[at : at + 7].encode()))
        connection.sendall(chunk(b"\n" + notice("whole").encode()[:10]))
        if not connection.recv(1):
            gone.set()

    world.rawmcp.answers["/mcp"] = speak
    with Wire(world.reverse) as wire:
        wire.send(world.listening())
        first = read_until(wire, b"acknowledged")
        assert acknowledged().encode() + b"\n" in first
        assert b"application/json" in first
        go_on.set()
        second = read_until(wire, b"\n\r\n")
        assert b"[masked]" in second
        assert KEY.encode() not in second
    assert gone.wait(10), "the upstream still speaks to a client who left"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(b'{"jsonrpc":"2.0","method":"a","method":"b"}\n', "two keys", id="two-keys"),
        pytest.param(b'{"jsonrpc":"2.0","x":"\xff"}\n', "bad text", id="not-utf-8"),
        pytest.param(b"data: {}\n", "no document", id="no-json"),
        pytest.param(b'{"a":1}\n', "no message", id="no-message"),
        pytest.param(b'{"a":"' + b"x" * (2 << 20), "too large", id="too-large"),
        pytest.param(END, "cut", id="cut-within-a-document"),
    ],
)
def test_a_bad_document_ends_a_listening_stream_with_an_error_on_a_line(world: WireWorld, bad: bytes, why: str) -> None:
    del why
    start_of_one = b'{"half' if bad == END else b""
    rest = bad if bad == END else chunk(bad)
    pieces = (
        [LINES, chunk(acknowledged().encode() + b"\n" + start_of_one), rest]
        if start_of_one
        else [LINES, chunk(acknowledged().encode() + b"\n"), rest, chunk(notice(KEY).encode() + b"\n")]
    )
    world.rawmcp.answers["/mcp"] = Trickle(pieces, stay=bad != END)
    with Wire(world.reverse) as wire:
        got = wire.ask(world.listening())
    assert (got.status, got.torn, got.timed_out) == (200, False, False)
    lines = got.body.decode().splitlines()
    assert lines[0] == acknowledged()
    last = json.loads(lines[-1])
    assert (last["id"], last["error"]["data"]["kind"]) == (1, "withheld")
    assert KEY not in got.text


@pytest.mark.failure("F-upstream-slow")
@CLIENTS
def test_a_json_answer_that_never_ends_is_withheld_in_time(world: WireWorld, client: str) -> None:
    key = f"endless-{client}"
    trickle = Trickle([LINES, chunk(said("well")[:-2].encode())], stay=True)
    world.rawmcp.answers[key] = trickle
    got = via(world, client, key, trickle.gone)
    assert not got.timed_out
    assert (got.status, got.json["id"]) == (200, 1)  # a legacy client reads nothing else
    assert got.json["error"]["message"] == "the answer did not end in time"
    assert got.json["error"]["data"]["kind"] == "withheld"
    written = until_written(world.var / "recordings", stage="Failed", exchange=got.json["error"]["data"]["refusal"])
    assert written["detail"]["sent"] is True


def test_a_json_answer_that_drips_is_read_to_its_end(world: WireWorld) -> None:
    def drip(connection: socket.socket, _request: RawRequest) -> None:
        connection.sendall(LINES)
        text = said("slowly").encode()
        for at in range(0, len(text), len(text) // 4 + 1):
            time.sleep(0.7)  # beyond the two seconds of silence in all, not in one
            connection.sendall(chunk(text[at : at + len(text) // 4 + 1]))
        connection.sendall(END)

    world.rawmcp.answers["drips"] = drip
    assert world.tool("drips").json == json.loads(said("slowly"))


# What passes as it is


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(answer(said("x"), status="200 OK"), id="spaced"),
        pytest.param(answer(json.dumps(json.loads(said("\u00e9")), indent=1, ensure_ascii=True)), id="pretty"),
        pytest.param(
            answer('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no" } }', status="404 Not Found"),
            id="no-method",
        ),
        pytest.param(
            answer('{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"h"}}', status="400 Bad Request"),
            id="header",
        ),
        pytest.param(
            answer("Method Not Allowed", "text/plain", "Allow: POST, GET", status="405 Method Not Allowed"), id="method"
        ),
        pytest.param(
            answer("overloaded\n", "text/plain", "Retry-After: 7", status="503 Service Unavailable"), id="text"
        ),
        pytest.param(answer(b"", status="202 Accepted"), id="accepted"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", id="no-content"),
    ],
)
@CLIENTS
def test_what_needs_no_change_passes_byte_by_byte(world: WireWorld, raw: bytes, client: str) -> None:
    head, _, body = raw.partition(b"\r\n\r\n")
    world.rawmcp.answers["as-it-is"] = raw
    got = via(world, client, "as-it-is")
    assert got.status == int(head.split(b" ")[1])
    assert got.body == body
    for name in ("content-type", "allow", "retry-after"):
        wanted = [
            v.strip() for n, _, v in (x.partition(":") for x in head.decode().split("\r\n")[1:]) if n.lower() == name
        ]
        assert [v for n, v in got.headers if n.lower() == name] == wanted


POLLED = (
    b"retry: 100\nid: 0\ndata:\n\n"
    b": keepalive\n\n"
    b"event: message\nid: 1\nretry: 2500\ndata: " + notice("Before disconnect").encode() + b"\n\n"
    b"event: other\ndata: text that is no JSON\n\n"
)
"""Ends without an answer: the client comes back with the id (polling, 2025-11-25)."""


@CLIENTS
def test_polling_passes_and_ends_as_the_upstream_ends_it(world: WireWorld, client: str) -> None:
    world.rawmcp.answers["polled"] = SSE + chunk(POLLED) + END
    got = via(world, client, "polled")
    assert (got.status, got.torn) == (200, False)
    assert Parser().feed(got.body) == Parser().feed(POLLED)


def test_the_same_stream_cut_at_every_byte_comes_out_the_same(world: WireWorld) -> None:
    text = (
        POLLED
        + event(notice(KEY))
        + b': \r\n\r\ndata: {\r\ndata: "jsonrpc":"2.0",\r\n'
        + b'data: "method":"a"}\r\n\r\n'
        + event(said("\u00e9" + KEY))
    ).replace(b"other\n", b"other\r")
    world.rawmcp.answers["whole"] = SSE + chunk(text) + END
    whole = world.tool("whole").body
    assert KEY.encode() not in whole
    last = Parser().feed(whole)[-1].data or ""
    assert json.loads(last)["result"]["content"][0]["text"] == "\u00e9[masked]"
    world.rawmcp.answers["bytes"] = SSE + b"".join(chunk(text[at : at + 1]) for at in range(len(text))) + END
    assert world.tool("bytes").body == whole

    def two(connection: socket.socket, _request: RawRequest) -> None:
        cut = len(text) // 2
        connection.sendall(SSE + chunk(text[:cut]))
        connection.sendall(chunk(text[cut:]) + END)

    world.rawmcp.answers["two"] = two
    assert world.tool("two").body == whole


# Ends


BAD = {
    "two-keys": chunk(b'data: {"jsonrpc":"2.0","method":"a","method":"b"}\n\n'),
    "no-json": chunk(b'data: {"jsonrpc"\n\n'),
    "not-utf-8": chunk(b'data: {"jsonrpc":"2.0","id":1,"result":{"content":[],"x":"\xff"}}\n\n'),
    "not-utf-8-comment": chunk(b": \xff\n\n"),
    "too-large": b"".join([chunk(b"data: "), *[chunk(b"a" * (64 << 10))] * 800]),
}


@pytest.mark.failure("F-mask-stream")
@pytest.mark.parametrize("ending", ["and-goes-on", "in-one-packet"])
@pytest.mark.parametrize("name", BAD)
@CLIENTS
def test_a_bad_event_ends_the_stream_with_an_error_and_whole(
    world: WireWorld, client: str, name: str, ending: str
) -> None:
    key = f"{name}-{ending}-{client}"
    first, leak = chunk(event(notice("first"))), chunk(event(said(KEY)))
    stays = ending == "and-goes-on"
    pieces = [SSE, first, BAD[name], leak] if stays else [SSE + first + BAD[name] + leak + END]
    trickle = Trickle(pieces, stay=stays)
    world.rawmcp.answers[key] = trickle
    before = len(trail(world.var / "recordings"))
    got = via(world, client, key, trickle.gone if stays else None)
    assert (got.status, got.torn, got.timed_out) == (200, False, False)
    assert KEY not in got.text
    messages = told(got.body)
    assert messages[0] == json.loads(notice("first"))
    assert (messages[-1]["id"], messages[-1]["error"]["data"]["kind"]) == (1, "withheld")
    assert len(messages) == 2
    until_written(world.var / "recordings", after=before, stage="Withheld", resource=f"tool {key}")
    until_written(world.var / "recordings", after=before, stage="Failed", resource=f"tool {key}")
    assert not [e for e in trail(world.var / "recordings")[before:] if e["resource"] == "" and e["stage"] != "Dropped"]


def test_a_connection_goes_on_after_its_stream_was_ended(world: WireWorld) -> None:
    world.rawmcp.answers["bad"] = Trickle([SSE, BAD["no-json"]], stay=True)
    world.rawmcp.answers["good"] = answer(said("good"))
    with Wire(world.reverse) as wire:
        assert b"withheld" in wire.ask(world.tool_call("bad")).body
        assert wire.ask(world.tool_call("good")).json == json.loads(said("good"))


@pytest.mark.failure("F-upstream-cut")
@CLIENTS
def test_a_stream_that_its_upstream_tears_is_torn(world: WireWorld, client: str) -> None:
    world.rawmcp.answers["torn"] = Trickle([SSE, chunk(b"id: 5\n" + event(notice("first")))])
    got = via(world, client, "torn")
    assert got.torn
    assert told(got.body) == [json.loads(notice("first"))]


def test_a_get_stream_that_goes_wrong_ends_without_an_answer_to_nothing(world: WireWorld) -> None:
    world.rawmcp.answers["/mcp"] = Trickle([SSE, chunk(event(notice("first"))), BAD["two-keys"]], stay=True)
    with Wire(world.reverse) as wire:
        headers = [(n, v) for n, v in world.mcp() if n != "Content-Type"]
        got = wire.ask(request("GET", "/rawmcp", headers), "GET")
    assert (got.status, got.torn, got.timed_out) == (200, False, False)
    assert told(got.body) == [json.loads(notice("first"))]


# Who leaves, and who crowds


@CLIENTS
def test_a_caller_who_leaves_a_stream_ends_it_upstream_and_nothing_else_is_sent(world: WireWorld, client: str) -> None:
    key = f"left-{client}"
    trickle = Trickle([SSE, chunk(event(notice("first")))], stay=True)
    world.rawmcp.answers[key] = trickle
    if client == "http2":
        with h2_connection(world.reverse_tls) as wire:
            stream = start(world, wire, key)
            while not wire.answers[stream].body:
                wire.pump()
            before = world.reached()
            wire.state.reset_stream(stream)
            wire.flush()
            assert trickle.gone.wait(10)
    else:
        with Wire(world.reverse) as wire:
            wire.send(world.tool_call(key))
            read_until(wire, b"first")
            before = world.reached()
        assert trickle.gone.wait(10)
    assert world.reached() == before  # no notifications/cancelled of the gateway's own
    world.rawmcp.answers["again"] = answer(said("again"))
    assert world.tool("again").json == json.loads(said("again"))


def test_ninety_nine_open_streams_on_one_connection_leave_room_for_others(world: WireWorld) -> None:
    go_on = threading.Event()

    def speak(connection: socket.socket, _request: RawRequest) -> None:
        connection.sendall(SSE + chunk(event(notice("open"))))
        assert go_on.wait(30)
        connection.sendall(chunk(event(said("done"))) + END)

    world.rawmcp.answers["open"] = speak
    with h2_connection(world.reverse_tls, timeout=30) as wire:
        streams = [start(world, wire, "open") for _ in range(99)]
        while not all(wire.answers[s].body for s in streams):
            wire.pump()
        assert wire.wait(wire.ask(world.over_h2("/raw/beside", world.plain(), "GET"))).status == 200
        assert world.get("/raw/beside").status == 200
        go_on.set()
        for stream in streams:
            assert told(wire.wait(stream).body) == [json.loads(notice("open")), json.loads(said("done"))]


SLOW = "".join(f"password={'a' * 20}{n} AKIA {KEY[:18]}@ " for n in range(10_000))
"""Full of what is nearly a secret, or one."""


def test_an_event_that_takes_long_to_look_at_holds_up_nobody_else_and_keeps_its_place(world: WireWorld) -> None:
    world.rawmcp.answers["slow"] = Trickle(
        [SSE, chunk(event(notice("first")) + event(notice(SLOW)) + event(said("last"))) + END]
    )
    got = world.tool("slow")
    assert not got.torn
    messages = told(got.body)
    assert [m.get("id") for m in messages] == [None, None, 1]
    assert "a" * 20 + "7" not in messages[1]["params"]["data"]


def test_more_than_can_be_looked_at_at_once_comes_out_in_order_and_whole(world: WireWorld) -> None:
    many = b"".join(event(notice(f"n{n}")) for n in range(5000))
    world.rawmcp.answers["many"] = (
        SSE
        + b"".join(chunk(many[at : at + 30_000]) for at in range(0, len(many), 30_000))
        + chunk(event(said("end")))
        + END
    )
    messages = told(world.tool("many").body)
    assert [m["params"]["data"] for m in messages[:-1]] == [f"n{n}" for n in range(5000)]
    assert messages[-1] == json.loads(said("end"))


def test_the_gateway_came_through_it_all(world: WireWorld) -> None:
    assert world.gateway is not None
    assert "has crashed" not in world.gateway.output
    assert "Traceback" not in world.gateway.output


def test_a_silent_stream_is_not_closed_as_idle_and_an_idle_connection_is(tmp_path: Path) -> None:
    with WireWorld(tmp_path) as world:
        world.start("--set", "tcp_timeout=1")
        go_on = threading.Event()

        def speak(connection: socket.socket, _request: RawRequest) -> None:
            connection.sendall(SSE + chunk(event(notice("open"))))
            assert go_on.wait(30)
            connection.sendall(chunk(event(said("done"))) + END)

        world.rawmcp.answers["silent"] = speak
        with Wire(world.reverse, timeout=20) as wire, Wire(world.reverse) as idle:
            wire.send(world.tool_call("silent"))
            read_until(wire, b"open")
            for _ in range(3):
                with Wire(world.reverse) as another:
                    assert another.rest() == b""  # closed by the gateway, a second after it was opened
            assert idle.rest() == b""
            go_on.set()
            assert b"done" in read_until(wire, END)
            assert wire.rest() == b""  # idle, from now on
