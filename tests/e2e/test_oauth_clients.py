"""The SDKs' own OAuth clients log in through the gateway, with nothing to begin with but a URL."""

import json
from collections.abc import Iterator

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from tests.fakes.node_parts import NODE, need
from tests.fakes.oauth_person import ALICE, Memory, Person, provider, run_client
from tests.fakes.processes import Program, free_port
from tests.fakes.world import UPSTREAM_TOKEN, World, call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T23"), pytest.mark.filterwarnings("ignore")]

MODES = ("legacy", "auto")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """No audience is configured that any token has: what lets one in is the target's own URI."""
    lines = "    scopes: [openid, email, groups]\n"
    world = World(tmp_path_factory.mktemp("oauth"), target_lines=lines, json_response=True, stateless=True)
    world.write_settings(**{f'audiences: ["{world.url}"]': 'audiences: ["https://nobody.example"]'})
    world.issuer.grants.users = [ALICE]
    with world:
        world.start()
        yield world


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("mode", MODES)
async def test_python_sdk_logs_in_by_itself(world: World, mode: str, host: str) -> None:
    person, memory = Person(), Memory()
    url = world.url.replace("127.0.0.1", host)
    world.issuer.requests.clear()
    world.notes.seen.requests.clear()
    auth = provider(url, person, memory)
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as session,
    ):
        result = await session.call_tool("read_note", {"name": "welcome"})
    assert result.content[0].text == "agents may read this"  # type: ignore[union-attr]
    assert len(person.asked) == 1
    assert person.asked[0]["resource"] == url
    assert person.asked[0]["scope"] == "email groups openid"
    assert person.asked[0]["code_challenge_method"] == "S256"
    asked = world.issuer.requests
    assert asked.index("/.well-known/oauth-authorization-server") < asked.index("/register") < asked.index("/authorize")
    assert memory.tokens is not None
    for request in world.notes.seen.requests:
        assert memory.tokens.access_token not in json.dumps(request)
        assert request["headers"]["authorization"] == f"Bearer {UPSTREAM_TOKEN}"  # type: ignore[index]


async def test_nothing_of_the_login_reached_the_upstream_before_the_token(world: World) -> None:
    world.notes.seen.requests.clear()
    async with httpx.AsyncClient(trust_env=False) as http:
        first = await http.post(world.url, json=call("list_notes"))
        assert first.status_code == 401
        challenge = first.headers["www-authenticate"]
        address = f"{world.base}/.well-known/oauth-protected-resource/mcp/demo"
        assert challenge == f'Bearer scope="email groups openid", resource_metadata="{address}"'
        said = (await http.get(address)).json()
    assert said == {
        "resource": world.url,
        "resource_name": "demo",
        "authorization_servers": [world.issuer.url],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["email", "groups", "openid"],
    }
    assert world.notes.seen.requests == []


@pytest.mark.parametrize("major", ["1", "2"])
def test_typescript_sdk_logs_in_by_itself(world: World, major: str) -> None:
    told = run_client(major, world.url, [["read_note", {"name": "welcome"}]])
    assert told["results"][0]["content"][0]["text"] == "agents may read this"
    assert [a["resource"] for a in told["asked"]] == [world.url]
    assert told["asked"][0]["scope"] == "email groups openid"
    assert told["asked"][0]["client_id"].startswith("registered-")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same behind npm oidc-provider, which gives tokens for the resources it knows, and for no other."""
    need("oidc-provider")
    port = free_port()
    world = World(tmp_path_factory.mktemp("npm"), target_lines="    scopes: [call]\n", json_response=True)
    world.write_settings(
        **{
            f"url: {world.issuer.url}": f"url: http://127.0.0.1:{port}",
            f'audiences: ["{world.url}"]': 'audiences: ["https://nobody.example"]',
        }
    )
    program = Program(["node", "provider.mjs", str(port), world.url], cwd=NODE)
    try:
        program.wait_for("provider at")
        with world:
            world.start()
            yield world
    finally:
        program.stop()


@pytest.mark.parametrize("mode", MODES)
async def test_python_sdk_logs_in_at_a_certified_provider(certified: World, mode: str) -> None:
    person, memory = Person(), Memory()
    auth = provider(certified.url, person, memory)
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False, timeout=60) as http,
        Client(streamable_http_client(certified.url, http_client=http), mode=mode) as session,
    ):
        result = await session.call_tool("read_note", {"name": "welcome"})
    assert result.content[0].text == "agents may read this"  # type: ignore[union-attr]
    assert person.asked[0]["resource"] == certified.url
    assert person.asked[0]["scope"] == "call offline_access"  # the latter of its own accord
