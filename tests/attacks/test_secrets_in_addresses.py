"""Secrets in the path, the query and the headers of a request: written down nowhere, shown to no reviewer."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.raw_upstream import whole

pytestmark = pytest.mark.e2e

AWS = "AKIAIOSFODNN7EXAMPLE"
SECRET = "hunter2-invented-0001"
ARGUMENT = "an argument that no mask knows"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("addresses"), "--set", "termlog_verbosity=debug") as world:
        world.shop.behave = lambda connection, _request: connection.sendall(whole(b'{"ok":1}'))
        yield world
        # What a request is sent as is stored as long as it can be sent. All of it was sent.
        assert world.gateway is not None
        world.gateway.stop()
        written = world.written()
        for secret in (AWS, SECRET):
            at = written.find(secret.encode())
            assert at < 0, written[max(0, at - 200) : at + 60]
        with closing(sqlite3.connect(world.var / "holdpoint.sqlite")) as store:
            assert store.execute("SELECT count(*) FROM approvals WHERE arguments IS NOT NULL").fetchone() == (0,)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "header"),
    [
        pytest.param(f"/{AWS}/x", "", id="path"),
        pytest.param(f"/%41{AWS[1:]}/x", "", id="path-encoded"),
        pytest.param(f"/q?password={SECRET}&k={AWS}", "", id="query"),
        pytest.param(f"/q?pass%77ord={SECRET}", "", id="query-encoded"),
        pytest.param("/h", f"key {AWS}", id="header"),
        pytest.param("/t", ARGUMENT, id="none"),
    ],
)
def test_secret_is_shown_to_no_reviewer(world: Attacked, method: str, path: str, header: str) -> None:
    def ask() -> httpx.Response:
        text = {"text": ARGUMENT} if method == "POST" else None
        return world.send(method, "/shop" + path, text, X_Note=header or "none")

    if method == "GET":
        assert ask().status_code == 200
        return
    with world.held(ask) as (held, answer):
        shown = json.dumps(held)
        assert AWS not in shown
        assert SECRET not in shown
        world.decide(held)
        assert answer.result().status_code == 200
    explained = json.dumps(world.admin().call_sync("explain", {"id": held["id"]}))
    assert AWS not in explained
    assert SECRET not in explained
