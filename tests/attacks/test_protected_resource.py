"""What strangers and other web sites can do with what the gateway says of itself: read it, and nothing else."""

import json
from collections.abc import Iterator

import pytest
from tests.fakes.audit_trail import trail, until_written
from tests.fakes.byte_upstream import answer
from tests.fakes.wire import Answer, Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld
from tests.fakes.world import UPSTREAM_TOKEN, call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T23")]

WELL_KNOWN = "/.well-known/oauth-protected-resource"
APP = "https://app.example.com"
HOSTED = """\
    hosts: [web.corp.example]
    origins: [https://app.example.com, "null"]
"""
MCP_HOSTED = """\
    hosts: [mcp.corp.example]
    origins: [https://app.example.com]
    scopes: [openid, notes]
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("resource")) as world:
        world.add_settings("    routes: [/raw]\n", HOSTED)
        world.add_settings("    routes: [/rawmcp]\n", MCP_HOSTED)
        world.rawmcp.answers["any"] = ANSWER
        world.start()
        yield world


ANSWER = answer('{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"done"}]}}')


@pytest.fixture(autouse=True)
def untouched(world: WireWorld, request: pytest.FixtureRequest) -> Iterator[None]:
    before = world.reached()
    yield
    if "reaches" not in request.node.name:
        assert world.reached() == before, "an upstream was asked"


def ask(
    world: WireWorld,
    path: str,
    *more: tuple[str, str],
    method: str = "GET",
    host: str | None = "127.0.0.1:{port}",
    body: bytes = b"",
) -> Answer:
    """Ask the plain reverse listener as a stranger, without a token."""
    hosts = [("Host", host.format(port=world.reverse))] if host is not None else []
    with Wire(world.reverse, timeout=6) as wire:
        return wire.ask(request(method, path, [*hosts, *more], body), method)


# The metadata


def test_metadata_needs_no_token_and_names_the_resource_its_issuers_and_its_scopes(world: WireWorld) -> None:
    got = ask(world, f"{WELL_KNOWN}/rawmcp")
    assert got.status == 200
    assert got.json == {
        "resource": f"http://127.0.0.1:{world.reverse}/rawmcp",
        "resource_name": "rawmcp",
        "authorization_servers": [world.issuer.url],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["notes", "openid"],
    }
    assert got.header("content-type") == "application/json"
    assert got.header("cache-control") == "public, max-age=300"
    assert got.header("access-control-allow-origin") == "*"


def test_metadata_by_head_is_its_head_alone(world: WireWorld) -> None:
    whole = ask(world, f"{WELL_KNOWN}/rawmcp")
    got = ask(world, f"{WELL_KNOWN}/rawmcp", method="HEAD")
    assert (got.status, got.body) == (200, b"")
    assert got.header("content-length") == str(len(whole.body))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_metadata_is_read_and_nothing_else(world: WireWorld, method: str) -> None:
    got = ask(world, f"{WELL_KNOWN}/rawmcp", method=method)
    assert got.status == 405
    assert got.header("allow") == "GET, HEAD, OPTIONS"


def test_a_body_with_the_question_is_refused(world: WireWorld) -> None:
    assert ask(world, f"{WELL_KNOWN}/rawmcp", body=b"{}").status == 400
    with Wire(world.reverse, timeout=6) as wire:
        head = [("Host", f"127.0.0.1:{world.reverse}"), ("Transfer-Encoding", "chunked")]
        got = wire.ask(request("GET", f"{WELL_KNOWN}/rawmcp", head, b"2\r\n{}\r\n0\r\n\r\n", length=False), "GET")
    assert got.status == 400


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(WELL_KNOWN, id="none of several"),
        pytest.param(f"{WELL_KNOWN}/", id="slash alone"),
        pytest.param(f"{WELL_KNOWN}/nobody", id="unknown"),
        pytest.param(f"{WELL_KNOWN}/mcp", id="half a route"),
        pytest.param(f"{WELL_KNOWN}/rawmcp/x", id="below a route"),
        pytest.param(f"{WELL_KNOWN}/rawmcp?x=1", id="query"),
        pytest.param(f"{WELL_KNOWN}//rawmcp", id="two slashes"),
        pytest.param(f"/{WELL_KNOWN}/rawmcp", id="two slashes first"),
        pytest.param(f"{WELL_KNOWN}/raw%6dcp", id="encoded letter"),
        pytest.param(f"{WELL_KNOWN}%2frawmcp", id="encoded slash"),
        pytest.param("/%2ewell-known/oauth-protected-resource/rawmcp", id="encoded dot"),
        pytest.param("/./.well-known/oauth-protected-resource/rawmcp", id="dot segment"),
        pytest.param("/x/../.well-known/oauth-protected-resource/rawmcp", id="dot segments"),
        pytest.param(f"{WELL_KNOWN}/../../rawmcp", id="dot segments behind"),
        pytest.param(f"{WELL_KNOWN.upper()}/rawmcp", id="capitals"),
        pytest.param(f"{WELL_KNOWN};x/rawmcp", id="path parameter"),
        pytest.param(f"{WELL_KNOWN}\\rawmcp", id="backslash"),
        pytest.param("/.well-known/oauth-authorization-server", id="authorization server"),
        pytest.param("/.well-known/oauth-authorization-server/rawmcp", id="authorization server with a path"),
        pytest.param("/.well-known/openid-configuration", id="openid"),
        pytest.param("/authorize", id="endpoint of the first version"),
        pytest.param("/register", id="registration of the first version"),
    ],
)
def test_every_other_path_is_nowhere_and_names_nobody(world: WireWorld, path: str) -> None:
    got = ask(world, path)
    assert got.status == 404
    assert got.header("www-authenticate") == ""
    for secret in ("rawmcp", "notes", "demo", str(world.rawmcp.port)):
        assert secret not in got.body.decode()


@pytest.mark.parametrize(
    ("host", "path", "resource"),
    [
        pytest.param("mcp.corp.example", WELL_KNOWN, "http://mcp.corp.example:{port}/mcp", id="root"),
        pytest.param("MCP.Corp.Example:{port}", f"{WELL_KNOWN}/mcp", "http://mcp.corp.example:{port}/mcp", id="path"),
        pytest.param("mcp.corp.example.", f"{WELL_KNOWN}/mcp/", "http://mcp.corp.example:{port}/mcp", id="dot"),
        pytest.param("web.corp.example", WELL_KNOWN, "http://web.corp.example:{port}", id="no path"),
        pytest.param("localhost:{port}", f"{WELL_KNOWN}/raw", "http://localhost:{port}/raw", id="localhost"),
        pytest.param("[::1]:{port}", f"{WELL_KNOWN}/raw", "http://[::1]:{port}/raw", id="IPv6"),
    ],
)
def test_a_target_is_called_as_it_was_called(world: WireWorld, host: str, path: str, resource: str) -> None:
    got = ask(world, path, host=host)
    assert got.status == 200, got.text
    assert got.json["resource"] == resource.format(port=world.reverse)


@pytest.mark.parametrize(
    "path", [f"{WELL_KNOWN}/rawmcp", f"{WELL_KNOWN}/raw", f"{WELL_KNOWN}/x", "/.well-known/openid-configuration"]
)
def test_a_targets_own_host_knows_no_routes(world: WireWorld, path: str) -> None:
    assert ask(world, path, host="mcp.corp.example").status == 404


def test_the_plain_service_behind_a_host_is_not_asked_for_metadata_of_its_own(world: WireWorld) -> None:
    world.raw.answers[WELL_KNOWN] = answer('{"resource":"https://elsewhere.example"}')
    world.raw.answers[f"{WELL_KNOWN}/else"] = answer('{"resource":"https://elsewhere.example"}')
    for token in ([], [("Authorization", f"Bearer {world.token()}")]):
        assert "elsewhere" not in ask(world, WELL_KNOWN, *token, host="web.corp.example").text
        assert ask(world, f"{WELL_KNOWN}/else", *token, host="web.corp.example").status == 404


@pytest.mark.parametrize(
    "path",
    [
        f"/{WELL_KNOWN}",
        "/%2ewell-known/oauth-protected-resource",
        f"/x/..{WELL_KNOWN}",
        f"/.{WELL_KNOWN}/x",
        f"{WELL_KNOWN};x",
    ],
)
def test_nor_by_another_spelling_of_its_path(world: WireWorld, path: str) -> None:
    got = ask(world, path, ("Authorization", f"Bearer {world.token()}"), host="web.corp.example")
    assert got.status == 400


def test_over_a_forward_listener_the_gateway_answers_for_the_upstreams_own_host(world: WireWorld) -> None:
    upstream = f"127.0.0.1:{world.rawmcp.port}"
    with Wire(world.forward, timeout=6) as wire:
        plain = wire.ask(request("GET", f"http://{upstream}{WELL_KNOWN}/mcp", [("Host", upstream)]), "GET")
    with Wire(world.forward, timeout=6) as wire:
        assert b" 200 " in wire.connect(upstream)
        tunnelled = wire.ask(request("GET", WELL_KNOWN, [("Host", upstream)]), "GET")
    assert plain.json["resource"] == tunnelled.json["resource"] == f"http://{upstream}/mcp"
    secure = f"127.0.0.1:{world.secure.port}"
    with Wire(world.forward, timeout=6) as wire:
        assert b" 200 " in wire.connect(secure)
        wire.tls(sni=None)
        over_tls = wire.ask(request("GET", WELL_KNOWN, [("Host", secure)]), "GET")
    assert over_tls.json["resource"] == f"https://{secure}"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:{reverse}", ""])
def test_over_a_forward_listener_another_host_is_refused(world: WireWorld, host: str) -> None:
    upstream = f"127.0.0.1:{world.rawmcp.port}"
    named = host.format(reverse=world.reverse)
    with Wire(world.forward, timeout=6) as wire:
        got = wire.ask(request("GET", f"http://{upstream}{WELL_KNOWN}", [("Host", named)]), "GET")
    assert got.status == 400


def test_over_http2_it_is_the_same(world: WireWorld) -> None:
    with h2_connection(world.reverse_tls) as wire:
        asked = [
            wire.ask(world.over_h2(f"{WELL_KNOWN}/rawmcp", [], method="GET")),
            wire.ask(world.over_h2(f"{WELL_KNOWN}/rawmcp", [], method="HEAD")),
            wire.ask(world.over_h2(f"{WELL_KNOWN}/nobody", [], method="GET")),
            wire.ask(world.over_h2("/rawmcp", [("content-type", "application/json")]), json.dumps(call("x")).encode()),
        ]
        whole, head, nowhere, login = (wire.wait(stream) for stream in asked)
    assert whole.json["resource"] == f"https://127.0.0.1:{world.reverse_tls}/rawmcp"
    assert (head.status, head.body, nowhere.status) == (200, b"", 404)
    assert f"https://127.0.0.1:{world.reverse_tls}{WELL_KNOWN}/rawmcp" in login.header("www-authenticate")


def test_over_http2_another_authority_is_refused(world: WireWorld) -> None:
    with h2_connection(world.reverse_tls) as wire:
        headers = [(n, v) for n, v in world.over_h2(f"{WELL_KNOWN}/rawmcp", [], method="GET") if n != ":authority"]
        stream = wire.ask([*headers[:2], (":authority", "evil.example"), *headers[2:]])
        assert wire.wait(stream).status == 403


def test_a_reply_is_one_line_of_the_audit_log_and_no_recording(world: WireWorld) -> None:
    mark = "seen-nowhere-else"
    recordings = world.var / "recordings"
    before = len(trail(recordings))
    assert ask(world, f"{WELL_KNOWN}/rawmcp", ("User-Agent", mark)).status == 200
    event = until_written(recordings, after=before, stage="Replied")
    assert (event["target"], event["detail"]["reply"], event["detail"]["status"]) == ("rawmcp", "metadata", 200)
    assert "principal" not in event
    # What comes later is written later: once this refusal is on disk, so would be the reply.
    refused = ask(world, "/rawmcp", ("User-Agent", f"{mark}-but-here"), method="POST").json["error"]["data"]["refusal"]
    until_written(recordings, exchange=refused)
    kept = b"".join(f.read_bytes() for f in recordings.rglob("*.flows"))
    assert kept.count(mark.encode()) == kept.count(f"{mark}-but-here".encode()) == 1


# The challenge


@pytest.mark.parametrize("version", ["", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "2099-01-01"])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_whoever_brings_no_token_is_told_where_to_log_in(world: WireWorld, version: str, method: str) -> None:
    more = [("MCP-Protocol-Version", version)] if version else []
    got = ask(world, "/rawmcp", *more, method=method)
    address = f"http://127.0.0.1:{world.reverse}{WELL_KNOWN}/rawmcp"
    assert got.status == 401
    assert got.header("www-authenticate") == f'Bearer scope="notes openid", resource_metadata="{address}"'


def test_a_token_that_does_not_count_is_told_so(world: WireWorld) -> None:
    got = ask(world, "/rawmcp", ("Authorization", "Bearer a.b.c"), method="POST")
    assert got.status == 401
    assert got.header("www-authenticate").startswith('Bearer error="invalid_token", scope="notes openid", resource_me')


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("Authorization", "Bearer a b")], id="two words"),
        pytest.param([("Authorization", "Bearer a"), ("Authorization", "Bearer a")], id="twice"),
        pytest.param([("Authorization", 'Bearer x"y')], id="quote"),
    ],
)
def test_a_malformed_one_is_a_bad_request(world: WireWorld, headers: list[tuple[str, str]]) -> None:
    got = ask(world, "/rawmcp", *headers, method="POST")
    assert got.status == 400
    assert got.header("www-authenticate").startswith('Bearer error="invalid_request", resource_metadata=')


@pytest.mark.parametrize("path", ["/rawmcp", "/raw/x", WELL_KNOWN + "/rawmcp"])
@pytest.mark.parametrize(
    "query",
    ["access_token={t}", "a=1&access_token={t}", "ACCESS_TOKEN={t}", "access%5Ftoken={t}", "a;access_token={t}"],
)
def test_a_token_in_the_query_is_refused_and_not_written_down(world: WireWorld, path: str, query: str) -> None:
    token = world.token()
    got = ask(world, f"{path}?{query.format(t=token)}", ("Authorization", f"Bearer {token}"))
    assert got.status == (404 if WELL_KNOWN in path else 400)
    assert token not in got.text
    for file in (world.var / "recordings").rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes(), file


# The audience


@pytest.mark.parametrize(
    ("audience", "passes"),
    [
        pytest.param("http://127.0.0.1:{port}/rawmcp", True, id="its own"),
        pytest.param(["https://x.example", "http://127.0.0.1:{port}/rawmcp"], True, id="among others"),
        pytest.param("http://127.0.0.1:{port}/raw", False, id="another target's"),
        pytest.param("http://127.0.0.1:{port}", False, id="the whole listener"),
        pytest.param("http://127.0.0.1:{port}/", False, id="the whole listener with a slash"),
        pytest.param("http://127.0.0.1:{port}/rawmcp/", False, id="with a slash"),
        pytest.param("http://127.0.0.1:{port}/rawmcp#x", False, id="fragment"),
        pytest.param("http://127.0.0.1:{port}/rawmcp/x", False, id="below"),
        pytest.param("http://mcp.corp.example:{port}/mcp", False, id="its own by another road"),
        pytest.param("http://127.0.0.1:{upstream}/mcp", False, id="the upstream"),
        pytest.param("https://127.0.0.1:{port}/rawmcp", False, id="another scheme"),
    ],
)
def test_a_token_reaches_only_the_target_it_is_for(world: WireWorld, audience: str | list[str], passes: bool) -> None:
    def filled(text: str) -> str:
        return text.format(port=world.reverse, upstream=world.rawmcp.port)

    token = world.token(aud=filled(audience) if isinstance(audience, str) else [filled(a) for a in audience])
    before = world.reached()
    head = [
        ("Host", f"127.0.0.1:{world.reverse}"),
        ("Authorization", f"Bearer {token}"),
        ("Accept", "application/json, text/event-stream"),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", "2025-11-25"),
    ]
    said = request("POST", "/rawmcp", head, json.dumps(call("any")).encode())
    with Wire(world.reverse) as wire:
        # Twice: what was verified is remembered, and must not be remembered for another target.
        first, second = wire.ask(said), wire.ask(said)
    assert {first.status, second.status} == ({200} if passes else {401})
    assert ("done" in first.text and "done" in second.text) is passes
    assert world.reached() == before + (2 if passes else 0)


def test_a_token_that_was_verified_for_one_target_reaches_no_other(world: WireWorld) -> None:
    token = world.token(aud=f"http://127.0.0.1:{world.reverse}/raw")
    bearer = ("Authorization", f"Bearer {token}")
    assert ask(world, "/raw/a", bearer).status != 401
    assert ask(world, "/rawmcp", bearer, method="POST").status == 401
    assert world.raw.requests.pop().header("authorization") == []


def test_no_spelling_of_the_callers_token_reaches_the_upstream(world: WireWorld) -> None:
    token = world.token()
    for name in ("Authorization", "authorization", "AUTHORIZATION"):
        bearer = [(name, f"Bearer {token}"), ("Proxy-Authorization", f"Bearer {token}"), ("X_Authorization", token)]
        assert ask(world, "/raw/spelled", *bearer).status == 200, name
    assert len(world.raw.seen("/spelled")) == 3
    for seen in world.raw.seen("/spelled"):
        assert token not in repr(seen)
        assert seen.header("x-api-key") == [UPSTREAM_TOKEN]
