"""Using the MCP session of somebody else: to upstreams all callers are one, and only the id tells them apart."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.raw_upstream import Arrived, result, whole
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T31")]

SESSION = "session-of-alice"
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
}


def gives_sessions(connection: socket.socket, request: Arrived) -> None:
    if not request.body:
        connection.sendall(whole(b"{}"))
        return
    named = [f"Mcp-Session-Id: {SESSION}"] if request.message["method"] == "initialize" else []
    connection.sendall(whole(result(request, "well"), *named))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("sessions")) as world:
        world.mcp.behave = gives_sessions
        yield world


def ask(world: Attacked, method: str, message: dict[str, Any] | None, **claims: Any) -> httpx.Response:
    headers = world.headers(world.token(**claims), **{"mcp-session-id": SESSION})
    if message is not None and message["method"] == "initialize":
        del headers["mcp-session-id"]
    with world.client() as http:
        return http.request(method, world.url, headers=headers, **({} if message is None else {"json": message}))


BOB = {"sub": "u-bob", "email": "bob@corp.example"}


@pytest.mark.parametrize(
    ("method", "message"),
    [
        pytest.param("POST", call("read_note", {"name": "x"}), id="call"),
        pytest.param("GET", None, id="listen"),
        pytest.param("DELETE", None, id="delete"),
    ],
)
def test_session_serves_only_the_one_who_began_it(world: Attacked, method: str, message: dict[str, Any] | None) -> None:
    assert ask(world, "POST", INITIALIZE).headers["mcp-session-id"] == SESSION
    before = len(world.mcp.requests)
    refused = ask(world, method, message, **BOB)
    assert refused.status_code == 404
    assert len(world.mcp.requests) == before
    assert ask(world, "POST", call("read_note", {"name": "x"})).status_code == 200


def test_session_that_nobody_began_serves_nobody(world: Attacked) -> None:
    before = len(world.mcp.requests)
    headers = world.headers(world.token(**BOB), **{"mcp-session-id": "made-up"})
    with world.client() as http:
        assert http.post(world.url, headers=headers, json=call("read_note", {"name": "x"})).status_code == 404
    assert len(world.mcp.requests) == before


def test_session_that_was_ended_serves_nobody_any_more(world: Attacked) -> None:
    assert ask(world, "POST", INITIALIZE).status_code == 200
    assert ask(world, "DELETE", None).status_code == 200
    assert ask(world, "POST", call("read_note", {"name": "x"})).status_code == 404


def test_session_that_an_upstream_gives_to_two_callers_is_withheld_from_the_second(world: Attacked) -> None:
    assert ask(world, "POST", INITIALIZE).status_code == 200
    second = ask(world, "POST", INITIALIZE, **BOB)
    assert second.json()["error"]["data"]["kind"] == "withheld"
    assert "mcp-session-id" not in second.headers
    assert ask(world, "POST", call("read_note", {"name": "x"})).status_code == 200


def test_restart_of_the_gateway_forgets_no_owner(world: Attacked) -> None:
    assert ask(world, "POST", INITIALIZE).status_code == 200
    assert world.gateway is not None
    world.gateway.stop()
    world.start()
    assert ask(world, "POST", call("read_note", {"name": "x"})).status_code == 200
    assert ask(world, "POST", call("read_note", {"name": "x"}), **BOB).status_code == 404
