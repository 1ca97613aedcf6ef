"""One MCP call all the way, with the real SDK: identified, decided, held, approved, forwarded, masked, recorded."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from tests.fakes.world import UPSTREAM_TOKEN, World, call

from holdpoint.admin.errors import AdminError

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]

MODES = ("legacy", "auto")


@asynccontextmanager
async def client(world: World, mode: str, **claims: object) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {world.token(**{'groups': ['developers'], **claims})}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
        Client(streamable_http_client(world.url, http_client=http), mode=mode) as session,
    ):
        yield session


def text(result: object) -> str:
    return result.content[0].text  # type: ignore[attr-defined]


async def pending(world: World, tool: str, token: str) -> dict[str, object]:
    """The request that waits for this tool, as a reviewer sees it, as soon as it is there."""
    admin = world.admin()
    version = -1
    while True:
        version_now = (await admin.call("approvals.wait_change", {"since": version}))["version"]
        version = version_now
        found = await admin.call("approvals.list", {"id_token": token, "state": ["pending"]})
        for request in found["requests"]:
            if request["resource"] == f"tool {tool}":
                return request


async def decide(world: World, request: dict[str, object], verdict: str, token: str, comment: str = "") -> object:
    return await world.admin().call(
        "approvals.decide",
        {
            "id": request["id"],
            "expect": request["intent"],
            "preview": request["preview_digest"],
            "verdict": verdict,
            "comment": comment,
            "id_token": token,
        },
    )


@pytest.mark.parametrize("mode", MODES)
async def test_an_allowed_call_is_masked_and_carries_the_upstreams_own_credential(world: World, mode: str) -> None:
    world.notes.seen.requests.clear()
    async with client(world, mode) as session:
        assert "read_secret" in [t.name for t in (await session.list_tools()).tools]
        shown = text(await session.call_tool("read_secret", {"name": "billing"}))
    assert json.loads(shown)["password"] == "[masked]"
    assert json.loads(shown)["service"] == "billing"
    for secret in ("correct-horse", "AKIAIOSFODNN7EXAMPLE", "ghp_0123456789"):
        assert secret not in shown
    sent = [r["headers"]["authorization"] for r in world.notes.seen.requests]
    assert sent
    assert set(sent) == {f"Bearer {UPSTREAM_TOKEN}"}


@pytest.mark.threat("T18")
@pytest.mark.threat("T09")
@pytest.mark.parametrize("mode", MODES)
async def test_a_held_call_waits_and_goes_through_once_approved(world: World, mode: str) -> None:
    reviewer = world.id_token("rita@corp.example", "reviewers")
    note = {"name": f"held-{mode}", "text": "hello"}
    async with client(world, mode) as session:
        waiting = asyncio.ensure_future(session.call_tool("write_note", note))
        request = await pending(world, "write_note", reviewer)
        assert not waiting.done()
        assert f"write_note held-{mode}" not in world.notes.seen.calls
        assert request["principal"]["person"] == "alice@corp.example"
        assert "hello" in json.dumps(request["preview"])
        await decide(world, request, "approve", reviewer, "looks right")
        result = await waiting
        assert not result.is_error
        assert text(result) == f"wrote held-{mode}"
        assert world.notes.seen.calls.count(f"write_note held-{mode}") == 1
        # The grant is spent: the same call is held anew.
        again = asyncio.ensure_future(session.call_tool("write_note", note))
        second = await pending(world, "write_note", reviewer)
        assert second["id"] != request["id"]
        await decide(world, second, "deny", reviewer, "once is enough")
        refused = await again
        assert refused.is_error
        assert "once is enough" in text(refused)
    assert world.notes.seen.calls.count(f"write_note held-{mode}") == 1


@pytest.mark.threat("T04")
async def test_nobody_approves_their_own_request(world: World) -> None:
    alice = world.id_token("alice@corp.example", "reviewers")
    rita = world.id_token("rita@corp.example", "reviewers")
    async with client(world, "auto") as session:
        waiting = asyncio.ensure_future(session.call_tool("write_note", {"name": "own", "text": "x"}))
        request = await pending(world, "write_note", rita)
        with pytest.raises(AdminError) as own:
            await decide(world, request, "approve", alice)
        assert own.value.code == "not_allowed"
        with pytest.raises(AdminError) as stranger:
            await decide(world, request, "approve", world.id_token("sam@corp.example", "strangers"))
        assert stranger.value.code == "not_found"
        assert not waiting.done()
        await decide(world, request, "deny", rita, "no")
        assert (await waiting).is_error
    assert "write_note own" not in world.notes.seen.calls


@pytest.mark.threat("T14")
@pytest.mark.threat("T04")
async def test_an_access_token_is_no_login_of_a_reviewer(world: World) -> None:
    with pytest.raises(AdminError) as refused:
        await world.admin().call("approvals.list", {"id_token": world.token(groups=["reviewers"])})
    assert refused.value.code == "unauthenticated"
    with pytest.raises(AdminError) as missing:
        await world.admin().call("approvals.list", {})
    assert missing.value.code == "unauthenticated"


@pytest.mark.threat("T03")
async def test_an_approval_of_something_else_than_was_read_does_not_count(world: World) -> None:
    rita = world.id_token("rita@corp.example", "reviewers")
    async with client(world, "auto") as session:
        waiting = asyncio.ensure_future(session.call_tool("write_note", {"name": "swap", "text": "x"}))
        request = await pending(world, "write_note", rita)
        with pytest.raises(AdminError) as changed:
            await decide(world, {**request, "intent": "sha256:" + "0" * 64}, "approve", rita)
        assert changed.value.code == "changed"
        assert not waiting.done()
        await decide(world, request, "deny", rita)
        await waiting


@pytest.mark.threat("T04")
async def test_an_agent_is_held_and_its_owner_may_not_approve(world: World) -> None:
    rita = world.id_token("rita@corp.example", "reviewers")
    claims = {"sub": "agent-7", "email": None, "name": "Agent 7"}
    async with client(world, "auto", **claims) as session:
        waiting = asyncio.ensure_future(session.call_tool("write_note", {"name": "agent", "text": "x"}))
        request = await pending(world, "write_note", rita)
        assert request["principal"]["kind"] == "workload"
        with pytest.raises(AdminError) as owner:
            await decide(world, request, "approve", world.id_token("alice@corp.example", "reviewers"))
        assert owner.value.code == "not_allowed"
        await decide(world, request, "approve", rita)
        assert text(await waiting) == "wrote agent"


async def test_a_denied_call_reaches_nobody_and_can_be_explained(world: World) -> None:
    with world.client() as http:
        answer = http.post(
            world.url,
            headers=world.headers(world.token(groups=["developers"])),
            json=call("drop_everything", request_id="d-1"),
        )
    said = answer.json()
    assert said["id"] == "d-1"
    assert said["error"]["data"]["kind"] == "denied"
    explained = await world.admin().call("explain", {"id": said["error"]["data"]["refusal"]})
    assert explained["kind"] == "denied"
    assert explained["rules"] == ["demo/no-destruction"]
    assert "drop_everything" not in world.notes.seen.calls


async def test_the_sdk_shows_a_denial_in_words(world: World) -> None:
    async with client(world, "auto") as session:
        with pytest.raises(MCPError, match="nobody drops everything"):
            await session.call_tool("drop_everything", {})
