"""What streams from a cluster: masked as it comes, ended with a reason."""

import asyncio
import base64
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from tests.fakes.kube_world import ALL, KubeWorld

from holdpoint.masking.marks import MASKED

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.threat("T43"),
    pytest.mark.threat("T44"),
    pytest.mark.failure("F-stream-over"),
]

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


class Multiplexed:
    """Many watches on one HTTP/2 connection. Clients of httpx starve each other when many wait at once."""

    def __init__(self, world: KubeWorld) -> None:
        self._world = world
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.text: dict[int, str] = {}
        self.ended: set[int] = set()

    async def __aenter__(self) -> "Multiplexed":
        trust = ssl.create_default_context(cafile=self._world.certificate)
        trust.set_alpn_protocols(["h2"])
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._world.reverse, ssl=trust)
        self._http.initiate_connection()
        self._http.increment_flow_control_window(1 << 24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def watch(self) -> None:
        stream = self._http.get_next_available_stream_id()
        head = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", f"127.0.0.1:{self._world.reverse}"),
            (":path", f"/k8s/cluster{SECRETS}?watch=1"),
            ("authorization", f"Bearer {self._world.token()}"),
        ]
        self._http.send_headers(stream, head, end_stream=True)
        self.text[stream] = ""

    async def until(self, test: Callable[[], bool]) -> None:
        async with asyncio.timeout(40):
            while not test():
                self._writer.write(self._http.data_to_send())
                for event in self._http.receive_data(await self._reader.read(65536)):
                    match event:
                        case h2.events.DataReceived(stream_id=int(stream), data=data, flow_controlled_length=size):
                            self.text[stream] += (data or b"").decode()
                            self._http.acknowledge_received_data(size or 0, stream)
                        case h2.events.StreamEnded(stream_id=int(stream)):
                            self.ended.add(stream)
                        case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                            pytest.fail(str(event))
                        case _:
                            pass

    def count(self, name: str) -> int:
        return sum(name in text for text in self.text.values())


async def test_hundred_watches_share_one_connection_and_one_ends_alone(world: KubeWorld) -> None:
    async with Multiplexed(world) as many:
        for _ in range(100):
            many.watch()
        await many.until(lambda: many.count('"db"') == 100)
        world.cluster.put(secret("to-all"))
        await many.until(lambda: many.count('"to-all"') == 100)
        streams = (await world.admin().call("streams.list", {}))["streams"]
        assert len(streams) == 100
        assert {s["verb"] for s in streams} == {"watch"}
        await world.admin().call("streams.end", {"id": streams[7]["exchange"], "reason": "enough"})
        await many.until(lambda: len(many.ended) == 1)
        last = json.loads(many.text[many.ended.copy().pop()].splitlines()[-1])
        assert (last["type"], last["object"]["code"]) == ("ERROR", 403)
        assert "an operator ended this stream: enough" in last["object"]["message"]
        world.cluster.put(secret("to-the-others"))
        await many.until(lambda: many.count('"to-the-others"') == 99)
        world.cluster.end_watches()
        await many.until(lambda: len(many.ended) == 100)
        assert CODED not in "".join(many.text.values())


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


def test_followed_log_is_masked_and_ends_with_a_reason(world: KubeWorld) -> None:
    world.cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": {"containers": [POD]}})
    world.cluster.log("default", "app", "started", "key -----BEGIN PRIVATE KEY-----MII-----END PRIVATE KEY-----")
    token = world.token(exp=int(time.time()) + 4)
    with world.client(token) as client:
        answer = client.get("api/v1/namespaces/default/pods/app/log", params={"follow": "true"})
    lines = answer.text.splitlines()
    assert f"key {MASKED}" in lines
    assert "MII" not in answer.text
    assert lines[-1].startswith("error: the gateway ended this log: the token expired while this stream was open")


POD = {"name": "main", "image": "busybox"}


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
