"""A definition that an operator approved while a call of the tool was held: the reviewer of the call read another."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_one_call import pending
from tests.e2e.test_tool_pins import called, command, listed
from tests.fakes.changing_server import ChangingServer
from tests.fakes.world import World

from holdpoint.pins.fingerprint import define

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore"), pytest.mark.threat("T34")]

POLICY = """\
apiVersion: holdpoint/v1
kind: Policy
metadata: {name: changing}
targets: [changing]
rules:
  - name: talk
    effect: allow
    match: {verbs: [initialize, "notifications/*", ping, tools/list, server/discover, session/listen, session/delete]}
  - name: deploys
    effect: hold
    match: {verbs: [tools/call], tools: [deploy]}
    approval: {reviewers: ["group:reviewers"], timeout: 10m, grant: {scope: window, for: 10m}}
"""
READ: dict[str, Any] = {"name": "deploy", "description": "Deploy to staging.", "inputSchema": {"type": "object"}}
OTHER: dict[str, Any] = {**READ, "description": "Deploy to production."}


@pytest.fixture
def server() -> Iterator[ChangingServer]:
    with ChangingServer() as server:
        server.pages = [[READ]]
        yield server


@pytest.fixture
def world(tmp_path: Path, server: ChangingServer) -> Iterator[World]:
    what = f"name: changing, protocol: mcp, url: '{server.url}', routes: [/mcp/changing], credential: {{kind: none}}"
    with World(tmp_path, more_targets=f"  - {{{what}}}") as world:
        (world.policies / "changing.yaml").write_text(POLICY)
        world.write_settings(**{"policies: [": "policies: [changing.yaml, "})
        world.start()
        yield world


async def approve(world: World, request: dict[str, Any], reviewer: str) -> None:
    said = {
        "id": request["id"],
        "expect": request["intent"],
        "preview": request["preview_digest"],
        "verdict": "approve",
        "id_token": reviewer,
    }
    await world.admin().call("approvals.decide", {**said, "comment": ""})


async def change(world: World, server: ChangingServer) -> None:
    server.pages = [[OTHER]]
    await listed(world)
    done = command(world, "approve", "changing", "deploy", "--fingerprint", define(OTHER).fingerprint)
    assert done.returncode == 0, done.stderr


async def test_held_call_is_not_sent_under_a_definition_approved_meanwhile(
    world: World, server: ChangingServer
) -> None:
    await listed(world)
    reviewer = world.id_token("rita@corp.example", "reviewers")
    waiting = asyncio.ensure_future(called(world, "deploy"))
    request: Any = await pending(world, "deploy", reviewer)
    assert request["preview"]["tools"]["deploy"]["description"] == "Deploy to staging."
    await change(world, server)
    await approve(world, request, reviewer)
    assert "changed while the request was held" in await waiting
    assert server.calls == []


async def test_approval_for_a_time_ends_with_the_definition_that_was_read(world: World, server: ChangingServer) -> None:
    await listed(world)
    reviewer = world.id_token("rita@corp.example", "reviewers")
    waiting = asyncio.ensure_future(called(world, "deploy"))
    await approve(world, await pending(world, "deploy", reviewer), reviewer)
    assert await waiting == "did deploy"
    assert await called(world, "deploy") == "did deploy"
    await change(world, server)
    waiting = asyncio.ensure_future(called(world, "deploy"))
    again: Any = await pending(world, "deploy", reviewer)
    assert again["preview"]["tools"]["deploy"]["description"] == "Deploy to production."
    assert server.calls == ["deploy", "deploy"]
    await approve(world, again, reviewer)
    assert await waiting == "did deploy"
