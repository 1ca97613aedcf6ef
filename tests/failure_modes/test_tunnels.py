"""Upgraded connections when something fails: nothing passes that was not looked at, and everybody is told why."""

import asyncio
import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.audit_trail import until_written
from tests.fakes.byte_upstream import answer
from tests.fakes.pod_world import Client, PodWorld
from tests.fakes.pods import Carrier
from tests.fakes.saboteur import FAILURES, SabotagedGateway
from tests.fakes.wire import Wire
from tests.fakes.world import UPSTREAM_TOKEN

from holdpoint.protocols.kubernetes.channels import ExecChannels
from holdpoint.protocols.kubernetes.spdy import Spdy
from holdpoint.recording.browse import show_session
from holdpoint.stages.screens import Screen
from holdpoint.stages.tunnels import Tunnel

KINDS = pytest.mark.parametrize("is_spdy", [False, True], ids=["websocket", "spdy"])
MARK = "CANARY-12345"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodWorld]:
    with PodWorld(tmp_path_factory.mktemp("pods"), policy=MORE) as world:
        world.start()
        yield world


MORE = """\
  - name: guarded
    effect: allow
    match: {verbs: [exec], resources: [pods/exec], namespaces: [guarded]}
    guard: {results: ["CANARY-[0-9]+"]}
"""


@pytest.fixture(autouse=True)
def well(world: PodWorld) -> None:
    world.pods.say, world.pods.head = None, lambda head: head
    world.pods.refuse.clear()


def head(world: PodWorld, path: str, *, is_spdy: bool, **claims: Any) -> bytes:
    return world.spdy(path, **claims) if is_spdy else world.websocket(path, **claims)


def streams(is_spdy: bool) -> tuple[str, ...]:
    return ("error", "stdin", "stdout", "stderr") if is_spdy else ()


def shell(world: PodWorld, wire: Wire, *, is_spdy: bool, namespace: str = "default", **claims: Any) -> Client:
    """A `cat` that runs."""
    path = world.path("exec", namespace, "cat", stdin=True)
    client = Client(wire, is_spdy).begin(head(world, path, is_spdy=is_spdy, **claims), streams=streams(is_spdy))
    assert client.status == 101, client.body
    client.say("stdin", b"ready\n")
    client.until(lambda: client.text("stdout") == "ready\n")
    assert client.text("stdout") == "ready\n", client.heard
    return client


# -- the handler itself


@pytest.fixture(scope="module")
def sabotaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodWorld]:
    patch = pytest.MonkeyPatch()
    patch.setenv("NOTES_TOKEN", UPSTREAM_TOKEN)
    try:
        with PodWorld(tmp_path_factory.mktemp("sabotaged")) as world, SabotagedGateway(world.settings_file):
            yield world
    finally:
        patch.undo()


PLACES = {
    "reads": (Tunnel, "_received"),
    "closes": (Tunnel, "_closed"),
    "decodes-websocket": (ExecChannels, "receive"),
    "decodes-spdy": (Spdy, "receive"),
    "encodes-websocket": (ExecChannels, "send"),
    "encodes-spdy": (Spdy, "send"),
    "masks": (Screen, "feed"),
    "flushes": (Screen, "flush"),
}


@pytest.mark.failure("F-tunnel-handler")
@KINDS
@pytest.mark.parametrize("place", PLACES)
def test_whatever_fails_in_a_tunnel_lets_nothing_through(
    sabotaged: PodWorld, monkeypatch: pytest.MonkeyPatch, place: str, is_spdy: bool
) -> None:
    owner, name = PLACES[place]
    original = getattr(owner, name)
    for failure, make in FAILURES.items():
        armed = threading.Event()

        def broken(*args: Any, _make: Any = make, _armed: threading.Event = armed, **kwargs: Any) -> Any:
            if _armed.is_set():
                raise _make()
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, broken)
        with Wire(sabotaged.reverse, timeout=30) as wire:
            client = shell(sabotaged, wire, is_spdy=is_spdy)
            opened = sabotaged.pods.opened[-1]
            passed = bytes(opened.heard["stdin"])
            armed.set()
            with contextlib.suppress(OSError):
                client.say("stdin", b"after\n", final=True)
            client.rest()
            applies = not place.endswith("-spdy" if not is_spdy else "-websocket")
            if applies and place not in ("closes", "masks", "flushes"):
                assert bytes(opened.heard["stdin"]) == passed, failure
            if applies and place == "masks":
                assert "after" not in client.text("stdout"), failure
        assert opened.gone.wait(20), failure
        monkeypatch.setattr(owner, name, original)
    with Wire(sabotaged.reverse, timeout=30) as wire:
        client = shell(sabotaged, wire, is_spdy=is_spdy)
        client.say("stdin", b"", final=True)
        assert client.rest().outcome["status"] == "Success"


