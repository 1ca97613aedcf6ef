"""A request that the API server takes only while the object is the one that was looked at.

Where a body can say so: `preconditions` of DeleteOptions, `metadata.resourceVersion` of an update and of a merge or
strategic patch, a leading `test` of a JSON patch (Kubernetes API conventions, "Concurrency Control and Consistency").
Nowhere else: a server-side apply means another thing by it, and protobuf is not written here.
"""

from dataclasses import dataclass
from typing import Final

from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue, as_object
from holdpoint.protocols import strict_json
from holdpoint.protocols.kubernetes.bodies import PATCH

_JSON: Final = "application/json"
_WRITTEN: Final = frozenset({_JSON, "application/yaml"})
_OF_QUERIES: Final = (
    *("dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential"),
    *("orphanDependents", "propagationPolicy"),
)
"""DeleteOptions, which do not count in the query once there is a body."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A body with a precondition."""

    body: bytes
    content_type: str
    object: JsonObject
    """What the body says."""
    added: tuple[str, ...]
    """What was added, by path."""


def guarded(  # what decides how a body is read
    verb: str,
    *,
    patch: str,
    content_type: str,
    body: bytes,
    decoded: JsonMapping,
    query: JsonMapping,
    uid: str,
    version: str,
) -> Guarded | None:
    """Return the body with preconditions, None where it has no place for them, or says them already.

    `decoded` is the body as it was decoded, `query` that of the request.
    """
    media = content_type.partition(";")[0].strip().lower()
    if not version or (body and verb != "patch" and (media or _JSON) not in _WRITTEN):
        return None
    match verb, patch:
        case "delete", _:
            return _delete(decoded if body else _of_query(query), uid, version)
        case "evict", _:
            return _evicted(decoded, uid)
        case ("update", "") | ("patch", "merge" | "strategic"):
            return _versioned(dict(decoded), version, media if verb == "patch" else _JSON)
        case "patch", "json":
            return _tested(decoded.get(PATCH), version, media)
        case _:
            return None


def _delete(options: JsonMapping, uid: str, version: str) -> Guarded | None:
    wanted = options.get("preconditions")
    if not isinstance(wanted, dict | None):
        return None
    said: JsonObject = {"uid": uid, "resourceVersion": version}
    added = tuple(name for name, value in said.items() if value and not as_object(wanted).get(name))
    if not added:
        return None
    made: JsonObject = {**options, "preconditions": {**as_object(wanted), **{name: said[name] for name in added}}}
    return _written(made, _JSON, tuple(f"preconditions.{name}" for name in added))


def _evicted(eviction: JsonMapping, uid: str) -> Guarded | None:
    """Bind an eviction to its pod. Not to its version: the API server changes the pod itself before it deletes it."""
    options = eviction.get("deleteOptions")
    if not isinstance(options, dict | None) or (made := _delete(as_object(options), uid, "")) is None:
        return None
    body: JsonObject = {**eviction, "deleteOptions": made.object}
    return _written(body, _JSON, tuple(f"deleteOptions.{name}" for name in made.added))


def _of_query(query: JsonMapping) -> JsonObject:
    found: JsonObject = {"kind": "DeleteOptions", "apiVersion": "v1"}
    for name in _OF_QUERIES:
        if name in query:
            found[name] = [query[name]] if name == "dryRun" else query[name]
    return found


def _versioned(value: JsonObject, version: str, media: str) -> Guarded | None:
    metadata = value.get("metadata")
    if not isinstance(metadata, dict | None) or not _is_no_version(as_object(metadata).get("resourceVersion")):
        return None
    made: JsonObject = {**value, "metadata": {**as_object(metadata), "resourceVersion": version}}
    return _written(made, media, ("metadata.resourceVersion",))


def _is_no_version(value: JsonValue) -> bool:
    """Tell whether a resource version says nothing: zero stands for whatever is there (registry/generic/registry)."""
    return not value or (isinstance(value, str) and not value.strip("0"))


def _tested(operations: JsonValue, version: str, media: str) -> Guarded | None:
    if not isinstance(operations, list):
        return None
    test: JsonObject = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    made: list[JsonValue] = [test, *operations]
    return Guarded(strict_json.dumps(made), media, {PATCH: made}, ("test of metadata.resourceVersion",))


def _written(value: JsonObject, media: str, added: tuple[str, ...]) -> Guarded:
    return Guarded(strict_json.dumps(value), media, value, added)
