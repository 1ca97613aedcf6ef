"""What a request to the Kubernetes API asks, from the same bytes that are forwarded."""

import re

from holdpoint.domain.access import Action, KubeObject, KubeOptions, KubePath, Protocol
from holdpoint.domain.values import JsonObject
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.headers import Headers, Index
from holdpoint.protocols.kubernetes import accept, address, agreement, bodies, impersonation
from holdpoint.protocols.kubernetes.bodies import Body
from holdpoint.protocols.kubernetes.copies import is_copy
from holdpoint.protocols.kubernetes.query import Query
from holdpoint.protocols.kubernetes.request_info import STREAMS, RequestInfo, request_info

COPY = "cp"
READS = frozenset({"get", "list", "watch"})

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_OF_STREAMS = frozenset({"GET", "POST"})
_GROUP = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_VERSION = re.compile(r"[a-z][a-z0-9-]{0,62}")
_RESOURCE = re.compile(r"[a-z](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_SUBRESOURCE = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)?")
_NAMESPACE = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)?")
_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._:@+=,~!*'()$&-]{0,253}")
"""Path segment names (apimachinery, api/validation/path) as far as they are visible ASCII without quotes."""
_SUBRESOURCE_AT = 2


def decode(*, method: str, path: str, headers: Headers, body: bytes, max_bytes: int = strict_json.MAX_BYTES) -> Call:
    """Return what a request asks. Raises Undecodable, and nothing else.

    `path` is the request target below the target's own base path, from the slash on, with its query.
    """
    if method not in _METHODS:
        raise Undecodable("this HTTP method is not accepted here", status=405, allow=", ".join(sorted(_METHODS)))
    at = address.read(path)
    index = Index(headers)
    info = request_info(method, at.path, at.query)
    read = bodies.read(method, index.get(b"content-type"), index.get(b"content-encoding"), body, max_bytes=max_bytes)
    accept.rewritten(headers, verb=_verb(info))  # told now, and not after an approval
    call = _resource(method, info, at, read, index) if info.is_resource else _path(info, at, read)
    return Call(
        action=call.action,
        resource=call.resource,
        arguments=read.object,
        intent=impersonation.intent_as(call.intent, headers),
        unverified=_client(headers),
        is_write=call.is_write,
        members=impersonation.members(headers),
    )


def _verb(info: RequestInfo) -> str:
    return info.subresource if info.subresource in STREAMS else info.verb


def _path(info: RequestInfo, at: address.Address, body: Body) -> Call:
    query = Query(at.query, verb=info.verb)
    intent: JsonObject = {"verb": info.verb, "path": info.path}
    if said := query.intent():
        intent["query"] = said
    intent |= _said(body)
    return Call(
        action=Action(Protocol.KUBERNETES, info.verb),
        resource=KubePath(info.path),
        arguments={},
        intent=intent,
        is_write=info.verb not in {"get", "head"},
    )


def _resource(method: str, info: RequestInfo, at: address.Address, body: Body, index: Index) -> Call:
    _check_words(info)
    subresource, verb = "proxy" if info.verb == "proxy" else info.subresource, _verb(info)
    _check_method(method, info, verb, body)
    intent: JsonObject = {
        "verb": verb,
        "group": info.group,
        "version": info.version,
        "resource": info.resource,
        "subresource": subresource,
        "namespace": info.namespace,
    }
    if verb == "proxy":
        # Whatever is called behind it reads path, query and headers in its own way, and nobody here knows which.
        options, name = KubeOptions(known=body.known), info.name
        intent |= {"name": name, "method": method, "path": _rest(info, at)}
        if at.query:
            intent["query"] = [{key: value} for key, value in at.query]
        intent["headers"] = {k: v for k, v in index.intent().items() if not k.startswith("kubectl-")}
    else:
        query = Query(at.query, verb=verb)
        name = agreement.check(info, body)
        if not _NAME.fullmatch(name):
            raise Undecodable("the name in the body is none")
        options = _options(info, verb, query, body)
        if verb == "exec" and is_copy(options.command, stdin=options.stdin, tty=options.tty):
            verb = intent["verb"] = COPY
        intent |= {"name": name, "query": query.intent()}
        if rest := _rest(info, at).strip("/"):
            intent["path"] = rest
    intent |= _said(body)
    return Call(
        action=Action(Protocol.KUBERNETES, verb),
        resource=KubeObject(
            group=info.group,
            version=info.version,
            resource=info.resource,
            subresource=subresource,
            namespace=info.namespace,
            name=name,
            options=options,
        ),
        arguments={},
        intent=intent,
        is_write=verb not in READS,
    )


def _said(body: Body) -> JsonObject:
    """Return what a body adds to the intent. INVARIANT: two bodies that the API server may read differently differ."""
    said: JsonObject = {}
    if body.is_there:
        said["object"] = dict(body.object)
    if body.patch:
        said["patch"] = body.patch
    if body.unread:
        said["unread"] = body.unread
    return said


def _check_method(method: str, info: RequestInfo, verb: str, body: Body) -> None:
    if info.via_path and info.verb == "watch" and method != "GET":
        raise Undecodable("this HTTP method is not accepted here", status=405, allow="GET")
    if verb in STREAMS and verb != "proxy":
        if method not in _OF_STREAMS:
            raise Undecodable("this HTTP method is not accepted here", status=405, allow="GET, POST")
        if body.is_there:
            raise Undecodable("a body is not accepted here")


def _options(info: RequestInfo, verb: str, query: Query, body: Body) -> KubeOptions:
    command = query.command if verb == "exec" else ()
    if verb == "exec" and not command:
        raise Undecodable("an exec without a command")
    return KubeOptions(
        label_selector=query.text("labelSelector"),
        field_selector=query.text("fieldSelector"),
        dry_run=agreement.dry_run(info, query, body),
        command=command,
        container=query.text("container"),
        stdin=query.flag("stdin"),
        tty=query.flag("tty"),
        ports=query.ports if verb == "portforward" else (),
        patch=body.patch,
        known=body.known,
    )


def _check_words(info: RequestInfo) -> None:
    """Refuse names that the API server has for nothing. Raises Undecodable."""
    if not info.verb:
        raise Undecodable("this HTTP method is not accepted here", status=405)
    checks = (
        (_GROUP, info.group or "core", "API group"),
        (_VERSION, info.version, "API version"),
        (_RESOURCE, info.resource, "resource"),
        (_SUBRESOURCE, info.subresource, "subresource"),
        (_NAMESPACE, info.namespace, "namespace"),
        (_NAME, info.name, "name"),
    )
    for pattern, text, what in checks:
        if not pattern.fullmatch(text):
            raise Undecodable(f"the path names what is no {what}")


def _rest(info: RequestInfo, at: address.Address) -> str:
    """Return what follows the subresource, which the API server does not interpret, with its slashes."""
    below = info.parts[_SUBRESOURCE_AT:] if info.verb == "proxy" else info.parts[_SUBRESOURCE_AT + 1 :]
    rest = "".join(f"/{part}" for part in below)
    return f"{rest}/" if at.path.endswith("/") else rest


def _client(headers: Headers) -> dict[str, str]:
    agent = next((value for name, value in headers if name.lower() == b"user-agent"), b"")
    first = agent.decode("latin-1").split(" ", 1)[0]
    client, _, version = first.partition("/")
    said = {"client": client, "client_version": version}
    return {key: value[:128] for key, value in said.items() if value and value.isascii() and value.isprintable()}