# -- how they end


@pytest.mark.failure("F-tunnel-upstream")
@KINDS
def test_an_upstream_that_dies_is_told_of(world: PodWorld, is_spdy: bool) -> None:
    def die(carrier: Carrier) -> None:
        if is_spdy:
            carrier.wait_for({"error", "stdout", "stderr"})  # type: ignore[attr-defined]
        carrier.send("stdout", b"half a ")
        carrier._connection.shutdown(socket.SHUT_RDWR)

    world.pods.say = die
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy).begin(head(world, world.path("exec", "default", "id"), is_spdy=is_spdy))
        client.rest()
    assert client.text("stdout") == "half a "
    assert "closed the connection before the command ended" in client.text("stderr")
    assert client.outcome["status"] == "Failure"
    event = world.ended(client.refusal)
    assert (event["stage"], event["detail"]["tunnel"]["ended_by"]) == ("Failed", "gateway")


@pytest.mark.failure("F-tunnel-client")
@KINDS
def test_a_client_that_leaves_takes_its_command_with_it(world: PodWorld, is_spdy: bool) -> None:
    with Wire(world.reverse) as wire:
        shell(world, wire, is_spdy=is_spdy)
    assert world.pods.opened[-1].gone.wait(10)


@pytest.mark.failure("F-tunnel-guard")
@KINDS
def test_a_guard_ends_what_shows_its_pattern(world: PodWorld, is_spdy: bool) -> None:
    with Wire(world.reverse) as wire:
        client = shell(world, wire, is_spdy=is_spdy, namespace="guarded")
        client.say("stdin", f"{MARK}\n".encode())
        client.rest()
    assert MARK not in client.text("stdout")
    assert client.outcome["status"] == "Failure"
    assert "guard" in client.text("stderr")


@pytest.mark.failure("F-tunnel-expired")
@KINDS
def test_a_tunnel_ends_with_its_token(world: PodWorld, is_spdy: bool) -> None:
    token = world.token(exp=int(time.time()) + 3)
    path = world.path("exec", "default", "cat", stdin=True)
    asked = head(world, path, is_spdy=is_spdy).replace(world.token().encode(), token.encode())
    lines = [
        b"Authorization: Bearer " + token.encode() if x.startswith(b"Authorization") else x
        for x in asked.split(b"\r\n")
    ]
    with Wire(world.reverse, timeout=20) as wire:
        client = Client(wire, is_spdy).begin(b"\r\n".join(lines), streams=streams(is_spdy))
        assert client.status == 101
        client.rest()
    assert "the token expired" in client.text("stderr")
    assert client.outcome["reason"] == "Unauthorized"


@pytest.mark.failure("F-tunnel-kill")
def test_a_gateway_that_is_killed_leaves_a_whole_audit(tmp_path: Path) -> None:
    with PodWorld(tmp_path) as world:
        gateway = world.start()
        with Wire(world.reverse) as wire:
            shell(world, wire, is_spdy=False)
            gateway.stop(signal.SIGKILL)
        assert world.pods.opened[-1].gone.wait(10)
        world.start()
        stages = [e["stage"] for e in world.audited() if e.get("action") == "exec"]
    assert (stages[0], stages[-1]) == ("Forwarded", "OutcomeUnknown")


@pytest.mark.failure("F-tunnel-stop")
def test_a_gateway_that_stops_ends_its_tunnels(tmp_path: Path) -> None:
    with PodWorld(tmp_path) as world:
        gateway = world.start()
        with Wire(world.reverse) as wire:
            client = shell(world, wire, is_spdy=False)
            gateway.process.send_signal(signal.SIGTERM)
            client.rest()
        gateway.stop()
        event = world.ended()
        assert (event["stage"], event["detail"]["refusal"]["public"]) == ("Ended", "the gateway is stopping")
        shown = show_session(world.var / "recordings", event["session"]).exchanges[-1]
    assert (shown.outcome, shown.refusal) == ("ended", "the gateway is stopping")


# -- one approval for what kubectl asks twice


async def pending(world: PodWorld) -> dict[str, Any]:
    """The pending request, as soon as there is one."""
    version = -1
    while True:
        version = (await world.admin().call("approvals.wait_change", {"since": version}))["version"]
        params = {"id_token": world.id_token(), "state": ["pending"]}
        for request in (await world.admin().call("approvals.list", params))["requests"]:
            return request


async def decide(world: PodWorld, verdict: str) -> str:
    request = await pending(world)
    params = {
        "id": request["id"],
        "expect": request["intent"],
        "preview": request["preview_digest"],
        "verdict": verdict,
        "comment": "",
    }
    await world.admin().call("approvals.decide", {**params, "id_token": world.id_token()})
    return str(request["id"])


