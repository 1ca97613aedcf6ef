"""What streams from a cluster: masked as it comes, ended with a reason."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.fakes.kube_world import ALL, KubeWorld

from holdpoint.masking.marks import MASKED

PLAIN = "S3cr3t-pa55word-1"
MARK = base64.b64encode(MASKED.encode()).decode()
CODED = base64.b64encode(PLAIN.encode()).decode()
MASKING = ALL.replace("\n    match:\n", "\n    mask: [kubernetes-secrets]\n    match:\n")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    with KubeWorld(tmp_path_factory.mktemp("streams"), rules=MASKING) as made:
        made.write_settings(**{"masks/personal-data.yaml": "masks/kubernetes-secrets.yaml"})
        made.start()
        made.cluster.put(secret("db"))
        yield made


def secret(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"password": CODED}}


def told(world: KubeWorld, method: str, params: dict[str, Any]) -> Any:
    return asyncio.run(world.admin().call(method, params))


SECRETS = "/api/v1/namespaces/default/secrets"


class Watching:
    """A watch that is read in the background."""

    def __init__(self, client: httpx.Client, path: str = SECRETS, **params: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self._began = threading.Event()
        self._come = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(client, path, {"watch": "1", **params}), daemon=True)
        self._thread.start()
        assert self._began.wait(20)

    def _read(self, client: httpx.Client, path: str, params: dict[str, str]) -> None:
        try:
            with client.stream("GET", path.lstrip("/"), params=params, timeout=60) as answer:
                self.status = answer.status_code
                self._began.set()
                for line in answer.iter_lines():
                    with self._come:
                        self.events.append(json.loads(line))
                        self._come.notify_all()
        except httpx.HTTPError as error:
            self.error = error
        self._began.set()

    def until(self, test: Callable[[list[dict[str, Any]]], bool]) -> None:
        with self._come:
            assert self._come.wait_for(lambda: test(self.events), 20), self.events

    def ended(self) -> dict[str, Any]:
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.error is None
        return self.events[-1]


def test_watch_shows_each_event_at_once_and_masked(world: KubeWorld) -> None:
    with world.client() as client:
        watching = Watching(client)
        world.cluster.put(secret("later"))
        watching.until(lambda seen: any(e["object"]["metadata"]["name"] == "later" for e in seen))
        assert all(e["object"]["data"] == {"password": MARK} for e in watching.events)
        world.cluster.end_watches()
        watching.ended()


def test_list_and_table_and_one_object_are_masked(world: KubeWorld) -> None:
    with world.client() as client:
        for path, headers in (
            (SECRETS, {}),
            (SECRETS, {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}),
            (SECRETS + "?includeObject=Object", {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}),
            (SECRETS + "/db", {}),
        ):
            answer = client.get(path.lstrip("/"), headers=headers)
            assert answer.status_code == 200, answer.text
            assert CODED not in answer.text
            assert "db" in answer.text


def test_secret_that_is_created_is_in_no_record_in_clear(world: KubeWorld) -> None:
    value = "never-to-be-written-down"
    made = world.kubectl("create", "secret", "generic", "fresh", f"--from-literal=password={value}")
    assert made.status == 0, made.text
    kept = b"".join(f.read_bytes() for f in (world.var / "recordings").rglob("*") if f.is_file())
    assert b"fresh" in kept
    assert value.encode() not in kept
    assert base64.b64encode(value.encode()) not in kept
    assert value not in world.gateway.output if world.gateway else False


def test_masked_value_is_not_written_back(world: KubeWorld) -> None:
    shown = world.kubectl("get", "secret", "db", "-o", "yaml")
    assert MARK in shown.out
    written = world.kubectl("apply", "-f", "-", stdin=shown.out.replace("name: db", "name: db\n  labels: {a: b}"))
    assert written.status != 0
    assert "masked value" in written.err, written.text
    labelled = world.kubectl("label", "secret", "db", "a=b", "--overwrite")
    assert labelled.status == 0, labelled.text


def test_hundred_watches_share_one_connection_and_one_ends_alone(world: KubeWorld) -> None:
    with world.client() as client:
        many = [Watching(client) for _ in range(100)]
        world.cluster.put(secret("to-all"))
        for one in many:
            one.until(lambda seen: any(e["object"]["metadata"]["name"] == "to-all" for e in seen))
        streams = told(world, "streams.list", {})["streams"]
        assert len(streams) >= 100
        told(world, "streams.end", {"id": streams[-1]["exchange"], "reason": "enough"})
        world.cluster.put(secret("to-the-others"))
        said = [e for one in many for e in one.events if e["type"] == "ERROR"]
        deadline = time.monotonic() + 20
        while not said and time.monotonic() < deadline:
            said = [e for one in many for e in one.events if e["type"] == "ERROR"]
        assert [e["object"]["code"] for e in said] == [403]
        for one in [m for m in many if not any(e["type"] == "ERROR" for e in m.events)]:
            one.until(lambda seen: any(e["object"]["metadata"].get("name") == "to-the-others" for e in seen))
        world.cluster.end_watches()


def test_watch_ends_with_its_token(world: KubeWorld) -> None:
    token = world.token(exp=int(time.time()) + 4)
    with world.client(token) as client:
        last = Watching(client).ended()
    assert last["type"] == "ERROR"
    assert (last["object"]["code"], last["object"]["reason"]) == (401, "Unauthorized")


def test_watch_ends_where_policy_no_longer_lets_it(world: KubeWorld) -> None:
    with world.client() as client:
        watching = Watching(client)
        world.write_policy(MASKING.replace("list, watch,", "list,"))
        told(world, "policy.reload", {})
        last = watching.ended()
        assert (last["type"], last["object"]["code"]) == ("ERROR", 410)
        world.write_policy(MASKING)
        told(world, "policy.reload", {})


def test_large_list_streams(world: KubeWorld) -> None:
    filler = "x" * 20_000
    for n in range(100):
        world.cluster.put(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"large-{n}"},
                "data": {"filler": filler, "key": "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----"},
            }
        )
    with world.client() as client:
        answer = client.get("api/v1/namespaces/default/configmaps")
    found = [i for i in answer.json()["items"] if i["metadata"]["name"].startswith("large-")]
    assert len(found) == 100
    assert all(i["data"] == {"filler": filler, "key": MASKED} for i in found)
