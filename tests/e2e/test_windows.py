"""A window at a real gateway and API server: one approval, what goes through under it, and what does not."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.kube_world import ALL, KubeWorld

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T61")]

ALLOWED = ALL.replace("update, patch, delete,", "update, delete,")
PATCHES = """\
  - name: patches
    effect: hold
    match: {verbs: [patch], resources: [configmaps]}
    approval: {reviewers: ['group:reviewers'], required: COUNT, timeout: 20m, grant: {scope: window, for: 15m}}
"""
WATCHES = """\
  - name: watches
    effect: hold
    match: {verbs: [watch], resources: [configmaps]}
    approval: {reviewers: ['group:reviewers'], timeout: 20m, grant: {scope: session, for: 2s}}
"""
ODD = """\
  - name: odd
    effect: hold
    match: {verbs: [patch], resources: [configmaps]}
    when: '"odd" in object.data'
    approval: {reviewers: ['group:reviewers'], timeout: 20m, grant: {scope: window, for: 15m}}
"""
RULES = ALLOWED + PATCHES.replace("COUNT", "1") + WATCHES + ODD
STRICTER = ALLOWED + PATCHES.replace("COUNT", "2") + WATCHES + ODD
MAPS = "api/v1/namespaces/default/configmaps"


class Windows(KubeWorld):
    """A world whose policy gives windows."""

    def put(self, name: str) -> None:
        meta = {"name": name, "namespace": "default"}
        self.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}})

    def patch(self, name: str, value: str = "c", *, key: str = "a", query: str = "", **headers: str) -> httpx.Response:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        with self.client() as client:
            return client.patch(
                f"{MAPS}/{name}{query}",
                content=json.dumps({"data": {key: value}}),
                headers={"content-type": "application/merge-patch+json", **named},
            )

    def approve(self, name: str) -> dict[str, Any]:
        admin, token, version, until = self.admin(), self.id_token(), -1, time.monotonic() + 20
        while time.monotonic() < until:
            version = admin.call_sync("approvals.wait_change", {"since": version})["version"]
            pending = admin.call_sync("approvals.list", {"id_token": token, "state": ["pending"]})["requests"]
            for request in pending:
                if name in request["opens"]:
                    said = {"id": request["id"], "expect": request["intent"], "preview": request["preview_digest"]}
                    admin.call_sync(
                        "approvals.decide", {**said, "verdict": "approve", "comment": "", "id_token": token}
                    )
                    return request
        raise AssertionError(f"nothing about `{name}` is held")

    def reload(self, rules: str) -> None:
        self.write_policy(rules)
        self.admin().call_sync("policy.reload", {})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    with Windows(tmp_path_factory.mktemp("world"), rules=RULES, hold_wait="1s") as world:
        world.start()
        yield world


def opened(world: Windows, name: str) -> dict[str, Any]:
    world.put(name)
    assert world.patch(name).status_code == 429
    request = world.approve(name)
    assert world.patch(name).status_code == 200
    return request


def test_window_lets_other_bodies_pass_and_says_so(world: Windows) -> None:
    request = opened(world, "many")
    assert request["opens"] == (
        "any patch of configmaps/many in namespace default, whatever it changes, "
        "by alice@corp.example, for 15 minutes from the approval"
    )
    assert [world.patch("many", value).status_code for value in ("d", "e")] == [200, 200]
    sent = [e["detail"] for e in world.audited() if e["stage"] == "Forwarded" and e["detail"].get("approval")]
    mine = [d for d in sent if d["approval"] == request["id"]]
    assert len(mine) == 3
    assert {d["intent"] for d in mine} == {request["intent"]}
    # The first is what was read; each of the others is named by what it asked itself.
    assert ["within" in d for d in mine] == [False, True, True]
    assert len({d["within"]["intent"] for d in mine[1:]}) == 2


def test_window_lets_nothing_else_pass(world: Windows) -> None:
    opened(world, "few")
    world.put("other")
    assert world.patch("other").status_code == 429
    assert world.patch("few", query="?dryRun=All").status_code == 429
    assert world.patch("few", key="odd").status_code == 429
    assert world.patch("few", impersonate_user="root").status_code == 403
    assert world.patch("few", "f").status_code == 200


def test_stricter_policy_closes_the_window(world: Windows) -> None:
    opened(world, "closed")
    world.reload(STRICTER)
    assert world.patch("closed", "g").status_code == 429
    world.reload(RULES)
    assert world.patch("closed", "h").status_code == 429


def test_watch_of_one_session_ends_in_time_and_is_not_begun_again(world: Windows) -> None:
    with world.client() as client:
        assert client.get(MAPS, params={"watch": "1"}).status_code == 429
        request = world.approve("once; a stream that it opens ends 2 seconds after the approval")
        with client.stream("GET", MAPS, params={"watch": "1"}, timeout=30) as answer:
            assert answer.status_code == 200
            last = json.loads(list(answer.iter_lines())[-1])
        assert last["type"] == "ERROR"
        assert request["id"]
        assert client.get(MAPS, params={"watch": "1"}).status_code == 429
