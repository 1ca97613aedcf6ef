"""Differences of objects, on whatever objects there are."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdpoint.domain.values import JsonValue
from holdpoint.previews.diff import Change, Item, diff, is_same, item_of, path_text

_SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "1", "TCP"]) | st.just(1.0)
_KEYS = st.sampled_from(["name", "value", "type", "port", "protocol", "spec", "a.b/c"])
JSON = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_KEYS, inner, max_size=4)
        | st.lists(st.fixed_dictionaries({"name": st.sampled_from("abcd"), "value": inner}), max_size=4)
        | st.lists(st.fixed_dictionaries({"port": st.integers(1, 3), "protocol": st.sampled_from("TU")}), max_size=4)
    ),
    max_leaves=25,
)


def _matches(element: Any, item: Item) -> bool:
    return isinstance(element, dict) and is_same(
        [list(p) for p in item_of(element, [k for k, _ in item.keys]).keys], [list(p) for p in item.keys]
    )


def _at(holder: Any, step: str | int | Item) -> Any:
    if isinstance(step, Item):
        return next(n for n, element in enumerate(holder) if _matches(element, step))
    return step


def applied(value: JsonValue, changes: tuple[Change, ...]) -> Any:
    """What a difference makes of a value, told by its lines alone."""
    root: list[Any] = [deepcopy(value)]
    for change in changes:
        holder, last = root, 0
        for step in change.path[: -1 if change.op in ("add", "remove") else None]:
            holder, last = holder[last], _at(holder[last], step)
        match change.op:
            case "change":
                holder[last] = change.after
            case "remove":
                at = _at(holder[last], change.path[-1])
                assert is_same(holder[last][at], change.before)
                del holder[last][at]
            case "add" if isinstance(holder[last], list):
                holder[last].append(change.after)
            case "add":
                holder[last][change.path[-1]] = change.after
            case "order":
                names = change.after
                assert isinstance(names, list)
                holder[last] = [next(e for e in holder[last] if _named(e, name)) for name in names]
    return root[0]


def _named(element: Any, name: Any) -> bool:
    keys = [part.partition("=")[0] for part in str(name).split(",")]
    return path_text((item_of(element, keys),)).strip("[]") == name


@given(JSON, JSON)
def test_difference_applied_to_what_was_gives_what_is(before: JsonValue, after: JsonValue):
    assert is_same(applied(before, diff(before, after)), after)


@given(JSON)
def test_nothing_differs_from_itself(value: JsonValue):
    assert diff(value, deepcopy(value)) == ()


@given(JSON, JSON)
def test_whatever_differs_has_a_line(before: JsonValue, after: JsonValue):
    assert (diff(before, after) == ()) == is_same(before, after)
