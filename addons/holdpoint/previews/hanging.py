"""What hangs on an object: what it owns, who counts on its pods, how many there are. One line each.

What cannot be read has a line that says so: a list that is short because somebody may not read must not look complete.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.previews.errors import Rejected, Trouble
from holdpoint.previews.listing import PAGE, Listing, Send, owned_by, read
from holdpoint.previews.objects import metadata, text_of
from holdpoint.previews.requests import place
from holdpoint.previews.selectors import as_query, has_all, selects
from holdpoint.previews.subject import Lines, Subject, line, listed

AT_ONCE: Final = 4
"""Requests at a time."""
WORKLOADS: Final = frozenset(
    {
        *(("apps", kind) for kind in ("deployments", "replicasets", "statefulsets", "daemonsets")),
        ("batch", "jobs"),
        ("", "replicationcontrollers"),
    }
)
_IN_NAMESPACES: Final = (
    *(("", "v1", kind) for kind in ("pods", "services", "configmaps", "secrets", "persistentvolumeclaims")),
    *(("apps", "v1", kind) for kind in ("deployments", "statefulsets", "daemonsets")),
    *(("batch", "v1", kind) for kind in ("jobs", "cronjobs")),
    ("networking.k8s.io", "v1", "ingresses"),
)
"""What is counted of a namespace."""
_NOT_FOUND: Final = 404
_READ_BEFORE: Final = {("policy", "v1"): "v1beta1", ("batch", "v1"): "v1beta1", ("networking.k8s.io", "v1"): "v1beta1"}
"""Versions of API servers before 1.21 (policy, batch) and 1.19 (networking)."""

type Question = tuple[str, Callable[[], Awaitable[Lines]]]


async def hanging(subject: Subject, send: Send) -> Lines:
    """Return what hangs on it. Never raises what `send` raises."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def asked(name: str, work: Callable[[], Awaitable[Lines]]) -> Lines:
        async with at_once:
            try:
                return await work()
            except (Rejected, Trouble) as error:
                return [line("note", f"{name} could not be read, so nothing of them is known here: {error}")]

    found = await asyncio.gather(*(asked(name, work) for name, work in _questions(subject, send)))
    return [*_without_asking(subject), *(one for lines in found for one in lines)]


def _questions(subject: Subject, send: Send) -> list[Question]:
    match subject.kind:
        case kind if kind in WORKLOADS:
            asked: list[Question] = [
                ("owned objects", lambda: _owned(subject, send)),
                ("PodDisruptionBudgets", lambda: _budgets(subject, send, _template_labels(subject))),
                ("Services", lambda: _services(subject, send, _template_labels(subject))),
                ("HorizontalPodAutoscalers", lambda: _scalers(subject, send)),
            ]
            if kind == ("apps", "statefulsets"):
                asked.append(("PersistentVolumeClaims", lambda: _claims(subject, send)))
            return asked
        case ("", "pods"):
            labels = as_object(metadata(subject.live).get("labels"))
            return [
                ("PodDisruptionBudgets", lambda: _budgets(subject, send, labels)),
                ("Services", lambda: _services(subject, send, labels)),
            ]
        case ("", "services"):
            return [("Pods", lambda: _behind(subject, send))]
        case ("batch", "cronjobs"):
            return [("Jobs", lambda: _of_kind(subject, send, ("batch", "v1", "jobs")))]
        case ("", "namespaces") if subject.is_removed:
            return [(kind[2], _counting(subject, send, kind)) for kind in _IN_NAMESPACES]
        case ("", "nodes"):
            return [("Pods", lambda: _on_node(subject, send))]
        case ("apiextensions.k8s.io", "customresourcedefinitions") if subject.is_removed:
            return [("objects of this kind", lambda: _custom(subject, send))]
        case _:
            return []


