"""How two objects differ, field by field: one changed variable of one container is one line.

Lists whose elements have a name of their own (containers, variables, ports) are aligned by it. Nothing that differs is
left out: `apply` makes the one object from the other.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from holdpoint.domain.values import JsonObject, JsonScalar, JsonValue

type Op = Literal["add", "remove", "change", "order"]

MERGE_KEYS: Final[tuple[tuple[str, ...], ...]] = (
    ("name",),
    ("mountPath",),
    ("devicePath",),
    ("containerPort",),
    ("port",),
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("type",),
    ("uid",),
    ("ip",),
    ("topologyKey", "whenUnsatisfiable"),
)
"""What names an element of a list: the merge keys of the types of k8s.io/api (`patchMergeKey`, `listMapKey`).

The first that every element on both sides has, each with a value of its own, is taken.
"""
_PLAIN = re.compile(r"[A-Za-z_$][\w$-]*")
_SAFE = re.compile(r"[\w./:@+-]{1,80}")


@dataclass(frozen=True, slots=True)
class Item:
    """An element of a list, by what names it."""

    keys: tuple[tuple[str, JsonScalar], ...]


type Step = str | int | Item


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a difference."""

    path: tuple[Step, ...]
    op: Op
    before: JsonValue = None
    """What was there. Of `order`: the names of the elements as they stood."""
    after: JsonValue = None

    def shown(self) -> JsonObject:
        """Return the line as reviewers get it."""
        line: JsonObject = {"path": path_text(self.path), "op": "change" if self.op == "order" else self.op}
        if self.op == "order":
            line["path"] = f"{line['path']} (order)"
        if self.op != "add":
            line["before"] = self.before
        if self.op != "remove":
            line["after"] = self.after
        return line


def diff(before: JsonValue, after: JsonValue) -> tuple[Change, ...]:
    """Return what must change in `before` to give `after`, in the order of `before`, then of what is new."""
    return tuple(_diff((), before, after))


def added(value: JsonValue, *, depth: int) -> tuple[Change, ...]:
    """Return an object as so many lines that are new: one for each member down to a depth."""
    return tuple(_added((), value, depth))


def is_same(one: JsonValue, other: JsonValue) -> bool:
    """Tell whether two values are the same JSON: `1` is neither `true` nor `1.0`."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(is_same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and one == other


def path_text(path: Sequence[Step]) -> str:
    """Write a path: `spec.containers[name=web].env[name=MODE].value`, `metadata.annotations["a.b/c"]`."""
    text = ""
    for step in path:
        match step:
            case int():
                text += f"[{step}]"
            case str() if _PLAIN.fullmatch(step):
                text += f".{step}" if text else step
            case str():
                text += f"[{json.dumps(step)}]"
            case Item():
                text += f"[{','.join(f'{key}={_written(value)}' for key, value in step.keys)}]"
    return text


def _written(value: JsonScalar) -> str:
    return value if isinstance(value, str) and _SAFE.fullmatch(value) else json.dumps(value)


def _diff(path: tuple[Step, ...], before: JsonValue, after: JsonValue) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from _diff((*path, key), value, after[key])
            else:
                yield Change((*path, key), "remove", before=value)
        yield from (Change((*path, key), "add", after=value) for key, value in after.items() if key not in before)
    elif isinstance(before, list) and isinstance(after, list) and before and after:
        yield from _lists(path, before, after)
    elif not is_same(before, after):
        yield Change(path, "change", before, after)


def _lists(path: tuple[Step, ...], before: list[JsonValue], after: list[JsonValue]) -> Iterator[Change]:
    keys = _merge_keys(before, after)
    if keys is not None:
        yield from _keyed(path, keys, before, after)
    elif len(before) == len(after) and all(isinstance(v, dict | list) for v in (*before, *after)):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _diff((*path, index), one, other)
    elif not is_same(before, after):
        # Arguments, finalizers, rules: read side by side, or not understood at all.
        yield Change(path, "change", before, after)


def _keyed(
    path: tuple[Step, ...], keys: tuple[str, ...], before: list[JsonValue], after: list[JsonValue]
) -> Iterator[Change]:
    old, new = ({item_of(element, keys): element for element in side} for side in (before, after))
    for item, element in old.items():
        if item in new:
            yield from _diff((*path, item), element, new[item])
        else:
            yield Change((*path, item), "remove", before=element)
    for item, element in new.items():
        if item not in old:
            yield Change((*path, item), "add", after=element)
    stand = [i for i in old if i in new] + [i for i in new if i not in old]
    if stand != list(new):
        # Containers are started, and rules are read, in the order in which they stand.
        yield Change(path, "order", _names(old), _names(new))


def item_of(element: JsonValue, keys: Sequence[str]) -> Item:
    """Return what names an element of a list."""
    found = element if isinstance(element, dict) else {}
    return Item(tuple((key, value) for key in keys if not isinstance(value := found.get(key), dict | list)))


def _names(elements: dict[Item, JsonValue]) -> JsonValue:
    return [path_text((item,)).strip("[]") for item in elements]


def _merge_keys(before: list[JsonValue], after: list[JsonValue]) -> tuple[str, ...] | None:
    return next((keys for keys in MERGE_KEYS if _names_all(before, keys) and _names_all(after, keys)), None)


def _names_all(elements: list[JsonValue], keys: tuple[str, ...]) -> bool:
    seen: set[tuple[str, str]] = set()
    for element in elements:
        if not isinstance(element, dict):
            return False
        first = element.get(keys[0])
        # INVARIANT: of one type, as Python takes `1` and `true` for the same key.
        if not isinstance(first, str | int) or isinstance(first, bool):
            return False
        others = [element.get(key) for key in keys[1:]]
        if not all(isinstance(value, str | None) for value in others):
            return False
        seen.add((f"{type(first).__name__} {first}", json.dumps(others)))
    return len(seen) == len(elements)


def _added(path: tuple[Step, ...], value: JsonValue, depth: int) -> Iterator[Change]:
    if depth and isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _added((*path, key), inner, depth - 1)
    else:
        yield Change(path, "add", after=value)
