"""A principal is suspended: what is open, held or under way at a cluster ends, and kubectl says why."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.fakes.kube_world import ALL, KubeWorld, find_kubectl
from tests.fakes.pod_world import Client, PodWorld
from tests.fakes.processes import Program
from tests.fakes.wire import Wire

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T86")]

ALICE = "alice@corp.example"
REASON = "laptop stolen, ask the security desk"
WORDS = f"access is suspended: {REASON}"
HELD = """\
  - name: deletes-are-held
    effect: hold
    match: {verbs: [delete], resources: [configmaps]}
    approval: {reviewers: ["group:reviewers"], timeout: 10m}
"""
PODS = "/api/v1/namespaces/default/configmaps"


def ask(world: Any, method: str, **params: Any) -> Any:
    return world.admin().call_sync(method, params)


def suspend(world: Any, who: str = "u-alice") -> dict[str, int]:
    return ask(world, "principals.suspend", who=who, reason=REASON)["ended"]


def until(world: Any, test: Callable[[], object]) -> None:
    """Ask again until it is so, for twenty seconds at most."""
    deadline = time.monotonic() + 20
    while not test():
        assert time.monotonic() < deadline, world.gateway.output


def resume(world: Any) -> None:
    for one in ask(world, "principals.list")["suspensions"]:
        ask(world, "principals.resume", who=one["who"])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with KubeWorld(tmp_path_factory.mktemp("suspended"), rules=HELD + ALL) as made:
        made.start()
        made.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "here"}})
        yield made


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodWorld]:
    with PodWorld(tmp_path_factory.mktemp("pods")) as made:
        made.start()
        yield made


def test_kubectl_shows_the_reason_and_works_again_once_resumed(cluster: KubeWorld) -> None:
    assert cluster.kubectl("get", "configmaps").status == 0
    suspend(cluster)
    refused = cluster.kubectl("get", "configmaps")
    assert refused.status == 1
    assert WORDS in refused.err
    assert "Forbidden" in refused.err
    resume(cluster)
    again = cluster.kubectl("get", "configmaps")
    assert again.status == 0, again.text


def test_watch_of_kubectl_ends_with_the_reason(cluster: KubeWorld) -> None:
    watching = cluster.spawn("get", "configmaps", "--watch")
    watching.wait_for("here")
    until(cluster, lambda: ask(cluster, "streams.list")["streams"])
    assert suspend(cluster)["streams"] == 1
    watching.wait_for(WORDS, timeout=20)
    watching.stop()
    resume(cluster)


def test_held_delete_of_kubectl_is_told_why(cluster: KubeWorld) -> None:
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(cluster.kubectl, "delete", "configmap", "here")
        params = {"id_token": cluster.id_token(), "state": ["pending"]}
        until(cluster, lambda: ask(cluster, "approvals.list", **params)["requests"])
        assert suspend(cluster)["held"] == 1
        done = ran.result(30)
    assert done.status == 1
    assert WORDS in done.err, done.text
    resume(cluster)
    assert cluster.cluster.seen("DELETE") == []


def test_request_that_the_api_server_answers_slowly_is_cut_off(cluster: KubeWorld) -> None:
    cluster.cluster.faults.delay = 20
    try:
        with ThreadPoolExecutor(1) as pool, cluster.client() as client:
            answer = pool.submit(client.get, f"{PODS.lstrip('/')}/here")
            until(cluster, lambda: ask(cluster, "principals.match", who="u-alice")["alive"]["requests"])
            assert suspend(cluster)["requests"] == 1
            said = answer.result(10)
    finally:
        cluster.cluster.faults.delay = 0
    assert said.status_code == 403
    assert said.json()["kind"] == "Status"
    assert WORDS in said.json()["message"]
    resume(cluster)


@pytest.mark.parametrize("is_spdy", [False, True], ids=["websocket", "spdy"])
def test_terminal_ends_with_the_reason_as_its_status(pods: PodWorld, is_spdy: bool) -> None:
    path = pods.path("exec", "default", "cat", stdin=True)
    head = pods.spdy(path) if is_spdy else pods.websocket(path)
    streams = ("error", "stdin", "stdout", "stderr") if is_spdy else ()
    with Wire(pods.reverse, timeout=30) as wire:
        client = Client(wire, is_spdy).begin(head, streams=streams)
        client.say("stdin", b"ready\n")
        client.until(lambda: client.text("stdout") == "ready\n")
        assert suspend(pods)["streams"] == 1
        client.rest()
    assert WORDS in client.text("stderr")
    status = json.loads(client.text("error"))
    assert (status["status"], WORDS in status["message"]) == ("Failure", True)
    resume(pods)


def test_kubectl_exec_says_why_it_ended(pods: PodWorld) -> None:
    kubectl, env = find_kubectl(), {**pods.outside(), "KUBECONFIG": str(pods.kubeconfig())}
    assert shutil.which(kubectl)
    running = Program([kubectl, "exec", "web", "--", "sh", "-c", "echo started; sleep 60"], env=env)
    running.wait_for("started")
    suspend(pods)
    running.wait_for(WORDS, timeout=20)
    assert running.wait(timeout=20) != 0
    refused = subprocess.run(
        [kubectl, "exec", "web", "--", "true"], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert WORDS in refused.stderr
    resume(pods)
