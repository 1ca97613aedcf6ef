"""Servers that answer what was not asked, ask what they may not, and show what a caller may not use."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.raw_upstream import Arrived, result, stream, whole
from tests.fakes.world import call

pytestmark = pytest.mark.e2e

RULES = """\
  - {name: forms, effect: allow, match: {server_requests: [elicitation/create]}}
  - {name: more-verbs, effect: allow, match: {verbs: [prompts/list, resources/list, ping]}}
  - {name: guarded, effect: allow, match: {verbs: [tools/call], tools: [guarded]}, guard: {results: ["top secret"]}}
"""
PLAIN_CALL = call("read_note", {"name": "x"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("servers"), rules=RULES) as world:
        yield world


@pytest.fixture(autouse=True)
def well(world: Attacked) -> None:
    world.mcp.forget()


def said(world: Attacked, message: Any, **headers: str) -> str:
    """What a caller is shown, however the stream ends."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    shown = ""
    with world.client() as http, http.stream("POST", world.url, headers=world.headers(**named), json=message) as answer:
        try:
            for text in answer.iter_text():
                shown += text
        except httpx.RemoteProtocolError:
            pass  # what was shown by then is what counts
    return shown


def messages(text: str) -> list[Any]:
    """The messages of an answer, streamed or whole."""
    if text.startswith(("{", "[")):
        return [json.loads(text)]
    return [json.loads(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]


def streams(world: Attacked, *values: Any) -> None:
    """Have the server stream these messages; None stands for the answer to the call."""

    def behave(connection: socket.socket, request: Arrived) -> None:
        data = [result(request, "done") if v is None else json.dumps(v).encode() for v in values]
        connection.sendall(stream(*(b"data: " + d + b"\n\n" for d in data)))

    world.mcp.behave = behave


def says(world: Attacked, value: Any) -> None:
    """Have the server answer with this body."""
    world.mcp.behave = lambda connection, _: connection.sendall(whole(json.dumps(value).encode()))


def answer(request_id: Any, **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": members}


LEAK = {"content": [{"type": "text", "text": "for somebody else"}]}


@pytest.mark.threat("T33")
def test_answers_to_what_was_not_asked_are_withheld_and_the_right_one_passes(world: Attacked) -> None:
    streams(world, answer(2, **LEAK), answer("1", **LEAK), None, answer(1, **LEAK))
    shown = said(world, PLAIN_CALL)
    assert [m["id"] for m in messages(shown)] == [1]
    assert "done" in shown
    assert "somebody else" not in shown


@pytest.mark.threat("T33")
@pytest.mark.parametrize("body", [answer(2, **LEAK), [answer(2, **LEAK)]])
def test_whole_answer_to_something_else_is_withheld(world: Attacked, body: Any) -> None:
    says(world, body)
    (shown,) = messages(said(world, PLAIN_CALL))
    assert shown["error"]["data"]["kind"] == "withheld"


@pytest.mark.threat("T16")
@pytest.mark.parametrize("method", ["sampling/createMessage", "roots/list", "elicitation/anything"])
def test_call_ends_where_its_server_asks_the_client_for_what_no_rule_allows(world: Attacked, method: str) -> None:
    streams(world, {"jsonrpc": "2.0", "id": 99, "method": method, "params": {"prompt": "steal"}}, None)
    (shown,) = messages(said(world, PLAIN_CALL))
    assert (shown["id"], shown["error"]["data"]["kind"]) == (1, "denied")
    assert "steal" not in json.dumps(shown)


@pytest.mark.threat("T16", "T32")
def test_question_that_a_rule_allows_is_answered_once_by_whom_it_was_put_to(world: Attacked) -> None:
    asked = {"jsonrpc": "2.0", "id": 41, "method": "elicitation/create", "params": {"message": "who?"}}
    streams(world, asked, None)
    assert messages(said(world, PLAIN_CALL))[0] == asked
    world.mcp.behave = lambda connection, _: connection.sendall(whole(b"", status="202 Accepted"))
    reply = {"jsonrpc": "2.0", "id": 41, "result": {"action": "accept", "content": {}}}
    bob = world.headers(world.token("u-bob", email="bob@corp.example"))
    with world.client() as http:
        foreign = http.post(world.url, headers=bob, json=reply)
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (400, -32600)
    assert world.post(reply).status_code == 202
    again = world.post(reply)
    assert (again.status_code, again.json()["error"]["code"]) == (400, -32600)
    assert len([r for r in world.mcp.requests if r.message == reply]) == 1


@pytest.mark.threat("T32")
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param({"jsonrpc": "2.0", "id": 5, "result": {"action": "accept"}}, id="answer"),
        pytest.param({"jsonrpc": "2.0", "id": 5, "error": {"code": -1, "message": "no"}}, id="error"),
    ],
)
def test_answer_that_nobody_asked_for_never_reaches_the_server(world: Attacked, reply: dict[str, Any]) -> None:
    refused = world.post(reply)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)
    assert world.mcp.requests == []


TOOLS = [
    {"name": n, "inputSchema": {"type": "object"}} for n in ("drop_notes", "read_note", "unheard_of", "write_note")
]


@pytest.mark.threat("T33")
@pytest.mark.parametrize("streamed", [False, True])
def test_list_holds_what_the_caller_may_use_and_a_hidden_tool_called_by_name_is_refused(
    world: Attacked, streamed: bool
) -> None:
    listing = answer(1, tools=TOOLS, nextCursor="more")
    if streamed:
        streams(world, listing)
    else:
        says(world, listing)
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    (shown,) = messages(said(world, ask))
    assert [t["name"] for t in shown["result"]["tools"]] == ["read_note", "write_note"]
    assert shown["result"]["nextCursor"] == "more"
    world.mcp.forget()
    (refused,) = messages(said(world, call("unheard_of")))
    assert refused["error"]["data"]["kind"] == "denied"
    assert world.mcp.requests == []


@pytest.mark.threat("T33")
@pytest.mark.parametrize("streamed", [False, True])
def test_answer_in_which_a_guard_matches_is_withheld(world: Attacked, streamed: bool) -> None:
    def behave(connection: socket.socket, request: Arrived) -> None:
        body = result(request, "this is top secret").replace(b"top", b"t\\u006fp")
        connection.sendall(stream(b"data: " + body + b"\n\n") if streamed else whole(body))

    world.mcp.behave = behave
    (shown,) = messages(said(world, call("guarded")))
    assert shown["error"]["message"] == "the answer matched a guard"
    world.mcp.forget()
    assert "well" in said(world, call("guarded"))


@pytest.mark.threat("T16")
def test_failure_cannot_carry_an_answer_past_the_gateway(world: Attacked) -> None:
    body = json.dumps(answer(1, **LEAK)).encode()
    world.mcp.behave = lambda connection, _: connection.sendall(whole(body, status="500 Internal Server Error"))
    assert "somebody else" not in said(world, PLAIN_CALL)
