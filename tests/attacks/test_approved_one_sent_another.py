"""Ways to have one request approved and another one sent, from the outside."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.world import call

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T03")]

WRITE = call("write_note", {"name": "a", "text": "x"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("swap")) as world:
        yield world


@pytest.fixture(autouse=True)
def fresh(world: Attacked) -> None:
    for held in world.pending():
        world.decide(held, "deny")
    world.mcp.forget()
    world.shop.forget()


def test_same_request_again_goes_through_once(world: Attacked) -> None:
    with world.held(lambda: world.send("POST", "/shop/x", {"n": 1}, X_Tenant="test")) as (held, answer):
        world.decide(held)
        assert answer.result().status_code == 200
    assert len(world.shop.requests) == 1


HEADERS = [
    pytest.param("X-Amz-Target", "Table.Read", "Table.Drop", id="operation"),
    pytest.param("X-Tenant", "test", "production", id="tenant"),
    pytest.param("If-Match", '"1"', "*", id="precondition"),
    pytest.param("Destination", "/a", "/b", id="destination"),
    pytest.param("Prefer", "handling=strict", "handling=lenient", id="preference"),
    pytest.param("Idempotency-Key", "one", "two", id="idempotency"),
    pytest.param("X-Api-Token", "mine", "of-somebody-else", id="credential-of-another"),
]


@pytest.mark.parametrize("target", ["http", "mcp"])
@pytest.mark.parametrize(("name", "approved", "sent"), HEADERS)
def test_header_that_may_decide_is_part_of_what_was_approved(
    world: Attacked, target: str, name: str, approved: str, sent: str
) -> None:
    def ask(value: str) -> Any:
        if target == "http":
            return world.send("POST", "/shop/x", {"n": 2}, **{name: value})
        return world.post(WRITE, **{name: value})

    upstream = world.shop if target == "http" else world.mcp
    with world.held(lambda: ask(approved)) as (held, first), world.held(lambda: ask(sent)) as (other, _):
        assert other["intent"] != held["intent"]
        world.decide(held)
        assert first.result().status_code == 200
        world.decide(other, "deny")
    assert [r.headers(name) for r in upstream.requests] == [[approved]]


def test_reviewer_reads_the_headers_but_not_a_credential_in_them(world: Attacked) -> None:
    ask = lambda: world.send("POST", "/bare/x", {"n": 3}, X_Tenant="production", X_Auth_Token="s3cret-of-alice")  # noqa: E731
    with world.held(ask) as (held, _):
        shown = json.dumps(held["preview"])
        assert "production" in shown
        assert "s3cret-of-alice" not in shown
        world.decide(held, "deny")
    assert b"s3cret-of-alice" not in world.written()


def test_retry_with_other_trace_and_agent_is_the_same_request(world: Attacked) -> None:
    ask = lambda n: world.send("POST", "/shop/x", {"n": 4}, traceparent=f"00-{n}", User_Agent=f"a/{n}")  # noqa: E731
    with ThreadPoolExecutor(1) as pool, world.held(lambda: ask(1)) as (held, first):
        second = pool.submit(ask, 2)
        while world.pending()[0]["waiters"] < 2:
            assert len(world.pending()) == 1
        world.decide(held)
        assert sorted(a.result().status_code for a in (first, second)) == [200, 409]
    assert len(world.shop.requests) == 1


@pytest.mark.parametrize(
    ("approved", "sent"),
    [
        pytest.param('{"n":1}', '{"n":1.0}', id="float"),
        pytest.param('{"n":1}', '{"n":"1"}', id="text"),
        pytest.param('{"n":9007199254740993}', '{"n":9007199254740992}', id="beyond-double"),
        pytest.param('{"a":"\u00e9"}', '{"a":"e\u0301"}', id="unicode-form"),
        pytest.param('{"a":null}', "{}", id="null"),
        pytest.param('{"a":"x"}', '{"A":"x"}', id="case-of-a-key"),
        pytest.param('{"password":"one"}', '{"password":"two"}', id="masked-value"),
        pytest.param('{"password":"1"}', '{"password":1}', id="masked-type"),
    ],
)
def test_arguments_that_differ_are_another_request(world: Attacked, approved: str, sent: str) -> None:
    with world.held(lambda: world.send("POST", "/shop/y", json.loads(approved))) as (held, _):
        with world.held(lambda: world.send("POST", "/shop/y", json.loads(sent))) as (other, _second):
            assert other["intent"] != held["intent"]
            world.decide(other, "deny")
        world.decide(held, "deny")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"n":9007199254740993.0}', id="whole"),
        pytest.param(b'{"n":0.1000000000000000000001}', id="fraction"),
        pytest.param(b'{"a":[{"n":-1.00000000000000000001e2}]}', id="exponent"),
    ],
)
def test_number_that_a_double_cannot_hold_is_refused(world: Attacked, body: bytes) -> None:
    headers = {"authorization": f"Bearer {world.token()}", "content-type": "application/json"}
    with world.client() as http:
        answer = http.post(f"{world.base}/shop/x", headers=headers, content=body)
    assert answer.status_code == 400
    assert not world.shop.requests


@pytest.mark.parametrize(
    "number", ["0.1", "0.10", "0.10000000000000001", "1e3", "3.141592653589793", "-0.0", "1E-7", "5e-324"]
)
def test_number_as_printers_write_it_passes(world: Attacked, number: str) -> None:
    message = json.dumps(call("read_note", {"name": "x", "n": 12345})).replace("12345", number)
    with world.client() as http:
        assert http.post(world.url, headers=world.headers(), content=message).status_code == 200


OTHERS = [
    pytest.param({"sub": "u-bob", "email": "bob@corp.example"}, id="another-principal"),
    pytest.param({"act": {"sub": "agent-b"}}, id="another-agent"),
]


@pytest.mark.parametrize("claims", OTHERS)
def test_grant_is_for_the_one_who_asked(world: Attacked, claims: dict[str, Any]) -> None:
    def ask(token: str) -> Any:
        with world.client() as http:
            return http.post(
                f"{world.base}/shop/z", headers={"authorization": f"Bearer {token}"}, json={"n": str(claims)}
            )

    mine = world.token(act={"sub": "agent-a"})
    theirs = world.token(**claims)
    with world.held(lambda: ask(mine)) as (held, first), world.held(lambda: ask(theirs)) as (other, _):
        world.decide(held)
        assert first.result().status_code == 200
        assert [r["id"] for r in world.pending()] == [other["id"]]
        world.decide(other, "deny")
    assert len(world.shop.requests) == 1


def test_same_tool_at_another_target_is_another_request(world: Attacked) -> None:
    shop, bare = (partial(world.send, "POST", f"/{t}/t", {"n": 5}) for t in ("shop", "bare"))
    with world.held(shop) as (held, first), world.held(bare) as (other, _):
        world.decide(held)
        assert first.result().status_code == 200
        world.decide(other, "deny")
    assert len(world.shop.requests) == 1
