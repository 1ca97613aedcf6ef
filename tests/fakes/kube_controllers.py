"""What a cluster does by itself: defaults, and controllers and a kubelet that are done before the answer goes out."""

import base64
import copy
import json
import uuid
from typing import TYPE_CHECKING, Any

from tests.fakes.kube_kinds import Kind, kind_of

if TYPE_CHECKING:
    from tests.fakes.kube_store import Store

Object = dict[str, Any]
_TEMPLATED = {"deployments", "replicasets", "statefulsets", "daemonsets", "jobs"}
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/")


def default(  # noqa: C901, PLR0912, PLR0915  # a table of kinds, one case each
    kind: Kind, found: Object, store: "Store", before: Object | None = None
) -> None:
    """Fill in what a client may leave out."""
    match kind.plural:
        case "secrets":
            plain = found.pop("stringData", None) or {}
            if plain:
                found["data"] = (found.get("data") or {}) | {
                    k: base64.b64encode(v.encode()).decode() for k, v in plain.items()
                }
            found.setdefault("type", "Opaque")
        case "namespaces":
            found["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = found["metadata"]["name"]
            found.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
            found.setdefault("status", {"phase": "Active"})
        case "services":
            spec = found.setdefault("spec", {})
            spec.setdefault("type", "ClusterIP")
            spec.setdefault("sessionAffinity", "None")
            for port in spec.get("ports", ()):
                port.setdefault("protocol", "TCP")
                port.setdefault("targetPort", port["port"])
            if spec["type"] != "ExternalName":
                old = (before or {}).get("spec", {})
                if not spec.get("clusterIP"):
                    spec["clusterIP"] = old.get("clusterIP") or f"10.96.0.{len(store.objects.get(kind.store, {})) + 1}"
                spec["clusterIPs"] = [spec["clusterIP"]]
                spec |= {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster"}
            found.setdefault("status", {"loadBalancer": {}})
        case "pods":
            _pod(found["spec"])
            found["spec"].setdefault("nodeName", "node1")
            found.setdefault("status", {}).setdefault("phase", "Pending")
        case plural if plural in _TEMPLATED:
            spec = found["spec"]
            _pod(spec["template"]["spec"])
            if plural == "deployments":
                spec.setdefault("replicas", 1)
                rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
                spec.setdefault("strategy", {"type": "RollingUpdate", "rollingUpdate": rolling})
                spec.setdefault("revisionHistoryLimit", 10)
                spec.setdefault("progressDeadlineSeconds", 600)
            if plural == "jobs":
                for key, value in (("parallelism", 1), ("completions", 1), ("backoffLimit", 6), ("suspend", False)):
                    spec.setdefault(key, value)
            found.setdefault("status", {})
        case "cronjobs":
            _pod(found["spec"]["jobTemplate"]["spec"]["template"]["spec"])
            for key, value in (("concurrencyPolicy", "Allow"), ("suspend", False), ("successfulJobsHistoryLimit", 3)):
                found["spec"].setdefault(key, value)
            found.setdefault("status", {})
        case "horizontalpodautoscalers":
            spec = found["spec"]
            percent = spec.pop("targetCPUUtilizationPercentage", None)
            if percent is not None:
                target = {"type": "Utilization", "averageUtilization": percent}
                spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
            found["apiVersion"] = "autoscaling/v2"
            found.setdefault("status", {"currentReplicas": 0, "desiredReplicas": 0, "currentMetrics": None})


def _pod(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    for container in [*spec.get("containers", ()), *spec.get("ephemeralContainers", ())]:
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "IfNotPresent")
        for port in container.get("ports", ()):
            port.setdefault("protocol", "TCP")


def changed(kind: Kind, found: Object, before: Object | None, store: "Store") -> None:
    """Do what follows from a new or a changed object."""
    name = found["metadata"]["name"]
    match kind.plural:
        case "namespaces" if before is None:
            store.create(kind_of("", "serviceaccounts"), name, {"metadata": {"name": "default"}})
            root = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "-----BEGIN CERTIFICATE-----\n"}}
            store.create(kind_of("", "configmaps"), name, root)
        case "pods":
            _run(kind, found, store)
        case "deployments":
            _roll(kind, found, store)
        case "replicasets":
            _fill(kind, found, store)
        case "jobs" if not found["status"].get("succeeded"):
            status = {
                "succeeded": 1,
                "conditions": [{"type": "Complete", "status": "True"}],
                "completionTime": store.now,
            }
            _status(kind, found, store, status | {"startTime": store.now})


