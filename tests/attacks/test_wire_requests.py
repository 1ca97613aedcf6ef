"""Requests that say two things at once, or speak another protocol: nothing reaches an upstream undecided."""

from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from tests.fakes.byte_upstream import answer
from tests.fakes.wire import Answer, Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld
from tests.fakes.world import UPSTREAM_TOKEN

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.threat("T02"),
    pytest.mark.threat("T10"),
    pytest.mark.threat("T12"),
    pytest.mark.threat("T17"),
    pytest.mark.threat("T20"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("requests")) as world:
        world.start()
        yield world


JSON = ("Content-Type", "application/json")
type Say = Callable[[WireWorld, str], bytes]


def get(*more: tuple[str, str], target: str = "{path}", method: str = "GET") -> Say:
    """A GET of the raw target with these headers on top."""
    return lambda world, path: request(method, target.format(path=path, port=world.reverse), world.plain(*more))


def post(body: bytes, *more: tuple[str, str], length: bool = False) -> Say:
    return lambda world, path: request("POST", path, world.plain(JSON, *more), body, length=length)


def head(line: str, *, keep_host: bool = True) -> Say:
    """A request line of one's own."""

    def say(world: WireWorld, path: str) -> bytes:
        headers = world.plain()[0 if keep_host else 1 :]
        lines = [line.format(path=path, port=world.reverse), *(f"{n}: {v}" for n, v in headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    return say


def with_hosts(*hosts: str) -> Say:
    def say(world: WireWorld, path: str) -> bytes:
        return request("GET", path, [*(("Host", h) for h in hosts), *world.plain()[1:]])

    return say


REFUSED: dict[str, Say] = {
    # the request line
    "http-0.9": head("GET {path}"),
    "http-1.0": head("GET {path} HTTP/1.0"),
    "http-2.0": head("GET {path} HTTP/2.0"),
    "http-2.0-no-host": head("GET {path} HTTP/2.0", keep_host=False),
    "http-2.0-absolute": head("GET http://127.0.0.1:{port}{path} HTTP/2.0"),
    "http-2.0-absolute-no-host": head("GET http://127.0.0.1:{port}{path} HTTP/2.0", keep_host=False),
    "http-3.0-absolute": head("GET http://127.0.0.1:{port}{path} HTTP/3.0"),
    "http-1.2": head("GET {path} HTTP/1.2"),
    "absolute-form": head("GET http://127.0.0.1:{port}{path} HTTP/1.1"),
    "absolute-form-elsewhere": head("GET http://evil.example{path} HTTP/1.1"),
    "absolute-form-no-host": head("GET http://127.0.0.1:{port}{path} HTTP/1.1", keep_host=False),
    "asterisk": head("OPTIONS * HTTP/1.1"),
    "connect": head("CONNECT 127.0.0.1:{port} HTTP/1.1"),
    "lower-case-method": head("get {path} HTTP/1.1"),
    "trace": head("TRACE {path} HTTP/1.1"),
    "spaces": head("GET  {path}  HTTP/1.1  x"),
    "prior-knowledge": lambda _w, _p: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "ssh": lambda _w, _p: b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    # hosts
    "no-host": with_hosts(),
    "two-hosts": with_hosts("127.0.0.1", "127.0.0.1"),
    "host-with-user": with_hosts("a@127.0.0.1"),
    "host-with-path": with_hosts("127.0.0.1/x"),
    "empty-host": with_hosts(""),
    "folded-host": with_hosts("a\r\n b"),
    # framing
    "two-lengths": post(b"{}", ("Content-Length", "2"), ("Content-Length", "2")),
    "conflicting-lengths": post(b"{}", ("Content-Length", "2"), ("Content-Length", "3")),
    "listed-lengths": post(b"{}", ("Content-Length", "2, 2")),
    "signed-length": post(b"{}", ("Content-Length", "+2")),
    "length-and-chunked": post(b"0\r\n\r\n", ("Content-Length", "5"), ("Transfer-Encoding", "chunked")),
    "chunked-twice": post(b"0\r\n\r\n", ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")),
    "chunked-misspelt": post(b"0\r\n\r\n", ("Transfer-Encoding", "xchunked")),
    "chunked-not-last": post(b"0\r\n\r\n", ("Transfer-Encoding", "chunked, identity")),
    "gzip-chunked": post(b"2\r\n{}\r\n0\r\n\r\n", ("Transfer-Encoding", "gzip, chunked")),
    "space-before-colon": post(b"0\r\n\r\n", ("Transfer-Encoding ", "chunked")),
    "bad-chunk": post(b"zz\r\n{}\r\n0\r\n\r\n", ("Transfer-Encoding", "chunked")),
    "trailers": post(b"2\r\n{}\r\n0\r\nAuthorization: x\r\n\r\n", ("Transfer-Encoding", "chunked")),
    "gzip-body": post(b"\x1f\x8b", ("Content-Encoding", "gzip"), length=True),
    "two-content-types": post(b"{}", ("Content-Type", "text/plain"), length=True),
    # header lines
    "folded": get(("X-A", "b\r\n Impersonate-User: root")),
    "bare-cr": get(("X-A", "b\rImpersonate-User: root")),
    "nul": get(("X-A", "b\0c")),
    "control": get(("X-A", "b\x08c")),
    "no-colon": lambda w, p: request("GET", p, w.plain()).replace(b"\r\n\r\n", b"\r\nImpersonate-User\r\n\r\n"),
    "control-in-a-name": get(("X\x01A", "b")),
    # other protocols
    "websocket": get(("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")),
    "websocket-unversioned": get(("Upgrade", "websocket"), ("Connection", "Upgrade")),
    "websocket-silent": get(("Upgrade", "websocket")),
    "connection-upgrade": get(("Connection", "keep-alive, UPGRADE")),
    "h2c": get(("Upgrade", "h2c"), ("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABkAAQCAAAA")),
    "spdy": get(("Upgrade", "SPDY/3.1"), ("Connection", "Upgrade"), method="POST"),
    # who
    "two-tokens": get(("Authorization", "Bearer x")),
    "token-in-the-query": lambda w, p: request("GET", f"{p}?access_token={w.token()}", w.plain()[:1]),
    "no-token": lambda w, p: request("GET", p, w.plain()[:1]),
    "basic": lambda w, p: request("GET", p, [*w.plain()[:1], ("Authorization", f"Basic {w.token()}")]),
    "token-in-another-header": lambda w, p: request(
        "GET", p, [*w.plain()[:1], ("Proxy-Authorization", f"Bearer {w.token()}"), ("Cookie", w.token())]
    ),
    # what
    "override": get(("X-HTTP-Method-Override", "DELETE"), method="POST"),
    "override-underscored": get(("X_HTTP_Method_Override", "DELETE"), method="POST"),
    "dot-segments": get(target="{path}/../admin"),
    "encoded-dots": get(target="{path}/%2e%2e/admin"),
    "double-slash": get(target="{path}//admin"),
    "encoded-slash": get(target="{path}%2fadmin"),
    "encoded-backslash": get(target="{path}%5cadmin"),
    "twice-encoded": get(target="{path}%252fadmin"),
    "parameters": get(target="{path};/admin"),
    "not-utf-8": get(target="{path}/%ff"),
    "fragment": get(target="{path}#x"),
    "delete": get(method="DELETE"),
    "denied": get(target="/raw/admin"),
    "no-route": get(target="/nowhere"),
    "duplicate-keys": post(b'{"a":1,"a":2}', length=True),
    "nan": post(b'{"a":NaN}', length=True),
    "deep": post(b"[" * 70 + b"]" * 70, length=True),
    "bad-utf-8": post(b'{"a":"\xff"}', length=True),
    "get-with-body": lambda w, p: request("GET", p, w.plain(JSON), b"{}"),
}


def check_refused(got: Answer, name: str) -> None:
    assert not got.timed_out, f"{name}: the caller is left hanging"
    assert got.status == 0 or 400 <= got.status < 600, got
    assert not got.torn, got


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_is_not_clear_reaches_no_upstream(world: WireWorld, name: str) -> None:
    before = world.reached()
    said = REFUSED[name](world, f"/raw/{name}")
    with Wire(world.reverse, timeout=6) as wire:
        got = wire.ask(said, "GET")
    check_refused(got, name)
    assert world.reached() == before
    if name not in ("prior-knowledge", "ssh", "bad-chunk"):
        assert got.status, "the caller is told nothing"
        assert "mitmproxy" not in got.text
        assert got.header("content-type") == "application/problem+json"


OF_ROUTES = {"asterisk", "absolute-form", "no-route", "denied"}
"""They have another meaning in a tunnel."""


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in OF_ROUTES])
def test_nor_does_it_through_the_forward_listener(world: WireWorld, name: str) -> None:
    before = world.reached()
    host = f"127.0.0.1:{world.raw.port}"
    said = REFUSED[name](world, f"/raw/{name}").replace(f"127.0.0.1:{world.reverse}".encode(), host.encode())
    said = said.replace(f" /raw/{name}".encode(), f" /{name}".encode(), 1)
    with Wire(world.forward, timeout=6) as wire:
        assert b" 200 " in wire.connect(host)
        got = wire.ask(said, "GET")
    check_refused(got, name)
    assert world.reached() == before


# Through CONNECT


@pytest.mark.parametrize(
    "authority",
    [
        "127.0.0.1:1",
        "127.0.0.1:22",
        "169.254.169.254:80",
        "evil.example:443",
        "127.1:{port}",
        "2130706433:{port}",
        "0x7f000001:{port}",
        "0177.0.0.1:{port}",
        "localhost:{port}",
        "[::1]:{port}",
        "[::ffff:127.0.0.1]:{port}",
        "127.0.0.1:{port}/x",
        "a@127.0.0.1:{port}",
        "holdpoint.invalid:1",
        "mitm.it:80",
        "127.0.0.1",
        ":{port}",
        "127.0.0.1%00.example:{port}",
    ],
)
@pytest.mark.parametrize("listener", ["forward", "reverse"])
def test_a_tunnel_leads_to_targets_only(world: WireWorld, authority: str, listener: str) -> None:
    with Wire(getattr(world, listener), timeout=6) as wire:
        line = wire.connect(authority.format(port=world.raw.port))
    assert line == b"" or b" 4" in line, line


def test_a_tunnel_to_a_target_with_a_dot_or_capitals_is_a_tunnel_to_that_target(world: WireWorld) -> None:
    with Wire(world.forward, timeout=6) as wire:
        line = wire.connect(f"127.0.0.1.:{world.raw.port}")
        if b" 200 " in line:
            host = f"127.0.0.1:{world.raw.port}"
            got = wire.ask(request("GET", "/dotted", [("Host", host), *world.plain()[1:]]))
            assert got.status in (200, 400)


@pytest.mark.parametrize("said", [b"\x00\x01\x02\x03 hello\r\n", b"SSH-2.0-x\r\n", b"A", b"\r\n\r\n\r\n"])
@pytest.mark.parametrize("listener", ["forward", "forward_tls"])
def test_raw_bytes_in_a_tunnel_go_nowhere(world: WireWorld, said: bytes, listener: str) -> None:
    before = world.reached()
    for inner in (False, True):
        with Wire(getattr(world, listener), timeout=6) as wire:
            if listener == "forward_tls":
                wire.tls()
            target = world.secure.port if inner and listener == "forward" else world.raw.port
            assert b" 200 " in wire.connect(f"127.0.0.1:{target}")
            if inner and listener == "forward":
                wire.tls()
            wire.send(said * 3)
            wire.socket.settimeout(0.3)
            try:
                back = wire.socket.recv(4096)
            except TimeoutError:
                back = b""  # it waits for the rest of a request
            assert b"200 OK" not in back
    assert world.reached() == before


def test_a_tunnel_in_a_tunnel_is_refused(world: WireWorld) -> None:
    host = f"127.0.0.1:{world.raw.port}"
    with Wire(world.forward, timeout=6) as wire:
        assert b" 200 " in wire.connect(host)
        assert b" 200 " not in wire.connect(host)


def tunnelled(world: WireWorld, said: bytes, *, sni: str | None = "127.0.0.1") -> Answer:
    """Ask the `secure` target through a tunnel with TLS in it."""
    with Wire(world.forward, timeout=6) as wire:
        assert b" 200 " in wire.connect(f"127.0.0.1:{world.secure.port}")
        try:
            wire.tls(sni=sni)
        except OSError:
            return Answer()
        return wire.ask(said)


def test_a_tunnel_with_tls_in_it_is_inspected(world: WireWorld) -> None:
    world.secure.answers["/t"] = answer('{"password":"hunter2-hunter2"}')
    host = ("Host", f"127.0.0.1:{world.secure.port}")
    got = tunnelled(world, request("GET", "/t", [host, *world.plain()[1:]]), sni=None)
    assert got.json == {"password": "[masked]"}
    assert world.secure.seen("/t")[-1].header("authorization") == [f"Bearer {UPSTREAM_TOKEN}"]


@pytest.mark.parametrize("sni", ["evil.example", "localhost", "mitm.it"])
def test_a_server_name_that_differs_from_the_tunnel_is_refused(world: WireWorld, sni: str) -> None:
    before = len(world.secure.requests)
    host = ("Host", f"127.0.0.1:{world.secure.port}")
    got = tunnelled(world, request("GET", "/sni", [host, *world.plain()[1:]]), sni=sni)
    assert got.status in (0, 400)
    assert len(world.secure.requests) == before


@pytest.mark.parametrize(
    "host", ["evil.example", "mitm.it", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{raw}", "", "127.0.0.1:{port}, x"]
)
def test_a_host_header_that_differs_from_the_tunnel_is_refused(world: WireWorld, host: str) -> None:
    before = world.reached()
    named = host.format(raw=world.raw.port, port=world.secure.port)
    got = tunnelled(world, request("GET", "/host", [("Host", named), *world.plain()[1:]]), sni=None)
    assert got.status == 400
    assert world.reached() == before


@pytest.mark.parametrize(
    "target",
    [
        "http://mitm.it/",
        "http://evil.example/",
        "http://127.0.0.1:1/",
        "http://a:b@127.0.0.1:{port}/x",
        "https://127.0.0.1:{port}/x",
        "ftp://127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}@evil.example/",
        "http://holdpoint.invalid:1/",
        "http://127.0.0.1:{secure}/x",
    ],
)
def test_absolute_form_leads_to_targets_only(world: WireWorld, target: str) -> None:
    before = world.reached()
    with Wire(world.forward, timeout=6) as wire:
        host = ("Host", f"127.0.0.1:{world.raw.port}")
        line = target.format(port=world.raw.port, secure=world.secure.port)
        got = wire.ask(request("GET", line, [host, *world.plain()[1:]]), "GET")
    check_refused(got, target)
    assert got.status in (400, 404)
    assert world.reached() == before


def test_absolute_form_with_another_host_is_refused(world: WireWorld) -> None:
    before = world.reached()
    with Wire(world.forward, timeout=6) as wire:
        line = f"http://127.0.0.1:{world.raw.port}/x"
        got = wire.ask(request("GET", line, [("Host", "evil.example"), *world.plain()[1:]]), "GET")
    assert got.status == 400
    assert world.reached() == before


def test_mitmproxys_own_pages_are_not_served(world: WireWorld) -> None:
    for listener in (world.reverse, world.forward):
        with Wire(listener, timeout=6) as wire:
            got = wire.ask(request("GET", "/cert/pem", [("Host", "mitm.it"), *world.plain()[1:]]), "GET")
        assert got.status >= 400
        assert "CERTIFICATE" not in got.text


def test_mitmproxys_revocation_list_is_not_served(world: WireWorld) -> None:
    # A path that ends so is answered by mitmproxy itself, after every stage has let the request go.
    authority = x509.load_pem_x509_certificate((world.var / "ca" / "mitmproxy-ca-cert.pem").read_bytes())
    path = f"/mitmproxy-{authority.serial_number}.crl"
    world.raw.answers[path] = answer('{"mine":1}')
    got = world.get(f"/raw{path}")
    assert got.header("content-type") != "application/pkix-crl"
    assert (got.status == 200) == bool(world.raw.seen(path))


# TLS listeners


@pytest.mark.parametrize("listener", ["reverse_tls", "forward_tls"])
def test_plain_bytes_on_a_tls_listener_are_refused(world: WireWorld, listener: str) -> None:
    before = world.reached()
    host = f"127.0.0.1:{world.raw.port}"
    for said in (
        request("GET", "/raw/plain", world.plain()),
        request("GET", f"http://{host}/plain", [("Host", host), *world.plain()[1:]]),
        f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(),
    ):
        with Wire(getattr(world, listener), timeout=6) as wire:
            got = wire.ask(said, "GET")
        check_refused(got, listener)
        assert got.status == 400 or listener == "reverse_tls"
    assert world.reached() == before


def test_tls_on_a_plain_listener_opens_nothing_more(world: WireWorld) -> None:
    before = world.reached()
    with Wire(world.reverse, timeout=6) as wire:
        try:
            got = wire.tls().ask(request("GET", "/raw/tls", world.plain()[:1]), "GET")
        except OSError:
            return
    assert got.status == 401
    assert world.reached() == before


# HTTP/2


def h2_headers(**changes: str) -> Callable[[list[tuple[str, str]]], list[tuple[str, str]]]:
    """Change or drop pseudo headers."""

    def change(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        renamed = {f":{k}": v for k, v in changes.items()}
        return [(n, renamed.get(n, v)) for n, v in headers if renamed.get(n) != "-"]

    return change


def h2_more(*more: tuple[str, str]) -> Callable[[list[tuple[str, str]]], list[tuple[str, str]]]:
    return lambda headers: [*headers, *more]


REFUSED_H2 = {
    "no-authority": h2_headers(authority="-"),
    "no-authority-but-host": lambda h: [*h2_headers(authority="-")(h), ("host", "127.0.0.1")],
    "another-host": h2_more(("host", "evil.example")),
    "two-hosts": h2_more(("host", "a"), ("host", "b")),
    "authority-with-user": h2_headers(authority="a@127.0.0.1"),
    "path-without-slash": h2_headers(path="raw/x"),
    "path-with-a-break": h2_headers(path="/raw/x HTTP/1.1\r\nX-A: b"),
    "absolute-path": h2_headers(path="http://evil.example/raw/x"),
    "empty-path": h2_headers(path=""),
    "method-with-a-break": h2_headers(method="GET / HTTP/1.1\r\nX-A: b\r\n\r\nGET"),
    "lower-case-method": h2_headers(method="get"),
    "connect": h2_headers(method="CONNECT", path="-", scheme="-"),
    "extended-connect": lambda h: [(":protocol", "websocket"), *h2_headers(method="CONNECT")(h)],
    "two-paths": lambda h: [(":path", "/raw/y"), *h],
    "unknown-pseudo": lambda h: [(":x", "y"), *h],
    "late-pseudo": h2_more((":x", "y")),
    "connection": h2_more(("connection", "upgrade")),
    "upgrade": h2_more(("upgrade", "websocket")),
    "chunked": h2_more(("transfer-encoding", "chunked")),
    "value-with-a-break": h2_more(("x-a", "b\r\nimpersonate-user: root")),
    "value-with-a-line-feed": h2_more(("x-a", "b\nimpersonate-user: root")),
    "value-with-nul": h2_more(("x-a", "b\0")),
    "value-with-a-control": h2_more(("x-a", "b\x08")),
    "name-with-a-break": h2_more(("x-a: b\r\nimpersonate-user", "root")),
    "name-with-a-colon": h2_more(("x-a:", "root")),
    "capital-name": h2_more(("Impersonate-User", "root")),
    "two-tokens": h2_more(("authorization", "Bearer x")),
    "wrong-length": h2_more(("content-length", "5")),
    "two-lengths": h2_more(("content-length", "0"), ("content-length", "0")),
}


@pytest.mark.parametrize("name", REFUSED_H2)
def test_a_stream_that_is_not_clear_reaches_no_upstream(world: WireWorld, name: str) -> None:
    before = world.reached()
    headers = REFUSED_H2[name](world.over_h2(f"/raw/{name}", world.plain(), "GET"))
    with h2_connection(world.reverse_tls, timeout=6) as wire:
        got = wire.wait(wire.ask(headers))
    assert not got.timed_out, "the caller is left hanging"
    assert got.status == 0 or got.status >= 400, got
    assert world.reached() == before


def test_trailers_of_a_stream_reach_no_upstream(world: WireWorld) -> None:
    before = world.reached()
    with h2_connection(world.reverse_tls, timeout=6) as wire:
        stream = wire.ask(world.over_h2("/raw/trailers", world.plain(JSON)), b"{}", end=False)
        wire.state.send_headers(stream, [("authorization", "x")], end_stream=True)
        wire.flush()
        got = wire.wait(stream)
    assert got.status == 400
    assert world.reached() == before


def test_http2_inside_a_tunnel_is_inspected(world: WireWorld) -> None:
    world.h2up.requests.clear()
    host = f"127.0.0.1:{world.h2up.port}"
    with Wire(world.forward, timeout=6) as outer:
        assert b" 200 " in outer.connect(host)
        outer.tls(alpn=("h2",), sni=None)
        from tests.fakes.wire import H2Wire

        wire = H2Wire(outer)
        headers = [(n, host if n == ":authority" else v) for n, v in world.over_h2("/t", world.plain(), "GET")]
        assert wire.wait(wire.ask(headers)).status == 200
        evil = [(n, "evil.example" if n == ":authority" else v) for n, v in headers]
        assert wire.wait(wire.ask(evil)).status == 400
    assert len(world.h2up.requests) == 1
    assert [v for n, v in world.h2up.requests[0] if n == b"authorization"] == [f"Bearer {UPSTREAM_TOKEN}".encode()]


def test_the_gateway_came_through_it_all(world: WireWorld) -> None:
    assert world.gateway is not None
    assert "has crashed" not in world.gateway.output
    assert "Traceback" not in world.gateway.output
    assert world.get("/raw/last").status == 200
    forwarded = [e for e in world.audited() if e["stage"] == "Forwarded"]
    assert len(forwarded) == world.reached(), "what reached an upstream and what was written down differ"
