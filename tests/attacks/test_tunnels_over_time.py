"""Upgraded connections that last: what gathers in them, what is left over of their streams, and records that fail."""

import asyncio
import contextlib
import errno
import select
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.pod_world import Client, PodWorld
from tests.fakes.pods import Carrier
from tests.fakes.processes import free_port
from tests.fakes.saboteur import SabotagedGateway
from tests.fakes.wire import Wire
from tests.fakes.world import UPSTREAM_TOKEN

from holdpoint.recording.flowfiles import FlowFiles
from holdpoint.recording.journal import Journal
from holdpoint.stages import tunnels
from holdpoint.stages.tunnels import Tunnel

KINDS = pytest.mark.parametrize("is_spdy", [False, True], ids=["websocket", "spdy"])
EXEC = "/api/v1/namespaces/default/pods/web/exec?command=id&container=main&stdin=true&stdout=true&stderr=true"
CLOSED = free_port()
FORWARD = "/api/v1/namespaces/default/pods/web/portforward"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodWorld]:
    patch = pytest.MonkeyPatch()
    patch.setenv("NOTES_TOKEN", UPSTREAM_TOKEN)
    try:
        with PodWorld(tmp_path_factory.mktemp("pods")) as world, SabotagedGateway(world.settings_file):
            yield world
    finally:
        patch.undo()


@pytest.fixture(autouse=True)
def made(world: PodWorld, monkeypatch: pytest.MonkeyPatch) -> list[Tunnel]:
    """The gateway's own side of each tunnel."""
    world.pods.say = world.pods.deaf = None
    found: list[Tunnel] = []
    begin = Tunnel.__init__

    def noted(self: Tunnel, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        found.append(self)

    monkeypatch.setattr(Tunnel, "__init__", noted)
    return found


@pytest.mark.threat("T48")
def test_what_is_kept_back_for_a_client_who_gave_up_its_stream_goes_to_nobody(
    world: PodWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnels, "HOLD_BACK", 60.0)
    over = threading.Event()

    def say(carrier: Carrier) -> None:
        carrier.wait_for({"error", "stdout", "stderr"})  # type: ignore[attr-defined]
        carrier.send("stdout", b"a beginning AKIAIOSF")
        carrier.send("stderr", b"said\n")
        over.wait(20)

    world.pods.say = say
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy=True).begin(world.spdy(EXEC), streams=("error", "stdin", "stdout", "stderr"))
        client.until(lambda: client.text("stderr") == "said\n")
        number = next(n for n, name in client.names.items() if name == "stdout")
        wire.send(client.end.rst(number))
        client.say("stdin", b"after\n")
        opened = world.pods.opened[-1]
        client.wire.socket.settimeout(20)
        while b"after" not in opened.raw:
            over.wait(0.02)
        over.set()
    assert b"AKIA" not in opened.raw


@pytest.mark.threat("T44")
@KINDS
async def test_a_tunnel_that_opens_after_policy_has_changed_does_not(world: PodWorld, is_spdy: bool) -> None:
    asked, go = threading.Event(), threading.Event()

    def late(head: bytes) -> bytes:
        asked.set()
        go.wait(20)
        return head

    def attempt() -> Client:
        with Wire(world.reverse) as wire:
            return Client(wire, is_spdy).begin(world.spdy(EXEC) if is_spdy else world.websocket(EXEC))

    world.pods.head = late
    file = world.policies / "pods.yaml"
    text = file.read_text()
    under_way = asyncio.create_task(asyncio.to_thread(attempt))
    try:
        await asyncio.to_thread(asked.wait, 20)
        file.write_text(text.replace("namespaces: [default]", "namespaces: [other]"))
        await world.admin().call("policy.reload", {})
        go.set()
        client = await under_way
    finally:
        go.set()
        world.pods.head = lambda head: head
        file.write_text(text)
        await world.admin().call("policy.reload", {})
    assert client.status == 403
    assert b"policy has changed" in client.body
    assert world.pods.opened[-1].gone.wait(10)


@pytest.mark.threat("T49")
@KINDS
async def test_a_tunnel_that_is_ended_leaves_nothing_to_come_for_a_program_that_does_not_read(
    world: PodWorld, is_spdy: bool
) -> None:
    hears = threading.Event()
    cut: list[bool] = []

    def deaf(carrier: Carrier) -> None:
        cut.append(carrier.is_cut(seconds=15))
        hears.set()

    def flood() -> None:
        with contextlib.suppress(OSError):
            for _ in range(1000):
                client.say("stdin", b"x" * 32768)

    world.pods.say, world.pods.deaf = deaf, hears
    with Wire(world.reverse, timeout=2) as wire:
        client = Client(wire, is_spdy)
        streams = ("error", "stdin", "stdout", "stderr") if is_spdy else ()
        client.begin(world.spdy(EXEC) if is_spdy else world.websocket(EXEC), streams=streams)
        await asyncio.to_thread(flood)
        (stream,) = (await world.admin().call("streams.list", {}))["streams"]
        await world.admin().call("streams.end", {"id": stream["exchange"], "reason": ""})
        assert await asyncio.to_thread(hears.wait, 20)
    assert cut == [True]


@pytest.mark.threat("T49")
def test_streams_of_a_forwarded_port_that_are_over_leave_nothing_behind(world: PodWorld, made: list[Tunnel]) -> None:
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy=True).begin(world.spdy(FORWARD, "portforward.k8s.io"), streams=())
        assert client.status == 101
        for request in range(20):
            pair = {"port": str(CLOSED), "requestid": str(request)}
            error, data = (client.open({"streamtype": kind, **pair}, f"{kind}:{request}") for kind in ("error", "data"))
            client.until(lambda r=request: {f"error:{r}", f"data:{r}"} <= client.ended)
            assert "cannot reach" in client.text(f"error:{request}")
            wire.send(client.end.data(error, b"", flags=1) + client.end.data(data, b"", flags=1))
        assert len(made[-1].screens) <= 1


@pytest.mark.threat("T50")
@pytest.mark.failure("F-tunnel-unrecorded")
@KINDS
def test_a_tunnel_that_can_not_be_written_down_ends(
    world: PodWorld, monkeypatch: pytest.MonkeyPatch, is_spdy: bool
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = world.path("exec", "default", "cat", stdin=True)
    streams = ("error", "stdin", "stdout", "stderr") if is_spdy else ()
    with Wire(world.reverse) as wire:
        client = Client(wire, is_spdy).begin(world.spdy(path) if is_spdy else world.websocket(path), streams=streams)
        client.say("stdin", b"ready\n")
        client.until(lambda: client.text("stdout") == "ready\n")
        with monkeypatch.context() as patch:
            patch.setattr(FlowFiles, "write", full)
            patch.setattr(Journal, "write", full)
            for number in range(200):
                with contextlib.suppress(OSError):
                    client.say("stdin", b"%d\n" % number)
                client.until(lambda n=number: client.is_over or client.text("stdout").endswith(f"{n}\n"))
                if client.is_over:
                    break
                select.select([], [], [], 0.05)  # a piece goes out once a second
    assert client.outcome["code"] == 503
    assert "the gateway cannot write records" in client.text("stderr")
    assert world.pods.opened[-1].gone.wait(10)
    served = 0
    while served != 101:  # it looks at the disk by itself, once a second
        with Wire(world.reverse) as wire:
            served = Client(wire, is_spdy=False).begin(world.websocket(path)).status