def deleted(kind: Kind, gone: Object, store: "Store") -> None:
    """Take away what belonged to it."""
    uid, name = gone["metadata"]["uid"], gone["metadata"]["name"]
    for sort, kept in list(store.objects.items()):
        for (namespace, inner), one in list(kept.items()):
            owners = {o["uid"] for o in one["metadata"].get("ownerReferences", ())}
            if uid in owners or (kind.plural == "namespaces" and namespace == name):
                found = kind_of(*sort)
                if (namespace, inner) in store.objects[sort]:
                    store.delete(found, namespace, inner)
    owner = next((o for o in gone["metadata"].get("ownerReferences", ()) if o["kind"] == "ReplicaSet"), None)
    sets = kind_of("apps", "replicasets")
    if kind.plural == "pods" and owner:
        again = store.objects.get(sets.store, {}).get((gone["metadata"]["namespace"], owner["name"]))
        if again:
            _fill(sets, again, store)


def _status(kind: Kind, found: Object, store: "Store", status: Object) -> None:
    meta = found["metadata"]

    def change(old: Object) -> Object:
        return {**old, "status": {**old.get("status", {}), **status}}

    store.update(kind, meta.get("namespace", ""), meta["name"], change, subresource="status")


def _run(kind: Kind, found: Object, store: "Store") -> None:
    spec, status = found["spec"], found["status"]
    wanted = len(spec["containers"]) + len(spec.get("ephemeralContainers", ()))
    have = len(status.get("containerStatuses", ())) + len(status.get("ephemeralContainerStatuses", ()))
    if status["phase"] == "Running" and wanted == have:
        return

    def statuses(containers: list[Object]) -> list[Object]:
        return [
            {
                "name": c["name"],
                "state": {"running": {"startedAt": store.now}},
                "lastState": {},
                "ready": True,
                "started": True,
                "restartCount": 0,
                "image": c["image"],
                "imageID": f"sha256:{uuid.uuid5(uuid.NAMESPACE_OID, c['image']).hex}",
                "containerID": f"containerd://{uuid.uuid5(uuid.NAMESPACE_OID, c['name']).hex}",
            }
            for c in containers
        ]

    sorts = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    new = {
        "phase": "Running",
        "conditions": [
            {"type": t, "status": "True", "lastProbeTime": None, "lastTransitionTime": store.now} for t in sorts
        ],
        "hostIP": "127.0.0.1",
        "podIP": "10.244.0.10",
        "podIPs": [{"ip": "10.244.0.10"}],
        "startTime": store.now,
        "qosClass": "BestEffort",
        "containerStatuses": statuses(spec["containers"]),
    }
    if spec.get("ephemeralContainers"):
        new["ephemeralContainerStatuses"] = statuses(spec["ephemeralContainers"])
    _status(kind, found, store, new)


def _owner(found: Object) -> Object:
    meta = found["metadata"]
    named = {"apiVersion": found["apiVersion"], "kind": found["kind"], "name": meta["name"], "uid": meta["uid"]}
    return named | {"controller": True, "blockOwnerDeletion": True}


