"""States of held calls in hostile hands: replayed, foreign, forged, moved. Nothing is sent, and nothing is learnt."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.audit_trail import trail
from tests.fakes.ladder_world import LadderWorld, aside, refusal, result, state

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T35")]

type Note = dict[str, str]
WRONG = "`requestState` does not belong to this call, or is not good any more: make the call again without it"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LadderWorld]:
    with LadderWorld(tmp_path_factory.mktemp("world")) as world:
        world.start()
        yield world


@pytest.fixture(autouse=True)
def fresh(world: LadderWorld) -> Iterator[None]:
    world.upstream.forget()
    world.second.forget()
    yield
    # Whatever a test leaves behind is nobody's to approve.
    for held in pending(world):
        world.decide(held, "deny")


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """What one test asks to be written, and no other."""
    return {"name": f"note of {request.node.name}", "text": "x"}


def pending(world: LadderWorld) -> list[dict[str, Any]]:
    listed = {"id_token": world.id_token(), "state": ["pending"], "limit": 200}
    return world.admin().call_sync("approvals.list", listed)["requests"]


def assert_refused(world: LadderWorld, answer: httpx.Response, request_id: int = 2) -> None:
    """One answer for every state that does not count; nothing was sent, nothing new is asked of reviewers."""
    said = answer.json()
    assert (said["id"], said["error"]["code"], said["error"]["message"]) == (request_id, -32602, WRONG)
    assert set(said["error"]["data"]) == {"refusal", "kind"}
    assert world.upstream.requests == world.second.requests == []


def test_a_state_used_twice_is_refused(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    second = state(world.ask(arguments=note, requestState=first, request_id=2))
    assert second != first
    assert_refused(world, world.ask(arguments=note, requestState=first, request_id=2))
    assert len(pending(world)) == 1


def test_of_two_callers_with_one_state_one_goes_on(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    with aside() as submit:
        both = [submit(world.ask, arguments=note, requestState=first, request_id=2) for _ in range(2)]
        answers = [f.result() for f in both]
    refused = [a for a in answers if "error" in a.json()]
    assert len(refused) == 1
    assert_refused(world, refused[0])


@pytest.mark.failure("F-round-restart")
def test_a_used_state_stays_used_after_a_restart_and_an_unused_one_good(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    second = state(world.ask(arguments=note, requestState=first, request_id=2))
    assert world.gateway is not None
    world.gateway.stop()
    world.start()
    assert_refused(world, world.ask(arguments=note, requestState=first, request_id=2))
    assert state(world.ask(arguments=note, requestState=second, request_id=3))


def test_another_principal_gains_nothing_by_a_state(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    mallory = world.token("u-mallory", email="mallory@corp.example")
    assert_refused(world, world.ask(arguments=note, token=mallory, requestState=first, request_id=2))
    # And it was not used up for the one whose it is.
    assert state(world.ask(arguments=note, requestState=first, request_id=3))


def test_an_agent_of_the_same_principal_gains_nothing_by_a_state(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    agent = world.token(act={"sub": "bot"})
    assert_refused(world, world.ask(arguments=note, token=agent, requestState=first, request_id=2))


@pytest.mark.parametrize(
    ("tool", "change"),
    [
        pytest.param("write_note", {"text": "y"}, id="another argument"),
        pytest.param("write_note", {"more": "x"}, id="one more argument"),
        pytest.param("delete_note", {}, id="another tool that is held"),
        pytest.param("read_note", {}, id="another tool that passes by itself"),
    ],
)
def test_a_state_carries_no_other_call_through(world: LadderWorld, note: Note, tool: str, change: Note) -> None:
    first = state(world.ask(arguments=note))
    held = world.pending(note["name"])
    world.decide(held)
    assert_refused(world, world.ask(tool, {**note, **change}, requestState=first, request_id=2))
    # It can still be used for what it was given for.
    assert result(world.ask(arguments=note, requestState=first, request_id=3))["content"][0]["text"] == "well"
    assert [r.message["params"]["arguments"] for r in world.upstream.requests] == [note]


def test_a_state_does_not_move_between_targets(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    world.decide(world.pending(note["name"]))
    assert_refused(world, world.ask(arguments=note, target="other", requestState=first, request_id=2))


def test_a_state_does_not_move_between_methods(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    answer = world.ask_for(
        "prompts/get", "write_note", {"name": "write_note", "arguments": note, "requestState": first}, request_id=2
    )
    assert_refused(world, answer)
    answer = world.ask_for("tools/list", "", {"requestState": first}, request_id=2)
    assert_refused(world, answer)


def test_a_state_opens_nothing_once_its_approval_was_spent(world: LadderWorld, note: Note) -> None:
    one, two = state(world.ask(arguments=note)), state(world.ask(arguments=note))
    world.decide(world.pending(note["name"]))
    assert result(world.ask(arguments=note, requestState=one, request_id=2))["isError"] is False
    again = world.ask(arguments=note, requestState=two, request_id=3)
    assert refusal(again)["kind"] == "conflict"
    assert_refused_alone = world.ask(arguments=note, requestState=one, request_id=2)
    assert assert_refused_alone.json()["error"]["code"] == -32602
    assert world.upstream.calls("write_note") == 1
    assert pending(world) == []


def test_a_denial_between_two_rounds_is_told_and_not_asked_again(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    world.decide(world.pending(note["name"]), "deny", "not today")
    answer = world.ask(arguments=note, requestState=first, request_id=2)
    assert refusal(answer)["kind"] == "review_denied"
    assert "not today" in answer.text
    assert pending(world) == []
    assert world.upstream.requests == []


def test_a_deadline_between_two_rounds_is_told_and_not_asked_again(world: LadderWorld, note: Note) -> None:
    first = state(world.ask("hasty", note))
    answer = world.ask("hasty", note, requestState=first, request_id=2)
    assert refusal(answer)["kind"] == "expired"
    assert pending(world) == []


def test_a_state_is_not_read_out_of_an_argument(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    answer = world.ask("read_note", {"name": "x", "requestState": first}, request_id=2)
    assert result(answer)["content"][0]["text"] == "well"
    (sent,) = world.upstream.requests
    assert sent.message["params"]["arguments"] == {"name": "x", "requestState": first}


def test_a_state_says_nothing_to_who_reads_it(world: LadderWorld, note: Note) -> None:
    sealed = state(world.ask(arguments={**note, "text": "a very long text " * 200}))
    ticket = world.pending(note["name"])["id"]
    assert ticket not in sealed
    assert len(sealed) < 1_000


def test_what_reaches_the_upstream_is_what_was_asked_first(world: LadderWorld, note: Note) -> None:
    arguments = {
        **note,
        "text": "é☃\\u0000 \n",
        "n": [1, 1.0, 1e300, 12345678901234567890, None, True, {"": []}],
    }
    first = state(world.ask(arguments=arguments))
    held = world.pending(note["name"])
    second = state(world.ask(arguments=arguments, requestState=first, request_id="two"))
    world.decide(held)
    world.ask(arguments=arguments, requestState=second, request_id="three")
    (sent,) = world.upstream.requests
    assert set(sent.message["params"]) == {"name", "arguments", "_meta"}
    assert repr(sent.message["params"]["arguments"]) == repr(arguments)
    assert sent.message["id"] == "three"
    assert sent.headers("content-length") == [str(len(sent.body))]
    assert b"hp1." not in sent.body


@pytest.mark.parametrize("size", [1 << 10, 400 << 10], ids=["small", "large"])
def test_states_that_are_rubbish_are_refused_cheaply(world: LadderWorld, size: int, note: Note) -> None:
    for text in ("hp1.", "hp1." + "A" * size, "A" * size):
        answer = world.ask(arguments=note, requestState=text, request_id=2)
        assert_refused(world, answer)


def test_the_log_says_what_was_wrong_and_the_caller_does_not_learn_it(world: LadderWorld, note: Note) -> None:
    first = state(world.ask(arguments=note))
    state(world.ask(arguments=note, requestState=first, request_id=2))
    answer = world.ask(arguments=note, requestState=first, request_id=2)
    assert_refused(world, answer)
    explained = world.admin().call_sync("explain", {"id": refusal(answer)["refusal"]})
    assert "brought a second time" in str(explained)
    assert first not in str(trail(world.var / "recordings"))
