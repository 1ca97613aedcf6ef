"""What a caller can put on the wire: what is unclear, foreign or forged ends at the gateway or is dropped."""

import json
import re
import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest
from tests.fakes.raw_upstream import RawUpstream, whole
from tests.fakes.world import UPSTREAM_TOKEN, World, call

pytestmark = pytest.mark.e2e

BODY = json.dumps(call("read_note", {"name": "x"})).encode()
QUIET = 0.5
"""Seconds without a word after which the gateway is taken to wait for more."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    world.write_settings(**{world.notes.url: upstream.url})
    with world:
        world.start()
        yield world


@pytest.fixture(autouse=True)
def fresh(upstream: RawUpstream) -> None:
    upstream.forget()


def count_answers(data: bytes) -> int:
    """How many whole answers, each with its length, stand in these bytes."""
    count = 0
    while data:
        answer, _, data = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", answer)
        if length is None or len(data) < int(length[1]):
            return count
        data = data[int(length[1]) :]
        count += 1
    return count


def talk(port: int, sent: bytes, *, answers: int = 1) -> bytes:
    """Send bytes, and return what comes back until so many answers are there, the gateway hangs up, or is silent.

    A caller who hangs up first has left, and gets no answer: so this one waits.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=QUIET) as connection:
        connection.sendall(sent)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
                if count_answers(answer) >= answers:
                    break
        except (ConnectionResetError, TimeoutError):
            pass
        return answer


def head(world: World, *more: str, line: str = "POST /mcp/demo HTTP/1.1", length: bool = True) -> bytes:
    """A good head of a request, with more headers or another first line."""
    fields = [f"{n}: {v}" for n, v in world.headers().items()]
    host = [] if any(m.lower().startswith("host:") for m in more) else [f"Host: 127.0.0.1:{world.reverse}"]
    size = [f"Content-Length: {len(BODY)}"] if length else []
    return "\r\n".join([line, "Connection: close", *host, *fields, *size, *more, "", ""]).encode("latin-1")


def passes(answer: bytes) -> bool:
    return b"\r\n\r\n" in answer and b"well" in answer.partition(b"\r\n\r\n")[2]


def test_the_good_request_of_these_tests_passes(world: World, upstream: RawUpstream) -> None:
    assert passes(talk(world.reverse, head(world) + BODY))
    assert len(upstream.requests) == 1


@pytest.mark.threat("T02")
@pytest.mark.parametrize(
    "more",
    [
        pytest.param([f"Content-Length: {len(BODY)}"], id="length-twice"),
        pytest.param(["Content-Length: 3"], id="two-lengths"),
        pytest.param(["Transfer-Encoding: chunked"], id="length-and-chunked"),
        pytest.param(["Transfer-Encoding: xchunked"], id="unknown-transfer-coding"),
        pytest.param(["Transfer-Encoding : chunked"], id="space-before-the-colon"),
        pytest.param(["X: a\r\n Content-Length: 0"], id="folded-line"),
        pytest.param(["Host: 127.0.0.1", "Host: elsewhere"], id="two-hosts"),
        pytest.param(["Content-Type: text/plain"], id="two-content-types"),
        pytest.param(["Content-Encoding: gzip"], id="compressed"),
        pytest.param(["X-HTTP-Method-Override: DELETE"], id="method-override"),
        pytest.param(["X_HTTP_Method_Override: DELETE"], id="method-override-by-underscore"),
        pytest.param(["Trailer: authorization"], id="trailer"),
        pytest.param(["Authorization: Bearer other"], id="two-tokens"),
        pytest.param(["Mcp-Session-Id: a", "Mcp-Session-Id: b"], id="two-sessions"),
    ],
)
def test_a_head_with_two_readings_reaches_nobody(world: World, upstream: RawUpstream, more: list[str]) -> None:
    answer = talk(world.reverse, head(world, *more) + BODY)
    assert not passes(answer)
    assert upstream.requests == []