def _roll(kind: Kind, found: Object, store: "Store") -> None:
    meta, spec = found["metadata"], found["spec"]
    namespace, sets = meta["namespace"], kind_of("apps", "replicasets")
    hashed = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(spec["template"], sort_keys=True)).hex[:10]
    mine = [
        s
        for s in store.all(sets, namespace)[0]
        if any(o["uid"] == meta["uid"] for o in s["metadata"].get("ownerReferences", ()))
    ]
    revisions = [int(s["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) for s in mine]
    current = f"{meta['name']}-{hashed}"
    newest = next((s for s in mine if s["metadata"]["name"] == current), None)
    revision = max(revisions, default=0) + 1
    if (
        newest is not None
        and int(newest["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) == revision - 1
    ):
        revision -= 1
    marks = {"deployment.kubernetes.io/revision": str(revision)}
    notes = {k: v for k, v in meta.get("annotations", {}).items() if not k.startswith(_NOT_COPIED)}
    for old in mine:
        if old is not newest and old["spec"]["replicas"]:
            store.update(
                sets, namespace, old["metadata"]["name"], lambda o: {**o, "spec": {**o["spec"], "replicas": 0}}
            )
    if newest is None:
        labels = {**spec["template"]["metadata"].get("labels", {}), "pod-template-hash": hashed}
        template = copy.deepcopy(spec["template"])
        template["metadata"]["labels"] = labels
        selector = {"matchLabels": {**spec["selector"].get("matchLabels", {}), "pod-template-hash": hashed}}
        head = {"name": current, "labels": labels, "annotations": notes | marks, "ownerReferences": [_owner(found)]}
        body = {"metadata": head, "spec": {"replicas": spec["replicas"], "selector": selector, "template": template}}
        store.create(sets, namespace, body)
        _event(found, f"Scaled up replica set {current} from 0 to {spec['replicas']}", store)
    else:

        def change(old: Object) -> Object:
            head = {**old["metadata"], "annotations": old["metadata"].get("annotations", {}) | marks}
            return {**old, "metadata": head, "spec": {**old["spec"], "replicas": spec["replicas"]}}

        store.update(sets, namespace, current, change)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), spec["replicas"])
    reasons = (("Available", "MinimumReplicasAvailable"), ("Progressing", "NewReplicaSetAvailable"))
    conditions = [
        {"type": t, "status": "True", "reason": r, "lastUpdateTime": store.now, "lastTransitionTime": store.now}
        for t, r in reasons
    ]
    status = {"observedGeneration": meta["generation"], **counts, "conditions": conditions}
    if found.get("status") != status or meta.get("annotations", {}).get("deployment.kubernetes.io/revision") != str(
        revision
    ):

        def done(old: Object) -> Object:
            head = {**old["metadata"], "annotations": old["metadata"].get("annotations", {}) | marks}
            return {**old, "metadata": head, "status": status}

        store.update(kind, namespace, meta["name"], done)


def _event(about: Object, message: str, store: "Store") -> None:
    meta = about["metadata"]
    involved = {k: meta[k] for k in ("name", "namespace", "uid")} | {
        "kind": about["kind"],
        "apiVersion": about["apiVersion"],
    }
    body = {
        "metadata": {"name": f"{meta['name']}.{store.suffix()}"},
        "involvedObject": involved,
        "reason": "ScalingReplicaSet",
        "message": message,
        "source": {"component": "deployment-controller"},
        "type": "Normal",
        "count": 1,
        "firstTimestamp": store.now,
        "lastTimestamp": store.now,
    }
    store.create(kind_of("", "events"), meta["namespace"], body)


def _fill(kind: Kind, found: Object, store: "Store") -> None:
    meta, spec, pods = found["metadata"], found["spec"], kind_of("", "pods")
    mine = [
        p["metadata"]["name"]
        for p in store.all(pods, meta["namespace"])[0]
        if any(o["uid"] == meta["uid"] for o in p["metadata"].get("ownerReferences", ()))
    ]
    wanted = spec.get("replicas", 1)
    for name in mine[wanted:]:
        if (meta["namespace"], name) in store.objects[pods.store]:  # else one deletion led to the next
            store.delete(pods, meta["namespace"], name)
    for _ in range(wanted - len(mine)):
        head = {
            "generateName": f"{meta['name']}-",
            "labels": spec["template"]["metadata"].get("labels", {}),
            "ownerReferences": [_owner(found)],
        }
        store.create(pods, meta["namespace"], {"metadata": head, "spec": copy.deepcopy(spec["template"]["spec"])})
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "fullyLabeledReplicas"), wanted)
    if any(found.get("status", {}).get(k) != v for k, v in counts.items()):
        _status(kind, found, store, counts | {"observedGeneration": meta["generation"]})
