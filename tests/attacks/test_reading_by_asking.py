"""Who may ask for a change must not learn by its preview what policy does not let him read."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.fakes.approvals import ask, reviewer, term
from tests.fakes.preview_world import PreviewWorld

from holdpoint.domain.access import Action, Protocol
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, DryRun, DryRunState
from holdpoint.stages.preview_readers import shown_to

RULES = """\
  - name: discover
    effect: allow
    match: {verbs: [get, post], paths: ["/*"]}
  - name: reads
    effect: allow
    match: {verbs: [get], resources: [configmaps], names: [open]}
    mask: [credentials]
  - name: writes
    effect: hold
    match: {verbs: [patch, delete], resources: [configmaps]}
    approval: {reviewers: ['group:reviewers'], timeout: 20m, preview: required}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreviewWorld]:
    found = PreviewWorld(tmp_path_factory.mktemp("reading"), rules=RULES)
    for name in ("open", "shut"):
        data = {"password": "hunter2-of-the-map", "motto": "said-in-confidence"}
        found.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}, "shop")
    found.write_settings()
    with found:
        found.start()
        yield found


def held(world: PreviewWorld, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the reviewer and the requester read of a delete."""
    kubectl = world.run("delete", "configmap", name)
    seen = world.until(lambda r: r["dry_run"]["state"] == "ready" and name in r["resource"])
    asks = {"id": seen["id"], "id_token": world.id_token("alice@corp.example", "nobody")}
    mine = world.admin().call_sync("approvals.get", asks)
    listed = world.admin().call_sync("approvals.list", {**asks, "mine": True})["requests"]
    assert [r["dry_run"]["shown"] for r in listed if r["id"] == seen["id"]] == [{}]
    world.decide(seen, "deny")
    assert kubectl.wait() == 1
    return seen, mine


@pytest.mark.threat("T71")
def test_requester_who_may_not_read_an_object_does_not_read_it_in_the_preview_of_his_request(world: PreviewWorld):
    seen, mine = held(world, "shut")
    assert "said-in-confidence" in str(seen["dry_run"])
    assert "said-in-confidence" not in str(mine)
    assert mine["preview_digest"] == seen["preview_digest"]


@pytest.mark.threat("T71")
def test_requester_who_may_not_read_an_object_does_not_read_why_its_preview_failed(world: PreviewWorld):
    kubectl = world.run("delete", "configmap", "absent")
    seen = world.until(lambda r: r["dry_run"]["state"] == "failed")
    asks = {"id": seen["id"], "id_token": world.id_token("alice@corp.example", "nobody")}
    mine = world.admin().call_sync("approvals.get", asks)
    assert len(seen["dry_run"]["why"]) > len("the API server refuses this")
    for part in ("why", "shown"):
        assert mine["dry_run"][part] != seen["dry_run"][part]
    assert seen["dry_run"]["why"] not in str(mine)
    world.decide(seen, "deny")
    assert kubectl.wait() == 1


@pytest.mark.threat("T71")
def test_what_a_read_would_mask_is_masked_in_the_preview_of_a_write(world: PreviewWorld):
    for seen in held(world, "open"):
        assert "said-in-confidence" in str(seen["dry_run"])
        assert "hunter2-of-the-map" not in str(seen)
    assert b"hunter2-of-the-map" not in world.kept()


@pytest.mark.threat("T71")
@pytest.mark.parametrize(("who", "reads"), [("alice@example", False), ("bob@example", True)])
def test_requester_does_not_read_what_the_calls_of_others_did(who: str, *, reads: bool):
    others: list[Any] = [{"what": "owned", "text": "delete secrets others/key at cluster"}]
    asked = ApprovalRequest(
        "apr-1", ask(), ApprovalState.PENDING, 1.0, 2.0, dry_run=DryRun(shown={"hangs_on_it": others})
    )
    services: Any = SimpleNamespace(
        broker=SimpleNamespace(confirm=False), suspensions=SimpleNamespace(of_reviewer=lambda _: None)
    )
    assert ("others/key" in str(shown_to(services, reviewer(who), asked))) is reads


@pytest.mark.threat("T71")
@pytest.mark.parametrize(("who", "reads"), [("alice@example", False), ("bob@example", True)])
def test_why_it_could_not_be_tried_is_not_told_by_why_it_cannot_be_approved(who: str, *, reads: bool):
    failed = DryRun(DryRunState.FAILED, why="spec.secretName: `others-key` exists", shown={"error": "x"})
    asks = ask(term(require_preview=True))
    access = replace(asks.access, action=Action(Protocol.KUBERNETES, "deletecollection"))
    asked = ApprovalRequest("apr-1", replace(asks, access=access), ApprovalState.PENDING, 1.0, 2.0, dry_run=failed)
    nobody = SimpleNamespace(of_reviewer=lambda _: None)
    services: Any = SimpleNamespace(broker=SimpleNamespace(confirm=False), suspensions=nobody)
    shown = shown_to(services, reviewer(who), asked)
    assert ("others-key" in str(shown)) is reads
    assert "could not be tried" in str(shown["blocked"])