def _without_asking(subject: Subject) -> Lines:
    lines: Lines = []
    spec, then = as_object(subject.live.get("spec")), as_object(subject.then.get("spec"))
    if "replicas" in spec or "replicas" in then:
        wanted, ready = spec.get("replicas"), as_object(subject.live.get("status")).get("readyReplicas", 0)
        after = "none, it would be gone" if subject.is_removed else then.get("replicas")
        lines.append(line("replicas", f"replicas: {wanted} now ({ready} ready), then {after}"))
    if subject.is_removed:
        match subject.propagation:
            case "Orphan":
                lines.append(line("owned", "what it owns stays, without an owner (propagationPolicy Orphan)"))
            case "Foreground":
                lines.append(line("owned", "it goes after everything that it owns is gone (Foreground)"))
            case _:
                pass
        if finalizers := metadata(subject.live).get("finalizers"):
            lines.append(line("note", f"it goes once its finalizers are done: {_plain(finalizers)}"))
    return lines


async def _list(
    send: Send, subject: Subject, kind: tuple[str, str, str], *, labels: str = "", whole: bool = False, page: int = PAGE
) -> Listing:
    """Read a collection in the namespace, in an older version where the API server has no other."""
    group, version, resource = kind
    namespace = subject.what.name if subject.kind == ("", "namespaces") else subject.what.namespace
    path = place(group, version, resource, namespace=namespace)
    try:
        return await read(send, path, labels=labels, whole=whole, page=page)
    except Rejected as error:
        older = _READ_BEFORE.get((group, version))
        if error.status != _NOT_FOUND or older is None:
            raise
    path = place(group, older, resource, namespace=namespace)
    return await read(send, path, labels=labels, whole=whole, page=page)


async def _owned(subject: Subject, send: Send) -> Lines:
    labels = _selector(subject)
    uids = frozenset({text_of(subject.live, "uid")})
    lines: Lines = []
    if subject.kind == ("apps", "deployments"):
        sets = await _list(send, subject, ("apps", "v1", "replicasets"), labels=labels)
        mine = owned_by(sets.items, uids)
        uids = frozenset(text_of(one, "uid") for one in mine)
        if mine:
            lines.append(line("owned", f"{len(mine)} ReplicaSets: {listed(_names(mine))}{_partly(sets)}"))
    pods = await _list(send, subject, ("", "v1", "pods"), labels=labels)
    running = owned_by(pods.items, uids)
    lines.append(line("pods", f"{len(running)} Pods{_colon(_names(running))}{_partly(pods)}"))
    return lines


async def _of_kind(subject: Subject, send: Send, kind: tuple[str, str, str]) -> Lines:
    found = await _list(send, subject, kind)
    mine = owned_by(found.items, frozenset({text_of(subject.live, "uid")}))
    return [line("owned", f"{len(mine)} {kind[2]}{_colon(_names(mine))}{_partly(found)}")]


async def _claims(subject: Subject, send: Send) -> Lines:
    spec = as_object(subject.live.get("spec"))
    templates = spec.get("volumeClaimTemplates")
    if not isinstance(templates, list) or not templates:
        return []
    heads = tuple(f"{text_of(as_object(one), 'name')}-{subject.what.name}-" for one in templates)
    found = await _list(send, subject, ("", "v1", "persistentvolumeclaims"))
    mine = [name for name in _names(found.items) if name.startswith(heads)]
    kept = as_object(spec.get("persistentVolumeClaimRetentionPolicy"))
    becomes = "they go with it" if kept.get("whenDeleted") == "Delete" else "they stay when it is deleted"
    return [line("owned", f"{len(mine)} PersistentVolumeClaims{_colon(mine)}{_partly(found)}; {becomes}")]


async def _budgets(subject: Subject, send: Send, labels: JsonObject) -> Lines:
    found = await _list(send, subject, ("policy", "v1", "poddisruptionbudgets"), whole=True)
    lines = [
        line("budget", _budget(one))
        for one in found.items
        if selects(as_object(one.get("spec")).get("selector"), labels)
    ]
    return [*lines, *_rest(found, "PodDisruptionBudgets")]


def _budget(one: JsonObject) -> str:
    status = as_object(one.get("status"))
    allowed, healthy, wanted = (
        status.get(name, "?") for name in ("disruptionsAllowed", "currentHealthy", "desiredHealthy")
    )
    return (
        f"PodDisruptionBudget {text_of(one, 'name')}: {allowed} disruptions allowed now "
        f"({healthy} healthy, {wanted} wanted); only evictions keep to it"
    )


