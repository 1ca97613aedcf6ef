"""The requests of a preview: reads, and the write itself with `dryRun=All`. Built from what was decoded, never copied.

INVARIANT: whatever is no GET carries `dryRun=All` exactly once, in the query, where both an API server that reads
options from the query and one that reads them from a body find it: a DELETE has no body, as options in a body would
take the place of the query's (apiserver, endpoints/handlers/delete.go).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from holdpoint.domain.access import AccessRequest, KubeObject
from holdpoint.domain.refusal import GatewayFault
from holdpoint.domain.values import JsonMapping, JsonValue, as_object
from holdpoint.previews.errors import NotTried
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes import address
from holdpoint.protocols.kubernetes.bodies import PATCH
from holdpoint.protocols.kubernetes.built_in import honours_dry_run, is_built_in, is_outside_namespaces
from holdpoint.protocols.kubernetes.request_info import request_info

JSON: Final = "application/json"
PARTIAL: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Names, labels and owners alone: what a list of Secrets or large objects is asked for in."""
_TYPES: Final = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_METHODS: Final = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
_PASSED_ON: Final = {
    "create": ("fieldManager", "fieldValidation"),
    "update": ("fieldManager", "fieldValidation"),
    "patch": ("fieldManager", "fieldValidation", "force"),
    "delete": ("gracePeriodSeconds", "orphanDependents", "propagationPolicy"),
}
"""What of a request's query decides what a write does."""
_READ: Final = frozenset({"get", "list"})


@dataclass(frozen=True, slots=True)
class Asking:
    """One request of the gateway's own."""

    method: str
    path: str
    """Below the target's base path, percent-encoded."""
    query: tuple[tuple[str, str], ...] = ()
    accept: str = JSON
    content_type: str = ""
    body: bytes = b""

    @property
    def is_write(self) -> bool:
        """Whether it would change something without `dryRun=All`."""
        return self.method != "GET"

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        return self.path + (f"?{urlencode(self.query, quote_via=quote)}" if self.query else "")


def place(  # the parts of a path, in their order
    group: str, version: str, resource: str, *, namespace: str = "", name: str = "", subresource: str = ""
) -> str:
    """Return the path of an object or collection. Empty parts are left out."""
    parts = ["apis", group, version] if group else ["api", version]
    if namespace and not (resource == "namespaces" and not group):
        parts += ["namespaces", namespace]
    parts += [part for part in (resource, name, subresource) if part]
    return "/" + "/".join(quote(part, safe="") for part in parts)


def of_object(what: KubeObject, *, subresource: str = "") -> str:
    """Return the path of the object that a request is about."""
    namespace = "" if is_outside_namespaces(what.group, what.resource) else what.namespace
    return place(what.group, what.version, what.resource, namespace=namespace, name=what.name, subresource=subresource)


def of_collection(what: KubeObject) -> str:
    """Return the path of the collection that a request is about."""
    namespace = "" if is_outside_namespaces(what.group, what.resource) else what.namespace
    return place(what.group, what.version, what.resource, namespace=namespace)


def get(path: str, *, accept: str = JSON, query: Iterable[tuple[str, str]] = ()) -> Asking:
    """Return a read."""
    return Asking("GET", path, tuple((name, value) for name, value in query if value), accept=accept)


def dry_write(access: AccessRequest, said: JsonMapping) -> Asking:
    """Return the write that was asked for, with `dryRun=All`. `said` is the query of its intent.

    Raises NotTried where `dryRun` would not keep it from changing anything, or what is sent is not wholly known.
    """
    what, verb = access.resource, access.action.verb
    if not isinstance(what, KubeObject):
        raise NotTried("a path of the API server that is no object cannot be tried")
    if not honours_dry_run(verb, what.group, what.resource, what.subresource) or verb not in _METHODS:
        built_in = is_built_in(what.group, what.resource)
        kind = what.resource + (f"/{what.subresource}" if what.subresource else "")
        why = "it stores nothing that a dry run could leave out" if built_in else "it is no built-in kind"
        raise NotTried(f"`{verb}` of {kind} is not tried: {why}, and whether `dryRun` is honoured is not known")
    if not what.options.known:
        raise NotTried("a part of the body was not understood, so what would be tried is not what would be sent")
    named = bool(what.subresource) or verb != "create"
    path = of_object(what, subresource=what.subresource) if named else of_collection(what)
    query = [*_passed_on(access, verb, said), ("dryRun", "All")]
    if verb == "delete":
        return Asking("DELETE", path, tuple(query))
    content_type = _TYPES[what.options.patch] if verb == "patch" else JSON
    body: JsonValue = access.arguments.get(PATCH) if what.options.patch == "json" else dict(access.arguments)
    return Asking(_METHODS[verb], path, tuple(query), content_type=content_type, body=strict_json.dumps(body))


def _passed_on(access: AccessRequest, verb: str, said: JsonMapping) -> list[tuple[str, str]]:
    # DeleteOptions in a body are all that counts of them.
    options: Mapping[str, JsonValue] = access.arguments if verb == "delete" and access.arguments else said
    passed: list[tuple[str, str]] = []
    for key in _PASSED_ON[verb]:
        match options.get(key):
            case None:
                continue
            case bool(flag):
                passed.append((key, "true" if flag else "false"))
            case str() | int() as value:
                passed.append((key, str(value)))
            case _:
                raise NotTried(f"`{key}` is not what it should be")
    if any(value.startswith("[sealed:") for _, value in passed):
        raise NotTried("the query of the request holds a masked value")
    return passed


def check(method: str, url: str, body: bytes, *, base: str) -> None:
    """Look at a request once more, as it will be on the wire. Raises GatewayFault unless it can change nothing.

    `base` is the path of the target that stands before the API server's own.
    """
    parts = urlsplit(url)
    if parts.fragment or not parts.path.startswith(f"{base}/"):
        raise GatewayFault("a preview would go where its target is not")
    try:
        at = address.read(parts.path.removeprefix(base) + (f"?{parts.query}" if parts.query else ""))
        info = request_info(method, at.path, at.query)
    except Undecodable as error:
        raise GatewayFault(f"a preview would send what nobody reads in one way: {error}") from None
    if method == "GET":
        if body or not info.is_resource or info.verb not in _READ or info.subresource:
            raise GatewayFault("a preview would read what it must not")
        return
    dry = [value for key, value in parse_qsl(parts.query, keep_blank_values=True) if key.casefold() == "dryrun"]
    if dry != ["All"] or ("dryRun", "All") not in at.query:
        raise GatewayFault("a preview would write: its request does not say `dryRun=All` exactly once")
    if not info.is_resource or not honours_dry_run(info.verb, info.group, info.resource, info.subresource):
        raise GatewayFault("a preview would write: `dryRun` is not honoured there")
    if info.verb == "deletecollection" or (method == "DELETE" and body):
        raise GatewayFault("a preview would delete by options that stand in a body, or more than one object")
    if info.subresource == "eviction" and as_object(_document(body).get("deleteOptions")).get("dryRun") not in (
        None,
        [],
        ["All"],
    ):
        raise GatewayFault("a preview would evict")


def _document(body: bytes) -> JsonMapping:
    try:
        return as_object(strict_json.loads(body))
    except Undecodable:
        return {}
