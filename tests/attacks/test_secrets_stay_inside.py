"""No secret gets out by a side way: not in an answer, a log line, a record or a file of the gateway."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.fakes.raw_upstream import RawUpstream, result, stream, whole
from tests.fakes.world import UPSTREAM_TOKEN, World, call

pytestmark = pytest.mark.e2e

ANSWERED = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
"""A secret in what the upstream answers."""
ASKED = "AKIAIOSFODNN7EXAMPLE"
"""A secret in what the caller asks."""


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


def ask(world: World, tool: str, token: str, **arguments: str) -> httpx.Response:
    with world.client() as http:
        return http.post(world.url, headers=world.headers(token), json=call(tool, {"name": "x", **arguments}))


def places(world: World, secret: str) -> list[str]:
    """Where a secret stands: in which file of the gateway, or in what it said."""
    files = [p for p in world.var.rglob("*") if p.is_file()]
    found = [str(p.relative_to(world.var)) for p in files if secret.encode() in p.read_bytes()]
    assert world.gateway is not None
    return found + (["output"] if secret in world.gateway.output else [])


@pytest.mark.threat("T07")
@pytest.mark.threat("T15")
async def test_no_token_and_no_masked_value_is_written_anywhere(world: World, upstream: RawUpstream) -> None:
    token, other = world.token(), world.token()
    chunk = len(ANSWERED) // 2

    def answer(connection: object, request: object) -> None:
        text = json.dumps({"note": f"rotate {ANSWERED}", "password": ANSWERED})
        body = result(request, text)  # type: ignore[arg-type]
        if upstream.calls("read_note") % 2:
            sent = whole(body, f"x-debug: {ANSWERED}", f"etag: {ANSWERED}", f"set-cookie: session={ANSWERED}")
        else:
            # The secret is split over two chunks of a stream.
            event = b"data: " + body + b"\n\n"
            cut = event.index(ANSWERED.encode()) + chunk
            sent = stream(event[:cut], event[cut:])
        connection.sendall(sent)  # type: ignore[attr-defined]

    upstream.behave = answer
    for tool_call in range(2):
        seen = ask(world, "read_note", token, text=f"{ASKED} {tool_call}")
        assert seen.status_code == 200
        assert "rotate" in seen.text
        assert ANSWERED not in seen.text
        assert ANSWERED not in str(seen.headers)
    assert ask(world, "drop_everything", other, text=ASKED).json()["error"]["data"]["kind"] == "denied"
    assert ask(world, "read_note", f"{token}x", text=ASKED).status_code == 401
    reviewer = world.id_token()
    held = asyncio.ensure_future(asyncio.to_thread(ask, world, "write_note", other, text=ASKED))
    request = await _pending(world, reviewer)
    assert ASKED not in json.dumps(request)
    params = {
        "id": request["id"],
        "expect": request["intent"],
        "preview": request["preview_digest"],
        "verdict": "deny",
        "comment": "",
        "id_token": reviewer,
    }
    await world.admin().call("approvals.decide", params)
    await held
    assert world.gateway is not None
    await asyncio.to_thread(world.gateway.stop)
    assert any(p.endswith(".flows") for p in places(world, "rotate"))
    for secret in (token, other, reviewer, UPSTREAM_TOKEN, ANSWERED):
        assert places(world, secret) == []
        assert places(world, secret.rpartition(".")[2]) == []
    # What was asked for is kept for its reviewers, in the store alone, and forgotten once it has ended.
    assert places(world, ASKED) == []
    await asyncio.to_thread(world.start)


async def _pending(world: World, reviewer: str) -> dict[str, object]:
    while True:
        version = (await world.admin().call("approvals.wait_change", {"since": -1}))["version"]
        found = await world.admin().call("approvals.list", {"id_token": reviewer, "state": ["pending"]})
        if found["requests"]:
            return found["requests"][0]
        await world.admin().call("approvals.wait_change", {"since": version})


@pytest.mark.threat("T15")
def test_every_file_of_the_gateway_is_for_its_owner_alone(world: World) -> None:
    ask(world, "read_note", world.token())
    public = {"audit-1.pub"}
    open_to_others = [
        str(p.relative_to(world.var))
        for p in world.var.rglob("*")
        if p.stat().st_mode & 0o077 and p.name not in public and not _inside(p, world.var / "ca")
    ]
    assert open_to_others == []
    assert (world.var / "ca").stat().st_mode & 0o077 == 0


def _inside(path: Path, folder: Path) -> bool:
    return folder in path.parents


@pytest.mark.threat("T11")
def test_the_upstream_takes_no_token_of_a_caller(tmp_path: Path) -> None:
    with World(tmp_path, json_response=True, stateless=True) as world, httpx.Client(trust_env=False) as http:
        for token in (world.token(), world.id_token(), "", "x"):
            answer = http.post(world.notes.url, headers=world.headers(token or None), json=call("list_notes"))
            assert answer.status_code == 401
        assert world.notes.seen.calls == []
