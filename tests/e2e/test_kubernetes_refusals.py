"""What a kubectl shows of a refusal, and how a held one waits: real kubectl, gateway and API server."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.kube_world import ALL, KubeWorld, Ran, kubectls
from tests.fakes.processes import Program

pytestmark = pytest.mark.e2e

RULES = (
    ALL
    + """\
  - name: hidden
    effect: deny
    match: {verbs: [get], resources: [secrets], names: [hidden]}
    reason: secrets of this name are not shown
  - name: deletes
    effect: hold
    match: {verbs: [delete], resources: [configmaps]}
    approval: {reviewers: ['group:reviewers'], timeout: 20m}
  - name: agents
    effect: hold
    match: {any: true, principals: {subjects: ['agent-*']}}
    approval: {reviewers: ['group:reviewers'], timeout: 20m}
"""
)
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Refusing(KubeWorld):
    """A world whose policy denies and holds."""

    def pending(self) -> list[dict[str, Any]]:
        said = {"id_token": self.id_token(), "state": ["pending"]}
        return self.admin().call_sync("approvals.list", said)["requests"]

    def held(self, name: str) -> dict[str, Any]:
        """The held request about an object, as soon as it is there."""
        admin, version, until = self.admin(), -1, time.monotonic() + 20
        while time.monotonic() < until:
            version = admin.call_sync("approvals.wait_change", {"since": version})["version"]
            for request in self.pending():
                if name in json.dumps(request["preview"]):
                    return request
        raise AssertionError(f"nothing about `{name}` is held")

    def decide(self, request: dict[str, Any], verdict: str, comment: str = "") -> None:
        said = {
            "id": request["id"],
            "expect": request["intent"],
            "preview": request["preview_digest"],
            "verdict": verdict,
            "comment": comment,
        }
        self.admin().call_sync("approvals.decide", {**said, "id_token": self.id_token()})

    def config_map(self, name: str) -> str:
        """Put an object there to delete, and return its path."""
        meta = {"name": name, "namespace": "default"}
        self.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}})
        return f"{CONFIG_MAPS}/{name}"

    def deleted(self, path: str) -> int:
        return len(self.cluster.seen("DELETE", path))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refusing]:
    with Refusing(tmp_path_factory.mktemp("world"), rules=RULES, hold_wait="1s") as world:
        world.start()
        yield world


@pytest.fixture(params=range(len(kubectls())), ids=lambda n: f"kubectl-{n}")
def program(request: pytest.FixtureRequest) -> str:
    return kubectls()[request.param]


def refused(ran: Ran, reason: str, words: str) -> None:
    assert ran.status == 1
    assert f"Error from server ({reason}): holdpoint: {words}" in ran.err


def test_denied_command_shows_the_rules_own_words(world: Refusing, program: str) -> None:
    refused(
        world.kubectl("get", "secret", "hidden", program=program), "Forbidden", "secrets of this name are not shown ["
    )


def test_user_without_a_token_is_told_to_log_in(world: Refusing, program: str) -> None:
    ran = world.kubectl("get", "pods", config=world.route("not.a.token", "bad"), program=program)
    assert "You must be logged in to the server" in ran.err


@pytest.fixture
def running(world: Refusing, program: str) -> Iterator[tuple[str, Program]]:
    """A kubectl that deletes an object, by the object's name."""
    name = f"deleted-by-{abs(hash(program))}-{len(world.cluster.seen())}"
    world.config_map(name)
    kubectl = world.spawn("delete", "configmap", name, program=program)
    yield name, kubectl
    kubectl.stop()


@pytest.mark.threat("T39")
def test_held_command_passes_once_approved_without_being_run_again(
    world: Refusing, running: tuple[str, Program]
) -> None:
    name, kubectl = running
    request = world.held(name)
    assert world.deleted(f"{CONFIG_MAPS}/{name}") == 0
    world.decide(request, "approve")
    kubectl.wait_for(f'configmap "{name}" deleted')
    assert world.deleted(f"{CONFIG_MAPS}/{name}") == 1