@pytest.mark.threat("T02")
@pytest.mark.parametrize(
    "line",
    [
        pytest.param("POST /mcp/demo HTTP/1.0", id="http-1.0"),
        pytest.param("POST /mcp/demo HTTP/0.9", id="http-0.9"),
        pytest.param("post /mcp/demo HTTP/1.1", id="lower-case"),
        pytest.param("POST http://127.0.0.1/mcp/demo HTTP/1.1", id="absolute"),
        pytest.param("POST mcp/demo HTTP/1.1", id="relative"),
        pytest.param("POST * HTTP/1.1", id="asterisk"),
        pytest.param("POST /mcp/demo/../other HTTP/1.1", id="dots"),
        pytest.param("POST /mcp/demo%2f..%2fother HTTP/1.1", id="encoded-dots"),
        pytest.param("POST //mcp/demo HTTP/1.1", id="empty-segment"),
        pytest.param("POST /mcp/demonstration HTTP/1.1", id="longer-than-the-route"),
        pytest.param("POST /MCP/DEMO HTTP/1.1", id="other-case"),
        pytest.param("TRACE /mcp/demo HTTP/1.1", id="trace"),
        pytest.param("QUERY /mcp/demo HTTP/1.1", id="unknown-method"),
        pytest.param("PRI * HTTP/2.0", id="half-a-preface"),
    ],
)
def test_a_request_line_with_two_readings_reaches_nobody(world: World, upstream: RawUpstream, line: str) -> None:
    answer = talk(world.reverse, head(world, line=line) + BODY)
    assert not passes(answer)
    assert upstream.requests == []


@pytest.mark.threat("T02")
def test_a_request_hidden_behind_another_is_a_request_of_its_own(world: World, upstream: RawUpstream) -> None:
    hidden = b"POST /mcp/demo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    open_answer = whole(b'{"jsonrpc":"2.0","id":1,"result":{"said":"well"}}').replace(b"connection: close\r\n", b"")
    upstream.behave = lambda connection, _request: connection.sendall(open_answer)
    first = head(world).replace(b"Connection: close\r\n", b"") + BODY
    answer = talk(world.reverse, first + hidden, answers=2)
    assert passes(answer)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 4" in answer
    assert len(upstream.requests) == 1


@pytest.mark.threat("T10")
@pytest.mark.parametrize(
    "more",
    [
        pytest.param(["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"], id="websocket"),
        pytest.param(["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"], id="h2c"),
        pytest.param(["Connection: upgrade"], id="upgrade-without-a-name"),
        pytest.param(["Upgrade: SPDY/3.1"], id="spdy"),
        pytest.param(["HTTP2-Settings: AAMA"], id="settings-alone"),
    ],
)
def test_an_upgrade_reaches_nobody(world: World, upstream: RawUpstream, more: list[str]) -> None:
    answer = talk(world.reverse, head(world, *more) + BODY)
    assert b" 101 " not in answer
    assert not passes(answer)
    assert upstream.requests == []


@pytest.mark.threat("T10")
@pytest.mark.parametrize("road", ["reverse", "forward"])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", id="ssh"),
        pytest.param(b"\x05\x01\x00", id="socks"),
        pytest.param(b"\x00\x00\x00\x08\x04\xd2\x16\x2f", id="postgres"),
        pytest.param(b"\xff" * 400, id="noise"),
        pytest.param(b"EHLO somewhere\r\n", id="smtp"),
    ],
)
def test_what_is_not_http_reaches_nobody(world: World, upstream: RawUpstream, road: str, sent: bytes) -> None:
    answer = talk(getattr(world, road), sent)
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert upstream.requests == []


