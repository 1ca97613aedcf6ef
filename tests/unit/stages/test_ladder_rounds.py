"""States of rounds: whose they are, which call's, and that they are good once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.approvals import principal

from holdpoint.clock import ManualClock
from holdpoint.domain.access import AccessRequest, Principal
from holdpoint.domain.exchange import Decoded, Identified, Received
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.protocols import mcp
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.seals import Seals
from holdpoint.stages import ladder_rounds, states
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.ladder_rounds import Opened
from holdpoint.stages.states import OpenedState
from holdpoint.store.sqlite import SqliteStore

ALICE = principal("alice@example")
PURPOSE = ladder_rounds.PURPOSE


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def seals(clock: ManualClock) -> Seals:
    return Seals(b"k" * 32, clock)


def body(verb: str = "tools/call", *, request_id: int = 1, **params: Any) -> bytes:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": request_id,
    }
    said = {"name": "write_note", "arguments": {"text": "x", "n": 1.50}, "_meta": meta, **params}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": verb, "params": said}).encode()


def request(**params: Any) -> Call:
    sent = body(**params)
    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
        (b"mcp-protocol-version", b"2026-07-28"),
        (b"mcp-method", b"tools/call"),
        (b"mcp-name", params.get("name", "write_note").encode()),
    ]
    return mcp.decode(method="POST", headers=headers, body=sent)


def decoded(call: Call, who: Principal = ALICE, target: str = "demo") -> Decoded:
    state = Identified(Received("ex-1", target, "routes", "127.0.0.1", 0.0, "/"), who)
    access = AccessRequest(who, target, call.action, call.resource, call.arguments)
    return Decoded(state, access, call.intent, call.request_id, call.protocol_version)


def sealed(seals: Seals, clock: ManualClock, call: Call, who: Principal = ALICE, **more: Any) -> str:
    asked = decoded(call, who)
    made = ladder_rounds.next_round(
        asked, None, ticket="apr-1", until=clock.now() + 600, shows_link=more.pop("asked", False)
    )
    first = ladder_rounds.carried(Exchange("ex-1"), asked)
    return ladder_rounds.seal_round(seals, asked, replace(made, **more), first)


def opened(seals: Seals, who: Principal = ALICE, target: str = "demo", **params: Any) -> Opened | None:
    return ladder_rounds.open_round(seals, target, who, body(request_id=2, **params))


def test_the_next_round_is_the_first_call_again(seals: Seals, clock: ManualClock) -> None:
    first = request()
    found = opened(seals, requestState=sealed(seals, clock, first))
    assert found is not None
    assert (found.round.ticket, found.round.number, found.round.choice) == ("apr-1", 1, None)
    again = json.loads(found.body)
    assert again == json.loads(body(request_id=2))
    ladder_rounds.check_call(found.round, decoded(request(request_id=2)))


def test_what_the_call_carried_of_an_upstreams_rounds_is_there_again(seals: Seals, clock: ManualClock) -> None:
    upstream = {"requestState": "theirs ☃", "inputResponses": {"q": {"action": "accept", "content": {"a": [1, None]}}}}
    first = request(**upstream)
    state = sealed(seals, clock, first, asked=True)
    assert "theirs" not in state
    found = opened(seals, requestState=state, inputResponses={"approval": {"action": "accept"}})
    assert found is not None
    assert found.round.choice == "accept"
    params = json.loads(found.body)["params"]
    assert {k: params[k] for k in upstream} == upstream
    ladder_rounds.check_call(found.round, decoded(request(request_id=2, **upstream)))


def test_what_nobody_asked_for_is_ignored(seals: Seals, clock: ManualClock) -> None:
    state = sealed(seals, clock, request())
    found = opened(seals, requestState=state, inputResponses={"approval": {"action": "decline"}, "x": {}})
    assert found is not None
    assert found.round.choice is None
    assert "inputResponses" not in json.loads(found.body)["params"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"arguments": {"text": "y", "n": 1.50}}, id="another argument"),
        pytest.param({"name": "delete_note"}, id="another tool"),
        pytest.param({"arguments": {"text": "x", "n": 1.50, "more": 1}}, id="one more argument"),
        pytest.param({"other": 1}, id="one more parameter"),
    ],
)
def test_a_state_is_for_one_call_alone(seals: Seals, clock: ManualClock, change: dict[str, Any]) -> None:
    found = opened(seals, requestState=sealed(seals, clock, request()), **change)
    assert found is not None
    with pytest.raises(Refusal) as refused:
        ladder_rounds.check_call(found.round, decoded(request(request_id=2, **change)))
    assert_wrong_state(refused.value)


def assert_wrong_state(refusal: Refusal, request_id: int | None = 2) -> None:
    cause = refusal.__cause__
    assert isinstance(cause, Undecodable)
    assert (refusal.kind, cause.code, cause.request_id) == (RefusalKind.NOT_FOUND, -32602, request_id)
    assert str(cause) == refusal.public == states.WRONG_STATE


@pytest.mark.parametrize(
    ("who", "target"),
    [
        pytest.param(principal("mallory@example"), "demo", id="another principal"),
        pytest.param(principal("alice@example", agent="bot"), "demo", id="the same principal by an agent"),
        pytest.param(ALICE, "prod", id="another target"),
    ],
)
def test_a_state_is_for_one_caller_and_target(seals: Seals, clock: ManualClock, who: Principal, target: str) -> None:
    state = sealed(seals, clock, request())
    with pytest.raises(Refusal) as refused:
        opened(seals, who, target, requestState=state)
    assert_wrong_state(refused.value)


def test_a_state_given_to_an_agent_is_of_no_use_without_it(seals: Seals, clock: ManualClock) -> None:
    state = sealed(seals, clock, request(), principal("alice@example", agent="bot"))
    with pytest.raises(Refusal) as refused:
        opened(seals, requestState=state)
    assert_wrong_state(refused.value)


def test_a_state_on_a_method_without_rounds_is_refused(seals: Seals, clock: ManualClock) -> None:
    state = sealed(seals, clock, request())
    sent = body("tools/list", request_id=2, requestState=state)
    with pytest.raises(Refusal) as refused:
        ladder_rounds.open_round(seals, "demo", ALICE, sent)
    assert_wrong_state(refused.value)


def test_a_state_is_not_looked_for_in_a_huge_request(seals: Seals, clock: ManualClock) -> None:
    state = sealed(seals, clock, request())
    with pytest.raises(Refusal) as refused:
        opened(seals, requestState=state, arguments={"text": "x" * ladder_rounds.MOST_READ})
    assert_wrong_state(refused.value, None)


def test_what_is_not_ours_is_left_for_whose_it_is(seals: Seals, clock: ManualClock) -> None:
    state = sealed(seals, clock, request())
    for other in ("", "theirs", "hp1.", state[:-1], state + "A", seals.seal({}, purpose="upstream", expires_at=9e9)):
        assert opened(seals, requestState=other) is None
    assert opened(Seals(b"x" * 32, clock), requestState=state) is None
    assert opened(seals, requestState=7) is None
    assert opened(seals, arguments={"requestState": state}) is None
    assert opened(seals, requestState=state, arguments={"requestState": state}) is None
    clock.advance(601)
    assert opened(seals, requestState=state) is None


def test_a_state_of_another_version_of_the_gateway_is_refused(seals: Seals, clock: ManualClock) -> None:
    payload = {"principal": ALICE.id, "actor": "", "target": "demo", "ticket": 7}
    state = seals.seal(payload, purpose=PURPOSE, expires_at=clock.now() + 9)
    with pytest.raises(Refusal) as refused:
        opened(seals, requestState=state)
    assert_wrong_state(refused.value)


async def test_a_round_is_good_once_also_after_a_restart(tmp_path: Path, seals: Seals, clock: ManualClock) -> None:
    call = request(request_id=2)
    found = opened(seals, requestState=sealed(seals, clock, call))
    assert found is not None
    for _start in range(2):
        store = SqliteStore(tmp_path / "s.sqlite", clock)
        await store.open()
        try:
            if _start == 0:
                await ladder_rounds.spend_round(store, found.round, decoded(call))
            with pytest.raises(Refusal) as refused:
                await ladder_rounds.spend_round(store, found.round, decoded(call))
            assert_wrong_state(refused.value)
        finally:
            await store.close()


async def test_used_rounds_are_forgotten_when_they_could_not_be_used_any_more(
    tmp_path: Path, clock: ManualClock
) -> None:
    store = SqliteStore(tmp_path / "s.sqlite", clock)
    await store.open()
    try:
        for number in range(5):
            await store.spend_round(f"old-{number}", clock.now() + 60)
        clock.advance(61)
        await store.spend_round("new", clock.now() + 60)
        assert await store._run(lambda c: c.execute("SELECT id FROM spent_rounds").fetchall()) == [("new",)]
    finally:
        await store.close()


def test_each_round_counts_one_more_and_is_another() -> None:
    asked = decoded(request())
    first = ladder_rounds.next_round(asked, None, ticket="apr-1", until=1.0, shows_link=True)
    second = ladder_rounds.next_round(asked, first, ticket="apr-1", until=1.0, shows_link=False)
    assert (first.number, second.number) == (1, 2)
    assert first.unique != second.unique
    assert (first.asked, second.asked) == (True, False)


def test_what_is_too_large_to_be_handed_back_and_forth_does_not_fit() -> None:
    small = request(requestState="s" * 1000)
    large = request(requestState="s" * ladder_rounds.MOST_CARRIED)
    exchange = Exchange("ex-1")
    assert ladder_rounds.fits(ladder_rounds.carried(exchange, decoded(small)))
    assert not ladder_rounds.fits(ladder_rounds.carried(exchange, decoded(large)))


def test_an_upstreams_state_is_carried_as_the_caller_has_it() -> None:
    call = request(requestState="theirs", inputResponses={"q": {"action": "accept"}})
    exchange = Exchange("ex-1", opened=OpenedState("hp1.sealed", "theirs", "sha256:x", {"q": "elicitation/create"}))
    first = ladder_rounds.carried(exchange, decoded(call))
    assert first == {"requestState": "hp1.sealed", "inputResponses": {"q": {"action": "accept"}}}
