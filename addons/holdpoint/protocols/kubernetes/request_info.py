"""RequestInfo: what the API server takes a request for, computed as it does.

A port of `RequestInfoFactory.NewRequestInfo` (apiserver, pkg/endpoints/request/requestinfo.go) with the prefixes that
every kube-apiserver is started with: `api` without groups, `apis` with them. Deviations would be holes: what the
server authorises and what a rule matches must be the same thing.
"""

import re
from dataclasses import dataclass

from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.address import Pairs
from holdpoint.protocols.kubernetes.selectors import BadSelector, exact_match

_VERB_BY_METHOD = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_SPECIAL = frozenset({"proxy", "watch"})
"""Verbs that may stand in the path (`specialVerbs`)."""
_OF_NAMESPACES = frozenset({"status", "finalize"})
"""What follows `/namespaces/NAME` as a subresource, and not as a resource in it (`namespaceSubresources`)."""
_PREFIXES = frozenset({"api", "apis"})
STREAMS = frozenset({"attach", "exec", "portforward", "proxy"})
"""Subresources that are verbs to the gateway: to the API server a `get` over WebSocket, and a `create` over SPDY."""
_LEAST_PARTS = 3
_INT64 = re.compile(r"[+-]?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """The fields of the API server's own `RequestInfo`."""

    is_resource: bool
    path: str
    verb: str
    """The lower-case method for non-resource paths; empty for a method that no resource has."""
    prefix: str = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()
    via_path: bool = False
    """Whether the verb stood in the path: `/api/v1/watch/…`, `/api/v1/proxy/…`."""


def request_info(method: str, path: str, query: Pairs) -> RequestInfo:
    """Return what a method, a decoded path and a query ask for. Raises Undecodable where the API server has an error.

    INVARIANT: of a key that stands twice the first counts here, as in Go's `url.Values.Get`.
    """
    plain = RequestInfo(False, path, method.lower())  # noqa: FBT003  # `is_resource`, first as in the Go struct
    parts = _split(path)
    if len(parts) < _LEAST_PARTS or parts[0] not in _PREFIXES:
        return plain
    prefix, parts = parts[0], parts[1:]
    group = ""
    if prefix != "api":
        if len(parts) < _LEAST_PARTS:
            return plain
        group, parts = parts[0], parts[1:]
    version, parts = parts[0], parts[1:]
    verb, via_path = _VERB_BY_METHOD.get(method, ""), False
    if parts[0] in _SPECIAL:
        if len(parts) < 2:  # noqa: PLR2004  # the verb, and something after it
            raise Undecodable("the path names a verb and no resource")
        verb, parts, via_path = parts[0], parts[1:], True
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _OF_NAMESPACES:  # noqa: PLR2004  # `namespaces/NAME/REST`
            parts = parts[2:]
    resource, name, subresource = _named(parts, verb)
    if not name and verb == "get":
        verb, name = _listing(query)
    if not name and verb == "delete":
        verb = "deletecollection"
    return RequestInfo(
        is_resource=True,
        path=path,
        verb=verb,
        prefix=prefix,
        group=group,
        version=version,
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        name=name,
        parts=tuple(parts),
        via_path=via_path,
    )


def flag(values: Pairs, key: str) -> bool:
    """Return a boolean of the query: absent, `0` and `false` in any case are false, all else is true, empty too.

    apimachinery, pkg/runtime/conversion.go, `Convert_Slice_string_To_bool`.
    """
    found = next((value for name, value in values if name == key), "0")
    return found != "0" and found.casefold() != "false"


def _split(path: str) -> list[str]:
    bare = path.strip("/")
    return bare.split("/") if bare else []


def _named(parts: list[str], verb: str) -> tuple[str, str, str]:
    name = parts[1] if len(parts) > 1 else ""
    # What follows `/proxy/pods/NAME` belongs to whom is called, and is no subresource.
    subresource = parts[2] if len(parts) >= _LEAST_PARTS and verb != "proxy" else ""
    return parts[0], name, subresource


def _listing(query: Pairs) -> tuple[str, str]:
    """Return verb and name of a GET without a name."""
    verb = "watch" if flag(query, "watch") else "list"
    first: dict[str, str] = {}
    for key, value in query:
        first.setdefault(key, value)
    if not all(_INT64.fullmatch(first[key]) for key in ("limit", "timeoutSeconds") if key in first):
        return verb, ""  # ListOptions do not decode: the server goes on with the verb alone
    try:
        name = exact_match(first.get("fieldSelector", ""), "metadata.name")
    except BadSelector:
        return verb, ""
    if name is None or name in {".", ".."} or "/" in name or "%" in name:
        return verb, ""
    return verb, name
