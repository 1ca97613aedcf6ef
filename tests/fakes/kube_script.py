"""A session of kubectl, step by step, to be run more than once: without the gateway and through it."""

import contextlib
import fcntl
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.kube_server import KubeServer
from tests.fakes.kube_world import KubeWorld
from tests.fakes.processes import Program

CONFIGMAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {plain: VALUE}\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "registry.local/web:1", env: [{name: MODE, value: calm}]}]}
"""
THING = "apiVersion: shop.example.org/v1\nkind: Thing\nmetadata: {name: one}\nspec: {size: 3}\n"
SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}


@dataclass(frozen=True, slots=True)
class Road:
    """One way to the API server."""

    world: KubeWorld
    server: KubeServer
    config: Path
    program: str
    prefix: str = ""
    """The path of the server, which an older kubectl leaves out of `--raw`."""

    def run(self, *args: str, stdin: str | bytes | None = None, env: dict[str, str] | None = None) -> str:
        """Run a kubectl to its end; return what a person sees."""
        return self.world.kubectl(
            "-n", "shop", *args, config=self.config, stdin=stdin, env=env, program=self.program
        ).text

    def raw(self, path: str) -> str:
        """Get a path as it is; an older kubectl must be told the whole of it."""
        first = self.run("get", "--raw", path)
        return first if "(NotFound)" not in first else self.run("get", "--raw", self.prefix + path)

    def start(self, *args: str) -> Program:
        """Start one that goes on."""
        return self.world.spawn("-n", "shop", *args, config=self.config, program=self.program)


Act = Callable[[Road], str]
DEADLINE = 20.0
"""Seconds for what takes a tenth of one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command, or something that takes more than one."""

    name: str
    act: Act


def k(name: str, line: str, stdin: str | None = None, **env: str) -> Step:
    """A command as one would type it; words with blanks are in `'`."""
    words = [a or b for a, b in re.findall(r"'([^']*)'|(\S+)", line)]
    return Step(name, lambda road: road.run(*words, stdin=stdin, env=env))


def normal(text: str) -> str:
    """Take out what differs between two runs of the same: ids, times, versions, addresses, tokens."""
    for pattern, instead in (
        (r"^Warning: holdpoint.*\n", ""),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r"(resourceVersion\"?: \"?)\d+", r"\1N"),
        (r"\b\d+\.\d{6,9}\b", "SECONDS"),
        (r"(LIVE|MERGED)-\d+", r"\1"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000|Z)?", "TIME"),
        (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", "TIME"),
        (r"https://127\.0\.0\.1:\d+(/k8s/cluster)?", "SERVER"),
        (r"127\.0\.0\.1:\d+|\[::1\]:\d+", "ADDRESS"),
        (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN"),
        (r"\b3d1h\b|\b3d\b", "AGE"),
    ):
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text


def _watch(road: Road) -> str:
    watching = road.start("get", "configmaps", "--watch", "-o", "name")
    watching.wait_for("configmap/settings", timeout=DEADLINE)
    road.run("create", "configmap", "seen-by-the-watch", "--from-literal=a=b")
    watching.wait_for("configmap/seen-by-the-watch", timeout=DEADLINE)
    road.run("delete", "configmap", "seen-by-the-watch")
    watching.wait_for("configmap/seen-by-the-watch", timeout=DEADLINE)
    watching.stop()
    return "\n".join(watching.lines)


def _follow(road: Road) -> str:
    following = road.start("logs", "-f", "one")
    following.wait_for("started", timeout=DEADLINE)
    road.server.log("shop", "one", "a line while it was followed")
    following.wait_for("while it was followed", timeout=DEADLINE)
    following.stop()
    return "\n".join(following.lines)


def _attach(road: Road) -> str:
    attached = road.start("attach", "one")
    attached.wait_for("If you don't see", timeout=DEADLINE)
    until = time.monotonic() + DEADLINE
    while road.server.api.terminals.following == 0 and time.monotonic() < until:
        time.sleep(0.01)
    road.server.log("shop", "one", "a line for who is attached")
    attached.wait_for("for who is attached", timeout=DEADLINE)
    attached.stop()
    return "\n".join(sorted(attached.lines))


def _forward(over: dict[str, str]) -> Act:
    def act(road: Road) -> str:
        command = [road.program, "-n", "shop", "port-forward", "one", ":8080"]
        env = road.world.environment(road.config, **over)
        forwarding = Program(command, env=env, cwd=road.world.folder)
        try:
            port = int(forwarding.wait_for("Forwarding from 127.0.0.1", timeout=DEADLINE).split()[2].split(":")[1])
            said = b"something to be said again" * 10_000
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                sender = threading.Thread(target=client.sendall, args=(said,))
                sender.start()
                heard = b""
                while len(heard) < len(said) and (data := client.recv(1 << 16)):
                    heard += data
                sender.join()
            return f"said again: {heard == said}"
        finally:
            forwarding.stop()

    return act


def _proxy(road: Road) -> str:
    proxy = road.start("proxy", "--port=0", "--append-server-path")
    try:
        address = proxy.wait_for("Starting to serve on", timeout=DEADLINE).split()[-1]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}/api/v1/namespaces/shop/configmaps/settings", timeout=10) as answer:
            return answer.read().decode()
    finally:
        proxy.stop()


def terminal(road: Road, *args: str, env: dict[str, str], until: bytes = b"", then: bytes = b"") -> str:
    """Run a kubectl on a terminal of 100 by 30 and return what it showed; types `then` once `until` was shown."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [road.program, "-n", "shop", *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=road.world.folder,
        env=road.world.environment(road.config, **env),
        start_new_session=True,
    )
    os.close(theirs)
    shown, end = b"", time.monotonic() + DEADLINE
    with contextlib.suppress(OSError):  # EIO: nobody has it open any more
        while time.monotonic() < end:
            if not select.select([ours], [], [], 0.5)[0]:
                continue
            data = os.read(ours, 1 << 16)
            if not data:
                break
            shown += data
            if until and until in shown:
                os.write(ours, then)
                until = b""
    process.kill()
    status = process.wait(10)
    os.close(ours)
    return f"{shown.decode('utf-8', 'replace')}[exit {status}]"


