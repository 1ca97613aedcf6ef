"""The Python client of Kubernetes through the gateway: typed calls, watches, programs, logs, patches, apply."""

import contextlib
import gc
import json
import threading
from collections.abc import Iterator

import pytest
from kubernetes import client, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream
from tests.fakes.kube_world import ALL, KubeWorld

pytestmark = [
    pytest.mark.e2e,
    # The client leaves connections of streams to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

RULES = (
    ALL
    + """\
  - name: not-these
    effect: deny
    match: {verbs: [delete, exec], resources: [pods], namespaces: [closed]}
    reason: nothing is done in closed
  - name: masked
    effect: mask
    match: {verbs: [get, list, watch], resources: [secrets]}
    mask: [kubernetes-secrets]
"""
)
PASSWORD = "c3dvcmRmaXNoLTAwMDE="
"""`swordfish-0001`, as a Secret holds it."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with KubeWorld(tmp_path_factory.mktemp("python"), rules=RULES) as world:
        for namespace in ("shop", "closed"):
            pod = {
                "metadata": {"name": "one"},
                "spec": {"containers": [{"name": "main", "image": "registry.local/a:1"}]},
            }
            world.cluster.put({"apiVersion": "v1", "kind": "Pod", **pod}, namespace)
            secret = {"metadata": {"name": "db"}, "data": {"password": PASSWORD}}
            world.cluster.put({"apiVersion": "v1", "kind": "Secret", **secret}, namespace)
        world.write_settings(**{"masks/personal-data.yaml": "masks/kubernetes-secrets.yaml"})
        world.start()
        yield world


@contextlib.contextmanager
def connect(world: KubeWorld) -> Iterator[client.ApiClient]:
    configuration = client.Configuration(host=world.url)
    configuration.ssl_ca_cert = str(world.certificate)
    configuration.api_key = {"authorization": f"Bearer {world.token()}"}
    with client.ApiClient(configuration) as api:
        yield api
        api.rest_client.pool_manager.clear()  # it keeps its connections otherwise


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect here what would otherwise be an error of a test that comes later."""
    yield
    gc.collect()


@pytest.fixture
def api(world: KubeWorld) -> Iterator[client.ApiClient]:
    with connect(world) as api:
        yield api


def test_typed_calls_create_read_patch_and_delete(world: KubeWorld, api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    made = core.create_namespaced_config_map("shop", {"metadata": {"name": "typed"}, "data": {"a": "b"}})
    assert made.metadata.uid
    assert core.patch_namespaced_config_map("typed", "shop", {"data": {"c": "d"}}).data == {"a": "b", "c": "d"}
    assert [m.metadata.name for m in core.list_namespaced_config_map("shop", label_selector="!x").items] == [
        "kube-root-ca.crt",
        "typed",
    ]
    core.delete_namespaced_config_map("typed", "shop")
    with pytest.raises(ApiException) as gone:
        core.read_namespaced_config_map("typed", "shop")
    assert gone.value.status == 404
    assert json.loads(gone.value.body)["reason"] == "NotFound"
    assert {r.user.name for r in world.cluster.seen(path="/configmaps") if r.user} == {"gateway"}


def test_a_secret_is_masked_in_get_and_list(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    assert core.read_namespaced_secret("db", "shop").data["password"] != PASSWORD
    assert PASSWORD not in str(core.list_secret_for_all_namespaces())


def test_a_denial_is_an_exception_with_the_status_of_the_api(world: KubeWorld, api: client.ApiClient) -> None:
    with pytest.raises(ApiException) as denied:
        client.CoreV1Api(api).delete_namespaced_pod("one", "closed")
    assert (denied.value.status, denied.value.reason) == (403, "Forbidden")
    status = json.loads(denied.value.body)
    assert (status["kind"], status["reason"]) == ("Status", "Forbidden")
    assert "nothing is done in closed" in status["message"]
    assert world.cluster.seen("DELETE", "/closed/") == []


def test_a_watch_gives_events_as_they_happen(world: KubeWorld, api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    watching, seen = watch.Watch(), []
    for event in watching.stream(core.list_namespaced_config_map, "closed", timeout_seconds=20):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 1:  # the first is there when the watch stands
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}}
            threading.Thread(target=world.cluster.put, args=(body, "closed")).start()
        else:
            watching.stop()
    assert seen == [("ADDED", "kube-root-ca.crt"), ("ADDED", "new")]


def test_a_program_gives_output_and_takes_input(world: KubeWorld) -> None:
    with connect(world) as api:
        core = client.CoreV1Api(api)
        said = stream(
            core.connect_get_namespaced_pod_exec,
            "one",
            "shop",
            command=["sh", "-c", "read a; echo got $a; echo oops >&2; exit 5"],
            stdin=True,
            stdout=True,
            stderr=True,
            tty=False,
            _preload_content=False,
        )
        said.write_stdin("word\n")
        said.run_forever(timeout=20)
        assert (said.read_stdout(), said.read_stderr(), said.returncode) == ("got word\n", "oops\n", 5)
        said.close()
    assert world.cluster.api.terminals.ran[-1].road.endswith(".channel.k8s.io")


def test_a_program_in_a_closed_namespace_never_starts(world: KubeWorld) -> None:
    before = len(world.cluster.api.terminals.ran)
    with connect(world) as api, pytest.raises(ApiException) as denied:
        stream(client.CoreV1Api(api).connect_get_namespaced_pod_exec, "one", "closed", command=["true"], stdout=True)
    assert "403" in str(denied.value)
    assert len(world.cluster.api.terminals.ran) == before


def test_a_log_is_read_and_followed(world: KubeWorld, api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    assert core.read_namespaced_pod_log("one", "shop") == "started\n"
    lines = watch.Watch().stream(core.read_namespaced_pod_log, "one", "shop")
    assert next(lines) == "started"
    world.cluster.log("shop", "one", "a line that came later")
    assert next(lines) == "a line that came later"
    lines.close()


def test_the_dynamic_client_discovers_and_applies(api: client.ApiClient) -> None:
    found = dynamic.DynamicClient(api)
    things = found.resources.get(api_version="shop.example.org/v1", kind="Thing")
    body = {"apiVersion": "shop.example.org/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"size": 1}}
    applied = things.server_side_apply(body=body, name="t", namespace="shop", field_manager="tests")
    assert applied.spec.size == 1
    assert [t.metadata.name for t in things.get(namespace="shop").items] == ["t"]
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "registry.local/c:1"}]},
    }
    manifest |= {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}  # type: ignore[dict-item]
    utils.create_from_dict(api, manifest)
    apps = client.AppsV1Api(api)
    assert apps.patch_namespaced_deployment_scale("web", "shop", {"spec": {"replicas": 2}}).spec.replicas == 2
    assert apps.read_namespaced_deployment("web", "shop").status.ready_replicas == 2
