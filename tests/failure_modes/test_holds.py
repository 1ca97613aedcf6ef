"""Requests that are held: nobody answers, the caller leaves, the gateway ends. Each is sent once at most."""

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.fakes.audit_trail import trail, until_written
from tests.fakes.processes import NO_AUTHORITIES
from tests.fakes.raw_upstream import RawUpstream
from tests.fakes.world import World, call

pytestmark = pytest.mark.e2e

HASTY = """
  - name: nobody-has-time
    effect: hold
    match: {verbs: [tools/call], tools: [hasty]}
    approval: {reviewers: ["group:reviewers"], timeout: 1s}

  - name: silence-is-consent
    effect: hold
    match: {verbs: [tools/call], tools: [quiet]}
    approval: {reviewers: ["group:reviewers"], timeout: 3s, auto_approve_after: 1s}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    world.write_settings(**{world.notes.url: upstream.url})
    with (world.policies / "demo.yaml").open("a") as policy:
        policy.write(HASTY)
    with world:
        world.start()
        yield world


@pytest.fixture(autouse=True)
def fresh(upstream: RawUpstream) -> None:
    upstream.forget()


@pytest.fixture
def aside() -> Iterator[Callable[..., Future[Any]]]:
    """Do something in a thread of its own."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


def ask(world: World, tool: str, name: str, *, timeout: float = 30) -> httpx.Response:
    with httpx.Client(verify=NO_AUTHORITIES, trust_env=False, timeout=timeout) as http:
        return http.post(world.url, headers=world.headers(), json=call(tool, {"name": name}))


def is_stream(answer: httpx.Response) -> bool:
    return answer.headers["content-type"].startswith("text/event-stream")


def refusal(answer: httpx.Response) -> dict[str, Any]:
    said = json.loads(answer.text.splitlines()[-2].removeprefix("data: ")) if is_stream(answer) else answer.json()
    return said["error"]["data"] if "error" in said else said["result"]["_meta"]["holdpoint/refusal"]


async def waiting_for(world: World, name: str) -> dict[str, Any]:
    """The pending request with this name among its arguments, as soon as it is there."""
    version = -1
    while True:
        version = (await world.admin().call("approvals.wait_change", {"since": version}))["version"]
        params = {"id_token": world.id_token(), "state": ["pending"]}
        for request in (await world.admin().call("approvals.list", params))["requests"]:
            if name in str(request["preview"]):
                return request


async def decide(world: World, request: dict[str, Any], verdict: str = "approve") -> None:
    params = {
        "id": request["id"],
        "expect": request["intent"],
        "preview": request["preview_digest"],
        "verdict": verdict,
        "comment": "",
    }
    await world.admin().call("approvals.decide", {**params, "id_token": world.id_token()})


async def until_nobody_waits(world: World, request: dict[str, Any]) -> dict[str, Any]:
    while True:
        now = await world.admin().call("approvals.get", {"id": request["id"], "id_token": world.id_token()})
        if not now["waiters"]:
            return now
        await asyncio.sleep(0.01)  # the gateway notices in a process of its own


@pytest.mark.failure("F-silence")
def test_silence_is_a_no_at_the_deadline(world: World, upstream: RawUpstream) -> None:
    assert refusal(ask(world, "hasty", "silence"))["kind"] == "expired"
    assert upstream.requests == []


@pytest.mark.failure("F-console-down")
def test_silence_is_no_consent_while_no_console_is_up(world: World, upstream: RawUpstream) -> None:
    # A gateway that no console has ever asked: the other tests ask as a console does.
    assert world.gateway is not None
    world.gateway.stop()
    world.start()
    assert refusal(ask(world, "quiet", "no console"))["kind"] == "expired"
    assert upstream.requests == []


@pytest.mark.failure("F-console-down")
async def test_without_a_console_what_needs_no_approval_passes_and_the_rest_is_decided_by_command(
    world: World, upstream: RawUpstream, aside: Callable[..., Future[Any]]
) -> None:
    assert "well" in ask(world, "read_note", "x").text
    answer = aside(ask, world, "write_note", "by command")
    await decide(world, await waiting_for(world, "by command"))
    assert "well" in (await asyncio.wrap_future(answer)).text
    assert upstream.calls("write_note") == 1


@pytest.mark.failure("F-client-leaves")
async def test_a_caller_who_leaves_sends_nothing_and_may_come_back(world: World, upstream: RawUpstream) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await asyncio.to_thread(ask, world, "write_note", "left", timeout=1)
    request = await waiting_for(world, "left")
    assert (await until_nobody_waits(world, request))["state"] == "pending"
    await decide(world, request)
    assert upstream.calls("write_note") == 0
    assert "well" in (await asyncio.to_thread(ask, world, "write_note", "left")).text
    assert upstream.calls("write_note") == 1


@pytest.mark.failure("F-restart-held")
@pytest.mark.failure("F-sigterm")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
async def test_a_held_request_outlives_the_gateway(
    world: World, upstream: RawUpstream, aside: Callable[..., Future[Any]], how: signal.Signals
) -> None:
    name = f"outlives {how.name}"
    answer = aside(ask, world, "write_note", name)
    request = await waiting_for(world, name)
    assert world.gateway is not None
    status = await asyncio.to_thread(world.gateway.stop, how)
    assert status == (0 if how is signal.SIGTERM else -signal.SIGKILL)
    with contextlib.suppress(httpx.TransportError):
        # Where there is time, its caller gets the ticket.
        assert refusal(await asyncio.wrap_future(answer))["ticket"] == request["id"]
    await asyncio.to_thread(world.start)
    assert (await waiting_for(world, name))["id"] == request["id"]
    await decide(world, request)
    assert upstream.calls("write_note") == 0
    assert "well" in (await asyncio.to_thread(ask, world, "write_note", name)).text
    assert upstream.calls("write_note") == 1


@pytest.mark.failure("F-kill-spent")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
async def test_what_was_sent_when_the_gateway_ended_is_unknown_and_never_sent_again(
    world: World, upstream: RawUpstream, aside: Callable[..., Future[Any]], how: signal.Signals
) -> None:
    name = f"spent {how.name}"
    never = threading.Event()
    upstream.behave = lambda _connection, _request: never.wait(30) and None
    answer = aside(ask, world, "write_note", name)
    request = await waiting_for(world, name)
    await decide(world, request)
    await asyncio.to_thread(upstream.next)
    assert world.gateway is not None
    await asyncio.to_thread(world.gateway.stop, how)
    with pytest.raises(httpx.TransportError):
        await asyncio.wrap_future(answer)
    never.set()
    await asyncio.to_thread(world.start)
    sent = [e for e in trail(world.var / "recordings") if e["stage"] == "Forwarded"][-1]
    unknown = until_written(world.var / "recordings", stage="OutcomeUnknown", exchange=sent["exchange"])
    assert unknown["resource"] == "tool write_note"
    # The same call made again is held anew: what was approved once counts no more.
    answer = aside(ask, world, "write_note", name)
    again = await waiting_for(world, name)
    assert again["id"] != request["id"]
    assert again["preview"]["earlier"]["outcome"] == "unknown"
    await decide(world, again, "deny")
    assert refusal(await asyncio.wrap_future(answer))["kind"] == "review_denied"
    assert upstream.calls("write_note") == 1
