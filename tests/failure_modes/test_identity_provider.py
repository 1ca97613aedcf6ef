"""An identity provider that is down, changes its keys, or is asked for keys it never had: nobody passes unverified."""

import time
from collections.abc import Iterator

import httpx
import pytest
from tests.fakes.issuer import make_key
from tests.fakes.world import World, call

pytestmark = [pytest.mark.e2e, pytest.mark.failure("F-idp")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world"), json_response=True, stateless=True) as world:
        world.start()
        yield world


def ask(world: World, token: str) -> httpx.Response:
    with world.client() as http:
        return http.post(world.url, headers=world.headers(token), json=call("list_notes"))


def kind(answer: httpx.Response) -> str:
    return answer.json().get("error", {}).get("data", {}).get("kind", "served")


def until_served(world: World) -> None:
    """Ask until the gateway has fetched the keys: it tries again by itself."""
    deadline = time.monotonic() + 40
    while (said := kind(ask(world, world.token()))) != "served":
        assert said == "unavailable"
        assert time.monotonic() < deadline
        time.sleep(0.1)  # the gateway waits longer after each failure


def test_nobody_passes_while_there_are_no_keys_and_all_do_once_there_are(world: World) -> None:
    assert world.gateway is not None
    world.gateway.stop()
    world.issuer.stop()
    try:
        world.start()
        world.notes.seen.requests.clear()
        assert kind(ask(world, world.token())) == "unavailable"
        assert world.notes.seen.requests == []
    finally:
        world.issuer.start()
    until_served(world)


def test_known_keys_serve_on_while_the_issuer_is_down(world: World) -> None:
    until_served(world)
    world.issuer.stop()
    try:
        assert kind(ask(world, world.token())) == "served"
        reached = len(world.notes.seen.requests)
        expired = world.token(exp=int(time.time()) - 600)
        assert kind(ask(world, expired)) == "unauthenticated"
        foreign = world.issuer.mint(key=make_key(kid=world.issuer.keys[0].kid))
        assert kind(ask(world, foreign)) == "unauthenticated"
        unknown = world.issuer.mint(key=make_key())
        assert kind(ask(world, unknown)) in ("unauthenticated", "unavailable")
        assert len(world.notes.seen.requests) == reached
    finally:
        world.issuer.start()


@pytest.mark.failure("F-kid")
def test_unknown_keys_cause_one_fetch_and_no_service(world: World) -> None:
    until_served(world)
    before = world.issuer.requests.count("/jwks")
    reached = len(world.notes.seen.requests)
    strangers = [make_key(bits=1024) for _ in range(5)]
    assert {kind(ask(world, world.issuer.mint(key=key))) for key in strangers} == {"unauthenticated"}
    assert world.issuer.requests.count("/jwks") - before <= 1
    assert len(world.notes.seen.requests) == reached
