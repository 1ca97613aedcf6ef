"""Upstreams that are down, slow, cut off, or answer what cannot be inspected: nothing unseen passes."""

import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.fakes.audit_trail import trail, until_written
from tests.fakes.raw_upstream import Arrived, RawUpstream, result, stream, well, whole
from tests.fakes.world import World, call

pytestmark = pytest.mark.e2e

LIMIT = 4096
"""Of requests and answers, in bytes: 4KiB in the settings."""
LEAK = "sentinel-that-must-not-pass"
EVENT = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%s"}}\n\n'


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"), target_lines="    limits: {request: 4KiB, response: 4KiB}")
    world.write_settings(**{world.notes.url: upstream.url})
    with world:
        world.start()
        yield world


@pytest.fixture(autouse=True)
def fresh(upstream: RawUpstream) -> None:
    upstream.forget()


def ask(world: World, name: str = "x", **more: Any) -> httpx.Response:
    with world.client() as http:
        return http.post(world.url, headers=world.headers(), json=call("read_note", {"name": name}), **more)


def refused(answer: httpx.Response, kind: str) -> str:
    """Check that the answer is a refusal of this kind, and return its id."""
    assert LEAK not in answer.text
    data = answer.json()["error"]["data"]
    assert data["kind"] == kind, answer.text
    return data["refusal"]


def still_serves(world: World, upstream: RawUpstream) -> None:
    upstream.behave = well
    assert "well" in ask(world).text


@pytest.mark.failure("F-upstream-down")
def test_an_upstream_that_is_down_is_said_and_noticed_when_it_is_back(world: World, upstream: RawUpstream) -> None:
    upstream.down()
    try:
        refusal = refused(ask(world), "upstream")
    finally:
        upstream.up()
    until_written(world.var / "recordings", exchange=refusal, stage="Failed")
    still_serves(world, upstream)


@pytest.mark.failure("F-upstream-slow")
def test_a_slow_upstream_holds_up_nobody_else(world: World, upstream: RawUpstream) -> None:
    go_on = threading.Event()

    def slow(connection: socket.socket, request: Arrived) -> None:
        if request.message["params"]["arguments"]["name"] == "slow":
            assert go_on.wait(30)
        well(connection, request)

    upstream.behave = slow
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, world, "slow")
        upstream.next()
        assert "well" in ask(world, "quick").text
        assert not waiting.done()
        go_on.set()
        assert "well" in waiting.result(30).text


@pytest.mark.failure("F-upstream-slow")
def test_a_caller_who_gives_up_on_a_slow_upstream_is_written_down(world: World, upstream: RawUpstream) -> None:
    written = len(trail(world.var / "recordings"))
    go_on = threading.Event()
    upstream.behave = lambda _connection, _request: go_on.wait(30) and None
    with pytest.raises(httpx.ReadTimeout):
        ask(world, "given up", timeout=0.5)
    until_written(world.var / "recordings", after=written, stage="Failed")
    go_on.set()
    still_serves(world, upstream)


