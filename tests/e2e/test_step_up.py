"""A call needs a scope that the token lacks: the SDKs' own clients ask for it, and the call goes through."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from tests.fakes.oauth_person import ALICE, Memory, Person, provider, run_client
from tests.fakes.world import World, call

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]

WANTED = """\
  - name: secrets-need-two-scopes
    effect: allow
    match: {verbs: [tools/call], tools: [read_secret]}
    scopes: ["notes:secret", "notes:read"]
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lines = "    scopes: [openid, email]\n"
    world = World(tmp_path_factory.mktemp("stepup"), target_lines=lines, json_response=True, stateless=True)
    policy = world.policies / "demo.yaml"
    text = policy.read_text()
    assert text.count(", read_secret]") == 1
    policy.write_text(text.replace(", read_secret]", "]") + WANTED)
    world.issuer.grants.users = [ALICE]
    with world:
        world.start()
        yield world


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_python_sdk_asks_for_more_and_the_call_passes(world: World, mode: str) -> None:
    person, memory = Person(), Memory()
    async with (
        httpx2.AsyncClient(auth=provider(world.url, person, memory), trust_env=False, timeout=60) as http,
        Client(streamable_http_client(world.url, http_client=http), mode=mode) as session,
    ):
        first = await session.call_tool("read_note", {"name": "welcome"})
        second = await session.call_tool("read_secret", {"name": "billing"})
    assert first.content[0].text == "agents may read this"  # type: ignore[union-attr]
    assert json.loads(second.content[0].text)["service"] == "billing"  # type: ignore[union-attr]
    assert [set(a["scope"].split()) for a in person.asked] == [
        {"openid", "email"},
        {"openid", "email", "notes:secret", "notes:read"},
    ]


@pytest.mark.parametrize("major", ["1", "2"])
def test_typescript_sdk_asks_for_more_and_the_call_passes(world: World, major: str) -> None:
    told = run_client(major, world.url, [["read_note", {"name": "welcome"}], ["read_secret", {"name": "billing"}]])
    assert told["results"][0]["content"][0]["text"] == "agents may read this"
    assert json.loads(told["results"][1]["content"][0]["text"])["service"] == "billing"
    assert [set(a["scope"].split()) for a in told["asked"]] == [
        {"openid", "email"},
        {"openid", "email", "notes:secret", "notes:read"},
    ]


def ask(world: World, version: str, **claims: Any) -> httpx.Response:
    headers = world.headers(world.token(groups=["developers"], **claims)) | {"mcp-protocol-version": version}
    said = call("read_secret", {"name": "billing"})
    if version == "2026-07-28":
        meta = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        said["params"]["_meta"] = meta
        headers |= {"mcp-method": "tools/call", "mcp-name": "read_secret"}
    with world.client() as http:
        return http.post(world.url, headers=headers, json=said)


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"])
def test_one_challenge_names_every_scope_that_is_needed(world: World, version: str) -> None:
    before = len(world.notes.seen.calls)
    got = ask(world, version, scope="openid notes:read offline_access unrelated")
    assert got.status_code == 403
    address = f"{world.base}/.well-known/oauth-protected-resource/mcp/demo"
    assert got.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", scope="email notes:read notes:secret openid", '
        f'resource_metadata="{address}"'
    )
    assert got.json()["error"]["code"] == 4030
    assert got.json()["id"] == 1
    assert len(world.notes.seen.calls) == before


def test_a_token_with_the_scopes_passes_without_a_challenge(world: World) -> None:
    assert ask(world, "2025-11-25", scope="notes:read notes:secret").status_code == 200


def test_metadata_names_the_scopes_that_rules_ask_for(world: World) -> None:
    with world.client() as http:
        said = http.get(f"{world.base}/.well-known/oauth-protected-resource/mcp/demo").json()
    assert said["scopes_supported"] == ["email", "notes:read", "notes:secret", "openid"]


def test_other_denials_carry_no_challenge(world: World) -> None:
    with world.client() as http:
        got = http.post(world.url, headers=world.headers(), json=call("drop_everything"))
    assert got.status_code == 200
    assert "www-authenticate" not in got.headers
