"""The hold ladder on the wire: what each kind of caller sees while it waits, and that its call is sent once."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.ladder_world import URL, LadderWorld, aside, messages, refusal, result, state
from tests.fakes.raw_upstream import whole

FORM_AND_URL = {"elicitation": {"form": {}, "url": {}}}
"""With URLs off in the settings of a hold this client is still one that an upstream may ask."""
pytestmark = [pytest.mark.e2e, pytest.mark.threat("T35")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LadderWorld]:
    with LadderWorld(tmp_path_factory.mktemp("world")) as world:
        world.start()
        yield world


@pytest.fixture(autouse=True)
def fresh(world: LadderWorld) -> None:
    world.upstream.forget()


@pytest.fixture
def note(request: pytest.FixtureRequest) -> dict[str, str]:
    """What one test asks to be written, and no other."""
    return {"name": f"note of {request.node.name}", "text": "x"}


def accepted(action: str = "accept") -> dict[str, Any]:
    return {"approval": {"action": action}}


# 2026-07-28: rounds


def test_a_round_ends_with_a_state_and_nothing_that_the_client_must_do(
    world: LadderWorld, note: dict[str, str]
) -> None:
    answer = world.ask(arguments=note)
    found = result(answer)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert set(found) == {"resultType", "requestState", "_meta"}
    held = world.pending(note["name"])
    assert found["_meta"]["holdpoint/refusal"]["ticket"] == held["id"]
    assert world.upstream.requests == []


def test_an_approval_between_rounds_sends_the_call_once(world: LadderWorld, note: dict[str, str]) -> None:
    first = state(world.ask(arguments=note))
    world.decide(world.pending(note["name"]))
    answer = world.ask(arguments=note, requestState=first, request_id=2)
    assert result(answer)["content"][0]["text"] == "well"
    assert world.upstream.calls("write_note") == 1


def test_an_approval_during_a_round_sends_the_call_at_once(world: LadderWorld, note: dict[str, str]) -> None:
    first = state(world.ask(arguments=note))
    held = world.pending(note["name"])
    with aside() as submit:
        second = submit(world.ask, arguments=note, requestState=first, request_id=2)
        world.until_waiting(held, 1)
        world.decide(held)
        assert result(second.result())["content"][0]["text"] == "well"
    assert world.upstream.calls("write_note") == 1


@pytest.mark.parametrize(
    ("method", "name", "params"),
    [
        pytest.param("prompts/get", "greeting", {"name": "greeting"}, id="a prompt"),
        pytest.param("resources/read", "notes://one", {"uri": "notes://one"}, id="a resource"),
    ],
)
def test_prompts_and_resources_wait_in_rounds_too(
    world: LadderWorld, method: str, name: str, params: dict[str, Any]
) -> None:
    first = state(world.ask_for(method, name, params))
    world.decide(world.pending(name))
    answer = world.ask_for(method, name, {**params, "requestState": first}, request_id=2)
    assert result(answer)["content"][0]["text"] == "well"
    (sent,) = world.upstream.requests
    assert {k: v for k, v in sent.message["params"].items() if k != "_meta"} == params


def test_a_method_without_rounds_gets_a_ticket_as_an_error(world: LadderWorld) -> None:
    answer = world.ask_for("resources/list", "", {})
    assert answer.json()["error"]["code"] == 4031
    assert refusal(answer)["kind"] == "held"
    world.decide(world.pending("resources/list"))
    assert result(world.ask_for("resources/list", "", {}, request_id=2))


def test_after_the_last_round_comes_the_ticket_and_the_same_call_passes_later(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with LadderWorld(tmp_path_factory.mktemp("rounds"), hold="leg: 1s, rounds: 2") as world:
        world.start()
        note = {"name": "patient", "text": "x"}
        second = state(world.ask(arguments=note, requestState=state(world.ask(arguments=note)), request_id=2))
        last = world.ask(arguments=note, requestState=second, request_id=3)
        assert result(last)["isError"] is True
        assert result(last)["resultType"] == "complete"
        assert "call again with the same arguments" in last.text
        held = world.pending("patient")
        assert refusal(last)["ticket"] == held["id"]
        world.decide(held)
        assert result(world.ask(arguments=note, request_id=4))["content"][0]["text"] == "well"
        assert world.upstream.calls("write_note") == 1


# 2026-07-28: a URL


def test_a_client_that_shows_urls_is_given_the_consoles_once(world: LadderWorld, note: dict[str, str]) -> None:
    found = result(world.ask(arguments=note, capabilities=URL))
    held = world.pending(note["name"])
    (key,) = found["inputRequests"]
    asked = found["inputRequests"][key]
    assert asked["method"] == "elicitation/create"
    assert asked["params"]["mode"] == "url"
    assert asked["params"]["url"].endswith(f"/requests/{held['id']}")
    assert "elicitationId" not in asked["params"]
    again = world.ask(
        arguments=note,
        capabilities=URL,
        requestState=found["requestState"],
        inputResponses={key: {"action": "accept"}},
        request_id=2,
    )
    assert "inputRequests" not in result(again)
    world.decide(held)
    last = world.ask(arguments=note, capabilities=URL, requestState=state(again), request_id=3)
    assert result(last)["content"][0]["text"] == "well"
    (sent,) = world.upstream.requests
    assert "inputResponses" not in sent.message["params"]


def test_who_says_nothing_to_the_url_is_asked_again(world: LadderWorld, note: dict[str, str]) -> None:
    first = state(world.ask(arguments=note, capabilities=URL))
    again = world.ask(arguments=note, capabilities=URL, requestState=first, inputResponses={"x": {}}, request_id=2)
    assert "approval" in result(again)["inputRequests"]


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_user_who_does_not_want_it_reviewed_takes_it_back(
    world: LadderWorld, note: dict[str, str], action: str
) -> None:
    first = state(world.ask(arguments=note, capabilities=URL))
    held = world.pending(note["name"])
    answer = world.ask(
        arguments=note, capabilities=URL, requestState=first, inputResponses=accepted(action), request_id=2
    )
    assert result(answer)["isError"] is True
    assert "Nothing was done" in result(answer)["content"][0]["text"]
    assert world.read(held["id"])["state"] == "withdrawn"
    assert world.upstream.requests == []


def test_who_takes_it_back_takes_it_from_nobody_else_who_waits(world: LadderWorld, note: dict[str, str]) -> None:
    one, two = (state(world.ask(arguments=note, capabilities=URL)) for _ in range(2))
    held = world.pending(note["name"])
    with aside() as submit:
        yes = {"requestState": one, "inputResponses": accepted()}
        other = submit(world.ask, arguments=note, capabilities=URL, request_id=2, **yes)
        world.until_waiting(held, 1)
        no = {"requestState": two, "inputResponses": accepted("decline")}
        answer = world.ask(arguments=note, capabilities=URL, request_id=3, **no)
        assert result(answer)["isError"] is True
        assert world.read(held["id"])["state"] == "pending"
        world.decide(held)
        assert result(other.result())["content"][0]["text"] == "well"


def test_a_choice_that_comes_after_the_decision_changes_nothing(world: LadderWorld, note: dict[str, str]) -> None:
    first = state(world.ask(arguments=note, capabilities=URL))
    world.decide(world.pending(note["name"]))
    answer = world.ask(
        arguments=note, capabilities=URL, requestState=first, inputResponses=accepted("cancel"), request_id=2
    )
    assert result(answer)["content"][0]["text"] == "well"
    assert world.upstream.calls("write_note") == 1


# What an upstream asked in its own rounds


def test_an_upstreams_own_round_waits_and_reaches_it_as_it_would_without_the_gateway(
    world: LadderWorld, note: dict[str, str]
) -> None:
    def ask(connection: Any, request: Any) -> None:
        asked = {
            "method": "elicitation/create",
            "params": {"mode": "url", "message": "sure?", "url": "https://x.example"},
        }
        found = {"resultType": "input_required", "inputRequests": {"q": asked}, "requestState": "théirs"}
        connection.sendall(whole(json.dumps({"jsonrpc": "2.0", "id": request.message["id"], "result": found}).encode()))

    first = state(world.ask(arguments=note, capabilities=FORM_AND_URL))
    world.decide(world.pending(note["name"]))
    world.upstream.behave = ask
    asked = result(world.ask(arguments=note, capabilities=FORM_AND_URL, requestState=first, request_id=2))
    assert "q" in asked["inputRequests"]
    world.upstream.forget()
    # The caller's answer is another request than the first: it is held anew.
    answers = {"requestState": asked["requestState"], "inputResponses": {"q": {"action": "accept"}}}
    held = state(world.ask(arguments=note, capabilities=FORM_AND_URL, **answers, request_id=3))
    request = world.pending(note["name"])
    again = state(world.ask(arguments=note, capabilities=FORM_AND_URL, requestState=held, request_id=4))
    world.decide(request)
    last = world.ask(arguments=note, capabilities=FORM_AND_URL, requestState=again, request_id=5)
    assert result(last)["content"][0]["text"] == "well"
    (sent,) = world.upstream.requests
    params = sent.message["params"]
    assert (params["requestState"], params["inputResponses"]) == ("théirs", {"q": {"action": "accept"}})
    assert params["arguments"] == note
    assert b"hp1." not in sent.body


def test_answers_for_an_upstream_do_not_change_between_rounds(world: LadderWorld, note: dict[str, str]) -> None:
    first = state(world.ask(arguments=note))
    world.decide(world.pending(note["name"]))
    swapped = world.ask(arguments=note, requestState=first, inputResponses={"q": {"action": "accept"}}, request_id=2)
    assert result(swapped)["content"][0]["text"] == "well"
    (sent,) = world.upstream.requests
    assert "inputResponses" not in sent.message["params"]


def test_a_caller_who_leaves_in_a_round_is_waited_for_no_more(world: LadderWorld, note: dict[str, str]) -> None:
    with pytest.raises(httpx.ReadTimeout):
        world.ask(arguments=note, patience=0.5)
    held = world.pending(note["name"])
    world.until_waiting(held, 0)
    world.decide(held)
    assert world.upstream.requests == []
    assert result(world.ask(arguments=note))["content"][0]["text"] == "well"


# Versions with sessions


def test_a_quick_approval_looks_like_no_hold(tmp_path_factory: pytest.TempPathFactory) -> None:
    with LadderWorld(tmp_path_factory.mktemp("grace"), hold="grace: 30s") as world:
        world.start()
        note = {"name": "quick", "text": "x"}
        with aside() as submit:
            answer = submit(world.ask_legacy, arguments=note)
            world.decide(world.pending("quick"))
            assert answer.result().headers["content-type"] == "application/json"
            assert result(answer.result())["content"][0]["text"] == "well"


def test_a_caller_that_takes_events_sees_that_it_waits(world: LadderWorld, note: dict[str, str]) -> None:
    with aside() as submit:
        answer = submit(world.ask_legacy, arguments=note)
        held = world.pending(note["name"])
        world.until_waiting(held, 1)
        world.decide(held)
        found = answer.result()
    assert [m["result"]["content"][0]["text"] for m in messages(found)] == ["well"]
    assert ": waiting for a reviewer\n" in found.text
    assert world.upstream.calls("write_note") == 1


def test_progress_is_told_to_who_asked_for_it(world: LadderWorld, note: dict[str, str]) -> None:
    answer = world.ask_legacy(arguments=note, meta={"progressToken": "p"})
    *told, last = messages(answer)
    numbers = [m["params"]["progress"] for m in told]
    assert len(numbers) >= 2
    assert numbers == sorted(set(numbers))
    assert {m["params"]["progressToken"] for m in told} == {"p"}
    assert last["result"]["isError"] is True
    assert world.upstream.requests == []


def test_the_ticket_is_the_last_event_and_the_same_call_passes_later(world: LadderWorld, note: dict[str, str]) -> None:
    answer = world.ask_legacy(arguments=note)
    (last,) = messages(answer)
    held = world.pending(note["name"])
    assert last["result"]["_meta"]["holdpoint/refusal"]["ticket"] == held["id"]
    world.decide(held)
    again = world.ask_legacy(arguments=note, request_id=2)
    assert result(again)["content"][0]["text"] == "well"


def test_a_denial_is_an_event_too(world: LadderWorld, note: dict[str, str]) -> None:
    with aside() as submit:
        answer = submit(world.ask_legacy, arguments=note)
        held = world.pending(note["name"])
        world.until_waiting(held, 1)
        world.decide(held, "deny", "no")
        (last,) = messages(answer.result())
    assert last["result"]["_meta"]["holdpoint/refusal"]["kind"] == "review_denied"


def test_who_takes_no_events_waits_for_json(world: LadderWorld, note: dict[str, str]) -> None:
    answer = world.ask_legacy(arguments=note, headers={"accept": "application/json"})
    assert answer.headers["content-type"] == "application/json"
    assert refusal(answer)["kind"] == "held"


# Sessions that show URLs


def began(world: LadderWorld, capabilities: dict[str, Any]) -> str:
    """Begin a session of 2025-11-25 and return its id."""

    def give_session(connection: Any, request: Any) -> None:
        said = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}
        body = json.dumps({"jsonrpc": "2.0", "id": request.message["id"], "result": said}).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        connection.sendall(f"{head}mcp-session-id: {world.next_session()}\r\nconnection: close\r\n\r\n".encode() + body)

    world.upstream.behave = give_session
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "clientInfo": {"name": "t", "version": "1"},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    answer = world.post(message, world.headers())
    world.upstream.forget()
    return answer.headers["mcp-session-id"]


def test_a_session_that_shows_urls_is_told_where_to_look(world: LadderWorld, note: dict[str, str]) -> None:
    session = began(world, URL)
    answer = world.ask_legacy(arguments=note, headers={"mcp-session-id": session})
    error = answer.json()["error"]
    held = world.pending(note["name"])
    assert (answer.status_code, error["code"]) == (200, -32042)
    (asked,) = error["data"]["elicitations"]
    assert asked["mode"] == "url"
    assert asked["url"].endswith(f"/requests/{held['id']}")
    assert asked["elicitationId"] == held["id"]
    world.decide(held)
    again = world.ask_legacy(arguments=note, headers={"mcp-session-id": session}, request_id=2)
    assert result(again)["content"][0]["text"] == "well"
    assert world.upstream.calls("write_note") == 1


def test_a_session_with_forms_alone_waits_on_events(world: LadderWorld, note: dict[str, str]) -> None:
    session = began(world, {"elicitation": {"form": {}}})
    (last,) = messages(world.ask_legacy(arguments=note, headers={"mcp-session-id": session}))
    assert last["result"]["isError"] is True


# Taken back


def cancel(world: LadderWorld, request_id: int | str, session: str = "", token: str | None = None) -> httpx.Response:
    message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}
    return world.post(message, world.headers(token, **({"mcp-session-id": session} if session else {})))


@pytest.mark.failure("F-cancelled")
def test_a_call_that_its_caller_cancels_is_neither_answered_nor_sent(world: LadderWorld, note: dict[str, str]) -> None:
    session = began(world, {})
    with aside() as submit:
        answer = submit(world.ask_legacy, arguments=note, request_id=77, headers={"mcp-session-id": session})
        held = world.pending(note["name"])
        world.until_waiting(held, 1)
        cancel(world, 77, session)
        found = answer.result()
    assert messages(found) == []
    assert world.read(held["id"])["waiters"] == 0
    world.decide(held)
    assert world.upstream.calls("write_note") == 0


@pytest.mark.parametrize(
    ("request_id", "who", "own_session"),
    [
        pytest.param(78, {}, True, id="another id"),
        pytest.param("77", {}, True, id="the id as text"),
        pytest.param(77, {"sub": "u-mallory", "email": "mallory@corp.example"}, False, id="another principal"),
        pytest.param(77, {}, False, id="another session"),
    ],
)
def test_nobody_cancels_what_is_not_theirs(
    world: LadderWorld, note: dict[str, str], request_id: int | str, who: dict[str, str], own_session: bool
) -> None:
    session, other = began(world, {}), ""
    with aside() as submit:
        answer = submit(world.ask_legacy, arguments=note, request_id=77, headers={"mcp-session-id": session})
        held = world.pending(note["name"])
        world.until_waiting(held, 1)
        cancel(world, request_id, session if own_session else other, world.token(**who))
        world.decide(held)
        (last,) = messages(answer.result())
    assert last["result"]["content"][0]["text"] == "well"


# Batches (2025-03-26)


def test_a_batch_is_held_as_one_and_answered_message_by_message(world: LadderWorld, note: dict[str, str]) -> None:
    batch = [
        {
            "jsonrpc": "2.0",
            "id": n,
            "method": "tools/call",
            "params": {"name": "write_note", "arguments": {**note, "n": n}},
        }
        for n in (1, 2)
    ]
    headers = world.headers(**{"mcp-protocol-version": "2025-03-26"})
    answer = world.post(batch, headers)
    assert [m["id"] for m in messages(answer)] == [1, 2]
    assert {m["result"]["_meta"]["holdpoint/refusal"]["kind"] for m in messages(answer)} == {"held"}
    headers["accept"] = "application/json"
    assert [m["id"] for m in world.post(batch, headers).json()] == [1, 2]
    assert world.upstream.requests == []