def reset(connection: socket.socket) -> None:
    """Close so that the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.failure("F-upstream-cut")
@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="before-the-head"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-ty", id="in-the-head"),
        pytest.param(whole(f'{{"text": "{LEAK}"}}'.encode())[:-3], id="in-the-body"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", id="in-a-chunk"),
        pytest.param(b"not HTTP at all\r\n\r\n", id="no-http"),
    ],
)
def test_an_answer_that_is_cut_off_passes_nothing(world: World, upstream: RawUpstream, sent: bytes, how: str) -> None:
    def cut(connection: socket.socket, _request: Arrived) -> None:
        connection.sendall(sent)
        if how == "reset":
            reset(connection)

    upstream.behave = cut
    refusal = refused(ask(world), "upstream")
    until_written(world.var / "recordings", exchange=refusal, stage="Failed")
    still_serves(world, upstream)


def read_stream(world: World, upstream: RawUpstream, sent: bytes) -> tuple[str, bool]:
    """Return what a caller saw of a stream, and whether it ended as a whole one does."""
    upstream.behave = lambda connection, _request: connection.sendall(sent)
    seen = ""
    with (
        world.client() as http,
        http.stream("POST", world.url, headers=world.headers(), json=call("read_note", {"name": "s"})) as answer,
    ):
        try:
            for piece in answer.iter_text():
                seen += piece
        except httpx.RemoteProtocolError:
            return seen, False
    return seen, True


@pytest.mark.failure("F-upstream-cut")
def test_a_stream_that_is_cut_off_shows_whole_events_only(world: World, upstream: RawUpstream) -> None:
    half = (EVENT % LEAK.encode())[:-8]
    seen, whole_one = read_stream(world, upstream, stream(EVENT % b"first", half, end=False))
    assert "first" in seen
    assert LEAK not in seen
    assert not whole_one
    still_serves(world, upstream)


@pytest.mark.failure("F-mask-stream")
@pytest.mark.threat("T07")
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b'data: {"jsonrpc":"2.0","method":"a","method":"' + LEAK.encode() + b'"}\n\n', id="two-keys"),
        pytest.param(b"data: " + b"x" * LIMIT + LEAK.encode() + b"\n\n", id="too-large"),
        pytest.param(b'data: {"jsonrpc":"2.0","result":"\xff' + LEAK.encode() + b'"}\n\n', id="not-utf-8"),
    ],
)
def test_an_event_that_cannot_be_inspected_ends_its_stream(world: World, upstream: RawUpstream, bad: bytes) -> None:
    written = len(trail(world.var / "recordings"))
    sent = stream(EVENT % b"first", bad, EVENT % LEAK.encode())
    seen, whole_one = read_stream(world, upstream, sent)
    assert "first" in seen
    assert LEAK not in seen
    assert whole_one
    last = json.loads(seen.rstrip().rpartition("data: ")[2])
    assert (last["id"], last["error"]["data"]["kind"]) == (1, "withheld")
    event = until_written(world.var / "recordings", after=written, stage="Withheld")
    assert event["detail"]["refusal"]["kind"] == "withheld"
    still_serves(world, upstream)


def bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(b'{"a": "' + b"0" * (1 << 20) + b'"}') + packer.flush()


SECRET = f'{{"jsonrpc":"2.0","id":1,"result":{{"content":[],"note":"{LEAK}"}}}}'.encode()


@pytest.mark.failure("F-mask-whole")
@pytest.mark.threat("T07")
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(whole(b'{"a": "' + LEAK.encode()), id="broken-json"),
        pytest.param(whole(b'{"a": 1, "a": "' + LEAK.encode() + b'"}'), id="two-keys"),
        pytest.param(whole(b'{"a": "' + LEAK.encode() + b'", "b": NaN}'), id="nan"),
        pytest.param(whole(b"\xef\xbb\xbf" + SECRET), id="byte-order-mark"),
        pytest.param(whole(b"\xff\xfe" + LEAK.encode("utf-16-le")), id="utf-16"),
        pytest.param(whole(b"<p>" + LEAK.encode() + b"</p>", content_type="text/html"), id="html"),
        pytest.param(whole(b'"' + LEAK.encode() + b'"'), id="no-message"),
        pytest.param(whole(b"[" * 2000 + LEAK.encode()), id="too-deep"),
    ],
)
def test_an_answer_that_cannot_be_inspected_is_withheld(world: World, upstream: RawUpstream, sent: bytes) -> None:
    upstream.behave = lambda connection, _request: connection.sendall(sent)
    refusal = refused(ask(world), "withheld")
    until_written(world.var / "recordings", exchange=refusal, stage="Failed")
    still_serves(world, upstream)


@pytest.mark.threat("T20")
@pytest.mark.failure("F-encoding")
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(whole(SECRET, "content-encoding: br"), id="unknown-coding"),
        pytest.param(whole(SECRET, "content-encoding: gzip, gzip"), id="two-codings"),
        pytest.param(whole(SECRET, "content-encoding: gzip"), id="not-what-it-says"),
        pytest.param(whole(bomb(), "content-encoding: gzip"), id="bomb"),
        pytest.param(whole(bomb()[:-4], "content-encoding: gzip"), id="cut-off"),
        pytest.param(
            whole(b"data: " + SECRET + b"\n\n", "content-encoding: gzip", content_type="text/event-stream"),
            id="compressed-stream",
        ),
    ],
)
def test_a_coding_that_cannot_be_undone_is_withheld(world: World, upstream: RawUpstream, sent: bytes) -> None:
    upstream.behave = lambda connection, _request: connection.sendall(sent)
    refused(ask(world), "withheld")
    assert upstream.requests[0].headers("accept-encoding") == ["identity"]
    still_serves(world, upstream)


@pytest.mark.threat("T20")
@pytest.mark.failure("F-body-limit")
def test_a_request_over_the_limit_reaches_nobody(world: World, upstream: RawUpstream) -> None:
    with world.client() as http:
        body = json.dumps(call("read_note", {"name": "x" * LIMIT}))
        for sent in (body.encode(), (part.encode() for part in (body[:100], body[100:]))):
            answer = http.post(world.url, headers=world.headers(), content=sent)
            assert answer.status_code == 413
            assert refused(answer, "too_large")
    assert upstream.requests == []
    with world.client() as http:
        stranger = http.post(world.url, headers=world.headers("nonsense"), content=body.encode())
        assert refused(stranger, "unauthenticated")
    assert upstream.requests == []
    still_serves(world, upstream)


@pytest.mark.failure("F-body-limit")
def test_an_answer_over_the_limit_is_withheld(world: World, upstream: RawUpstream) -> None:
    long = "x" * LIMIT + LEAK
    upstream.behave = lambda connection, request: connection.sendall(whole(result(request, long)))
    refused(ask(world), "withheld")
    still_serves(world, upstream)


@pytest.mark.failure("F-credential-refused")
@pytest.mark.parametrize("status", ["401 Unauthorized", "407 Proxy Authentication Required"])
def test_a_credential_that_the_upstream_refuses_is_not_the_callers_affair(
    world: World, upstream: RawUpstream, status: str
) -> None:
    challenge = f'www-authenticate: Bearer realm="{LEAK}"'
    upstream.behave = lambda connection, _request: connection.sendall(whole(SECRET, challenge, status=status))
    answer = ask(world)
    refused(answer, "upstream")
    assert "www-authenticate" not in answer.headers
    still_serves(world, upstream)


@pytest.mark.failure("F-upstream-slow")
def test_a_refused_answer_that_never_ends_is_ended_whole_and_written_down(world: World, upstream: RawUpstream) -> None:
    go_on = threading.Event()

    def endless(connection: socket.socket, _request: Arrived) -> None:
        connection.sendall(b"HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n")
        go_on.wait(30)

    upstream.behave = endless
    refusal = refused(ask(world), "upstream")
    until_written(world.var / "recordings", exchange=refusal, stage="Failed")
    go_on.set()
    still_serves(world, upstream)


@pytest.mark.threat("T10")
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n" + LEAK.encode(), id="101"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" + LEAK.encode(),
            id="101-h2c",
        ),
    ],
)
def test_an_upstream_cannot_switch_to_another_protocol(world: World, upstream: RawUpstream, sent: bytes) -> None:
    upstream.behave = lambda connection, _request: connection.sendall(sent)
    answer = ask(world)
    assert answer.status_code >= 400 or answer.json()["error"]
    assert LEAK not in answer.text
    still_serves(world, upstream)


@pytest.mark.threat("T16")
@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list"])
def test_call_ends_at_what_its_server_asks_of_the_client(world: World, upstream: RawUpstream, method: str) -> None:
    def asks(connection: socket.socket, request: Arrived) -> None:
        question = {"jsonrpc": "2.0", "id": 99, "method": method, "params": {"prompt": LEAK}}
        events = [b"data: " + json.dumps(question).encode() + b"\n\n", b"data: " + result(request, "done") + b"\n\n"]
        connection.sendall(stream(*events))

    upstream.behave = asks
    answer = ask(world)
    assert '"kind":"denied"' in answer.text
    assert "done" not in answer.text
    assert method not in answer.text
    assert LEAK not in answer.text
