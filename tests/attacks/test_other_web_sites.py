"""Pages of other sites in a caller's browser: by another name for our address, or across origins."""

import json
from collections.abc import Iterator

import pytest
from tests.fakes.byte_upstream import answer
from tests.fakes.wire import Answer, Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T24")]

WELL_KNOWN = "/.well-known/oauth-protected-resource"
APP = "https://app.example.com"
EXPOSED = "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After"
DONE = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"done"}]}}'
LISTED = """\
    origins: [https://app.example.com, "null", vscode-webview://abc]
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("sites")) as world:
        world.add_settings("    routes: [/raw]\n", "    hosts: [web.corp.example]\n")
        world.add_settings("    routes: [/rawmcp]\n", LISTED)
        world.rawmcp.answers["any"] = answer(DONE)
        world.start()
        yield world


def send(
    world: WireWorld,
    *more: tuple[str, str],
    path: str = "/rawmcp",
    method: str = "POST",
    host: str = "127.0.0.1:{port}",
    token: bool = True,
) -> Answer:
    """Make a good call, with a token as a page could only have it by a login of its own."""
    head = [("Host", host.format(port=world.reverse)), *world.mcp()[1 if token else 2 :], *more]
    body = json.dumps(call("any")).encode() if method == "POST" else b""
    with Wire(world.reverse, timeout=6) as wire:
        return wire.ask(request(method, path, head, body), method)


def cors(got: Answer) -> dict[str, str]:
    return {n.lower(): v for n, v in got.headers if n.lower().startswith("access-control-")}


# Names


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("127.0.0.1:{port}", 200, id="the listener"),
        pytest.param("localhost:{port}", 200, id="another loopback name"),
        pytest.param("LocalHost:{port}", 200, id="capitals"),
        pytest.param("localhost.:{port}", 200, id="trailing dot"),
        pytest.param("127.0.0.2:{port}", 200, id="another loopback address"),
        pytest.param("[::1]:{port}", 200, id="loopback of IPv6"),
        pytest.param("evil.example", 403, id="rebound"),
        pytest.param("evil.example:{port}", 403, id="rebound with the port"),
        pytest.param("127.0.0.1", 403, id="no port"),
        pytest.param("127.0.0.1:1", 403, id="another port"),
        pytest.param("localhost:1", 403, id="another port of another name"),
        pytest.param("localhost.evil.example:{port}", 403, id="starts like a loopback name"),
        pytest.param("evil.localhost:{port}", 403, id="below localhost"),
        pytest.param("127.0.0.1.evil.example:{port}", 403, id="starts like an address"),
        pytest.param("0.0.0.0:{port}", 403, id="no address"),
        pytest.param("[::]:{port}", 403, id="no address of IPv6"),
        pytest.param("[::ffff:127.0.0.1]:{port}", 403, id="mapped"),
        pytest.param("[0:0:0:0:0:0:0:1]:{port}", 403, id="long form of IPv6"),
        pytest.param("[::1%25lo]:{port}", 403, id="zone"),
        pytest.param("127.1:{port}", 403, id="short form"),
        pytest.param("2130706433:{port}", 403, id="one number"),
        pytest.param("0x7f.0.0.1:{port}", 403, id="hexadecimal"),
        pytest.param("10.0.0.1:{port}", 403, id="another address"),
        pytest.param("holdpoint.invalid:1", 403, id="where reverse listeners lead"),
        pytest.param("user@127.0.0.1:{port}", 400, id="user"),
        pytest.param("user:pass@127.0.0.1:{port}", 400, id="user and password"),
        pytest.param("127.0.0.1:{port}/x", 400, id="path"),
        pytest.param("127.0.0.1:{port}, evil.example", 400, id="two in one"),
        pytest.param("127.0.0.1:0{port}", 400, id="port with a zero"),
        pytest.param("127.0.0.1:+{port}", 400, id="port with a sign"),
        pytest.param("127.0.0.1:", 400, id="empty port"),
        pytest.param("[127.0.0.1]:{port}", 200, id="IPv4 in brackets"),
        pytest.param("", 400, id="empty"),
    ],
)
def test_only_names_of_the_listener_are_served(world: WireWorld, host: str, status: int) -> None:
    before = world.reached()
    got = send(world, host=host)
    assert got.status == status, got.text
    assert ("done" in got.text) is (status == 200)
    assert world.reached() == before + (status == 200)


@pytest.mark.parametrize("path", ["/rawmcp", "/raw/x", "/nobody", "/", f"{WELL_KNOWN}/rawmcp"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD", "DELETE"])
def test_by_a_foreign_name_nothing_is_served_at_all(world: WireWorld, path: str, method: str) -> None:
    before = world.reached()
    named = ("Origin", "http://evil.example")
    got = send(world, named, path=path, method=method, host="evil.example")
    assert got.status == (405 if WELL_KNOWN in path and method not in ("GET", "HEAD") else 403)
    assert "evil" not in cors(got).get("access-control-allow-origin", "")
    assert world.reached() == before


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "Forwarded", "X-Host", "X-Original-Host", "X-Forwarded-Server"])
def test_no_other_header_names_us(world: WireWorld, name: str) -> None:
    value = f"host=127.0.0.1:{world.reverse}" if name == "Forwarded" else f"127.0.0.1:{world.reverse}"
    assert send(world, (name, value), host="evil.example").status == 403
    got = send(world, (name, "evil.example"), token=False)
    assert (got.status, "evil" in got.text) == (401, False)


def test_a_targets_own_host_is_served_and_no_other_below_it(world: WireWorld) -> None:
    world.raw.answers["/page"] = answer('{"well":1}')
    assert send(world, path="/page", method="GET", host="web.corp.example").status == 200
    assert send(world, path="/page", method="GET", host="x.web.corp.example").status == 403


# Origins


@pytest.mark.parametrize(
    ("origin", "status", "readable"),
    [
        pytest.param(APP, 200, True, id="listed"),
        pytest.param("null", 200, True, id="null where it is listed"),
        pytest.param("vscode-webview://abc", 200, True, id="listed application"),
        pytest.param("http://127.0.0.1:{port}", 200, False, id="its own"),
        pytest.param("http://evil.example", 403, False, id="another"),
        pytest.param("http://evil.example:{port}", 403, False, id="rebound"),
        pytest.param("http://localhost:{port}", 403, False, id="another loopback name"),
        pytest.param("http://localhost:3000", 403, False, id="a page on this machine"),
        pytest.param("http://127.0.0.1", 403, False, id="no port"),
        pytest.param("https://127.0.0.1:{port}", 403, False, id="another scheme"),
        pytest.param("http://127.0.0.1:{port}/", 403, False, id="slash"),
        pytest.param("HTTP://127.0.0.1:{port}", 403, False, id="capitals"),
        pytest.param("http://user@127.0.0.1:{port}", 403, False, id="user"),
        pytest.param("http://127.0.0.1:{port}.evil.example", 403, False, id="starts like its own"),
        pytest.param("https://app.example.com.evil.example", 403, False, id="starts like a listed one"),
        pytest.param("https://app.example.com:443", 403, False, id="port of the scheme"),
        pytest.param("https://app.example.com/", 403, False, id="listed with a slash"),
        pytest.param("https://APP.example.com", 403, False, id="listed in capitals"),
        pytest.param("http://app.example.com", 403, False, id="listed by another scheme"),
        pytest.param("https://app.example.com https://evil.example", 403, False, id="two in one"),
        pytest.param("https://app.example.com, https://evil.example", 403, False, id="two with a comma"),
        pytest.param("*", 403, False, id="star"),
        pytest.param("", 403, False, id="empty"),
        pytest.param("Null", 403, False, id="null in capitals"),
        pytest.param("file://", 403, False, id="file"),
    ],
)
def test_only_listed_pages_call_and_read(world: WireWorld, origin: str, status: int, readable: bool) -> None:
    before = world.reached()
    named = origin.format(port=world.reverse)
    got = send(world, ("Origin", named))
    assert got.status == status, got.text
    assert ("done" in got.text) is (status == 200)
    assert world.reached() == before + (status == 200)
    expected = {"access-control-allow-origin": named, "access-control-expose-headers": EXPOSED} if readable else {}
    assert cors(got) == expected
    assert ("Origin" in got.header("vary")) is readable


def test_two_origins_are_refused(world: WireWorld) -> None:
    assert send(world, ("Origin", APP), ("Origin", APP)).status == 400


def test_a_target_that_lists_none_is_called_by_no_page(world: WireWorld) -> None:
    assert send(world, ("Origin", APP), path="/raw/x", method="GET").status == 403
    assert send(world, ("Origin", "null"), path="/raw/x", method="GET").status == 403


def test_a_refused_origin_is_told_so_in_the_protocols_own_shape(world: WireWorld) -> None:
    got = send(world, ("Origin", "http://evil.example"))
    assert got.json["id"] is None
    assert got.json["error"]["code"] == 4030
    assert got.header("www-authenticate") == ""


def test_over_a_forward_listener_pages_need_to_be_listed_too(world: WireWorld) -> None:
    upstream = f"127.0.0.1:{world.rawmcp.port}"
    said = json.dumps(call("any")).encode()
    token = world.token(aud=f"http://{upstream}/mcp")
    for origin, status in ((APP, 200), ("http://evil.example", 403), (f"http://{upstream}", 200)):
        head = [("Host", upstream), *world.mcp()[2:], ("Authorization", f"Bearer {token}"), ("Origin", origin)]
        with Wire(world.forward, timeout=6) as wire:
            assert wire.ask(request("POST", f"http://{upstream}/mcp", head, said)).status == status, origin


def test_over_http2_pages_need_to_be_listed_too(world: WireWorld) -> None:
    said = json.dumps(call("any")).encode()
    with h2_connection(world.reverse_tls) as wire:
        streams = [
            wire.ask(world.over_h2("/rawmcp", world.mcp(("Origin", origin))), said)
            for origin in (APP, "http://evil.example", f"https://127.0.0.1:{world.reverse_tls}")
        ]
        got = [wire.wait(stream) for stream in streams]
    assert [g.status for g in got] == [200, 403, 200]
    assert cors(got[0])["access-control-allow-origin"] == APP


# What pages may read


def test_what_an_upstream_says_of_who_may_read_does_not_pass(world: WireWorld) -> None:
    said = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Credentials": "true",
        "access-control-expose-headers": "Set-Cookie",
        "Access-Control-Allow-Private-Network": "true",
        "Vary": "Accept",
    }
    world.raw.answers["/cors"] = answer('{"a":1}', "application/json", *(f"{n}: {v}" for n, v in said.items()))
    got = send(world, path="/raw/cors", method="GET")
    assert (got.status, cors(got), got.header("vary")) == (200, {}, "Accept")


@pytest.mark.parametrize("token", [True, False], ids=["good call", "no token"])
def test_a_listed_page_reads_answers_and_refusals(world: WireWorld, token: bool) -> None:
    got = send(world, ("Origin", APP), token=token)
    assert got.status == (200 if token else 401)
    assert cors(got) == {"access-control-allow-origin": APP, "access-control-expose-headers": EXPOSED}
    assert "access-control-allow-credentials" not in cors(got)


PREFLIGHT = [
    ("Access-Control-Request-Method", "POST"),
    ("Access-Control-Request-Headers", "authorization, mcp-param-x"),
]


@pytest.mark.parametrize("origin", [APP, "null"])
def test_a_preflight_of_a_listed_page_is_answered_without_a_token(world: WireWorld, origin: str) -> None:
    before = world.reached()
    got = send(world, ("Origin", origin), *PREFLIGHT, method="OPTIONS", token=False)
    assert (got.status, got.body, got.header("content-length")) == (204, b"", "")
    said = cors(got)
    assert said["access-control-allow-origin"] == origin
    assert said["access-control-allow-methods"] == "GET, POST, DELETE"
    assert {"authorization", "content-type", "mcp-session-id", "last-event-id", "traceparent", "mcp-param-x"} <= set(
        said["access-control-allow-headers"].split(", ")
    )
    assert "access-control-allow-credentials" not in said
    assert world.reached() == before


@pytest.mark.parametrize(
    ("origin", "path", "status"),
    [
        pytest.param("http://evil.example", "/rawmcp", 403, id="not listed"),
        pytest.param(APP, "/raw", 403, id="listed elsewhere"),
        pytest.param(APP, "/nobody", 404, id="no target"),
        pytest.param(APP, "/rawmcp/below", 404, id="no endpoint"),
    ],
)
def test_no_other_preflight_is(world: WireWorld, origin: str, path: str, status: int) -> None:
    got = send(world, ("Origin", origin), *PREFLIGHT, path=path, method="OPTIONS", token=False)
    assert (got.status, cors(got)) == (status, {})


def test_options_that_are_no_preflight_need_a_token(world: WireWorld) -> None:
    for half in ([("Origin", APP)], PREFLIGHT[:1], PREFLIGHT[1:]):
        assert send(world, *half, method="OPTIONS", token=False).status == 401


@pytest.mark.parametrize(
    "asked",
    ["cookie", "x-forwarded-for", "mcp-a\x7f", 'mcp-"', "mcp- a", "mcp-" + "x" * 80, ",".join(["mcp-x"] * 5000)],
)
def test_a_preflight_says_no_name_back_that_is_none(world: WireWorld, asked: str) -> None:
    head = [("Origin", APP), PREFLIGHT[0], ("Access-Control-Request-Headers", asked)]
    got = send(world, *head, method="OPTIONS", token=False)
    assert got.status in (204, 400)
    assert len(got.header("access-control-allow-headers")) < 1000
    for part in ("cookie", "forwarded", '"', "mcp- a", "x" * 80):
        assert part not in got.header("access-control-allow-headers")


def test_metadata_is_read_by_any_page(world: WireWorld) -> None:
    for origin in ("http://evil.example", APP):
        got = send(world, ("Origin", origin), path=f"{WELL_KNOWN}/rawmcp", method="GET", token=False)
        assert (got.status, cors(got)["access-control-allow-origin"]) == (200, "*")
        head = [("Origin", origin), ("Access-Control-Request-Method", "GET"), PREFLIGHT[1]]
        asked = send(world, *head, path=f"{WELL_KNOWN}/rawmcp", method="OPTIONS", token=False)
        assert (asked.status, cors(asked)["access-control-allow-methods"]) == (204, "GET, HEAD")
        assert cors(asked)["access-control-allow-origin"] == "*"


def test_pages_may_know_that_there_is_no_metadata(world: WireWorld) -> None:
    got = send(world, ("Origin", APP), path=f"{WELL_KNOWN}/nobody", method="GET", token=False)
    assert (got.status, cors(got)["access-control-allow-origin"]) == (404, "*")
