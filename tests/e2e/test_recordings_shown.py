"""What a real gateway recorded, shown to an auditor over its admin socket, while it records."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.attacked import Attacked, attacked
from tests.fakes.audit_trail import until_written
from tests.fakes.raw_upstream import whole

from holdpoint.admin.errors import AdminError

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T90")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("shown"), roles='{auditor: ["group:audit"]}') as world:
        world.shop.behave = lambda connection, _request: connection.sendall(whole(b"{}"))
        yield world


def ask(world: Attacked, method: str, *groups: str, **params: Any) -> Any:
    token = world.id_token("ada@corp.example", *groups or ("audit",))
    return world.admin().call_sync(method, {"id_token": token, **params})


def test_an_auditor_sees_what_was_asked_approved_and_refused(world: Attacked) -> None:
    with world.held(lambda: world.send("POST", "/shop/1", json_body={"n": 1})) as (held, answer):
        world.decide(held)
        assert answer.result(20).status_code == 200
    assert world.send("PUT", "/shop/1", json_body={}).status_code == 403
    # Records follow answers: nobody waits for them but this test.
    until_written(world.var / "recordings", stage="Answered", target="shop")
    until_written(world.var / "recordings", stage="Refused", target="shop")
    (listed,) = [s for s in ask(world, "sessions.list", target="shop")["sessions"] if s["refused"]]
    shown = ask(world, "sessions.show", id=listed["id"])
    approved = [e for e in shown["exchanges"] if e["approval"]]
    assert [(e["outcome"], e["approval"]["id"]) for e in approved] == [("answered", held["id"])]
    assert [v["verdict"] for v in approved[0]["approval"]["votes"]] == ["approve"]
    assert "refused" in {e["outcome"] for e in shown["exchanges"]}
    assert shown["files"]
    assert ask(world, "sessions.show", exchange=held["exchange"])["session"]["id"] == listed["id"]


def test_a_reviewer_does_not(world: Attacked) -> None:
    for method in ("sessions.list", "sessions.show"):
        with pytest.raises(AdminError) as caught:
            ask(world, method, "reviewers", id="ses-1")
        assert caught.value.code == "not_allowed"
