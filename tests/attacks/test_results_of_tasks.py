"""A call that goes on as a task: what it brings is shown under the duties of the call, however it is fetched."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.raw_upstream import stream, whole

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T31")]

RULES = """\
  - {name: tasks, effect: allow, match: {verbs: ["tasks/*", subscriptions/listen]}}
  - name: orders
    effect: allow
    match: {verbs: [tools/call], tools: [orders]}
    mask: [personal-data]
    guard: {results: ["launch code"]}
"""
MODERN = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
SECRET = "carol@customers.example"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("tasks"), rules=RULES) as world:
        yield world


@pytest.fixture(autouse=True)
def well(world: Attacked) -> None:
    world.mcp.forget()


def modern(world: Attacked, method: str, /, **params: Any) -> httpx.Response:
    headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
    if name := params.get("name", params.get("taskId")):
        headers["mcp-name"] = name
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}
    with world.client() as http:
        return http.post(world.url, headers=world.headers(**headers), json=message)


def legacy(world: Attacked, method: str, /, **params: Any) -> httpx.Response:
    return world.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def says(world: Attacked, **result: Any) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
    world.mcp.behave = lambda connection, _: connection.sendall(whole(body))


def content(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": False}


def begin_modern(world: Attacked, task: str) -> None:
    says(world, resultType="task", taskId=task, status="working")
    assert modern(world, "tools/call", name="orders").json()["result"]["taskId"] == task


def begin_legacy(world: Attacked, task: str) -> None:
    says(world, task={"taskId": task, "status": "working"})
    params = {"name": "orders", "arguments": {}, "task": {"ttl": 60_000}}
    assert legacy(world, "tools/call", **params).json()["result"]["task"]["taskId"] == task


def test_call_itself_is_masked(world: Attacked) -> None:
    says(world, **content(SECRET))
    assert SECRET not in legacy(world, "tools/call", name="orders", arguments={}).text


def test_result_of_a_task_is_masked_as_the_call_was(world: Attacked) -> None:
    begin_legacy(world, "l-1")
    says(world, **content(SECRET))
    answer = legacy(world, "tasks/result", taskId="l-1")
    assert answer.status_code == 200
    assert SECRET not in answer.text


def test_finished_task_is_masked_as_the_call_was(world: Attacked) -> None:
    begin_modern(world, "m-1")
    says(world, resultType="complete", taskId="m-1", status="completed", result=content(SECRET))
    answer = modern(world, "tasks/get", taskId="m-1")
    assert answer.status_code == 200
    assert SECRET not in answer.text


def test_guard_of_a_call_holds_for_its_task(world: Attacked) -> None:
    begin_legacy(world, "l-2")
    says(world, **content("the launch code is 0000"))
    assert "0000" not in legacy(world, "tasks/result", taskId="l-2").text


def test_notice_of_a_task_is_masked_as_the_call_was(world: Attacked) -> None:
    begin_modern(world, "m-2")
    said = {"taskId": "m-2", "status": "completed", "result": content(SECRET)}
    notice = json.dumps({"jsonrpc": "2.0", "method": "notifications/tasks", "params": said}).encode()
    end = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode()
    events = stream(b"data: " + notice + b"\n\n", b"data: " + end + b"\n\n")
    world.mcp.behave = lambda connection, _: connection.sendall(events)
    answer = modern(world, "subscriptions/listen", notifications={"taskIds": ["m-2"]})
    assert answer.status_code == 200
    assert "m-2" in answer.text
    assert SECRET not in answer.text
