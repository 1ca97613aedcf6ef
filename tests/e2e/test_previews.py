"""What a reviewer sees before a request to a cluster passes, and what becomes of it where the object changes."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.fakes.kube_kinds import kind_of
from tests.fakes.preview_world import PREVIEWER, WEB, PreviewWorld, hanging, lines

pytestmark = pytest.mark.e2e


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreviewWorld]:
    with PreviewWorld(tmp_path_factory.mktemp("world")) as world:
        world.start()
        yield world


def sent(world: PreviewWorld, method: str) -> list[dict[str, Any]]:
    """Bodies of the requests that went out under the gateway's own credential."""
    return [json.loads(r.body) for r in world.writes("gateway") if r.method == method]


@pytest.mark.threat("T68")
def test_scale_is_shown_before_it_happens_and_passes_unchanged(world: PreviewWorld):
    kubectl = world.run("scale", "deployment", "web", "--replicas=5")
    held = world.previewed()
    assert lines(held) == ["spec.replicas: 2 -> 5"]
    text = hanging(held)
    for part in (
        "replicas: 2 now (2 ready), then 5",
        "1 ReplicaSets: web-",
        "2 Pods: web-",
        "PodDisruptionBudget web-budget: 0 disruptions allowed now (2 healthy, 2 wanted)",
        "Service front (ClusterIP) leads to its pods",
        "HorizontalPodAutoscaler web sets its replicas, 1 to 4",
    ):
        assert part in text
    assert world.live("apps", "deployments", "web")["spec"]["replicas"] == 2
    version = world.live("apps", "deployments", "web")["metadata"]["resourceVersion"]
    world.decide(held)
    assert kubectl.wait() == 0
    assert world.live("apps", "deployments", "web")["spec"]["replicas"] == 5
    assert sent(world, "PATCH") == [{"spec": {"replicas": 5}, "metadata": {"resourceVersion": version}}]
    writes = world.writes(PREVIEWER)
    assert len(writes) == 2  # for the reviewer, and right before it was sent
    assert all(r.target.count("dryRun=All") == 1 for r in writes)
    asked = [e["detail"] for e in world.audited() if e["stage"] == "Previewed"]
    assert len(asked) == len(world.by(PREVIEWER))
    assert [d["why"] for d in asked][-2:] == ["drift", "drift"]


@pytest.mark.threat("T69")
def test_approval_is_void_once_the_object_changed_and_can_be_asked_again(world: PreviewWorld):
    patch = ("patch", "deployment", "web", "-p", json.dumps({"spec": {"replicas": 5}}))
    kubectl = world.run(*patch)
    held = world.previewed()
    world.change("apps", "deployments", "web", replicas=3)
    world.decide(held)
    assert kubectl.wait() == 1
    assert "(Conflict): holdpoint: the object changed since this was approved; ask again" in kubectl.output
    assert sent(world, "PATCH") == []
    assert world.live("apps", "deployments", "web")["spec"]["replicas"] == 3
    again = world.run(*patch)
    held = world.previewed()
    assert lines(held) == ["spec.replicas: 3 -> 5"]
    world.decide(held)
    assert again.wait() == 0
    assert world.live("apps", "deployments", "web")["spec"]["replicas"] == 5


def test_client_that_tries_again_on_a_conflict_is_held_again_with_a_new_preview(world: PreviewWorld):
    kubectl = world.run("scale", "deployment", "web", "--replicas=5")
    first = world.previewed()
    world.change("apps", "deployments", "web", replicas=3)
    world.decide(first)
    held = world.until(lambda r: r["id"] != first["id"] and r["dry_run"]["state"] == "ready")
    assert lines(held) == ["spec.replicas: 3 -> 5"]
    world.decide(held)
    assert kubectl.wait() == 0


@pytest.mark.threat("T69")
def test_another_object_of_the_same_name_is_not_deleted(world: PreviewWorld):
    kubectl = world.run("delete", "deployment", "web", "--wait=false")
    held = world.previewed()
    shown = held["dry_run"]["shown"]
    assert shown["object"]["spec"]["replicas"] == 2
    deployments = kind_of("apps", "deployments")
    world.cluster.store.delete(deployments, "shop", "web")
    world.cluster.put(WEB, "shop")
    world.decide(held)
    assert kubectl.wait() == 1
    assert "the object changed since this was approved" in kubectl.output
    assert world.live("apps", "deployments", "web")["spec"]["replicas"] == 2
    again = world.run("delete", "deployment", "web", "--wait=false")
    held = world.previewed()
    live = world.live("apps", "deployments", "web")["metadata"]
    world.decide(held)
    assert again.wait() == 0
    assert sent(world, "DELETE")[-1]["preconditions"] == {
        "uid": live["uid"],
        "resourceVersion": live["resourceVersion"],
    }


