"""Tasks, states and places in streams that a server gave to one caller, in the hands of another; and forged ones."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.raw_upstream import Arrived, result, stream, whole
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T31")]

RULES = """\
  - {name: forms, effect: allow, match: {server_requests: [elicitation/create]}}
  - {name: tasks, effect: allow, match: {verbs: ["tasks/*"]}}
  - {name: rounds, effect: allow, match: {verbs: [tools/call], tools: [rounds]}}
"""
SESSION = "session-of-alice"
BOB = {"sub": "u-bob", "email": "bob@corp.example"}
MODERN = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("handles"), rules=RULES) as world:
        yield world


@pytest.fixture(autouse=True)
def well(world: Attacked) -> None:
    world.mcp.forget()


def send(world: Attacked, message: dict[str, Any] | None, headers: dict[str, str], **claims: Any) -> httpx.Response:
    fields = world.headers(world.token(**claims), **headers)
    with world.client() as http:
        if message is None:
            return http.get(world.url, headers=fields)
        return http.post(world.url, headers=fields, json=message)


def modern(world: Attacked, method: str, /, *, who: dict[str, Any] | None = None, **params: Any) -> httpx.Response:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}
    headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
    if name := params.get("name", params.get("taskId")):
        headers["mcp-name"] = name
    return send(world, message, headers, **(who or {}))


def says(world: Attacked, **result: Any) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
    world.mcp.behave = lambda connection, _: connection.sendall(whole(body))


def test_task_answers_to_its_owner_alone(world: Attacked) -> None:
    says(world, resultType="task", taskId="t-1", status="working")
    assert modern(world, "tools/call", name="rounds").json()["result"]["taskId"] == "t-1"
    world.mcp.requests.clear()
    for who, task in ((BOB, "t-1"), ({}, "t-2")):
        refused = modern(world, "tasks/get", taskId=task, who=who)
        assert (refused.status_code, refused.json()["error"]["message"]) == (404, "no such task")
    assert world.mcp.requests == []
    assert modern(world, "tasks/get", taskId="t-1").status_code == 200


ASKS = {"name": {"method": "elicitation/create", "params": {"message": "who?"}}}


def a_round(world: Attacked) -> str:
    says(world, resultType="input_required", requestState="the upstream's own", inputRequests=ASKS)
    state = modern(world, "tools/call", name="rounds", arguments={"n": 1}).json()["result"]["requestState"]
    world.mcp.forget()
    assert "upstream" not in state
    return state


def test_state_comes_back_to_the_upstream_as_it_gave_it(world: Attacked) -> None:
    state = a_round(world)
    given = {"requestState": state, "inputResponses": {"name": {"action": "accept"}}}
    assert modern(world, "tools/call", name="rounds", arguments={"n": 1}, **given).status_code == 200
    (arrived,) = world.mcp.requests
    assert arrived.message["params"]["requestState"] == "the upstream's own"


@pytest.mark.parametrize(
    ("change", "who"),
    [
        pytest.param({}, BOB, id="by another"),
        pytest.param({"arguments": {"n": 2}}, {}, id="for another call"),
        pytest.param({"requestState": "the upstream's own"}, {}, id="unsealed"),
        pytest.param({"requestState": "hp1." + "A" * 120}, {}, id="forged"),
    ],
)
def test_state_of_others_and_forged_ones_reach_no_upstream(
    world: Attacked, change: dict[str, Any], who: dict[str, Any]
) -> None:
    params = {"name": "rounds", "arguments": {"n": 1}, "requestState": a_round(world), **change}
    refused = modern(world, "tools/call", who=who, **params)
    assert refused.status_code == 404
    assert world.mcp.requests == []


@pytest.mark.threat("T32")
def test_answer_to_what_the_state_did_not_ask_reaches_no_upstream(world: Attacked) -> None:
    given = {"requestState": a_round(world), "inputResponses": {"name": {}, "other": {}}}
    refused = modern(world, "tools/call", name="rounds", arguments={"n": 1}, **given)
    assert refused.json()["error"]["data"]["kind"] == "denied"
    bare = modern(world, "tools/call", name="rounds", arguments={"n": 1}, inputResponses={"name": {}})
    assert bare.json()["error"]["data"]["kind"] == "denied"
    assert world.mcp.requests == []


INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
}


def resumable(connection: socket.socket, request: Arrived) -> None:
    if request.body and request.message["method"] == "initialize":
        connection.sendall(whole(result(request, "well"), f"Mcp-Session-Id: {SESSION}"))
    elif request.body:
        # The stream breaks off after a mark, as a server that has its clients poll does.
        connection.sendall(stream(b"id: mark-1\ndata: \n\n"))
    else:
        owed = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "ann@example.com"}]}}
        foreign = {**owed, "id": 2}
        connection.sendall(stream(*(f"id: mark-2\ndata: {json.dumps(m)}\n\n".encode() for m in (foreign, owed))))


def test_stream_goes_on_for_who_began_it_and_under_the_masks_it_began_with(world: Attacked) -> None:
    world.mcp.behave = resumable
    session = {"mcp-session-id": SESSION}
    assert send(world, INITIALIZE, {}).headers["mcp-session-id"] == SESSION
    begun = send(world, call("read_note", {"name": "x"}), session).text
    (mark,) = [line.removeprefix("id:").strip() for line in begun.splitlines() if line.startswith("id:")]
    assert "mark-1" not in mark
    world.mcp.requests.clear()
    for who, forged in ((BOB, mark), ({}, "mark-1"), ({}, mark[:-2] + "AA")):
        refused = send(world, None, {**session, "last-event-id": forged}, **who)
        assert refused.status_code == 404
    assert world.mcp.requests == []
    again = send(world, None, {**session, "last-event-id": mark})
    assert world.mcp.requests[0].headers("last-event-id") == ["mark-1"]
    # The rule that let the call pass masks mail addresses; the one that lets a stream go on does not.
    assert '"id":1' in again.text
    assert '"id":2' not in again.text.replace(" ", "")
    assert "ann@example.com" not in again.text