def _tty(env: dict[str, str]) -> Act:
    program = (
        'until [ "$(stty size)" = "30 100" ]; do :; done; echo size $(stty size); read word; echo "got $word"; exit 7'
    )

    def act(road: Road) -> str:
        return terminal(
            road, "exec", "-it", "one", "--", "sh", "-c", program, env=env, until=b"size 30", then=b"wo\x08ord\r"
        )

    return act


def _copy(env: dict[str, str]) -> Act:
    def act(road: Road) -> str:
        blob = road.world.folder / f"blob-{road.config.name}"
        blob.write_bytes(os.urandom(300_000))
        there = road.run("cp", str(blob), "one:/tmp/blob", env=env)
        back = road.world.folder / f"back-{road.config.name}"
        again = road.run("cp", "one:/tmp/blob", str(back), env=env)
        return f"{there} {again} same: {blob.read_bytes() == back.read_bytes()}"

    return act


def _conflict(road: Road) -> str:
    taken = road.run("get", "configmap", "settings", "-o", "json")
    road.run("annotate", "configmap", "settings", "by=another")
    return road.run("replace", "-f", "-", stdin=taken.removesuffix("[exit 0]"))


def _drain(road: Road) -> str:
    first = road.run("drain", "node1", "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=20s")
    evicted = {r.path.rsplit("/", 2)[1] for r in road.server.seen("POST", "/eviction")}
    return "\n".join([*sorted(first.splitlines()), f"{len(evicted)} evicted"])


