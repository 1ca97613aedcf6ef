"""Calls that wait for a reviewer, on connections that end, crowd or die: nothing is sent that nobody waits for."""

import contextlib
import json
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.byte_upstream import answer
from tests.fakes.wire import Answer, H2Wire, Wire, h2_connection, request
from tests.fakes.wire_world import WireWorld
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T18")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireWorld]:
    with WireWorld(tmp_path_factory.mktemp("held")) as world:
        world.start()
        yield world


def done(request_id: int = 1) -> bytes:
    """What the upstream says to a call."""
    said = {"jsonrpc": "2.0", "id": request_id, "result": {"content": [{"type": "text", "text": "done"}]}}
    return answer(json.dumps(said))


class Desk:
    """A reviewer at the admin socket."""

    def __init__(self, world: WireWorld) -> None:
        self._admin = world.admin()
        self._token = world.id_token()

    def pending(self, tool: str, count: int = 1) -> list[dict[str, Any]]:
        """The requests that wait for a tool, as soon as there are so many."""
        version = -1
        while True:
            version = self._admin.call_sync("approvals.wait_change", {"since": version})["version"]
            asked = {"id_token": self._token, "state": ["pending"], "limit": 200}
            found = [
                r for r in self._admin.call_sync("approvals.list", asked)["requests"] if r["resource"] == f"tool {tool}"
            ]
            if len(found) >= count:
                return found

    def decide(self, asked: dict[str, Any], verdict: str = "approve") -> None:
        """Approve or deny."""
        said = {
            "id": asked["id"],
            "expect": asked["intent"],
            "preview": asked["preview_digest"],
            "verdict": verdict,
            "comment": "",
            "id_token": self._token,
        }
        self._admin.call_sync("approvals.decide", {**said, "id_token": self._token})


def over_h2(world: WireWorld, wire: H2Wire, tool: str, arguments: dict[str, Any] | None = None) -> int:
    return wire.ask(world.over_h2("/rawmcp", world.mcp()), json.dumps(call(tool, arguments)).encode())


# Ways to leave


@contextlib.contextmanager
def h1(world: WireWorld, tool: str, leave: Callable[[socket.socket], None]) -> Iterator[Callable[[], None]]:
    with Wire(world.reverse) as wire:
        wire.send(world.tool_call(tool))
        yield lambda: leave(wire.socket)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@contextlib.contextmanager
def h2_reset(world: WireWorld, tool: str) -> Iterator[Callable[[], None]]:
    with h2_connection(world.reverse_tls) as wire:
        stream = over_h2(world, wire, tool)

        def leave() -> None:
            wire.state.reset_stream(stream)
            wire.flush()

        yield leave
        assert wire.wait(wire.ask(world.over_h2("/raw/sibling", world.plain(), "GET"))).status == 200


@contextlib.contextmanager
def h2_goodbye(world: WireWorld, tool: str) -> Iterator[Callable[[], None]]:
    with h2_connection(world.reverse_tls) as wire:
        over_h2(world, wire, tool)

        def leave() -> None:
            wire.state.close_connection()
            wire.flush()

        yield leave


@contextlib.contextmanager
def tunnel(world: WireWorld, tool: str) -> Iterator[Callable[[], None]]:
    host = f"127.0.0.1:{world.rawmcp.port}"
    with Wire(world.forward) as wire:
        assert b" 200 " in wire.connect(host)
        body = json.dumps(call(tool)).encode()
        wire.send(request("POST", "/mcp", [("Host", host), *world.mcp()[1:]], body))
        yield wire.socket.close


@contextlib.contextmanager
def crowding(world: WireWorld, tool: str) -> Iterator[Callable[[], None]]:
    with Wire(world.reverse) as wire:
        wire.send(world.tool_call(tool))

        def leave() -> None:
            # More than may be sent ahead. The gateway closes the connection, which counts as leaving.
            with contextlib.suppress(OSError):
                for _ in range(40):
                    wire.send(b"a" * 65536)
            wire.rest()

        yield leave


LEAVING: dict[str, Callable[[WireWorld, str], contextlib.AbstractContextManager[Callable[[], None]]]] = {
    "closes": lambda world, tool: h1(world, tool, socket.socket.close),
    "half-closes": lambda world, tool: h1(world, tool, lambda c: c.shutdown(socket.SHUT_WR)),
    "resets": lambda world, tool: h1(world, tool, reset),
    "resets-the-stream": h2_reset,
    "says-goodbye": h2_goodbye,
    "closes-the-tunnel": tunnel,
    "crowds": crowding,
}


