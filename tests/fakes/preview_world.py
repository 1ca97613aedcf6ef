"""A cluster behind a gateway that previews what it holds: with a deployment, and all that hangs on it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.fakes.kube_identity import GATEWAY_TOKEN, User
from tests.fakes.kube_kinds import kind_of
from tests.fakes.kube_server import Seen
from tests.fakes.kube_world import ALL, KubeWorld
from tests.fakes.processes import Program

PREVIEW_TOKEN = "token-of-previews-at-the-cluster"
PREVIEWER = "previewer"
HOLDS = (
    ALL
    + """\
  - name: writes
    effect: hold
    match:
      verbs: [create, update, patch, delete, deletecollection, exec]
      resources: ["deployments*", "deployments/scale", "configmaps", "secrets", "pods", "pods/exec", "namespaces"]
      principals: {subjects: ["u-alice"]}
    approval: {reviewers: ['group:reviewers'], timeout: 20m}
"""
)
WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {"name": "main", "image": "registry.local/web:1", "env": [{"name": "MODE", "value": "calm"}]},
                    {"name": "side", "image": "registry.local/side:1"},
                ]
            },
        },
    },
}
AROUND: tuple[dict[str, Any], ...] = (
    {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web-budget"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2},
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "front"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    },
    {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "minReplicas": 1,
            "maxReplicas": 4,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        },
    },
)


@dataclass
class PreviewWorld(KubeWorld):
    """A world that holds what alice writes, with a credential for previews."""

    rules: str = HOLDS
    target_lines: str = "    credentials: {preview: {kind: static, from: {env: PREVIEW_TOKEN}}}"

    SECRETS: ClassVar[dict[str, str]] = {"CLUSTER_TOKEN": GATEWAY_TOKEN, "PREVIEW_TOKEN": PREVIEW_TOKEN}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cluster.identities.users[PREVIEW_TOKEN] = User(PREVIEWER, ("system:authenticated",))
        self.cluster.put(WEB, "shop")
        for one in AROUND:
            self.cluster.put(one, "shop")

    # What the cluster has and saw

    def live(self, group: str, plural: str, name: str) -> dict[str, Any]:
        return self.cluster.store.get(kind_of(group, plural), "shop", name)

    def change(self, group: str, plural: str, name: str, **spec: Any) -> None:
        """Change an object as somebody else would, past the gateway."""

        def changed(old: dict[str, Any]) -> dict[str, Any]:
            return {**old, "spec": {**old["spec"], **spec}}

        self.cluster.store.update(kind_of(group, plural), "shop", name, changed)

    def by(self, name: str) -> list[Seen]:
        """Requests that the API server served for somebody."""
        return [r for r in self.cluster.requests if r.user is not None and r.user.name == name]

    def writes(self, name: str) -> list[Seen]:
        return [r for r in self.by(name) if r.method != "GET"]

    # A person at a shell, and a reviewer

    def run(self, *args: str) -> Program:
        """Start a kubectl that will be held."""
        return self.spawn("-n", "shop", *args)

    def until(self, wanted: Callable[[dict[str, Any]], bool], *, state: str = "pending") -> dict[str, Any]:
        """The newest request in a state of which something is true, as soon as there is one."""
        admin, version, end = self.admin(), -1, time.monotonic() + 30
        while time.monotonic() < end:
            version = admin.call_sync("approvals.wait_change", {"since": version})["version"]
            listed = admin.call_sync("approvals.list", {"id_token": self.id_token(), "state": [state]})["requests"]
            for short in listed:
                found = admin.call_sync("approvals.get", {"id_token": self.id_token(), "id": short["id"]})
                if wanted(found):
                    return found
        raise AssertionError("no such request")

    def previewed(self, state: str = "ready") -> dict[str, Any]:
        """The request that is held, as soon as its preview is so far."""
        return self.until(lambda found: found["dry_run"]["state"] == state)

    def decide(self, request: dict[str, Any], verdict: str = "approve") -> dict[str, Any]:
        said = {"id": request["id"], "expect": request["intent"], "preview": request["preview_digest"]}
        more = {"verdict": verdict, "comment": "", "id_token": self.id_token()}
        decided: dict[str, Any] = self.admin().call_sync("approvals.decide", {**said, **more})
        return decided

    def kept(self) -> bytes:
        """Everything that the gateway wrote: store, audit and recordings."""
        return b"\n".join(file.read_bytes() for file in sorted(self.var.rglob("*")) if file.is_file())


def lines(request: dict[str, Any]) -> list[str]:
    """The lines of a preview's difference, in short."""
    diff = request["dry_run"]["shown"].get("diff", [])
    return [f"{one['path']}: {json.dumps(one.get('before'))} -> {json.dumps(one.get('after'))}" for one in diff]


def hanging(request: dict[str, Any]) -> str:
    """What hangs on it, as text."""
    return "\n".join(one["text"] for one in request["dry_run"]["shown"].get("hangs_on_it", []))