@pytest.mark.threat("T71")
def test_change_of_a_secret_shows_and_no_value_of_it_is_kept(world: PreviewWorld):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"a": "b2xkLWh1bnRlcg=="}}
    world.cluster.put(secret, "shop")
    patch = {"data": {"a": "bmV3LWh1bnRlcg==", "b": "YW5vdGhlci1odW50ZXI="}}
    # Not by kubectl, which reads the object first, and denied: what its caller is shown is recorded as policy says.
    with ThreadPoolExecutor() as threads, world.client() as client:
        sort = {"content-type": "application/merge-patch+json"}
        path = "/api/v1/namespaces/shop/secrets/db"
        asked = threads.submit(client.patch, path, json=patch, headers=sort, timeout=60)
        check_secret(world)
        assert asked.result().status_code == 403
    assert world.gateway is not None
    world.gateway.stop()
    assert [text for text in (b"old-hunter", b"b2xkLWh1bnRlcg") if text in world.kept()] == []


def check_secret(world: PreviewWorld) -> None:
    held = world.previewed()
    diff = {one["path"]: one for one in held["dry_run"]["shown"]["diff"]}
    assert diff.keys() == {"data.a", "data.b"}
    assert diff["data.a"]["before"] != diff["data.a"]["after"]
    assert all("[sealed:" in str(one.get("after")) for one in diff.values())
    world.decide(held, "deny")


def test_one_variable_of_one_container_is_one_line(world: PreviewWorld):
    kubectl = world.run("set", "env", "deployment/web", "-c", "main", "MODE=wild")
    held = world.previewed()
    path = "spec.template.spec.containers[name=main].env[name=MODE].value"
    assert lines(held) == [f'{path}: "calm" -> "wild"']
    world.decide(held, "deny")
    assert kubectl.wait() == 1


def test_what_the_api_server_would_refuse_is_shown_in_its_own_words_and_made_again(world: PreviewWorld):
    patch = json.dumps([{"op": "remove", "path": "/data/none"}])
    world.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}, "shop")
    kubectl = world.run("patch", "configmap", "c", "--type=json", "-p", patch)
    held = world.previewed("failed")
    assert "the API server refuses this: 422 Invalid" in held["dry_run"]["why"]
    assert "Unable to remove nonexistent key" in held["dry_run"]["shown"]["error"]
    config_maps = kind_of("", "configmaps")
    world.cluster.store.update(config_maps, "shop", "c", lambda old: {**old, "data": {"a": "b", "none": "x"}})
    asked = {"id": held["id"], "id_token": world.id_token()}
    assert world.admin().call_sync("approvals.preview_again", asked)["dry_run"]["state"] == "pending"
    held = world.previewed()
    assert lines(held) == ['data.none: "x" -> null']
    world.decide(held)
    assert kubectl.wait() == 0
    assert [b[0]["op"] for b in sent(world, "PATCH")] == ["test"]


def test_command_is_shown_with_what_it_reaches_and_void_once_the_pod_is_another(world: PreviewWorld):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "labels": {"app": "one"}}}
    spec = {"containers": [{"name": "main", "image": "registry.local/one:1"}]}
    world.cluster.put({**pod, "spec": spec}, "shop")
    kubectl = world.run("exec", "one", "--", "id")
    held = world.previewed()
    assert "container main: image registry.local/one:1" in hanging(held)
    assert "labels: app=one" in hanging(held)
    world.cluster.store.delete(kind_of("", "pods"), "shop", "one")
    world.cluster.put({**pod, "spec": spec}, "shop")
    world.decide(held)
    # kubectl tries the same over SPDY, and is held anew: for the pod that is there now.
    again = world.until(lambda r: r["id"] != held["id"] and r["dry_run"]["state"] == "ready")
    world.decide(again, "deny")
    assert kubectl.wait() != 0
    refused = [e["detail"]["refusal"]["public"] for e in world.audited() if e["stage"] == "Refused"]
    assert refused[0] == "the object changed since this was approved; ask again"
    assert not [r for r in world.by("gateway") if r.path.endswith("/exec")]


@pytest.mark.threat("T68")
def test_delete_of_many_says_how_many_and_which_and_is_void_once_there_are_others(world: PreviewWorld):
    def put(name: str) -> None:
        meta = {"name": name, "labels": {"a": "b"}}
        world.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}, "shop")

    for name in ("one", "two"):
        put(name)
    with ThreadPoolExecutor() as threads, world.client() as client:
        path = "/api/v1/namespaces/shop/configmaps?labelSelector=a%3Db"
        asked = threads.submit(client.delete, path, timeout=60)
        held = world.previewed()
        put("three")
        world.decide(held)
        assert asked.result().status_code == 409
    counts = held["dry_run"]["shown"]["counts"]
    assert counts == {"matched": 2, "more": False, "names": ["shop/one", "shop/two"]}
    assert world.live("", "configmaps", "one")
    assert world.writes(PREVIEWER) == []


def test_target_without_the_credential_says_that_nothing_was_tried(tmp_path_factory: pytest.TempPathFactory):
    with PreviewWorld(tmp_path_factory.mktemp("plain"), target_lines="") as world:
        world.start()
        kubectl = world.run("delete", "deployment", "web", "--wait=false")
        held = world.previewed("none")
        assert "the target has no `preview` credential" in held["dry_run"]["why"]
        world.decide(held)
        assert kubectl.wait() == 0
        assert world.by(PREVIEWER) == []
