"""What changes while a request is held: policies, tokens, callers."""

import json
import signal
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.fakes.attacked import POLICY, Attacked, attacked
from tests.fakes.raw_upstream import whole

pytestmark = pytest.mark.e2e

AWS = "AKIAIOSFODNN7EXAMPLE"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("changes"), "--set", "termlog_verbosity=debug") as world:
        yield world


@pytest.fixture(autouse=True)
def fresh(world: Attacked) -> None:
    world.mcp.forget()
    world.shop.forget()


def switch(world: Attacked, text: str) -> None:
    assert world.gateway is not None
    (world.policies / "shop.yaml").write_text(text)
    world.gateway.process.send_signal(signal.SIGHUP)
    world.gateway.wait_for("policies reloaded")


def test_mask_that_came_while_it_was_held_counts(world: Attacked) -> None:
    body = json.dumps({"text": AWS}).encode()
    world.shop.behave = lambda connection, _request: connection.sendall(whole(body))
    with world.held(lambda: world.send("POST", "/bare/mask", {"n": 1})) as (held, answer):
        masked = POLICY.replace("    approval:", "    mask: [credentials]\n    approval:")
        try:
            switch(world, masked)
            world.decide(held)
            assert answer.result().status_code == 200
            assert AWS not in answer.result().text
        finally:
            switch(world, POLICY)


def test_rule_that_came_while_it_was_held_counts(world: Attacked) -> None:
    denied = (
        POLICY.replace("    match: {verbs: [get, head]", "    match: {verbs: [get]")
        .replace("effect: hold", "effect: deny")
        .replace('    approval: {reviewers: ["group:reviewers"], timeout: 1m}\n', "")
    )
    with world.held(lambda: world.send("POST", "/bare/rule", {"n": 1})) as (_held, answer):
        try:
            switch(world, denied)
            assert answer.result().status_code == 403
        finally:
            switch(world, POLICY)
    assert not world.shop.requests


def test_token_that_expired_while_it_was_held_opens_nothing(world: Attacked) -> None:
    short = world.token(exp=int(time.time()) + 2)

    def ask() -> httpx.Response:
        with world.client() as http:
            headers = {"authorization": f"Bearer {short}"}
            return http.post(f"{world.base}/bare/late", headers=headers, json={"n": 1})

    with world.held(ask) as (held, answer):
        while time.time() < held["created_at"] + 2.5:  # the gateway is another process, with the machine's clock
            time.sleep(0.1)
        world.decide(held)
        assert answer.result().status_code == 401
    assert not world.shop.requests
    # The approval is not lost: who logs in again may use it.
    assert world.send("POST", "/bare/late", {"n": 1}).status_code == 200