def connect(world: World, host: str, *, port: int | None = None) -> bytes:
    return talk(world.forward, f"CONNECT {host}:{port or world.notes.port} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


@pytest.mark.threat("T17")
@pytest.mark.parametrize(
    "host", ["127.0.0.2", "localhost", "[::1]", "169.254.169.254", "holdpoint.invalid", "2130706433", "127.1"]
)
def test_a_tunnel_to_anywhere_but_a_target_is_not_opened(world: World, upstream: RawUpstream, host: str) -> None:
    answer = connect(world, host, port=upstream.port)
    assert b" 200 " not in answer
    assert upstream.requests == []


@pytest.mark.threat("T17")
@pytest.mark.parametrize("port", [1, 22, 443])
def test_a_tunnel_to_another_port_of_a_target_is_not_opened(world: World, port: int) -> None:
    assert b" 200 " not in connect(world, "127.0.0.1", port=port)


@pytest.mark.threat("T17")
def test_a_routed_listener_opens_no_tunnel(world: World, upstream: RawUpstream) -> None:
    answer = talk(world.reverse, f"CONNECT 127.0.0.1:{upstream.port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert b" 200 " not in answer
    assert upstream.requests == []


@pytest.mark.threat("T17")
@pytest.mark.parametrize("inside", ["plain", "tls-by-another-name", "ssh"])
def test_a_tunnel_carries_nothing_but_what_was_asked_for(world: World, upstream: RawUpstream, inside: str) -> None:
    with socket.create_connection(("127.0.0.1", world.forward), timeout=10) as raw:
        raw.settimeout(QUIET)
        raw.sendall(f"CONNECT 127.0.0.1:{upstream.port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert b" 200 " in raw.recv(4096)
        answer = b""
        try:
            match inside:
                case "plain":
                    raw.sendall(head(world, "Host: elsewhere:80", line="POST /mcp HTTP/1.1") + BODY)
                    answer = raw.recv(65536)
                case "ssh":
                    raw.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
                    answer = raw.recv(65536)
                case _:
                    context = ssl.create_default_context(cafile=str(world.var / "ca" / "mitmproxy-ca-cert.pem"))
                    context.check_hostname = False
                    with context.wrap_socket(raw, server_hostname="elsewhere.example") as tunnel:
                        named = head(world, f"Host: 127.0.0.1:{upstream.port}", line="POST /mcp HTTP/1.1")
                        tunnel.sendall(named + BODY)
                        answer = tunnel.recv(65536)
        except OSError:
            pass  # hung up
    assert not passes(answer)
    assert upstream.requests == []


FORGED = {
    "Impersonate-User": "system:admin",
    "Impersonate-Group": "system:masters",
    "Impersonate_User": "system:admin",
    "X-Remote-User": "root",
    "X-Remote-Group": "system:masters",
    "X-Remote-Extra-Scopes": "all",
    "X-Forwarded-For": "10.0.0.1",
    "X-Forwarded-User": "root",
    "X_Forwarded_User": "root",
    "X-Forwarded-Email": "root@corp.example",
    "Forwarded": "for=10.0.0.1",
    "X-Real-IP": "10.0.0.1",
    "Via": "1.1 trusted",
    "Cookie": "session=stolen",
    "Proxy-Authorization": "Basic cm9vdDpyb290",
}


@pytest.mark.threat("T12")
def test_no_header_that_names_an_identity_goes_upstream(world: World, upstream: RawUpstream) -> None:
    token = world.token()
    with world.client() as http:
        answer = http.post(world.url, headers=world.headers(token, **FORGED), content=BODY)
    assert "well" in answer.text
    (sent,) = upstream.requests
    assert sent.names & {name.lower() for name in FORGED} == set()
    assert sent.headers("authorization") == [f"Bearer {UPSTREAM_TOKEN}"]
    assert sent.headers("host") == [f"127.0.0.1:{upstream.port}"]
    assert token not in (sent.head + sent.body).decode("latin-1")
    for value in ("system:", "root", "10.0.0.1", "stolen"):
        assert value not in sent.head.decode("latin-1")


@pytest.mark.threat("T12")
def test_no_header_that_names_an_identity_changes_who_is_asking(world: World, upstream: RawUpstream) -> None:
    with world.client() as http:
        answer = http.post(world.url, headers={**world.headers("nonsense"), **FORGED}, content=BODY)
    assert answer.status_code == 401
    assert upstream.requests == []


@pytest.mark.threat("T12")
@pytest.mark.parametrize("where", ["query", "body", "cookie", "basic"])
def test_a_token_counts_in_its_header_alone(world: World, upstream: RawUpstream, where: str) -> None:
    token = world.token()
    headers = {n: v for n, v in world.headers().items() if n != "authorization"}
    url, body = world.url, BODY
    match where:
        case "query":
            url += f"?access_token={token}"
        case "body":
            body = json.dumps({**call("read_note", {"name": "x"}), "access_token": token}).encode()
        case "cookie":
            headers["cookie"] = f"access_token={token}"
        case _:
            headers["authorization"] = f"Basic {token}"
    with httpx.Client(trust_env=False) as http:
        assert http.post(url, headers=headers, content=body).status_code == (400 if where == "query" else 401)
    assert upstream.requests == []
