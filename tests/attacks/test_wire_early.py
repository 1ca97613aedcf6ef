"""A stream that the gateway begins while it still decides: whatever comes of the request reaches the caller in it."""

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from mitmproxy import http
from tests.fakes.audit_trail import trail, until_written
from tests.fakes.byte_upstream import RawRequest, Trickle, answer, chunk
from tests.fakes.saboteur import FAILURES, STYLES, SabotagedGateway
from tests.fakes.wire import Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld
from tests.fakes.world import UPSTREAM_TOKEN, call

from holdpoint.domain.exchange import Cleared, Forwarded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.passes import Pass
from holdpoint.protocols.sse import Event, Parser
from holdpoint.stages import record
from holdpoint.stages.gateway import Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T18")]

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PAGE = "https://app.example.com"
WAITING = ": waiting\n\n"
dispatch = record.dispatch


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("early")) as world:
        world.add_settings("    routes: [/rawmcp]\n", f"    origins: [{PAGE}]\n")
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


type Then = Callable[[Gateway, http.HTTPFlow], Awaitable[None]]


@pytest.fixture
def early(
    running: SabotagedGateway,  # noqa: ARG001  # it runs
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Then | None], None]:
    """Begin a stream for every request that is about to be sent, then do something."""

    def use(then: Then | None) -> None:
        async def begin(gateway: Gateway, flow: http.HTTPFlow, state: Cleared) -> tuple[Forwarded, Pass]:
            assert gateway.connections is not None
            assert await gateway.connections.begin_events(flow)
            assert await gateway.connections.begin_events(flow)  # once is enough
            assert await gateway.connections.send_events(flow, WAITING.encode())
            assert gateway.exchanges.of(flow).early
            if then is not None:
                await then(gateway, flow)
            return await dispatch(gateway, flow, state)

        monkeypatch.setattr(record, "dispatch", begin)

    return use