@pytest.mark.parametrize("how", LEAVING)
def test_a_caller_who_leaves_while_held_sends_nothing_and_may_come_back(world: WireWorld, how: str) -> None:
    tool = f"held-{how}"
    world.rawmcp.answers[tool] = done()
    desk = Desk(world)
    assert world.gateway is not None
    with LEAVING[how](world, tool) as leave:
        (asked,) = desk.pending(tool)
        leave()
        world.gateway.wait_for("the caller left while the request was held")
    assert not world.rawmcp.seen(tool)
    (still,) = desk.pending(tool)
    assert still["id"] == asked["id"]
    desk.decide(still)
    again = world.tool(tool)
    assert again.json["result"]["content"][0]["text"] == "done"
    assert len(world.rawmcp.seen(tool)) == 1
    sent = [e for e in world.audited() if e["stage"] == "Forwarded" and e["detail"].get("approval") == asked["id"]]
    assert len(sent) == 1


def test_sixty_four_held_calls_on_one_connection_block_nobody(world: WireWorld) -> None:
    world.rawmcp.answers["held-many"] = done()
    world.rawmcp.answers["quick"] = done()
    desk = Desk(world)
    with h2_connection(world.reverse_tls, timeout=20) as wire:
        held = {over_h2(world, wire, "held-many", {"n": n}): n for n in range(64)}
        asked = desk.pending("held-many", 64)
        assert wire.wait(over_h2(world, wire, "quick")).json["result"]
        assert wire.wait(wire.ask(world.over_h2("/raw/beside", world.plain(), "GET"))).status == 200
        assert world.tool("quick").json["result"]  # on a connection of its own, too
        chosen = next(a for a in asked if '"n":17' in json.dumps(a["preview"], separators=(",", ":")))
        desk.decide(chosen)
        seventeen = next(stream for stream, n in held.items() if n == 17)
        assert wire.wait(seventeen).json["result"]
        assert wire.ended == {s for s in wire.answers if s not in held} | {seventeen}
    assert len(world.rawmcp.seen("held-many")) == 1
    assert json.loads(world.rawmcp.seen("held-many")[0].body)["params"]["arguments"] == {"n": 17}


def test_of_two_callers_with_one_approval_one_passes(world: WireWorld) -> None:
    world.rawmcp.answers["held-twice"] = done()
    desk = Desk(world)
    with Wire(world.reverse, timeout=20) as first, Wire(world.reverse, timeout=20) as second:
        first.send(world.tool_call("held-twice"))
        (asked,) = desk.pending("held-twice")
        second.send(world.tool_call("held-twice"))
        version = -1
        while desk.pending("held-twice")[0]["waiters"] < 2:
            version = world.admin().call_sync("approvals.wait_change", {"since": version})["version"]
        desk.decide(asked)
        got = [first.read(), second.read()]
    assert sorted("result" in g.json for g in got) == [False, True]
    (refused,) = [g for g in got if "error" in g.json]
    assert refused.json["error"]["data"]["kind"] == "conflict"
    assert len(world.rawmcp.seen("held-twice")) == 1


def test_a_refused_call_that_was_held_leaves_its_connection_whole(world: WireWorld) -> None:
    desk = Desk(world)
    with Wire(world.reverse, timeout=20) as wire:
        wire.send(world.tool_call("held-denied") + request("GET", "/raw/behind", world.plain()))
        desk.decide(desk.pending("held-denied")[0], "deny")
        assert wire.read().json["result"]["isError"]
        assert wire.read("GET").status == 200
    assert not world.rawmcp.seen("held-denied")


@pytest.mark.failure("F-kill")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_gateway_that_ends_while_it_holds_sends_nothing_and_knows_the_call_again(
    tmp_path: Path, how: signal.Signals
) -> None:
    with WireWorld(tmp_path) as world:
        gateway = world.start()
        world.rawmcp.answers["held-over"] = done()
        with Wire(world.reverse, timeout=20) as plain, h2_connection(world.reverse_tls) as safe:
            plain.send(world.tool_call("held-over"))
            stream = over_h2(world, safe, "held-other")
            (asked,) = Desk(world).pending("held-over")
            Desk(world).pending("held-other")
            status = gateway.stop(how)
            assert status == (0 if how is signal.SIGTERM else -how)
            assert plain.read() in (Answer(), Answer(torn=True)) or how is signal.SIGTERM
            assert safe.wait(stream).status in (0, 200, 403, 503)
        assert not world.rawmcp.requests
        world.start()
        desk = Desk(world)
        (still,) = desk.pending("held-over")
        assert still["id"] == asked["id"]
        desk.decide(still)
        assert world.tool("held-over").json["result"]
        assert len(world.rawmcp.seen("held-over")) == 1


def test_the_gateway_came_through_it_all(world: WireWorld) -> None:
    assert world.gateway is not None
    assert "has crashed" not in world.gateway.output
    assert "Traceback" not in world.gateway.output
    forwarded = [e for e in world.audited() if e["stage"] == "Forwarded"]
    assert len(forwarded) == len(world.raw.requests) + len(world.rawmcp.requests)