async def _services(subject: Subject, send: Send, labels: JsonObject) -> Lines:
    found = await _list(send, subject, ("", "v1", "services"), whole=True)
    lines: Lines = []
    for one in found.items:
        spec = as_object(one.get("spec"))
        selector = as_object(spec.get("selector"))
        if selector and has_all(selector, labels):
            lines.append(
                line("pods", f"Service {text_of(one, 'name')} ({as_text(spec.get('type'))}) leads to its pods")
            )
    return [*lines, *_rest(found, "Services")]


async def _scalers(subject: Subject, send: Send) -> Lines:
    found = await _list(send, subject, ("autoscaling", "v1", "horizontalpodautoscalers"), whole=True)
    lines: Lines = []
    for one in found.items:
        spec = as_object(one.get("spec"))
        refers = as_object(spec.get("scaleTargetRef"))
        kind = as_text(refers.get("kind")).lower() + "s"
        if (kind, refers.get("name")) == (subject.what.resource, subject.what.name):
            least, most = spec.get("minReplicas", 1), spec.get("maxReplicas")
            text = f"HorizontalPodAutoscaler {text_of(one, 'name')} sets its replicas, {least} to {most}"
            lines.append(line("replicas", text))
    return [*lines, *_rest(found, "HorizontalPodAutoscalers")]


async def _behind(subject: Subject, send: Send) -> Lines:
    selector = as_object(as_object(subject.live.get("spec")).get("selector"))
    if not selector:
        return [line("note", "it selects no pods by itself")]
    found = await _list(send, subject, ("", "v1", "pods"), labels=as_query({"matchLabels": selector}))
    return [line("pods", f"{found.count} Pods behind it now{_colon(_names(found.items))}")]


async def _on_node(subject: Subject, send: Send) -> Lines:
    path = place("", "v1", "pods")
    found = await read(send, path, fields=f"spec.nodeName={subject.what.name}")
    named = [f"{text_of(one, 'namespace')}/{text_of(one, 'name')}" for one in found.items]
    return [line("pods", f"{found.count} Pods on this node{_colon(named)}")]


def _counting(subject: Subject, send: Send, kind: tuple[str, str, str]) -> Callable[[], Awaitable[Lines]]:
    async def count() -> Lines:
        found = await _list(send, subject, kind, page=1)
        return [line("namespace", f"{found.count} {kind[2]}")] if found.items else []

    return count


async def _custom(subject: Subject, send: Send) -> Lines:
    spec = as_object(subject.live.get("spec"))
    versions = spec.get("versions")
    served = [as_object(v) for v in versions] if isinstance(versions, list) else []
    version = next((as_text(v.get("name")) for v in served if v.get("served") is True), "")
    plural = as_text(as_object(spec.get("names")).get("plural"))
    if not version or not plural:
        return [line("note", "it serves no version, so that its objects cannot be counted")]
    found = await read(send, place(as_text(spec.get("group")), version, plural), page=1)
    return [line("owned", f"{found.count} objects of this kind go with it")]


def _selector(subject: Subject) -> str:
    selector: JsonValue = as_object(subject.live.get("spec")).get("selector")
    is_plain = subject.kind == ("", "replicationcontrollers")
    return as_query({"matchLabels": selector} if is_plain else selector)


def _template_labels(subject: Subject) -> JsonObject:
    template = as_object(as_object(subject.live.get("spec")).get("template"))
    return as_object(metadata(template).get("labels"))


def _names(items: Sequence[JsonObject]) -> list[str]:
    return [text_of(one, "name") for one in items]


def _colon(names: Sequence[str]) -> str:
    return f": {listed(names)}" if names else ""


def _partly(found: Listing) -> str:
    return f" (of the first {len(found.items)} that were looked at)" if found.more else ""


def _rest(found: Listing, name: str) -> Lines:
    return [line("note", f"only the first {len(found.items)} {name} were looked at")] if found.more else []


def _plain(values: JsonValue) -> str:
    return listed([as_text(value) for value in values]) if isinstance(values, list) else ""
