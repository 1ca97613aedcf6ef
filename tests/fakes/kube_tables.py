"""Tables, as a real API server prints them: columns as recorded, cells for the kinds that tests look at."""

import datetime as dt
import functools
import json
from collections.abc import Callable
from typing import Any

from tests.fakes.kube_kinds import DATA, Kind

Object = dict[str, Any]
_NAME = {"name": "Name", "type": "string", "format": "name", "description": "Name", "priority": 0}
_BORN = {"name": "Created At", "type": "date", "format": "", "description": "Created", "priority": 0}


@functools.cache
def _columns() -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = json.loads((DATA / "columns.json").read_text())
    found |= {
        "nodes": [_NAME, *(_text(n) for n in ("Status", "Roles", "Age", "Version"))],
        "serviceaccounts": [_NAME, _text("Secrets"), _text("Age")],
        "rbac.authorization.k8s.io/roles": [_NAME, {**_BORN, "type": "string"}],
    }
    return found


def _text(name: str) -> Object:
    return {"name": name, "type": "string", "format": "", "description": name, "priority": 0}


def _age(one: Object) -> str:
    """As the server's HumanDuration prints it; the tests' objects are days old."""
    born = dt.datetime.fromisoformat(one["metadata"]["creationTimestamp"])
    seconds = int((dt.datetime.now(dt.UTC) - born).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _containers(one: Object) -> list[str]:
    found = one["spec"]["template"]["spec"]["containers"]
    return [",".join(c["name"] for c in found), ",".join(c["image"] for c in found)]


def _selector(one: Object) -> str:
    labels = one["spec"].get("selector", {})
    labels = labels.get("matchLabels", labels)
    return ",".join(f"{k}={v}" for k, v in sorted(labels.items())) or "<none>"


def _pod(one: Object) -> list[Any]:
    spec, status = one["spec"], one["status"]
    ready = sum(c["ready"] for c in status.get("containerStatuses", ()))
    shown = [f"{ready}/{len(spec['containers'])}", status["phase"], "0", _age(one)]
    return [*shown, status.get("podIP", "<none>"), spec.get("nodeName", "<none>"), "<none>", "<none>"]


def _deployment(one: Object) -> list[Any]:
    status, wanted = one["status"], one["spec"]["replicas"]
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [f"{status.get('readyReplicas', 0)}/{wanted}", *counts, _age(one), *_containers(one), _selector(one)]


def _replicas(one: Object) -> list[Any]:
    status, wanted = one["status"], one["spec"].get("replicas", 1)
    return [
        wanted,
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _age(one),
        *_containers(one),
        _selector(one),
    ]


def _service(one: Object) -> list[Any]:
    spec = one["spec"]
    ports = ",".join(f"{p['port']}/{p['protocol']}" for p in spec.get("ports", ())) or "<none>"
    return [
        spec["type"],
        spec.get("clusterIP", "<none>"),
        spec.get("externalName", "<none>"),
        ports,
        _age(one),
        _selector(one),
    ]


def _job(one: Object) -> list[Any]:
    done = one["status"].get("succeeded", 0)
    state = "Complete" if done else "Running"
    return [state, f"{done}/{one['spec']['completions']}", "1s", _age(one), *_containers(one), "<none>"]


def _cronjob(one: Object) -> list[Any]:
    spec = one["spec"]
    inner = _containers({"spec": spec["jobTemplate"]["spec"]})
    return [spec["schedule"], spec.get("timeZone", "<none>"), spec["suspend"], 0, "<none>", _age(one), *inner, "<none>"]


def _event(one: Object) -> list[Any]:
    about = one["involvedObject"]
    named = f"{about['kind'].lower()}/{about['name']}"
    source = one["source"]["component"]
    return [
        _age(one),
        one["type"],
        one["reason"],
        named,
        "",
        source,
        one["message"],
        _age(one),
        1,
        one["metadata"]["name"],
    ]


def _hpa(one: Object) -> list[Any]:
    spec = one["spec"]
    ref = f"{spec['scaleTargetRef']['kind']}/{spec['scaleTargetRef']['name']}"
    return [ref, "cpu: <unknown>/80%", str(spec.get("minReplicas", 1)), str(spec["maxReplicas"]), "0", _age(one)]


def _node(one: Object) -> list[Any]:
    off = ",SchedulingDisabled" if one["spec"].get("unschedulable") else ""
    return [f"Ready{off}", "<none>", _age(one), one["status"]["nodeInfo"]["kubeletVersion"]]


_CELLS: dict[str, Callable[[Object], list[Any]]] = {
    "pods": _pod,
    "secrets": lambda o: [o["type"], len(o.get("data") or {}), _age(o)],
    "configmaps": lambda o: [len(o.get("data") or {}) + len(o.get("binaryData") or {}), _age(o)],
    "namespaces": lambda o: [o["status"]["phase"], _age(o)],
    "serviceaccounts": lambda o: [0, _age(o)],
    "services": _service,
    "events": _event,
    "nodes": _node,
    "apps/deployments": _deployment,
    "apps/replicasets": _replicas,
    "batch/jobs": _job,
    "batch/cronjobs": _cronjob,
    "autoscaling/horizontalpodautoscalers": _hpa,
}


def table(
    kind: Kind, items: list[Object], metadata: Object, *, version: str = "v1", include: str = "", head: bool = True
) -> Object:
    """The Table of some objects. `include` is includeObject of the query; `head` says whether columns are given."""
    name = f"{kind.group}/{kind.plural}" if kind.group else kind.plural
    cells = _CELLS.get(name, lambda o: [o["metadata"]["creationTimestamp"]])
    columns = _columns().get(name) if name in _CELLS else None
    rows = []
    for one in items:
        row: Object = {"cells": [one["metadata"]["name"], *cells(one)]}
        if include == "Object":
            row["object"] = one
        elif include != "None":
            row["object"] = partial(one, version)
        rows.append(row)
    found = {"kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata}
    return found | {"columnDefinitions": (columns or [_NAME, _BORN]) if head else None, "rows": rows}


def partial(one: Object, version: str = "v1") -> Object:
    """PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": one["metadata"]}
