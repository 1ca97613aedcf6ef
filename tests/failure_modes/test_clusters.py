"""API servers that break off, refuse the gateway or send much, and a gateway that comes back: kubectl is told."""

import json
import re
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.fakes.kube_identity import GATEWAY_TOKEN
from tests.fakes.kube_server_http import Break, BrokenOff, Request, Response
from tests.fakes.kube_world import ALL, KubeWorld
from tests.fakes.processes import Program

pytestmark = pytest.mark.e2e

BIG = 10_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with KubeWorld(
        tmp_path_factory.mktemp("clusters"), rules=ALL, target_lines="    limits: {request: 32MiB}"
    ) as world:
        world.start()
        yield world


def still_serves(world: KubeWorld) -> None:
    ran = world.kubectl("get", "namespaces", "-o", "name")
    assert (ran.status, "namespace/default" in ran.out) == (0, True), ran.text


def watched(world: KubeWorld, name: str) -> Program:
    """A watch of all ConfigMaps that has shown one of this name."""
    world.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
    watching = world.spawn("get", "configmaps", "--watch-only=false", "--watch", "-o", "name")
    watching.wait_for(f"configmap/{name}")
    until = time.monotonic() + 20
    while world.cluster.watches == 0 and time.monotonic() < until:
        time.sleep(0.01)  # the list is shown before the watch is asked for
    assert world.cluster.watches > 0
    return watching


@pytest.mark.failure("F-cluster-cut")
@pytest.mark.parametrize("how", [None, *Break], ids=lambda how: how.name.lower() if how else "well")
def test_a_watch_that_the_cluster_breaks_off_ends_for_the_client(world: KubeWorld, how: Break | None) -> None:
    watching = watched(world, f"cut-{how.name.lower() if how else 'well'}")
    world.cluster.end_watches(how)
    assert watching.wait(timeout=30) in {0, 1}
    assert world.cluster.watches == 0
    still_serves(world)


@pytest.mark.failure("F-cluster-cut")
@pytest.mark.parametrize("how", list(Break), ids=lambda how: how.name.lower())
def test_requests_go_on_after_the_cluster_ended_the_connection(world: KubeWorld, how: Break) -> None:
    with world.client() as http:
        path = "/api/v1/namespaces"
        assert http.get(path).status_code == 200
        world.cluster.break_off(how)
        answers = [http.get(path) for _ in range(5)]
    for answer in answers:
        assert answer.status_code in {200, 502}
        assert answer.json()["kind"] in {"NamespaceList", "Status"}
    assert answers[-1].status_code == 200


@pytest.mark.failure("F-cluster-cut")
def test_a_list_that_breaks_off_is_an_error_and_not_a_short_list(world: KubeWorld) -> None:
    def torn(_: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"a"}},'
            raise BrokenOff(Break.RESET)

        return Response(200, body(), [("content-type", "application/json")])

    path = "/api/v1/namespaces/default/configmaps"
    world.cluster.faults.answers[path] = torn
    try:
        ran = world.kubectl("get", "configmaps", "-o", "name")
    finally:
        del world.cluster.faults.answers[path]
    assert ran.status == 1, ran.text
    assert "configmap/" not in ran.out
    still_serves(world)


@pytest.mark.failure("F-cluster-refuses")
def test_a_cluster_that_refuses_the_gateway_does_not_send_the_caller_to_its_login(world: KubeWorld) -> None:
    still_serves(world)  # kubectl knows the API's groups by now: of an error while it asks for those it shows no words
    world.cluster.faults.refused_tokens.add(GATEWAY_TOKEN)
    try:
        ran = world.kubectl("get", "pods")
    finally:
        world.cluster.faults.refused_tokens.clear()
    assert ran.status == 1
    assert "must be logged in" not in ran.err
    assert "holdpoint" in ran.err
    still_serves(world)


@pytest.mark.failure("F-cluster-slow")
def test_a_slow_cluster_keeps_nobody_else_waiting(world: KubeWorld) -> None:
    world.cluster.faults.delay = 5.0
    slow = world.spawn("get", "pods", "--all-namespaces")
    until = time.monotonic() + 20
    while not re.search(r"server connect", world.gateway.output if world.gateway else "") and time.monotonic() < until:
        time.sleep(0.01)
    world.cluster.faults.delay = 0.0
    still_serves(world)
    slow.stop()


def test_a_manifest_of_ten_megabytes_passes_as_it_is(world: KubeWorld) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"a": "x" * BIG}}
    ran = world.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    assert (ran.out, ran.status) == ("configmap/big created\n", 0), ran.err[:500]
    [sent] = [r for r in world.cluster.seen("POST", "/configmaps") if len(r.body) > BIG]
    assert json.loads(sent.body)["data"] == manifest["data"]
    read = world.kubectl("get", "configmap", "big", "-o", "jsonpath={.data.a}")
    assert len(read.out) == BIG
    assert world.kubectl("delete", "configmap", "big").status == 0


def test_a_manifest_over_the_limit_is_refused_in_words(world: KubeWorld) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vast"}, "data": {"a": "x" * (33 << 20)}}
    before = len(world.cluster.seen("POST", "/configmaps"))
    ran = world.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    assert ran.status == 1
    assert "RequestEntityTooLarge" in ran.err
    assert len(world.cluster.seen("POST", "/configmaps")) == before


@pytest.mark.failure("F-cluster-restart")
def test_a_session_goes_on_after_the_gateway_was_restarted(world: KubeWorld) -> None:
    watching = watched(world, "restarted")
    assert world.gateway is not None
    world.gateway.stop()
    assert watching.wait(timeout=30) in {0, 1}
    down = world.kubectl("get", "pods")
    assert down.status == 1
    assert "refused" in down.err
    world.start()
    still_serves(world)