def said(text: str, request_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": {"content": [{"type": "text", "text": text}]}}


def events(body: bytes) -> list[Event]:
    return Parser().feed(body)


def error(code: int, request_id: int | None, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


EVENT = json.dumps(said("event")).encode()
ANSWERS: dict[str, Any] = {
    "json": (answer(json.dumps(said("well"))), [said("well")]),
    "pretty-json": (answer(json.dumps(said("well"), indent=2).replace("\n", "\r\n")), [said("well")]),
    "masked-json": (answer(json.dumps(said("AKIAIOSFODNN7EXAMPLE"))), [said("[masked]")]),
    "an-error": (answer(json.dumps(error(-32601, None, "no")), status="404 Not Found"), [error(-32601, 1, "no")]),
    "sse": (SSE + chunk(b"id: 7\ndata: " + EVENT + b"\n\n") + b"0\r\n\r\n", [said("event")]),
    "two-events": (SSE + chunk(b"data: " + EVENT + b"\n\n") * 2 + b"0\r\n\r\n", [said("event"), said("event")]),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("client", ["http1", "http2"])
def test_an_answer_comes_as_events_of_the_stream_that_was_begun(
    world: WireWorld, early: Callable[[Then | None], None], name: str, client: str
) -> None:
    early(None)
    raw, messages = ANSWERS[name]
    world.rawmcp.answers[name] = raw
    if client == "http2":
        with h2_connection(world.reverse_tls) as h2:
            got = h2.wait(h2.ask(world.over_h2("/rawmcp", world.mcp()), json.dumps(call(name)).encode()))
            assert h2.ended
    else:
        with Wire(world.reverse) as wire:
            got = wire.ask(world.tool_call(name))
            world.rawmcp.answers["after"] = answer(json.dumps(said("after")))
            again = wire.ask(world.tool_call("after"))
            assert not again.torn
            assert [json.loads(e.data) for e in events(again.body) if e.data] == [said("after")]
    assert (got.status, got.torn, got.timed_out) == (200, False, False)
    assert got.header("content-type") == "text/event-stream"
    assert got.header("cache-control") == "no-store"
    assert got.header("x-accel-buffering") == "no"
    assert not got.header("content-length")
    assert got.body.startswith(WAITING.encode())
    assert [json.loads(e.data) for e in events(got.body) if e.data] == messages


def closes(connection: socket.socket, _request: RawRequest) -> None:
    connection.close()


NO_ANSWERS = {
    "goes-away": closes,
    "a-page": answer("<h1>no</h1>", "text/html", status="503 Service Unavailable"),
    "nothing": answer(b"", status="202 Accepted"),
    "not-ours": answer("{}", status="401 Unauthorized"),
    "broken-json": answer('{"jsonrpc"'),
    "too-large": answer("a" * (2 << 20)),
    "too-large-unannounced": answer("a" * (2 << 20), length=False),
    "not-a-message": answer('{"a":1}'),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
@pytest.mark.parametrize("client", ["http1", "http2"])
def test_an_upstream_that_fails_becomes_an_error_in_the_stream(
    world: WireWorld, early: Callable[[Then | None], None], name: str, client: str
) -> None:
    early(None)
    world.rawmcp.answers[name] = NO_ANSWERS[name]
    if client == "http2":
        with h2_connection(world.reverse_tls) as h2:
            got = h2.wait(h2.ask(world.over_h2("/rawmcp", world.mcp()), json.dumps(call(name)).encode()))
    else:
        got = world.tool(name)
    assert (got.status, got.torn, got.timed_out) == (200, False, False)
    (told,) = [json.loads(e.data) for e in events(got.body) if e.data]
    assert told["id"] == 1
    assert told["error"]["data"]["kind"] in ("upstream", "withheld")


@pytest.mark.parametrize("client", ["http1", "http2"])
def test_a_refusal_becomes_an_error_in_the_stream_and_nothing_is_sent(
    world: WireWorld, early: Callable[[Then | None], None], client: str
) -> None:
    async def refuse(_gateway: Gateway, _flow: http.HTTPFlow) -> None:
        raise Refusal(RefusalKind.DENIED, "no")

    early(refuse)
    if client == "http2":
        with h2_connection(world.reverse_tls) as h2:
            got = h2.wait(h2.ask(world.over_h2("/rawmcp", world.mcp()), json.dumps(call("refused")).encode()))
    else:
        got = world.tool("refused")
    assert (got.status, got.torn) == (200, False)
    (told,) = [json.loads(e.data) for e in events(got.body) if e.data]
    assert (told["id"], told["error"]["data"]["kind"]) == (1, "denied")
    assert not world.rawmcp.seen("refused")


def test_the_fence_holds_for_an_early_stream(
    world: WireWorld, running: SabotagedGateway, early: Callable[[Then | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    early(None)

    def forget(_flow: http.HTTPFlow, _permission: Pass) -> None:
        return

    monkeypatch.setattr(running.gateway.wire, "admit", forget)
    got = world.tool("fenced")
    (told,) = [json.loads(e.data) for e in events(got.body) if e.data]
    assert told["error"]["data"]["kind"] == "fault"
    assert not world.rawmcp.seen("fenced")


@pytest.mark.parametrize("client", ["http1", "http2"])
def test_a_caller_who_leaves_an_early_stream_is_noticed_and_nothing_is_sent(
    world: WireWorld, early: Callable[[Then | None], None], client: str
) -> None:
    begun, over, told = threading.Event(), threading.Event(), list[bool]()

    async def wait(gateway: Gateway, flow: http.HTTPFlow) -> None:
        exchange = gateway.exchanges.of(flow)
        left = gateway.services.watch_client(exchange.id)
        begun.set()
        await left.wait()
        gateway.services.unwatch_client(exchange.id)
        assert gateway.connections is not None
        told.append(await gateway.connections.send_events(flow, WAITING.encode()))
        told.append(await gateway.connections.begin_events(flow))
        over.set()

    early(wait)
    if client == "http2":
        with h2_connection(world.reverse_tls) as h2:
            stream = h2.ask(world.over_h2("/rawmcp", world.mcp()), json.dumps(call("left")).encode())
            assert begun.wait(10)
            h2.state.reset_stream(stream)
            h2.flush()
            assert over.wait(10)
    else:
        with Wire(world.reverse) as wire:
            wire.send(world.tool_call("left"))
            assert begun.wait(10)
        assert over.wait(10)
    assert told == [False, False]
    assert not world.rawmcp.seen("left")


@pytest.mark.parametrize("client", ["http1", "http2"])
def test_an_early_stream_that_is_aborted_says_why_and_ends_whole(
    world: WireWorld, early: Callable[[Then | None], None], client: str
) -> None:
    async def abort(gateway: Gateway, flow: http.HTTPFlow) -> None:
        gateway.abort(flow, Refusal(RefusalKind.DENIED, "revoked"))

    early(abort)
    before = len(trail(world.var / "recordings"))
    if client == "http2":
        with h2_connection(world.reverse_tls) as h2:
            got = h2.wait(h2.ask(world.over_h2("/rawmcp", world.mcp()), json.dumps(call("aborted")).encode()))
    else:
        with Wire(world.reverse) as wire:
            got = wire.ask(world.tool_call("aborted"))
            early(None)
            assert not wire.ask(world.tool_call("not")).torn
    assert (got.status, got.torn) == (200, False)
    (told,) = [json.loads(e.data) for e in events(got.body) if e.data]
    assert told["error"]["message"] == "revoked"
    early(None)
    world.rawmcp.answers["sync"] = answer(json.dumps(said("sync")))
    world.tool("sync")
    until_written(world.var / "recordings", after=before, stage="Answered", resource="tool sync")
    written = [e for e in trail(world.var / "recordings")[before:] if e["resource"] in ("tool aborted", "")]
    assert [e["stage"] for e in written] == ["Refused"]
    assert not world.rawmcp.seen("aborted")


def test_a_piped_stream_that_breaks_off_upstream_is_torn(
    world: WireWorld, early: Callable[[Then | None], None]
) -> None:
    early(None)
    world.rawmcp.answers["cut"] = Trickle([SSE, chunk(b"data: " + EVENT + b"\n\n")])
    got = world.tool("cut")
    assert got.torn
    assert EVENT in got.body


def test_what_was_sent_early_shows_in_the_record_beside_the_upstreams_own_answer(
    world: WireWorld, early: Callable[[Then | None], None]
) -> None:
    early(None)
    world.rawmcp.answers["kept"] = answer(json.dumps(said("kept")))
    world.tool("kept")
    written = until_written(world.var / "recordings", stage="Answered", resource="tool kept")
    assert (written["detail"]["early"], written["detail"]["status"]) == (True, 200)


def test_a_plain_request_behind_an_early_stream_on_one_connection_is_served(
    world: WireWorld, early: Callable[[Then | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    early(None)
    world.rawmcp.answers["first"] = answer(json.dumps(said("first")))
    with Wire(world.reverse) as wire:
        wire.send(world.tool_call("first") + request("GET", "/raw/behind", world.plain()))
        assert said("first") in [json.loads(e.data) for e in events(wire.read().body) if e.data]
        monkeypatch.setattr(record, "dispatch", dispatch)
        assert wire.read("GET").status == 200


def test_a_listed_page_reads_a_stream_that_was_begun(
    world: WireWorld, running: SabotagedGateway, early: Callable[[Then | None], None]
) -> None:
    assert running is not None
    early(None)
    world.rawmcp.answers["page"] = answer(json.dumps(said("well")))
    own = ("Origin", f"http://127.0.0.1:{world.reverse}")
    for origin, readable in ((("Origin", PAGE), PAGE), (own, "")):
        got = world.tool("page", None, origin)
        assert got.header("content-type") == "text/event-stream"
        assert got.header("access-control-allow-origin") == readable


def test_json_without_an_end_comes_as_events_of_an_early_stream(
    world: WireWorld, early: Callable[[Then | None], None]
) -> None:
    early(None)
    notice = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "open"}}
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    trickle = Trickle([head, chunk(json.dumps(notice).encode() + b"\n"), chunk(b"broken\n")], stay=True)
    world.rawmcp.answers["/mcp"] = trickle
    with Wire(world.reverse) as wire:
        got = wire.ask(world.listening())
    assert (got.torn, got.timed_out) == (False, False)
    first, last = [json.loads(e.data) for e in events(got.body) if e.data]
    assert first == notice
    assert (last["id"], last["error"]["data"]["kind"]) == (1, "withheld")


def test_an_early_answer_that_never_ends_is_given_up_in_time(
    world: WireWorld, early: Callable[[Then | None], None]
) -> None:
    early(None)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    trickle = Trickle([head, chunk(b'{"jsonrpc"')], stay=True)
    world.rawmcp.answers["endless"] = trickle
    got = world.tool("endless")
    (told,) = [json.loads(e.data) for e in events(got.body) if e.data]
    assert told["error"]["message"] == "the answer did not end in time"
    assert trickle.gone.wait(10)


@pytest.mark.parametrize("style", STYLES)
def test_work_on_a_stream_that_fails_shows_nothing_and_ends_the_stream(
    world: WireWorld, running: SabotagedGateway, style: str
) -> None:
    large = json.dumps(said("leaks" * 20_000))
    world.rawmcp.answers["large"] = SSE + chunk(b"data: " + EVENT + b"\n\n") + chunk(f"data: {large}\n\n".encode())
    for failure in FAILURES:
        running.plan.arm("mask", "stream_work", failure, style)
        got = world.tool("large")
        assert running.plan.hit == 1, failure
        assert (got.torn, got.timed_out) == (False, False), failure
        assert "leaks" not in got.text, failure
        assert json.loads(events(got.body)[-1].data or "")["error"]["data"]["kind"] == "withheld", failure
    running.plan.disarm()
    assert "leaks" in world.tool("large").text
