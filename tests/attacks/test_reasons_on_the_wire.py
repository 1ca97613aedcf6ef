"""Why a caller asks is for reviewers: neither the header nor the member of `_meta` ever reaches an upstream."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.raw_upstream import whole
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T63")]

KEY = "holdpoint.dev/reason"
SAID = "the-disk-is-full"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("reasons")) as world:
        yield world


@pytest.fixture(autouse=True)
def fresh(world: Attacked) -> None:
    world.mcp.forget()
    world.shop.forget()
    world.shop.behave = lambda connection, _request: connection.sendall(whole(b"{}"))


def sent(world: Attacked) -> bytes:
    return b"".join(r.head + r.body for r in (*world.mcp.requests, *world.shop.requests))


def with_reason(tool: str, reason: object, **more: object) -> dict:
    message = call(tool, {"id": "a", "n": 10**30, "f": 0.1})
    message["params"]["_meta"] = {KEY: reason, **more}
    return message


@pytest.mark.parametrize("name", ["Holdpoint-Reason", "holdpoint_reason", "HOLDPOINT-REASON"])
def test_header_is_read_and_not_sent_on(world: Attacked, name: str) -> None:
    def ask() -> httpx.Response:
        with world.client() as http:
            headers = {"authorization": f"Bearer {world.token()}", name: SAID}
            return http.post(f"{world.base}/bare/{len(name)}{name[0]}", headers=headers, json={"n": name})

    with world.held(ask) as (held, answer):
        assert held["reason"] == SAID
        assert SAID not in json.dumps(held["preview"])
        world.decide(held)
        assert answer.result().status_code == 200
    (arrived,) = world.shop.requests
    assert not {n for n in arrived.names if "reason" in n}
    assert SAID.encode() not in sent(world)


def test_header_is_not_sent_on_with_what_nobody_holds_either(world: Attacked) -> None:
    assert world.get("/bare/free", holdpoint_reason=SAID).status_code == 200
    assert world.shop.requests
    assert SAID.encode() not in sent(world)


def test_header_given_twice_is_refused(world: Attacked) -> None:
    with world.client() as http:
        headers = [("authorization", f"Bearer {world.token()}"), ("holdpoint-reason", "a"), ("holdpoint_reason", "b")]
        assert http.get(f"{world.base}/bare/twice", headers=headers).status_code == 400
    assert not world.shop.requests


SPELLINGS = [
    pytest.param(json.dumps(KEY), id="plain"),
    pytest.param('"holdpoint.dev\\/reason"', id="an escaped slash"),
    pytest.param('"\\u0068oldpoint.dev/re\\u0061son"', id="escaped letters"),
]


@pytest.mark.parametrize("key", SPELLINGS)
@pytest.mark.parametrize("tool", ["read_note", "delete_note"])
def test_member_of_meta_is_read_and_not_sent_on(world: Attacked, tool: str, key: str) -> None:
    text = json.dumps(with_reason(tool, SAID, other="kept", note=key)).replace(json.dumps(KEY), key, 1)

    def ask() -> httpx.Response:
        with world.client() as http:
            return http.post(world.url, headers=world.headers(), content=text)

    if tool == "read_note":
        assert ask().status_code == 200
    else:
        with world.held(ask) as (held, answer):
            assert held["reason"] == SAID
            assert SAID not in json.dumps(held["preview"])
            world.decide(held)
            assert answer.result().status_code == 200
    (arrived,) = world.mcp.requests
    assert arrived.message["params"]["_meta"] == {"other": "kept", "note": key}
    assert arrived.message["params"]["arguments"] == {"id": "a", "n": 10**30, "f": 0.1}
    assert arrived.headers("content-length") == [str(len(arrived.body))]
    assert SAID.encode() not in sent(world)


def test_retry_with_another_reason_is_the_same_request(world: Attacked) -> None:
    with (
        world.held(lambda: world.post(with_reason("write_note", "first"))) as (held, answer),
        ThreadPoolExecutor(1) as pool,
    ):
        again = pool.submit(lambda: world.post(with_reason("write_note", "second")))
        deadline = time.monotonic() + 20
        while (now := world.pending())[0]["waiters"] < 2:
            assert time.monotonic() < deadline
        assert [(r["id"], r["reason"]) for r in now] == [(held["id"], "first")]
        world.decide(held)
        assert {answer.result().status_code, again.result().status_code} == {200}
    (arrived,) = world.mcp.requests
    assert "_meta" not in arrived.message["params"]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        pytest.param("<b>\u202e\x1b[2J</b>", "<b><U+202E><U+001B>[2J</b>", id="nothing hidden"),
        pytest.param("x" * 100_000, "x" * 499 + "…", id="bounded"),
        pytest.param({"no": "text"}, "", id="no text"),
    ],
)
def test_reason_is_shown_as_it_is_and_bounded(world: Attacked, reason: object, shown: str) -> None:
    with world.held(lambda: world.post(with_reason("write_note", reason))) as (held, answer):
        assert held["reason"] == shown
        world.decide(held, "deny")
        answer.result()
    assert not world.mcp.requests
