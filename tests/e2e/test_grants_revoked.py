"""A grant is revoked, its token or its policy ends: what it opened ends, and who may not revoke cannot."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests.fakes.attacked import MORE, Attacked, attacked
from tests.fakes.raw_upstream import Arrived, stream, whole
from tests.fakes.world import call

from holdpoint.admin.errors import AdminError

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T88")]

RULES = """\
  - name: windows
    effect: hold
    match: {verbs: [tools/call], tools: ["window_*"]}
    approval: {reviewers: ["group:reviewers"], timeout: 1m, grant: {for: 10m, scope: window}}
  - name: open
    effect: allow
    match: {verbs: [tools/call], tools: ["open_*"]}
"""
NOTICE = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"on it"}}\n\n'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("revoked"), rules=RULES) as world:
        yield world


@pytest.fixture(autouse=True)
def fresh(world: Attacked) -> None:
    world.mcp.forget()
    for grant in ask(world, "grants.list")["grants"]:
        ask(world, "grants.revoke", id=grant["id"])


def ask(world: Attacked, method: str, **params: Any) -> Any:
    return world.admin().call_sync(method, params)


def post(world: Attacked, message: dict[str, Any], token: str | None = None) -> httpx.Response:
    with world.client() as http:
        return http.post(world.url, headers=world.headers(token), json=message)


def window(world: Attacked, name: str) -> dict[str, Any]:
    """A call that is approved for a window, and the grant."""
    message = call(f"window_{name}", {"n": 1}, request_id="w")
    with world.held(lambda: post(world, message)) as (held, answer):
        world.decide(held)
        assert answer.result(20).status_code == 200
    world.mcp.next()
    (grant,) = ask(world, "grants.list")["grants"]
    return {"message": message, "grant": grant}


def silent(
    gone: threading.Event, said: bytes = b"", go: threading.Event | None = None
) -> Callable[[Any, Arrived], None]:
    """An upstream that says so much, waits to `go` on, and then for its connection to be closed."""

    def behave(connection: Any, _request: Arrived) -> None:
        connection.settimeout(30)
        if go is not None:
            go.wait(30)
        try:
            connection.sendall(said)
            if not connection.recv(1):
                gone.set()
        except OSError:
            gone.set()

    return behave


@contextmanager
def streaming(world: Attacked, message: dict[str, Any], token: str | None = None) -> Iterator[Iterator[str]]:
    """A call whose answer streams: yields its lines after the first message."""
    with (
        world.client() as http,
        http.stream("POST", world.url, headers=world.headers(token), json=message) as answer,
    ):
        lines = answer.iter_lines()
        assert "on it" in next(line for line in lines if line.startswith("data:"))
        yield lines


def last(lines: Iterator[str]) -> dict[str, Any]:
    (data,) = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    return data


def test_revoke_ends_the_stream_of_a_window_and_the_window(world: Attacked) -> None:
    made, gone = window(world, "stream"), threading.Event()
    world.mcp.behave = silent(gone, stream(NOTICE, end=False))
    with streaming(world, made["message"]) as lines:
        done = ask(world, "grants.revoke", id=made["grant"]["id"], reason="wrong cluster")
        assert done["ended"] == {"streams": 1, "requests": 0}
        said = last(lines)
    assert (said["id"], "revoked by an operator: wrong cluster" in said["error"]["message"]) == ("w", True)
    assert gone.wait(10)
    with world.held(lambda: post(world, made["message"])) as (held, answer):
        world.decide(held, "deny")
        assert "denied" in answer.result(20).text


def test_revoke_cuts_off_a_request_under_way(world: Attacked) -> None:
    made, gone = window(world, "slow"), threading.Event()
    world.mcp.behave = silent(gone)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, world, made["message"])
        world.mcp.next()
        assert ask(world, "grants.revoke", id=made["grant"]["id"])["ended"]["requests"] == 1
        assert "what allowed this was revoked" in answer.result(10).json()["error"]["message"]
    assert gone.wait(10)


def test_stream_does_not_begin_once_its_grant_has_ended(world: Attacked) -> None:
    made, go, gone = window(world, "late"), threading.Event(), threading.Event()
    world.mcp.behave = silent(gone, stream(NOTICE, end=False), go)
    stricter = RULES.replace("timeout: 1m, grant: {for: 10m, scope: window}", "timeout: 1m")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, world, made["message"])
        world.mcp.next()
        try:
            (world.policies / "more.yaml").write_text(MORE + stricter)
            ask(world, "policy.reload")
            assert ask(world, "grants.list")["grants"] == []
            go.set()
            said = answer.result(10)
        finally:
            (world.policies / "more.yaml").write_text(MORE + RULES)
            ask(world, "policy.reload")
    assert "on it" not in said.text
    assert said.json()["error"]["message"].startswith(("the grant ended", "policy has changed"))
    assert gone.wait(10)


def test_event_stream_ends_with_its_token(world: Attacked) -> None:
    gone = threading.Event()
    world.mcp.behave = silent(gone, stream(NOTICE, end=False))
    with streaming(world, call("open_a", request_id=5), world.token(exp=int(time.time()) + 4)) as lines:
        said = last(lines)
    assert (said["id"], "the token expired" in said["error"]["message"]) == (5, True)
    assert gone.wait(10)


def test_event_stream_ends_where_policy_no_longer_lets_it_and_by_an_operator(world: Attacked) -> None:
    world.mcp.behave = silent(threading.Event(), stream(NOTICE, end=False))
    with streaming(world, call("open_a", request_id=5)) as lines:
        (world.policies / "more.yaml").write_text(MORE + RULES.replace("open_*", "shut_*"))
        ask(world, "policy.reload")
        assert "policy has changed" in last(lines)["error"]["message"]
    (world.policies / "more.yaml").write_text(MORE + RULES)
    ask(world, "policy.reload")
    with streaming(world, call("open_a", request_id=6)) as lines:
        (one,) = ask(world, "streams.list")["streams"]
        ask(world, "streams.end", id=one["exchange"], reason="enough")
        assert "an operator ended this stream: enough" in last(lines)["error"]["message"]


def test_short_answers_that_stream_leave_nothing_on_the_list(world: Attacked) -> None:
    def behave(connection: Any, request: Arrived) -> None:
        content = {"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": []}}
        connection.sendall(stream(b"data: " + json.dumps(content).encode() + b"\n\n"))

    world.mcp.behave = behave
    for number in range(5):
        assert post(world, call("open_a", request_id=number)).status_code == 200
    world.mcp.behave = lambda connection, _request: connection.sendall(whole(b"{}"))
    assert ask(world, "streams.list")["streams"] == []


@pytest.mark.threat("T87")
def test_only_owner_reviewer_and_admin_see_and_revoke_a_grant(world: Attacked) -> None:
    grant = window(world, "roles")["grant"]
    mine, theirs = world.id_token("alice@corp.example", "dev"), world.id_token("eve@corp.example", "dev")
    rita = world.id_token()
    assert ask(world, "grants.list", id_token=theirs)["grants"] == []
    assert ask(world, "grants.list", id_token=rita, mine=True)["grants"] == []
    for token in (mine, rita):
        (seen,) = ask(world, "grants.list", id_token=token)["grants"]
        assert (seen["id"], seen["uses"], seen["person"]) == (grant["id"], 1, "alice@corp.example")
    assert [g["id"] for g in ask(world, "grants.list", id_token=mine, mine=True)["grants"]] == [grant["id"]]
    with pytest.raises(AdminError, match="there is no such grant"):
        ask(world, "grants.revoke", id=grant["id"], id_token=theirs)
    ask(world, "grants.revoke", id=grant["id"], id_token=mine, reason="done")
    (ended,) = [g for g in ask(world, "grants.list", state="all")["grants"] if g["id"] == grant["id"]]
    assert (ended["state"], ended["ended_why"]) == ("revoked", "revoked by alice@corp.example: done")
    with pytest.raises(AdminError, match="is revoked"):
        ask(world, "grants.revoke", id=grant["id"])


@pytest.mark.threat("T87")
@pytest.mark.parametrize("method", ["principals.list", "principals.match", "principals.suspend", "principals.resume"])
def test_login_without_a_role_and_an_empty_login_do_nothing_to_principals(world: Attacked, method: str) -> None:
    for token, code in (("", "unauthenticated"), (world.id_token(), "not_allowed")):
        with pytest.raises(AdminError) as failed:
            ask(world, method, who="u-bob", id_token=token)
        assert failed.value.code == code
    assert ask(world, "principals.list")["suspensions"] == []


@pytest.mark.threat("T87")
@pytest.mark.parametrize("who", ["", "*", "group:reviewers", "ISSUER", "ISSUER/", "ISSUER#"])
def test_name_that_would_stand_for_many_suspends_nobody(world: Attacked, who: str) -> None:
    with pytest.raises(AdminError) as failed:
        ask(world, "principals.suspend", who=who.replace("ISSUER", world.issuer.url))
    assert failed.value.code == "bad_request"
    assert ask(world, "principals.list")["suspensions"] == []


def test_reviewer_who_is_suspended_decides_nothing(world: Attacked) -> None:
    ask(world, "principals.suspend", who="rita@corp.example", reason="away")
    try:
        with pytest.raises(AdminError, match="access is suspended: away"):
            ask(world, "approvals.list", id_token=world.id_token())
    finally:
        ask(world, "principals.resume", who="rita@corp.example")
