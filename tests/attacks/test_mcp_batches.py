"""Several messages in one request: what one of them may not do, it may not do in company; all pass, or none does."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.raw_upstream import Arrived, result, stream, well, whole
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T02")]

READ = call("read_note", {"name": "welcome"}, request_id=1)
LIST = {"jsonrpc": "2.0", "id": "l", "method": "tools/list"}
DROP = call("drop_notes", {}, request_id=2)
WRITE = call("write_note", {"name": "n", "text": "t"}, request_id=3)
CANCEL = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}}
PASSWORD = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("batches"), hold_wait="2s") as world:
        yield world


@pytest.fixture(autouse=True)
def as_it_was(world: Attacked) -> None:
    world.mcp.behave = well


def answers_each(connection: socket.socket, request: Arrived) -> None:
    """Answer a batch as a stream, one event for each request in it."""
    messages: Any = request.message
    events = [
        b"data: " + json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": {"password": PASSWORD}}).encode() + b"\n\n"
        for m in messages
        if "id" in m
    ]
    connection.sendall(stream(*events))


def post(world: Attacked, body: bytes, version: str | None = "2025-03-26") -> httpx.Response:
    headers = world.headers() | {"content-type": "application/json"}
    del headers["mcp-protocol-version"]
    with world.client() as http:
        said = {} if version is None else {"mcp-protocol-version": version}
        return http.post(world.url, headers=headers | said, content=body)


def test_a_batch_whose_members_may_all_pass_is_sent_as_it_came_and_masked(world: Attacked) -> None:
    world.mcp.behave = answers_each
    before = len(world.mcp.requests)
    body = json.dumps([READ, LIST, CANCEL], indent=1).encode()
    answer = post(world, body)
    (arrived,) = world.mcp.requests[before:]
    assert arrived.body == body
    events = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
    assert [e["id"] for e in events] == [1, "l"]
    assert PASSWORD not in answer.text


def test_the_answers_of_a_batch_are_masked_in_an_array_too(world: Attacked) -> None:
    def answers_at_once(connection: socket.socket, request: Arrived) -> None:
        messages: Any = request.message
        answers = [{"jsonrpc": "2.0", "id": m["id"], "result": {"password": PASSWORD}} for m in messages]
        connection.sendall(whole(json.dumps(answers).encode()))

    world.mcp.behave = answers_at_once
    answer = post(world, json.dumps([READ, LIST]).encode())
    assert [(m["id"], m["result"]) for m in answer.json()] == [
        (1, {"password": "[masked]"}),
        ("l", {"password": "[masked]"}),
    ]


@pytest.mark.parametrize("version", [None, "2025-03-26"])
def test_a_member_that_policy_denies_keeps_the_whole_batch_from_the_upstream(
    world: Attacked, version: str | None
) -> None:
    before = len(world.mcp.requests)
    answer = post(world, json.dumps([READ, DROP, CANCEL, LIST]).encode(), version)
    assert answer.status_code == 200
    told = {m["id"]: m["error"]["message"] for m in answer.json()}
    assert told == {
        1: "not sent: another message of the batch was refused",
        2: "nobody drops everything",
        "l": "not sent: another message of the batch was refused",
    }
    assert world.mcp.requests[before:] == []


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", "2026-07-28"])
def test_no_batch_passes_in_later_versions(world: Attacked, version: str) -> None:
    before = len(world.mcp.requests)
    answer = post(world, json.dumps([READ]).encode(), version)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)
    assert world.mcp.requests[before:] == []


def test_a_response_that_nobody_asked_for_does_not_travel_in_a_batch(world: Attacked) -> None:
    before = len(world.mcp.requests)
    answer = post(world, json.dumps([READ, {"jsonrpc": "2.0", "id": 5, "result": {}}]).encode())
    assert "error" in json.dumps(answer.json())
    assert world.mcp.requests[before:] == []


def test_a_batch_waits_whole_for_the_approval_of_one_member(world: Attacked) -> None:
    before = len(world.mcp.requests)
    with world.held(lambda: post(world, json.dumps([READ, WRITE, LIST]).encode())) as (held, waiting):
        answer = waiting.result()
        assert world.mcp.requests[before:] == []
        told = {m["id"]: m for m in answer.json()}
        assert told[1]["result"]["isError"] is True
        assert "Nothing was done" in told[3]["result"]["content"][0]["text"]
        assert told["l"]["error"]["data"]["kind"] == "held"
        world.decide(held)
    world.mcp.behave = answers_each
    # The ids are not part of what was approved, and everything else is.
    again = [{**READ, "id": 7}, {**WRITE, "id": 8}, {**LIST, "id": 9}]
    other = [READ, {**WRITE, "params": {"name": "write_note", "arguments": {"name": "n", "text": "u"}}}, LIST]
    assert post(world, json.dumps(other).encode()).json()[1]["result"]["isError"] is True
    assert world.mcp.requests[before:] == []
    assert post(world, json.dumps(again).encode()).status_code == 200
    (arrived,) = world.mcp.requests[before:]
    assert json.loads(arrived.body) == again


def test_an_answer_that_a_server_gives_to_the_wrong_call_is_masked_as_its_own(world: Attacked) -> None:
    """Servers tell the calls of a session apart by `id` alone: a second one may be given the first one's answer."""
    second_is_here = threading.Event()

    def confuses(connection: socket.socket, request: Arrived) -> None:
        if request.message["method"] == "initialize":
            connection.sendall(whole(result(request, "well"), "Mcp-Session-Id: s-77"))
        elif request.message["method"] == "tools/list":
            # The answer of the call that reads a secret.
            connection.sendall(whole(result(request, f'{{"mail": "carol@corp.example", "password": "{PASSWORD}"}}')))
            second_is_here.set()
        else:
            assert second_is_here.wait(20)
            connection.sendall(whole(result(request, "{}")))

    world.mcp.behave = confuses
    secret = call("read_secret", {"name": "billing"}, request_id=77)
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    assert world.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).status_code == 200
    before = len(world.mcp.requests)

    def ask(message: dict[str, Any]) -> httpx.Response:
        return world.post(message, mcp_session_id="s-77")

    assert "carol@corp.example" in ask({**LIST, "id": 76}).text  # alone, it is not masked
    second_is_here.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, secret)
        while len(world.mcp.requests) < before + 2:
            pass
        crossed = ask({**LIST, "id": "77"})
        assert "carol@corp.example" not in crossed.text
        assert crossed.status_code == 200
        assert first.result().status_code == 200