def test_command_that_a_reviewer_denies_shows_why(world: Refusing, running: tuple[str, Program]) -> None:
    name, kubectl = running
    world.decide(world.held(name), "deny", "not on a friday")
    line = kubectl.wait_for("not on a friday")
    assert "Error from server (Forbidden): holdpoint: a reviewer denied this" in line
    assert line.count("denied") == 1
    assert world.deleted(f"{CONFIG_MAPS}/{name}") == 0


def delete(world: Refusing, path: str) -> httpx.Response:
    with world.client() as client:
        return client.delete(path)


@pytest.mark.threat("T39")
def test_denial_between_two_tries_answers_the_next_one(world: Refusing) -> None:
    path = world.config_map("between")
    first = delete(world, path)
    assert (first.status_code, first.headers["retry-after"], first.json()["reason"]) == (429, "1", "TooManyRequests")
    world.decide(world.held("between"), "deny", "no")
    second = delete(world, path)
    assert (second.status_code, second.json()["reason"]) == (403, "Forbidden")
    assert "a reviewer denied this" in second.json()["message"]
    assert not [r for r in world.pending() if "between" in json.dumps(r["preview"])]
    assert world.deleted(path) == 0


@pytest.mark.threat("T39")
def test_approval_between_two_tries_is_used_by_the_next_one_and_by_no_other(world: Refusing) -> None:
    path = world.config_map("granted")
    assert delete(world, path).status_code == 429
    world.decide(world.held("granted"), "approve")
    assert delete(world, path).status_code == 200
    world.config_map("granted")
    assert delete(world, path).status_code == 429
    assert world.deleted(path) == 1


def test_discovery_is_neither_held_nor_opened_by_a_rule_that_holds_everything(world: Refusing) -> None:
    token = world.token(sub="agent-1")
    with world.client(token) as client:
        assert client.get("/apis").status_code == 200
        assert client.get("/api/v1/pods").status_code == 429


@pytest.mark.threat("T39")
@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        ("GET", "/api/v1/pods", {"authorization": "Bearer x"}, 401),
        ("GET", "/api/v1/pods", {"authorization": "Basic eDp5"}, 401),
        ("GET", "/api/v1/pods?access_token=x", {}, 400),
        ("GET", "/api/v1/pods/%2e%2e/secrets", {}, 400),
        ("OPTIONS", "/api/v1/pods", {}, 405),
        ("GET", "/api/v1/pods?a=1#b", {"x-http-method": "PUT"}, 400),
        ("GET", "/api/v1/pods", {"accept": "application/cbor"}, 406),
        ("POST", CONFIG_MAPS, {"content-type": "application/cbor"}, 415),
        ("GET", "/api/v1/namespaces/default/secrets/hidden", {}, 403),
        ("GET", "/api/v1/pods", {"x-http-method-override": "DELETE"}, 400),
    ],
)
def test_every_refusal_is_a_status(world: Refusing, method: str, path: str, headers: dict[str, str], code: int) -> None:
    with world.client() as client:
        answer = client.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)
    said = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (code, "application/json")
    assert (said["kind"], said["apiVersion"], said["status"], said["code"]) == ("Status", "v1", "Failure", code)
    assert said["details"]["causes"][0]["message"] in said["message"]


def test_refusal_of_a_head_request_has_no_body(world: Refusing) -> None:
    with world.client() as client:
        answer = client.head("/api/v1/namespaces/default/secrets/hidden")
    assert (answer.status_code, answer.content) == (403, b"")


def test_manifest_over_the_limit_is_too_large(world: Refusing) -> None:
    with world.client() as client:
        answer = client.post(CONFIG_MAPS, content=b'{"a":"' + b"x" * (9 << 20) + b'"}')
    assert (answer.status_code, answer.json()["reason"]) == (413, "RequestEntityTooLarge")


def test_cluster_is_asked_for_json_and_gets_no_word_of_the_caller(world: Refusing, program: str) -> None:
    assert world.kubectl("get", "nodes", program=program).status == 0
    seen = world.cluster.seen("GET", "/api/v1/nodes")[-1]
    accepted = seen.header("accept")
    assert accepted.startswith("application/json;as=Table;v=v1;g=meta.k8s.io")
    assert "protobuf" not in accepted
