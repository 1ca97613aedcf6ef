"""The four kinds of patch, and who owns which field: as much as clients can tell from a real API server."""

import copy
import json
from collections.abc import Iterator
from typing import Any

_MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "conditions": ("type",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "secrets": ("name",),
    "hostAliases": ("ip",),
}
Path = tuple[str, ...]


class BadPatch(ValueError):  # noqa: N818  # an answer
    """A patch that cannot be applied; the text says why."""


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merge_patch(found.get(key), value)
    return found


def json_patch(target: Any, patch: Any) -> Any:
    """RFC 6902: add, remove, replace, test, copy, move."""
    if not isinstance(patch, list):
        raise BadPatch("a JSON patch is a list")
    found = copy.deepcopy(target)
    for step in patch:
        if step["op"] in {"copy", "move"}:
            value = copy.deepcopy(_get(found, _pointer(step["from"])))
            if step["op"] == "move":
                _edit(found, _pointer(step["from"]), "remove", None)
            _edit(found, _pointer(step["path"]), "add", value)
        elif step["op"] == "test":
            if _get(found, _pointer(step["path"])) != step.get("value"):
                raise BadPatch(f"testing value {step['path']} failed")
        else:
            _edit(found, _pointer(step["path"]), step["op"], step.get("value"))
    return found


def _pointer(path: str) -> list[str]:
    return [p.replace("~1", "/").replace("~0", "~") for p in path.split("/")[1:]]


def _get(target: Any, path: list[str]) -> Any:
    for part in path:
        try:
            target = target[int(part)] if isinstance(target, list) else target[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise BadPatch(f"the path /{'/'.join(path)} does not exist") from None
    return target


def _edit(target: Any, path: list[str], op: str, value: Any) -> None:
    parent, last = _get(target, path[:-1]), path[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if op == "add":
            parent.insert(index, value)
        elif op == "remove":
            del parent[index]
        else:
            parent[index] = value
    elif op == "remove":
        if last not in parent:
            raise BadPatch(f"Unable to remove nonexistent key: {last}: missing value")
        del parent[last]
    else:
        if op == "replace" and last not in parent:
            raise BadPatch(f"replace operation does not apply: doc is missing key: /{'/'.join(path)}: missing value")
        parent[last] = value


def strategic(target: Any, patch: Any) -> Any:
    """Strategic merge: lists of known fields are merged by their key, directives are followed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    found = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        found = {k: v for k, v in found.items() if k in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            found[name] = [v for v in found.get(name, []) if v not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            found.pop(key, None)
        elif isinstance(value, list) and key in _MERGE_KEYS:
            found[key] = _merge_list(found.get(key) or [], value, _MERGE_KEYS[key])
        elif isinstance(value, list) and key == "finalizers":
            found[key] = list(dict.fromkeys([*found.get(key, []), *value]))
        else:
            found[key] = strategic(found.get(key), value)
    return found


def _merge_list(target: list[Any], patch: list[Any], keys: tuple[str, ...]) -> list[Any]:
    found = [copy.deepcopy(t) for t in target]
    if any(p.get("$patch") == "replace" for p in patch):
        return [p for p in patch if "$patch" not in p]
    for item in patch:
        key = next((k for k in keys if k in item), keys[0])
        at = next((i for i, t in enumerate(found) if key in item and t.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del found[at]
        elif at is None:
            found.append(copy.deepcopy(item))
        else:
            found[at] = strategic(found[at], item)
    return found


# Who owns which field


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of every value that is no mapping; a list is one value."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif path:
        yield path


def owned(body: dict[str, Any]) -> set[Path]:
    """The fields that a body sets, without those that name the object."""
    skipped = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"}
    return {
        p
        for p in leaves(body)
        if p[0] not in {"apiVersion", "kind", "status"} and not (p[0] == "metadata" and p[1:2] and p[1] in skipped)
    }


def fields_v1(paths: set[Path]) -> dict[str, Any]:
    """The form of managedFields."""
    found: dict[str, Any] = {}
    for path in sorted(paths):
        at = found
        for part in path:
            at = at.setdefault(f"f:{part}", {})
    return found


def paths_of(fields: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """The other way."""
    for key, inner in fields.items():
        if inner:
            yield from paths_of(inner, (*path, key.removeprefix("f:")))
        else:
            yield (*path, key.removeprefix("f:"))


def value_at(target: Any, path: Path) -> Any:
    """What stands at a path, or None."""
    for part in path:
        if not isinstance(target, dict):
            return None
        target = target.get(part)
    return target


def without(target: dict[str, Any], path: Path) -> None:
    """Take one field out, if it is there."""
    for part in path[:-1]:
        inner = target.get(part)
        if not isinstance(inner, dict):
            return
        target = inner
    target.pop(path[-1], None)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