STEPS = (
    k("version", "version"),
    k("client-version", "version --client -o json"),
    k("cluster-info", "cluster-info"),
    k("api-resources", "api-resources"),
    k("api-resources-of-a-group", "api-resources --api-group=apps -o wide"),
    k("api-versions", "api-versions"),
    Step("healthz", lambda road: road.raw("/healthz")),
    Step("openapi-index", lambda road: road.raw("/openapi/v3")),
    k("explain", "explain deployment.spec.strategy"),
    k("explain-recursive", "explain cronjob.spec --recursive"),
    k("create-namespace", "create namespace shop"),
    k("create-secret", "create secret generic db --from-literal=user=app --from-literal=password=swordfish-0001"),
    k("create-configmap", "create configmap flags --from-literal=a=b"),
    k("create-serviceaccount", "create serviceaccount bot"),
    k("create-role", "create role reader --verb=get,list --resource=pods,secrets"),
    k("create-rolebinding", "create rolebinding reader --role=reader --serviceaccount=shop:bot"),
    k("create-clusterrole", "create clusterrole all --verb=* --resource=deployments.apps"),
    k("create-quota", "create quota q --hard=pods=10,secrets=5"),
    k("create-pdb", "create pdb p --selector=app=nothing --min-available=1"),
    k("create-priorityclass", "create priorityclass pc --value=1000"),
    k("create-ingress", "create ingress i --rule=a.example/*=s:80"),
    k("create-job", "create job j --image=registry.local/job:1 -- echo hi"),
    k("create-cronjob", "create cronjob cj --image=registry.local/job:1 --schedule='*/5 * * * *' -- echo hi"),
    k("create-token", "create token bot --duration=10m"),
    k("create-dry-run", "create configmap never --from-literal=a=b --dry-run=server -o yaml"),
    k("apply", "apply -f -", CONFIGMAP.replace("VALUE", "first")),
    k("apply-again", "apply -f -", CONFIGMAP.replace("VALUE", "second")),
    k("diff", "diff -f -", CONFIGMAP.replace("VALUE", "third")),
    k("apply-server-side", "apply --server-side --force-conflicts -f -", CONFIGMAP.replace("VALUE", "fourth")),
    k("apply-conflict", "apply --server-side --field-manager=other -f -", CONFIGMAP.replace("VALUE", "fifth")),
    k("apply-deployment", "apply -f -", DEPLOYMENT),
    k("apply-custom-resource", "apply -f -", THING),
    k("rollout-status", "rollout status deployment/web --timeout=20s"),
    k("get-table", "get secrets"),
    k("get-json", "get secret db -o json"),
    k("get-yaml", "get secret db -o yaml"),
    k("get-wide", "get pods -o wide"),
    k("get-jsonpath", "get pods -o jsonpath={.items[*].metadata.name}"),
    k("get-custom-columns", "get pods -o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[0].image"),
    k("get-paged", "get configmaps --chunk-size=1"),
    k("get-all", "get all"),
    k("get-everywhere", "get configmaps --all-namespaces"),
    k("get-by-label", "get pods -l app=web,app!=other --show-labels"),
    k("get-by-field", "get pods --field-selector=status.phase=Running"),
    k("get-nodes", "get nodes -o wide"),
    k("get-custom-resource", "get things.shop.example.org -o yaml"),
    k("get-sorted", "get configmaps --sort-by=.metadata.name"),
    k("describe-secret", "describe secret db"),
    k("describe-deployment", "describe deployment web"),
    k("describe-node", "describe node node1"),
    k("events", "events"),
    k("label", "label configmap settings tier=back"),
    k("label-overwrite-refused", "label configmap settings tier=front"),
    k("annotate", "annotate deployment web note=x"),
    k("patch-strategic", 'patch deployment web -p {"spec":{"minReadySeconds":0,"paused":false}}'),
    k("patch-merge", 'patch configmap settings --type=merge -p {"data":{"more":"1"}}'),
    k("patch-json", 'patch configmap settings --type=json -p [{"op":"remove","path":"/data/more"}]'),
    k("patch-json-wrong", 'patch configmap settings --type=json -p [{"op":"remove","path":"/data/none"}]'),
    k("edit", "edit configmap settings", KUBE_EDITOR="sed -i s/fourth/edited/"),
    k("get-edited", "get configmap settings -o jsonpath={.data.plain}"),
    k("scale", "scale deployment web --replicas=3"),
    k("set-image", "set image deployment/web main=registry.local/web:2"),
    k("set-env", "set env deployment/web MODE=wild"),
    k("rollout-history", "rollout history deployment/web"),
    k("rollout-undo", "rollout undo deployment/web"),
    k("rollout-pause", "rollout pause deployment/web"),
    k("rollout-resume", "rollout resume deployment/web"),
    k("autoscale", "autoscale deployment web --min=1 --max=3"),
    k("get-hpa", "get hpa"),
    k("expose", "expose deployment web --port=80"),
    k("get-service", "get service web -o yaml"),
    k("wait", "wait --for=condition=Available deployment/web --timeout=20s"),
    k("can-i", "auth can-i create secrets"),
    k("can-i-path", "auth can-i get /healthz"),
    k("run", "run one --image=registry.local/one:1 --env=MODE=x"),
    k("exec", "exec one -- sh -c 'echo out; echo err >&2; exit 3'"),
    k("exec-file", "exec one -- cat /etc/hostname"),
    k("exec-stdin", "exec -i one -- cat", "a line of input\n"),
    k("exec-unknown-program", "exec one -- nope"),
    k("exec-unknown-container", "exec one -c nope -- true"),
    k("exec-spdy", "exec one -- sh -c 'echo out; echo err >&2; exit 4'", **SPDY),
    k("exec-spdy-stdin", "exec -i one -- cat", "a line of input\n", **SPDY),
    Step("exec-terminal", _tty({})),
    Step("exec-spdy-terminal", _tty(SPDY)),
    Step("cp", _copy({})),
    Step("cp-spdy", _copy(SPDY)),
    Step("port-forward", _forward({})),
    Step("port-forward-spdy", _forward(SPDY)),
    k("logs", "logs one --tail=5"),
    Step("logs-follow", _follow),
    Step("attach", _attach),
    Step("watch", _watch),
    Step("proxy", _proxy),
    k("debug", "debug one --image=registry.local/debug:1 --attach=false -c dbg --profile=general"),
    k("debugged", "get pod one -o jsonpath={.spec.ephemeralContainers[*].name}"),
    Step("conflict", _conflict),
    k("already-there", "create configmap settings --from-literal=a=b"),
    k("not-found", "get secret nope"),
    k("no-such-type", "get nopes"),
    k("top", "top pods"),
    k("taint", "taint nodes node1 a=b:PreferNoSchedule"),
    k("untaint", "taint nodes node1 a-"),
    k("cordon", "cordon node1"),
    Step("drain", _drain),
    k("uncordon", "uncordon node1"),
    k("delete", "delete configmap flags"),
    k("delete-dry-run", "delete configmap settings --dry-run=server"),
    k("delete-all-of-a-kind", "delete secrets --all"),
    k("delete-by-label", "delete configmap -l tier=back"),
    k("delete-namespace", "delete namespace shop"),
)
