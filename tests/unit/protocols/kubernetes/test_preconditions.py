"""Preconditions: only where the body has a place for them, and nothing else of it changes."""

import json
from typing import Any

import pytest

from holdpoint.protocols.kubernetes.bodies import read
from holdpoint.protocols.kubernetes.preconditions import Guarded, guarded

PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
METHODS = {
    "evict": "POST",
    "delete": "DELETE",
    "update": "PUT",
    "patch": "PATCH",
    "create": "POST",
    "deletecollection": "DELETE",
}


def made(verb: str, body: bytes, *, patch: str = "", sort: str = "application/json", **query: Any) -> Guarded | None:
    media = PATCHES.get(patch, sort)
    decoded = read(METHODS[verb], media, None, body, max_bytes=1 << 20).object if body else {}
    return guarded(verb, patch=patch, content_type=media, body=body, decoded=decoded, query=query, uid="u", version="7")


VERSION = {"resourceVersion": "7"}
BOTH = {"uid": "u", "resourceVersion": "7"}
CASES: list[tuple[str, Guarded | None, Any]] = [
    ("update", made("update", b'{"metadata":{"name":"a"},"x":1}'), {"metadata": {"name": "a", **VERSION}, "x": 1}),
    ("update without metadata", made("update", b"{}"), {"metadata": VERSION}),
    ("update in YAML", made("update", b"a: 1\n", sort="application/yaml"), {"a": 1, "metadata": VERSION}),
    ("update with a version", made("update", b'{"metadata":{"resourceVersion":"5"}}'), None),
    # Which the API server takes for none.
    ("update with version zero", made("update", b'{"metadata":{"resourceVersion":"0"}}'), {"metadata": VERSION}),
    ("update with no version", made("update", b'{"metadata":{"resourceVersion":""}}'), {"metadata": VERSION}),
    ("merge patch", made("patch", b'{"spec":{"a":null}}', patch="merge"), {"spec": {"a": None}, "metadata": VERSION}),
    ("strategic patch", made("patch", b'{"a":[]}', patch="strategic"), {"a": [], "metadata": VERSION}),
    (
        "JSON patch",
        made("patch", b'[{"op":"remove","path":"/a"}]', patch="json"),
        [{"op": "test", "path": "/metadata/resourceVersion", "value": "7"}, {"op": "remove", "path": "/a"}],
    ),
    ("server-side apply", made("patch", b"a: 1\n", patch="apply"), None),
    ("create", made("create", b'{"metadata":{"name":"a"}}'), None),
    ("eviction", made("evict", b'{"a":1}'), {"a": 1, "deleteOptions": {"preconditions": {"uid": "u"}}}),
    (
        "eviction with options",
        made("evict", b'{"deleteOptions":{"gracePeriodSeconds":0}}'),
        {"deleteOptions": {"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}},
    ),
    ("eviction of this very pod", made("evict", b'{"deleteOptions":{"preconditions":{"uid":"u"}}}'), None),
    ("deletecollection", made("deletecollection", b"{}"), None),
    (
        "delete with options",
        made("delete", b'{"gracePeriodSeconds":0}'),
        {"gracePeriodSeconds": 0, "preconditions": BOTH},
    ),
    (
        "delete with one precondition",
        made("delete", b'{"preconditions":{"uid":"mine"}}'),
        {"preconditions": {"uid": "mine", "resourceVersion": "7"}},
    ),
    (
        "delete without a body takes its options along",
        made("delete", b"", propagationPolicy="Orphan", dryRun="All"),
        {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "dryRun": ["All"],
            "propagationPolicy": "Orphan",
            "preconditions": BOTH,
        },
    ),
]


@pytest.mark.parametrize(("found", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_precondition_stands_where_the_body_has_a_place_for_it(found: Guarded | None, expected: Any):
    assert (None if found is None else json.loads(found.body)) == expected


def test_protobuf_is_left_as_it_is():
    sort = "application/vnd.kubernetes.protobuf"
    found = guarded(
        "update", patch="", content_type=sort, body=b"k8s\0", decoded={"a": 1}, query={}, uid="u", version="7"
    )
    assert found is None


def test_without_a_version_nothing_is_added():
    found = guarded(
        "update", patch="", content_type="application/json", body=b"{}", decoded={}, query={}, uid="u", version=""
    )
    assert found is None


def test_whole_numbers_keep_every_digit():
    found = made("update", b'{"spec":{"a":9007199254740993}}')
    assert found is not None
    assert b"9007199254740993" in found.body
