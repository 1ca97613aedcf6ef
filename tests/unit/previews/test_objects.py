"""What counts of an object, and what only the API server makes up."""

from copy import deepcopy
from typing import Any

import pytest

from holdpoint.domain.values import JsonObject
from holdpoint.previews.kubernetes import Found, difference, sealed_digest

KEY = b"k" * 32
LIVE: JsonObject = {
    "kind": "Deployment",
    "metadata": {"name": "web", "uid": "u1", "generation": 4, "resourceVersion": "10", "managedFields": [{}]},
    "spec": {"replicas": 1, "template": {"metadata": {"annotations": {"at": "x"}}}},
    "status": {"readyReplicas": 1},
}


def changed(found: JsonObject, *path: str, to: Any) -> JsonObject:
    made: Any = deepcopy(found)
    holder = made
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = to
    return made  # type: ignore[no-any-return]  # JSON


def patched(live: JsonObject, replicas: int = 3, own: JsonObject | None = None) -> Found:
    after = changed(changed(live, "spec", "replicas", to=replicas), "metadata", "generation", to=99)
    return Found("change", before=live, after=after, own=own or {"spec": {"replicas": replicas}}, parent=live)


SAME = [
    ("a controller's note of who wrote", ("metadata", "managedFields"), [{"manager": "x"}]),
    ("another version of the same", ("metadata", "resourceVersion"), "11"),
    ("its status", ("status", "readyReplicas"), 0),
    ("another field than the request writes", ("spec", "template", "metadata", "annotations", "at"), "y"),
]
OTHER = [
    ("another object of the name", ("metadata", "uid"), "u2"),
    ("its spec was written", ("metadata", "generation"), 5),
    ("the field that the request writes", ("spec", "replicas"), 2),
]


@pytest.mark.parametrize(("path", "to"), [c[1:] for c in SAME], ids=[c[0] for c in SAME])
def test_what_only_looks_changed_voids_nothing(path: tuple[str, ...], to: Any):
    assert sealed_digest(patched(changed(LIVE, *path, to=to)), KEY) == sealed_digest(patched(LIVE), KEY)


@pytest.mark.threat("T69")
@pytest.mark.parametrize(("path", "to"), [c[1:] for c in OTHER], ids=[c[0] for c in OTHER])
def test_what_makes_it_another_request_voids_the_approval(path: tuple[str, ...], to: Any):
    assert sealed_digest(patched(changed(LIVE, *path, to=to)), KEY) != sealed_digest(patched(LIVE), KEY)


def job(uid: str, name: str, port: int, at: str) -> JsonObject:
    return {
        "metadata": {"name": name, "generateName": "job-", "uid": uid, "creationTimestamp": at},
        "spec": {"selector": {"controller-uid": uid}, "ports": [{"port": 80, "nodePort": port}], "by": f"for {name}"},
    }


def test_new_object_is_the_same_whatever_the_api_server_makes_up():
    own: JsonObject = {"metadata": {"generateName": "job-"}, "spec": {"ports": [{"port": 80}]}}
    one = Found("create", after=job("u-1", "job-abcde", 30001, "2026-01-01T00:00:00Z"), own=own)
    other = Found("create", after=job("u-2", "job-fghij", 30002, "2026-01-02T00:00:00Z"), own=own)
    assert difference(one) == difference(other)


def test_what_the_request_itself_says_counts_in_a_new_object():
    def made(port: int) -> JsonObject:
        return {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "nodePort": port}]}}

    one, other = (Found("create", after=made(port), own=made(port)) for port in (30001, 30002))
    assert difference(one) != difference(other)


def test_time_that_the_api_server_sets_does_not_count_and_one_of_the_request_does():
    def restarted(at: str, own: JsonObject) -> Found:
        return Found("change", before=LIVE, after=changed(LIVE, "spec", "at", to=at), own=own)

    times = ("2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z")
    one, other = (sealed_digest(restarted(at, {}), KEY) for at in times)
    assert one == other
    one, other = (sealed_digest(restarted(at, {"spec": {"at": at}}), KEY) for at in times)
    assert one != other


def test_digest_says_nothing_without_the_key():
    assert sealed_digest(patched(LIVE), KEY) != sealed_digest(patched(LIVE), b"x" * 32)
