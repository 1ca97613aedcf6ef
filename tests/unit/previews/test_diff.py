"""Differences of objects: as few lines as a person would write, and nothing left out."""

from copy import deepcopy

import pytest

from holdpoint.domain.values import JsonValue
from holdpoint.previews.diff import added, diff, is_same


def container(name: str, image: str = "a:1", **more: JsonValue) -> dict[str, JsonValue]:
    return {"name": name, "image": image, **more}


def env(**values: str) -> JsonValue:
    return [{"name": name, "value": value} for name, value in values.items()]


def lines(before: JsonValue, after: JsonValue) -> list[str]:
    """The lines in short."""
    shown = [change.shown() for change in diff(before, after)]
    return [
        f"{line['op']} {line['path']}"
        + (f" {line['before']}" if "before" in line and line["op"] != "remove" else "")
        + (f" -> {line['after']}" if line["op"] == "change" else "")
        for line in shown
    ]


CASES: list[tuple[str, JsonValue, JsonValue, list[str]]] = [
    ("same", {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, []),
    ("replicas", {"spec": {"replicas": 1}}, {"spec": {"replicas": 3}}, ["change spec.replicas 1 -> 3"]),
    ("null and absent differ", {"a": None}, {}, ["remove a"]),
    ("true is not one", {"a": True}, {"a": 1}, ["change a True -> 1"]),
    ("text is not a number", {"a": "1"}, {"a": 1}, ["change a 1 -> 1"]),
    ("one is not one point nought", {"a": 1}, {"a": 1.0}, ["change a 1 -> 1.0"]),
    (
        "one variable of one container",
        {"containers": [container("x"), container("y", env=env(A="1", B="2", C="3"))]},
        {"containers": [container("x"), container("y", env=env(A="1", B="9", C="3"))]},
        ["change containers[name=y].env[name=B].value 2 -> 9"],
    ),
    (
        "a variable that is new among others",
        {"env": env(A="1", C="3")},
        {"env": env(A="1", C="3", D="4")},
        ["add env[name=D]"],
    ),
    (
        "an inserted one says where",
        {"env": env(A="1", C="3")},
        {"env": env(A="1", B="2", C="3")},
        ["add env[name=B]", "change env (order) ['name=A', 'name=C'] -> ['name=A', 'name=B', 'name=C']"],
    ),
    (
        "ports by port and protocol",
        {"ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]},
        {"ports": [{"containerPort": 53, "protocol": "TCP"}]},
        ['remove ports[containerPort=53,protocol="UDP"]'.replace('"', "")],
    ),
    (
        "ports by number where that tells them apart",
        {"ports": [{"port": 80}]},
        {"ports": [{"port": 80, "protocol": "TCP"}]},
        ["add ports[port=80].protocol"],
    ),
    (
        "a name that stands twice names nothing",
        {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "3"}]},
        ["change env[1].value 2 -> 3"],
    ),
    ("arguments side by side", {"args": ["a", "b"]}, {"args": ["a"]}, ["change args ['a', 'b'] -> ['a']"]),
    (
        "keys that are no words",
        {"metadata": {"annotations": {"a.b/c": "1"}}},
        {"metadata": {"annotations": {"a.b/c": "2"}}},
        ['change metadata.annotations["a.b/c"] 1 -> 2'],
    ),
    ("a list that was empty", {"a": []}, {"a": [1]}, ["change a [] -> [1]"]),
    ("another type", {"a": {"b": 1}}, {"a": "x"}, ["change a {'b': 1} -> x"]),
]


@pytest.mark.parametrize(("before", "after", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_difference_is_as_short_as_a_person_would_write_it(before: JsonValue, after: JsonValue, expected: list[str]):
    kept = deepcopy((before, after))
    assert lines(before, after) == expected
    assert is_same([before, after], [*kept])


def test_name_with_a_bracket_is_quoted():
    before: JsonValue = {"a": [{"name": "x].b[y", "v": 1}]}
    after: JsonValue = {"a": [{"name": "x].b[y", "v": 2}]}
    assert lines(before, after) == ['change a[name="x].b[y"].v 1 -> 2']


def test_new_object_is_one_line_for_each_member_down_to_a_depth():
    shown = [c.shown() for c in added({"kind": "X", "spec": {"a": {"b": 1}, "c": []}, "data": {}}, depth=2)]
    assert [(s["path"], s["after"]) for s in shown] == [
        ("kind", "X"),
        ("spec.a", {"b": 1}),
        ("spec.c", []),
        ("data", {}),
    ]
