"""Ways for one caller to hold up all others, or their reviewers."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T20")]

MB = 1 << 20
SLOW_TO_MASK = '{"password":"x"}\n' * (MB // 17)
"""About two seconds of masking."""
TOO_MANY = 101


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("dos"), hold_wait="1s") as world:
        yield world


@pytest.fixture(autouse=True)
def fresh(world: Attacked) -> None:
    world.mcp.forget()
    world.shop.forget()


def kind(answer: httpx.Response) -> str:
    """Say which refusal an answer is."""
    said = answer.json()
    data = said["error"]["data"] if "error" in said else said["result"]["_meta"]
    return data["kind"] if "kind" in data else next(v["kind"] for v in data.values())


def answers_to_others(world: Attacked, ask: Callable[[], object]) -> int:
    """Return how often another caller was served while `ask` was under way."""
    attack = threading.Thread(target=ask)
    served = 0
    with world.client() as http:
        headers = world.headers(world.token("u-bob", email="bob@corp.example"))
        message = call("read_note", {"name": "x"})
        assert http.post(world.url, headers=headers, json=message).status_code == 200
        attack.start()
        while attack.is_alive():
            assert http.post(world.url, headers=headers, json=message).status_code == 200
            served += 1
    attack.join()
    return served


@pytest.mark.parametrize("tool", ["read_note", "drop_x", "write_note"], ids=["allowed", "denied", "held"])
def test_arguments_that_are_slow_to_mask_hold_up_nobody(world: Attacked, tool: str) -> None:
    answers: list[httpx.Response] = []
    message = call(tool, {"name": "x", "text": SLOW_TO_MASK})

    def ask() -> None:
        with world.client() as http:
            answers.append(http.post(world.url, headers=world.headers(), json=message, timeout=60))

    # Where it holds up the event loop, one or two come before and after it.
    assert answers_to_others(world, ask) > 5
    assert answers


def test_reviewers_see_the_list_however_much_was_asked_for(world: Attacked) -> None:
    for n in range(3):
        with world.client() as http:
            message = call("write_note", {"name": f"big-{n}", "text": "x" * 200_000})
            held = http.post(world.url, headers=world.headers(), json=message)
            assert kind(held) == "held"
    found = [r for r in world.pending() if "arguments" not in r["preview"]]
    assert len(found) == 3
    assert len(json.dumps(found)) < 100_000
    whole = world.admin().call_sync("approvals.get", {"id": found[0]["id"], "id_token": world.id_token()})
    assert "x" * 200_000 in json.dumps(whole["preview"])


def test_request_that_nobody_can_read_is_not_put_before_a_reviewer(world: Attacked) -> None:
    answer = world.post(call("write_note", {"name": "huge", "text": "x" * MB}))
    assert kind(answer) == "too_large"


def test_one_caller_cannot_bury_the_reviewers(world: Attacked) -> None:
    headers = world.headers(world.token("u-mallory", email="mallory@corp.example"))

    def ask(n: int) -> str:
        return kind(http.post(world.url, headers=headers, json=call("write_note", {"name": f"bury-{n}"})))

    with world.client() as http, ThreadPoolExecutor(TOO_MANY) as pool:
        kinds = list(pool.map(ask, range(TOO_MANY)))
    assert sorted(kinds) == [*["held"] * (TOO_MANY - 1), "unavailable"]
    assert kind(world.post(call("write_note", {"name": "of-alice"}))) == "held"
