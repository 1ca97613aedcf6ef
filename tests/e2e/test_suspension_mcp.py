"""A principal is suspended: whatever lives of theirs at an MCP server ends at once, and they read why."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.raw_upstream import Arrived, result, stream, whole
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T86")]

ALICE = "alice@corp.example"
REASON = "laptop stolen, ask the security desk"
WORDS = f"access is suspended: {REASON}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("suspended")) as world:
        yield world


@pytest.fixture(autouse=True)
def fresh(world: Attacked) -> Iterator[None]:
    world.mcp.forget()
    yield
    for one in ask(world, "principals.list")["suspensions"]:
        ask(world, "principals.resume", who=one["who"])


def ask(world: Attacked, method: str, **params: Any) -> Any:
    return world.admin().call_sync(method, params)


def suspend(world: Attacked, who: str = ALICE, **more: Any) -> dict[str, int]:
    return ask(world, "principals.suspend", who=who, reason=REASON, **more)["ended"]


def alice(**more: str) -> dict[str, Any]:
    return {"sub": "u-alice", "email": ALICE, "email_verified": True, **more}


def headers(world: Attacked, claims: dict[str, Any] | None = None) -> dict[str, str]:
    return world.headers(world.issuer.mint(claims or alice()))


def post(world: Attacked, message: dict[str, Any], claims: dict[str, Any] | None = None) -> httpx.Response:
    with world.client() as http:
        return http.post(world.url, headers=headers(world, claims), json=message)


def silent(gone: threading.Event) -> Callable[[Any, Arrived], None]:
    """An upstream that takes a request and says nothing until its connection is closed."""

    def behave(connection: Any, _request: Arrived) -> None:
        connection.settimeout(30)
        try:
            if not connection.recv(1):
                gone.set()
        except ConnectionError:
            gone.set()

    return behave


def refused(answer: httpx.Response) -> str:
    assert answer.status_code == 403, answer.text
    return answer.json()["error"]["message"]


def test_next_request_is_refused_with_the_reason_and_passes_again_once_resumed(world: Attacked) -> None:
    suspend(world)
    assert WORDS in refused(post(world, call("read_note", {"name": "a"})))
    assert world.mcp.requests == []
    ask(world, "principals.resume", who="ALICE@corp.example")
    assert post(world, call("read_note", {"name": "a"})).status_code == 200


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(ALICE, id="person"),
        pytest.param("person:Alice@Corp.Example", id="person-alone"),
        pytest.param("u-alice", id="subject"),
        pytest.param("agent-7", id="agent"),
    ],
)
def test_every_name_of_a_caller_turns_them_away_and_nobody_else(world: Attacked, who: str) -> None:
    suspend(world, who)
    claims = alice() | {"act": {"sub": "agent-7"}}
    assert WORDS in refused(post(world, call("read_note", {"name": "a"}), claims))
    bob = {"sub": "u-bob", "email": "bob@corp.example", "email_verified": True}
    assert post(world, call("read_note", {"name": "a"}), bob).status_code == 200


def test_principal_id_turns_away_one_issuers_subject(world: Attacked) -> None:
    suspend(world, f"{world.issuer.url}#u-alice")
    assert WORDS in refused(post(world, call("read_note", {"name": "a"})))


def test_request_that_is_under_way_is_cut_off_and_its_answer_withheld(world: Attacked) -> None:
    gone = threading.Event()
    world.mcp.behave = silent(gone)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, world, call("read_note", {"name": "a"}, request_id=7))
        world.mcp.next()
        assert suspend(world)["requests"] == 1
        said = answer.result(10)
    assert said.json()["id"] == 7
    assert WORDS in said.json()["error"]["message"]
    assert gone.wait(10)


def test_answer_that_is_half_there_is_withheld(world: Attacked) -> None:
    secret, gone = "half of an answer", threading.Event()

    def behave(connection: Any, request: Arrived) -> None:
        body = result(request, secret)
        connection.sendall(whole(body)[: -len(body) // 2])
        silent(gone)(connection, request)

    world.mcp.behave = behave
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, world, call("read_note", {"name": "a"}))
        world.mcp.next()
        suspend(world)
        said = answer.result(10)
    assert secret not in said.text
    assert WORDS in said.json()["error"]["message"]
    assert gone.wait(10)


def test_event_stream_of_a_call_ends_with_an_error_for_it(world: Attacked) -> None:
    notice = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"on it"}}\n\n'
    gone = threading.Event()

    def behave(connection: Any, request: Arrived) -> None:
        connection.sendall(stream(notice, end=False))
        silent(gone)(connection, request)

    world.mcp.behave = behave
    with (
        world.client() as http,
        http.stream(
            "POST", world.url, headers=headers(world), json=call("read_note", {"name": "a"}, request_id="q-1")
        ) as answer,
    ):
        lines = answer.iter_lines()
        assert "on it" in next(line for line in lines if line.startswith("data:"))
        assert [s["verb"] for s in ask(world, "streams.list")["streams"]] == ["tools/call"]
        assert suspend(world)["streams"] == 1
        rest = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    assert [m["id"] for m in rest] == ["q-1"]
    assert WORDS in rest[0]["error"]["message"]
    assert gone.wait(10)
    assert ask(world, "streams.list")["streams"] == []


def test_stream_on_which_nobody_is_owed_an_answer_closes_with_a_comment(world: Attacked) -> None:
    gone = threading.Event()

    def behave(connection: Any, request: Arrived) -> None:
        connection.sendall(stream(b": hello\n\n", end=False))
        silent(gone)(connection, request)

    world.mcp.behave = behave
    with world.client() as http, http.stream("GET", world.url, headers=headers(world)) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line) == ": hello"
        assert suspend(world)["streams"] == 1
        rest = [line for line in lines if line]
    assert len(rest) == 1
    assert rest[0].startswith(f": holdpoint: {WORDS} (ex-")
    assert gone.wait(10)


def test_held_request_is_withdrawn_and_its_caller_told(world: Attacked) -> None:
    with world.held(lambda: post(world, call("write_note", {"name": "held", "text": "x"}))) as (held, answer):
        assert suspend(world)["held"] == 1
        said = answer.result(10)
    assert WORDS in said.text
    found = ask(world, "approvals.get", id=held["id"], id_token=world.id_token())
    assert (found["state"], found["resolution"]) == ("withdrawn", WORDS)
    ask(world, "principals.resume", who=ALICE)
    with world.held(lambda: post(world, call("write_note", {"name": "held", "text": "x"}))) as (again, answer):
        assert again["id"] != held["id"]
        world.decide(again)
        assert answer.result(10).status_code == 200


def test_what_was_approved_and_not_sent_yet_is_revoked(world: Attacked) -> None:
    message = call("write_note", {"name": "granted", "text": "x"})
    with world.held(lambda: post(world, message)) as (held, answer):
        gone = threading.Event()
        world.mcp.behave = silent(gone)
        world.decide(held)
        world.mcp.next()
        ended = suspend(world)
        assert ended["requests"] == 1
        assert WORDS in answer.result(10).text
    assert gone.wait(10)


def test_suspension_for_a_time_ends_by_itself_and_both_are_written_down(world: Attacked) -> None:
    before = len(world.audited())
    ask(world, "principals.suspend", who="u-alice", reason=REASON, **{"for": 1})
    assert "until" in refused(post(world, call("read_note", {"name": "a"})))
    deadline = time.monotonic() + 15
    while post(world, call("read_note", {"name": "a"})).status_code != 200:
        assert time.monotonic() < deadline
    while not (ends := [e for e in world.audited()[before:] if e["stage"] == "Resumed"]):
        assert time.monotonic() < deadline
    began = next(e for e in world.audited()[before:] if e["stage"] == "Suspended")
    assert (began["detail"]["who"], began["detail"]["why"]) == ("u-alice", REASON)
    assert began["detail"]["by"]["uid"] >= 0
    assert ends[0]["detail"] == {"who": "u-alice", "why": "its time is over"}


def test_restart_keeps_the_suspension(world: Attacked) -> None:
    suspend(world)
    assert world.gateway is not None
    world.gateway.stop()
    world.start()
    assert WORDS in refused(post(world, call("read_note", {"name": "a"})))
    assert [s["who"] for s in ask(world, "principals.list")["suspensions"]] == [ALICE]


def test_counting_what_would_end_ends_nothing(world: Attacked) -> None:
    with world.held(lambda: post(world, call("write_note", {"name": "counted", "text": "x"}))) as (held, answer):
        alive = ask(world, "principals.match", who=ALICE)["alive"]
        assert alive == {"held": 1, "grants": 0, "streams": 0, "requests": 0, "calls": 0}
        world.decide(held, "deny")
        assert answer.result(10).status_code == 200