def upgraded(world: PodWorld, command: str, *, is_spdy: bool, namespace: str = "held") -> Client:
    """One attempt. Each test has a command of its own: a denial is remembered for a moment."""
    with Wire(world.reverse, timeout=30) as wire:
        client = Client(wire, is_spdy).begin(head(world, world.path("exec", namespace, command), is_spdy=is_spdy))
        if client.status == 101:
            client.rest()
        return client


@pytest.mark.failure("F-tunnel-retry")
async def test_an_upgrade_that_was_declined_leaves_its_approval_to_the_retry(world: PodWorld) -> None:
    world.pods.refuse["websocket"] = answer('{"kind":"Status","code":403}', status="403 Forbidden")
    first = asyncio.create_task(asyncio.to_thread(upgraded, world, "id", is_spdy=False))
    await decide(world, "approve")
    assert (await first).status == 403
    second = await asyncio.to_thread(upgraded, world, "id", is_spdy=True)
    assert second.status == 101
    third = asyncio.create_task(asyncio.to_thread(upgraded, world, "id", is_spdy=True))
    await decide(world, "deny")  # the approval was used: a third time is another request
    assert (await third).status == 403


@KINDS
def test_what_the_upstream_says_in_place_of_switching_is_shown_as_its_own_words(world: PodWorld, is_spdy: bool) -> None:
    to, words = "spdy/3.1" if is_spdy else "websocket", "unable to upgrade connection: pod web is gone"
    before = len(world.audited())
    world.pods.refuse[to] = answer(words, "text/plain; charset=utf-8", status="403 Forbidden")
    try:
        client = upgraded(world, "true", is_spdy=is_spdy, namespace="default")
    finally:
        del world.pods.refuse[to]
    assert (client.status, client.body) == (403, words.encode())
    # What another test asked for may be written only now.
    where = {"resource": "pods/exec default/web"}
    event = until_written(world.var / "recordings", after=before, stage="Answered", action="exec", **where)
    assert event["detail"]["declined"] == "upgrade refused by the upstream (403)"


@pytest.mark.failure("F-tunnel-retry")
async def test_a_denial_answers_the_retry_too(world: PodWorld) -> None:
    first = asyncio.create_task(asyncio.to_thread(upgraded, world, "true", is_spdy=False))
    ticket = await decide(world, "deny")
    assert (await first).status == 403
    second = await asyncio.to_thread(upgraded, world, "true", is_spdy=True)
    assert second.status == 403
    assert ticket in second.body.decode()


@pytest.mark.failure("F-tunnel-retry")
async def test_an_upgrade_whose_answer_was_lost_on_the_way_is_not_sent_again(world: PodWorld) -> None:
    world.pods.refuse["websocket"] = answer('{"kind":"Status"}', status="504 Gateway Timeout")
    first = asyncio.create_task(asyncio.to_thread(upgraded, world, "date", is_spdy=False))
    await decide(world, "approve")
    assert (await first).status == 504
    second = asyncio.create_task(asyncio.to_thread(upgraded, world, "date", is_spdy=True))
    await decide(world, "deny")
    assert (await second).status == 403


@pytest.mark.threat("T49")
async def test_a_tunnel_ends_with_its_grant(world: PodWorld) -> None:
    def held() -> Client:
        with Wire(world.reverse, timeout=40) as wire:
            path = world.path("exec", "short", "cat", stdin=True)
            client = Client(wire, is_spdy=False).begin(world.websocket(path))
            return client.rest()

    first = asyncio.create_task(asyncio.to_thread(held))
    await decide(world, "approve")
    client = await first
    assert "the grant ended" in client.text("stderr")
    assert json.loads(client.heard["error"])["status"] == "Failure"


# -- ports


def forward(world: PodWorld, port: int, *, asked: str = "") -> Client:
    with Wire(world.reverse) as wire:
        path = world.path("portforward") + asked
        client = Client(wire, is_spdy=True).begin(world.spdy(path, "portforward.k8s.io"), streams=())
        assert client.status == 101
        for kind in ("error", "data"):
            client.open({"streamtype": kind, "port": str(port), "requestid": "0"}, kind)
        wire.send(client.end.data(3, b"hello"))
        client.until(lambda: client.is_over or client.text("data") == "HELLO")
        return client


@pytest.mark.threat("T49")
def test_a_port_that_was_not_decided_is_not_opened(world: PodWorld) -> None:
    client = forward(world, 9, asked="?ports=8080")
    assert client.went_away
    assert not world.pods.opened[-1].heard
    assert b"port" not in world.pods.opened[-1].raw


@pytest.mark.threat("T49")
def test_a_port_that_policy_allows_is_forwarded(world: PodWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(100).upper())

        threading.Thread(target=echo, daemon=True).start()
        assert forward(world, server.getsockname()[1]).text("data") == "HELLO"
