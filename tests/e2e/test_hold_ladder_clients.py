"""The SDKs' own clients on each rung of the hold ladder, with nothing set but what they can do."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp_types import ElicitRequestURLParams, ElicitResult
from tests.fakes.ts_clients import TypeScriptClient
from tests.fakes.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.failure("F-client-timeout"), pytest.mark.filterwarnings("ignore")]

TOOL = "write_note"
HOLD = "hold: {wait: 4s, leg: 1s, grace: 0s, keepalive: 1s, rounds: 3}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    world.write_settings(**{"hold: {wait: 50s}": HOLD})
    with world:
        world.start()
        yield world


@asynccontextmanager
async def python(world: World, mode: str, **more: Any) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {world.token()}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http,
        Client(streamable_http_client(world.url, http_client=http), mode=mode, **more) as client,
    ):
        yield client


async def reviewed(world: World, text: str, verdict: str = "approve") -> str:
    """Decide the request with this text among what reviewers read, as soon as it waits. Returns its ticket."""
    admin, token, version = world.admin(), world.id_token(), -1
    while True:
        version = (await admin.call("approvals.wait_change", {"since": version}))["version"]
        for held in (await admin.call("approvals.list", {"id_token": token, "state": ["pending"]}))["requests"]:
            if text in str(held["preview"]):
                said = {
                    "id": held["id"],
                    "expect": held["intent"],
                    "preview": held["preview_digest"],
                    "verdict": verdict,
                    "comment": "",
                }
                await admin.call("approvals.decide", {**said, "id_token": token})
                return held["id"]


def text(result: Any) -> str:
    return result.content[0].text


async def test_a_python_client_gets_the_ticket_before_it_gives_up(world: World) -> None:
    async with python(world, "auto", input_required_max_rounds=4) as client:
        result = await client.call_tool(TOOL, {"name": "patient python", "text": "x"})
        assert result.is_error
        assert "Ticket: apr-" in text(result)
        await reviewed(world, "patient python")
        assert text(await client.call_tool(TOOL, {"name": "patient python", "text": "x"})) == "wrote patient python"


async def test_a_typescript_client_gets_the_ticket_and_then_the_answer(world: World) -> None:
    calls = [{"do": "callTool", "name": TOOL, "arguments": {"name": "patient script", "text": "x"}}] * 2
    with TypeScriptClient("v2", world.url, world.token(), calls) as client:
        # The first call ends with the ticket, and the second waits on.
        await asyncio.to_thread(client.wait_for, "Ticket: apr-")
        await reviewed(world, "patient script")
        _, first, second = await asyncio.to_thread(client.finish)
    assert first.result["isError"] is True
    assert second.text == "wrote patient script"


@pytest.mark.parametrize("action", ["accept", "decline", "cancel"])
async def test_a_python_user_is_shown_the_console(world: World, action: Any) -> None:
    shown: list[ElicitRequestURLParams] = []

    async def show(_context: Any, params: Any) -> ElicitResult:
        shown.append(params)
        return ElicitResult(action=action)

    name = f"{action} in python"
    async with python(world, "auto", elicitation_callback=show) as client:
        waiting = asyncio.ensure_future(client.call_tool(TOOL, {"name": name, "text": "x"}))
        if action == "accept":
            ticket = await reviewed(world, name)
            assert text(await waiting) == f"wrote {name}"
            assert {s.url.rpartition("/")[2] for s in shown} <= {ticket}
        else:
            result = await waiting
            assert result.is_error
            assert "did not want" in text(result)
            assert f"{TOOL} {name}" not in world.notes.seen.calls
            assert len(shown) == 1
            assert shown[0].url.startswith(f"http://127.0.0.1:{world.console}/requests/apr-")


async def test_a_typescript_user_is_shown_the_console(world: World) -> None:
    calls = [{"do": "callTool", "name": TOOL, "arguments": {"name": "shown script", "text": "x"}}]
    user = {"url": {"action": "accept"}}
    with TypeScriptClient("v2", world.url, world.token(), calls, elicitation=user) as client:
        await asyncio.to_thread(client.wait_for, "elicitation/create")
        ticket = await reviewed(world, "shown script")
        _, called = await asyncio.to_thread(client.finish)
        (asked,) = client.asked
    assert asked["params"]["url"].endswith(f"/requests/{ticket}")
    assert called.text == "wrote shown script"


async def test_a_python_session_that_shows_urls_is_told_where_to_look(world: World) -> None:
    async def never(_context: Any, _params: Any) -> ElicitResult:
        raise AssertionError("an error asks nothing")

    note = {"name": "legacy url python", "text": "x"}
    async with python(world, "legacy", elicitation_callback=never) as client:
        with pytest.raises(MCPError) as held:
            await client.call_tool(TOOL, note)
        asked = UrlElicitationRequiredError.from_error(held.value.error).elicitations
        assert len(asked) == 1
        ticket = await reviewed(world, "legacy url python")
        assert asked[0].url.endswith(f"/requests/{ticket}")
        assert asked[0].elicitation_id == ticket
        assert text(await client.call_tool(TOOL, note)) == "wrote legacy url python"


async def test_a_typescript_session_that_shows_urls_is_told_where_to_look(world: World) -> None:
    calls = [{"do": "callTool", "name": TOOL, "arguments": {"name": "legacy url script", "text": "x"}}]
    user = {"url": {"action": "accept"}}
    with TypeScriptClient("v1", world.url, world.token(), calls, elicitation=user) as client:
        _, called = await asyncio.to_thread(client.finish)
    assert called.error is not None
    assert called.error["code"] == -32042
    (asked,) = called.error["data"]["elicitations"]
    assert asked["elicitationId"] == await reviewed(world, "legacy url script", "deny")


async def test_progress_keeps_a_typescript_session_that_counts_it(world: World) -> None:
    # Its patience is shorter than the hold: without progress it would give up.
    call = {"do": "callTool", "name": TOOL, "arguments": {"name": "told script", "text": "x"}, "timeout": 2500}
    calls = [{**call, "progress": True, "resetTimeoutOnProgress": True}]
    with TypeScriptClient("v1", world.url, world.token(), calls) as client:
        _, called = await asyncio.to_thread(client.finish)
        told = [n["progress"]["progress"] for n in client.notifications if "progress" in n]
    assert "Ticket: apr-" in called.text
    assert called.seconds > 2.5
    assert told == sorted(set(told))
    assert len(told) >= 3
    await reviewed(world, "told script", "deny")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_python_client_that_gives_up_sends_nothing(world: World, mode: str) -> None:
    name = f"gave up {mode}"
    async with python(world, mode) as client:
        with pytest.raises(MCPError):
            await client.call_tool(TOOL, {"name": name, "text": "x"}, read_timeout_seconds=0.7)
        await reviewed(world, name)
        assert text(await client.call_tool("read_note", {"name": "welcome"}))
    assert f"{TOOL} {name}" not in world.notes.seen.calls
