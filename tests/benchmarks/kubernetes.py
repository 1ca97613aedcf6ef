"""What the road to Kubernetes costs beside a bare mitmdump that streams: lists, watches, programs, logs, memory.

The API server is the one of the tests, kubectl a real one. Both proxies stand in front of the same server, in turn.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from ssl import create_default_context

import httpx
from tests.benchmarks.figures import Budget
from tests.benchmarks.subjects import memory_of
from tests.fakes.kube_identity import ALICE_TOKEN
from tests.fakes.kube_script import SPDY
from tests.fakes.kube_server_http import Request, Response
from tests.fakes.kube_world import ALL, KubeWorld
from tests.fakes.processes import MITMDUMP, ROOT, Program, free_port

KUBERNETES = "kubernetes"
_MANY = "/api/v1/namespaces/many/configmaps"
_BIG = "/api/v1/namespaces/big/configmaps"
_VAST = "/api/v1/namespaces/vast/configmaps"
_SENT = 5_000_000
_MASKING = ALL.replace("\n    match:\n", "\n    mask: [kubernetes-secrets]\n    match:\n")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured, both ways in turn. Medians; seconds."""

    name: str
    bare: float
    pipeline: float

    @property
    def ratio(self) -> float:
        """Speed to that of bare mitmdump: 1 is the same, less is slower."""
        return self.bare / self.pipeline

    @property
    def added_ms(self) -> float:
        """What the pipeline adds."""
        return (self.pipeline - self.bare) * 1e3


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured."""

    rows: list[Row]
    memory_bytes: int
    """By how much the gateway grew over a list of 100 MB at its highest."""


class _Ways:
    """The gateway and a bare mitmdump, in front of one API server."""

    def __init__(self, world: KubeWorld) -> None:
        self.world = world
        port = free_port()
        both = world.folder / "bare.pem"
        both.write_bytes(world.certificate.read_bytes() + world.key.read_bytes())
        script = ROOT / "tests" / "benchmarks" / "bare_streams.py"
        options = ["--set", f"certs=*={both}", "--set", f"ssl_verify_upstream_trusted_ca={world.cluster.authority}"]
        options += ["--set", f"confdir={world.folder / 'bare'}"]
        mode = f"reverse:{world.cluster.url}@127.0.0.1:{port}"
        self.program = Program([str(MITMDUMP), "-q", "--mode", mode, "-s", str(script), *options])
        self.url = f"https://127.0.0.1:{port}"
        self.config = world.kubeconfig("bare", self.url, world.certificate, ALICE_TOKEN)
        self._until_there()

    def _until_there(self) -> None:
        with self.bare() as http:
            for _ in range(200):
                try:
                    if http.get("/version").status_code == 200:
                        return
                except httpx.TransportError:
                    time.sleep(0.05)
        raise RuntimeError(f"the bare mitmdump does not answer; it said:\n{self.program.output}")

    def bare(self) -> httpx.Client:
        """A client of it."""
        trust = create_default_context(cafile=self.world.certificate)
        headers = {"authorization": f"Bearer {ALICE_TOKEN}"}
        return httpx.Client(base_url=self.url, http2=True, verify=trust, trust_env=False, timeout=60, headers=headers)


def _in_turn(name: str, rounds: int, bare: Callable[[], float], pipeline: Callable[[], float]) -> Row:
    seconds: tuple[list[float], list[float]] = ([], [])
    bare(), pipeline()
    for _ in range(rounds):
        seconds[0].append(bare())
        seconds[1].append(pipeline())
    return Row(name, statistics.median(seconds[0]), statistics.median(seconds[1]))


def _read(http: httpx.Client, path: str, least: int) -> float:
    began, read = time.perf_counter(), 0
    with http.stream("GET", path, headers={"accept": "application/json", "accept-encoding": "identity"}) as answer:
        for chunk in answer.iter_raw():
            read += len(chunk)
    if answer.status_code != 200 or read < least:
        raise RuntimeError(f"{path}: {answer.status_code} with {read} bytes")
    return time.perf_counter() - began


def _ran(world: KubeWorld, config: Path, *args: str, stdin: bytes = b"", **env: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        ["kubectl", *args],
        input=stdin,
        capture_output=True,
        check=True,
        timeout=120,
        env=world.environment(config, **env),
    )
    if len(done.stdout) < len(stdin):
        raise RuntimeError(f"kubectl {args}: {len(done.stdout)} bytes came back; {done.stderr[:300]!r}")
    return time.perf_counter() - began


def _events(world: KubeWorld, http: httpx.Client, count: int, name: str) -> float:
    took: list[float] = []
    with http.stream("GET", "/api/v1/namespaces/default/configmaps?watch=1") as answer:
        lines = answer.iter_lines()
        next(lines)  # the watch stands
        for i in range(count):
            began = time.perf_counter()
            world.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-{i}"}})
            while f'"{name}-{i}"' not in next(lines):
                pass
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def _lines(world: KubeWorld, http: httpx.Client, count: int, name: str) -> float:
    took: list[float] = []
    with http.stream("GET", "/api/v1/namespaces/default/pods/one/log?follow=true&tailLines=1") as answer:
        lines = answer.iter_lines()
        next(lines)
        for i in range(count):
            began = time.perf_counter()
            world.cluster.log("default", "one", f"{name} line {i} of a log that somebody follows")
            while f"{name} line {i} of" not in next(lines):
                pass
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def _fill(world: KubeWorld) -> None:
    for namespace, count, size in (("many", 500, 100), ("big", 100, 100_000)):
        for i in range(count):
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m-{i}"}, "data": {"a": "x" * size}}
            world.cluster.put(body, namespace)
    pod = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "c", "image": "registry.local/c:1"}]}}
    world.cluster.put({"apiVersion": "v1", "kind": "Pod", **pod})
    world.cluster.faults.answers[_VAST] = _vast


def _vast(_: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":['
        for i in range(1_000):
            comma = b"," if i else b""
            yield comma + b'{"metadata":{"name":"m-%d"},"data":{"a":"%s"}}' % (i, b"x" * 100_000)
        yield b"]}"

    return Response(200, body(), [("content-type", "application/json")])


def _memory(ways: _Ways, http: httpx.Client) -> int:
    assert ways.world.gateway is not None
    program, highest = ways.world.gateway, 0
    before = memory_of(program)
    with http.stream("GET", _VAST, headers={"accept-encoding": "identity"}) as answer:
        for n, _chunk in enumerate(answer.iter_raw()):
            if n % 50 == 0:
                highest = max(highest, memory_of(program))
    return highest - before


@contextmanager
def _ways(folder: Path) -> Iterator[_Ways]:
    with KubeWorld(folder, rules=_MASKING) as world:
        world.write_settings(**{"masks/personal-data.yaml": "masks/kubernetes-secrets.yaml"})
        world.start()
        _fill(world)
        ways = _Ways(world)
        try:
            yield ways
        finally:
            ways.program.stop()


def measure(folder: Path, *, quick: bool) -> Found:
    """Measure everything. Raises RuntimeError where an answer is wrong, or kubectl is missing."""
    if shutil.which("kubectl") is None:
        raise RuntimeError("kubectl is not on PATH")
    rounds, events = (3, 50) if quick else (9, 400)
    rows: list[Row] = []
    with _ways(folder) as ways, ways.bare() as bare, ways.world.client() as through:
        world = ways.world
        prefix = "/k8s/cluster"
        assert str(through.base_url).rstrip("/").endswith(prefix)
        route = world.route()

        def both(name: str, act: Callable[[httpx.Client], float], count: int) -> None:
            rows.append(_in_turn(name, count, lambda: act(bare), lambda: act(through)))

        def run(name: str, args: tuple[str, ...], stdin: bytes, env: dict[str, str]) -> None:
            def act(config: Path) -> float:
                return _ran(world, config, *args, stdin=stdin, **env)

            rows.append(_in_turn(name, rounds, lambda: act(ways.config), lambda: act(route)))

        run("kubectl get, 500 objects", ("-n", "many", "get", "configmaps"), b"", {})
        both("list of 10 MB", lambda http: _read(http, _BIG, 10_000_000), rounds)
        names = iter(range(1_000))
        both("event of a watch", lambda http: _events(world, http, events, f"w{next(names)}"), 3)
        both("line of logs -f", lambda http: _lines(world, http, events, f"l{next(names)}"), 3)
        cat, sent = ("exec", "-i", "one", "--", "cat"), os.urandom(_SENT // 2).hex().encode()
        run("exec, 5 MB both ways, WebSocket", cat, sent, {})
        run("exec, 5 MB both ways, SPDY", cat, sent, SPDY)
        grown = _memory(ways, through)
    return Found(rows, grown)


def lines(found: Found) -> list[str]:
    """Return the figures for people."""
    head = f"{'kubernetes, in turn':36}{'bare ms':>10}{'pipeline ms':>13}{'added ms':>10}{'speed':>7}"
    rows = [
        f"{r.name:36}{r.bare * 1e3:>10.2f}{r.pipeline * 1e3:>13.2f}{r.added_ms:>+10.2f}{r.ratio:>7.2f}"
        for r in found.rows
    ]
    return [head, *rows, f"a list of 100 MB: the gateway grew by {found.memory_bytes / 1e6:.1f} MB at its highest"]


def budgets(found: Found) -> list[Budget]:
    """Compare with the budgets of the design."""
    kept = []
    for row in found.rows:
        if row.name.startswith("event"):
            kept.append(Budget(f"{row.name}: added median", "< 1 ms", f"{row.added_ms:.2f} ms", row.added_ms < 1))
        elif row.name.startswith("exec"):
            kept.append(Budget(f"{row.name}: speed to bare", ">= 0.80", f"{row.ratio:.2f}", row.ratio >= 0.8))
    return kept


def as_json(found: Found) -> dict[str, object]:
    """Return everything."""
    rows = {r.name: asdict(r) | {"ratio": r.ratio, "added_ms": r.added_ms} for r in found.rows}
    return {"rows": rows, "memory_bytes": found.memory_bytes}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.stdout.write("\n".join(lines(measure(Path(made), quick="--quick" in sys.argv))) + "\n")
