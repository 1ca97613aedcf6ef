"""A body that says another thing than the path is refused: the path decides, and what a reviewer reads is the body."""

from holdpoint.domain.values import JsonMapping, JsonObject
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.bodies import Body
from holdpoint.protocols.kubernetes.query import OF_DELETES, Query
from holdpoint.protocols.kubernetes.request_info import STREAMS, RequestInfo

_OF_THE_RESOURCE = frozenset({"", "approval", "ephemeralcontainers", "finalize", "resize", "status"})
"""Subresources whose body is the object itself, and so of the path's own group and version."""
_SUBRESOURCES = {
    "binding": ("Binding", frozenset({"v1"})),
    "eviction": ("Eviction", frozenset({"policy/v1", "policy/v1beta1"})),
    "scale": ("Scale", frozenset({"autoscaling/v1", "autoscaling/v1beta1", "extensions/v1beta1"})),
    "token": ("TokenRequest", frozenset({"authentication.k8s.io/v1"})),
}
"""Kind and versions of the bodies of the others, where the path is one of Kubernetes' own."""
_DELETES = frozenset({"delete", "deletecollection"})


def check(info: RequestInfo, body: Body) -> str:
    """Return the name of the object that a request is about. Raises Undecodable where path and body disagree."""
    if not body.is_there or info.verb in _DELETES:
        return info.name
    _check_type(info, body)
    if body.patch == "json":
        return info.name
    metadata = body.metadata
    if not isinstance(body.object.get("metadata", {}), dict | None):
        raise Undecodable("`metadata` of the body is not an object")
    name, namespace = (_text(metadata, key) for key in ("name", "namespace"))
    # On a path without a namespace the server drops the body's (apiserver, rest.EnsureObjectNamespaceMatches…).
    if namespace and info.namespace and info.resource != "namespaces" and namespace != info.namespace:
        raise Undecodable("the namespace in the body is not that of the path")
    if info.name and name and name != info.name:
        raise Undecodable("the name in the body is not that of the path")
    return info.name or (name if info.verb == "create" else "")


def dry_run(info: RequestInfo, query: Query, body: Body) -> bool:
    """Return whether nothing is to be stored. Raises Undecodable where query and body disagree.

    DeleteOptions come from the body where there is one, and then the query's do not count: `?dryRun=All` beside a body
    that does not say so deletes.
    """
    if info.verb in _DELETES:
        if not body.is_there:
            return query.dry_run
        _check_delete(query, body)
        return _all(dict(body.object))
    if info.subresource == "token" or info.subresource in STREAMS:
        return False  # a token is minted all the same, a command runs
    if info.subresource == "eviction":
        options = body.object.get("deleteOptions")
        if options is not None and not isinstance(options, dict):
            raise Undecodable("`deleteOptions` is not an object")
        return _all(options or {}) or query.dry_run
    return query.dry_run if info.verb in {"create", "update", "patch"} else False


def _check_type(info: RequestInfo, body: Body) -> None:
    if body.patch == "json":
        return
    kind, version = _text(body.object, "kind"), _text(body.object, "apiVersion")
    expected = _SUBRESOURCES.get(info.subresource)
    if info.subresource in _OF_THE_RESOURCE:
        of_path = f"{info.group}/{info.version}" if info.group else info.version
        if version and version != of_path:
            raise Undecodable("`apiVersion` of the body is not that of the path")
    elif expected is not None and ((kind and kind != expected[0]) or (version and version not in expected[1])):
        raise Undecodable("the body is of another kind than the path asks for")


def _check_delete(query: Query, body: Body) -> None:
    if _text(body.object, "kind") not in {"", "DeleteOptions"}:
        raise Undecodable("the body of a DELETE is no `DeleteOptions`")
    for key in OF_DELETES:
        if key in query and query.intent().get(key) != _of_body(body, key):
            raise Undecodable(f"`{key}` of the query is not that of the body, which alone counts")


def _of_body(body: Body, key: str) -> object:
    value = body.object.get(key)
    return "All" if key == "dryRun" and value == ["All"] else value


def _all(options: JsonObject) -> bool:
    given = options.get("dryRun")
    if given is None or given == []:
        return False
    if given != ["All"]:
        raise Undecodable("`dryRun` of the body has another value than `All`")
    return True


def _text(holder: JsonMapping, key: str) -> str:
    value = holder.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Undecodable(f"`{key}` of the body is not a string")
    return value
