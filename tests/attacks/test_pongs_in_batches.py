"""An answer to a ping that travels in a batch: it is no request, and shifts no other message of the batch."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.raw_upstream import Arrived, result, stream, whole
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T33")]

RULES = """\
  - {name: tasks, effect: allow, match: {verbs: [tasks/list]}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("pongs"), rules=RULES) as world:
        yield world


@pytest.fixture(autouse=True)
def pinged(world: Attacked) -> None:
    """The server asks whether the client is there."""
    world.mcp.forget()

    def ping(connection: Any, request: Arrived) -> None:
        asked = json.dumps({"jsonrpc": "2.0", "id": "p", "method": "ping"}).encode()
        connection.sendall(stream(b"data: " + asked + b"\n\n", b"data: " + result(request, "well") + b"\n\n"))

    world.mcp.behave = ping
    assert '"ping"' in world.post(call("list_notes")).text
    world.mcp.forget()


def batch(world: Attacked, *messages: dict[str, Any]) -> httpx.Response:
    headers = world.headers()
    del headers["mcp-protocol-version"]
    pong = {"jsonrpc": "2.0", "id": "p", "result": {}}
    with world.client() as http:
        return http.post(world.url, headers=headers, json=[pong, *messages])


def test_denied_message_beside_a_pong_is_refused_in_its_own_words(world: Attacked) -> None:
    answer = batch(world, call("drop_all", request_id=1), call("list_notes", request_id=2))
    said = {one["id"]: json.dumps(one) for one in answer.json()}
    assert "nobody drops everything" in said[1]
    assert "nobody drops everything" not in said[2]
    assert world.mcp.requests == []


def test_tasks_of_others_are_not_listed_beside_a_pong(world: Attacked) -> None:
    listed = [{"jsonrpc": "2.0", "id": 1, "result": {"tasks": [{"taskId": "of-bob", "status": "working"}]}}]
    world.mcp.behave = lambda connection, _: connection.sendall(whole(json.dumps(listed).encode()))
    answer = batch(world, {"jsonrpc": "2.0", "id": 1, "method": "tasks/list", "params": {}})
    assert answer.status_code == 200
    assert "of-bob" not in answer.text
