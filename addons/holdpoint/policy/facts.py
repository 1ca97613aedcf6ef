"""What conditions read: a request as plain values, bounded and of its own.

Only what some condition reads is made. What is too large or no time is left out: a condition that reads it fails, and
the others go on.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from holdpoint.domain.access import (
    AccessRequest,
    HttpPath,
    KubeObject,
    KubeOptions,
    KubePath,
    McpMethod,
    McpPrompt,
    McpResource,
    McpServerRequest,
    McpTool,
    Protocol,
)
from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue
from holdpoint.protocols.kubernetes.built_in import honours_dry_run

MAX_NODES = 9_000
"""Values in one request's arguments. Below the engine's own limit of 10,000 steps of a comprehension."""
MAX_CHARACTERS = 256 << 10
MAX_DEPTH = 64
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1
_SURROGATE = re.compile("[\ud800-\udfff]")

ARGUMENTS = frozenset({"args", "object"})
"""Two names of the arguments."""


def protocol_version(request: AccessRequest) -> str:
    """Return the version of MCP that a request speaks, headers and body agreeing; empty where nobody knows."""
    return request.unverified.get("protocol_version", "")


type _Read = Callable[[AccessRequest], object]

_COMMON: dict[str, _Read] = {
    "principal.subject": lambda r: r.principal.subject,
    "principal.issuer": lambda r: r.principal.issuer,
    "principal.person": lambda r: r.principal.person or "",
    "principal.kind": lambda r: r.principal.kind,
    "principal.groups": lambda r: sorted(r.principal.groups),
    "principal.actor": lambda r: r.principal.actor.subject if r.principal.actor else "",
    "principal.owners": lambda r: sorted(r.principal.owners),
    "principal.client_id": lambda r: r.principal.client_id,
    "principal.scopes": lambda r: sorted(r.principal.scopes),
    "principal.claims": lambda r: bounded_copy(r.principal.claims),
    "target.name": lambda r: r.target,
    "request.verb": lambda r: r.action.verb,
    "request.protocol": lambda r: r.action.protocol.value,
    "request.protocol_version": lambda r: protocol_version(r) or None,
    "request.time": lambda r: _time(r.at),
    "request.linked": lambda r: bool(r.principal.call),
    "request.call": lambda r: r.principal.call,
}
_RUNNING = frozenset({"attach", "cp", "exec"})
_OPTIONS: dict[str, Callable[[KubeOptions, str], object]] = {
    "request.label_selector": lambda o, _: o.label_selector,
    "request.field_selector": lambda o, _: o.field_selector,
    "request.dry_run": lambda o, _: o.dry_run,
    # What an attach joins, and what a port-forward over SPDY asks for later, nobody knows yet.
    "request.command": lambda o, verb: list(o.command) if o.command or verb not in _RUNNING else None,
    "request.container": lambda o, _: o.container,
    "request.stdin": lambda o, _: o.stdin,
    "request.tty": lambda o, _: o.tty,
    "request.ports": lambda o, verb: list(o.ports) if o.ports or verb != "portforward" else None,
}
BESIDE_RESOURCE = ARGUMENTS | _OPTIONS.keys()
"""Variables that a request has beside its caller, verb and resource."""

_RESOURCE: tuple[str, ...] = (
    "tool",
    "pin",
    "prompt",
    "uri",
    "server_request",
    "host",
    "path",
    "group",
    "version",
    "resource",
    "subresource",
    "namespace",
    "name",
)


def values_of(
    request: AccessRequest, reads: frozenset[str] | None = None, keys: frozenset[str] | None = None
) -> dict[str, object]:
    """Return the value of each variable in `reads`, or of all; what has none is left out.

    Of the arguments only those in `keys`, or all. Too large are they as a whole: what one condition reads of them must
    not hang on what another does.
    """
    values: dict[str, object] = {}
    for name, read in _COMMON.items():
        if reads is None or name in reads:
            value = read(request)
            if value is not None:
                values[name] = value
    if reads is None or not ARGUMENTS.isdisjoint(reads):
        arguments = _arguments(request.arguments, keys) if _is_known(request) else None
        if arguments is not None:
            values["args"] = values["object"] = arguments
    if request.action.protocol is Protocol.KUBERNETES:
        values |= _options(request, reads)
    if reads is None:
        values |= {f"resource.{name}": "" for name in _RESOURCE}
        values |= _of_resource(request)
    elif any(name.startswith("resource.") for name in reads):
        found = _of_resource(request)
        values |= {name: found.get(name, "") for name in reads if name.startswith("resource.")}
    return values


def _is_known(request: AccessRequest) -> bool:
    return not isinstance(request.resource, KubeObject) or request.resource.options.known


def _options(request: AccessRequest, reads: frozenset[str] | None) -> dict[str, object]:
    resource, verb = request.resource, request.action.verb
    options = resource.options if isinstance(resource, KubeObject) else KubeOptions()
    values = {name: read(options, verb) for name, read in _OPTIONS.items() if reads is None or name in reads}
    if isinstance(resource, KubeObject) and options.dry_run and not _is_heeded(resource, verb):
        # As in a match: what changes something all the same is no dry run, and what nobody knows is neither.
        values["request.dry_run"] = None
    return {name: value for name, value in values.items() if value is not None}


def _is_heeded(resource: KubeObject, verb: str) -> bool:
    return honours_dry_run(verb, resource.group, resource.resource, resource.subresource)


def _arguments(arguments: JsonMapping, keys: frozenset[str] | None) -> JsonObject | None:
    if keys is None:
        return bounded_copy(arguments)
    if not _is_readable(arguments):
        return None
    return bounded_copy({key: value for key, value in arguments.items() if key in keys})


def _is_readable(value: JsonMapping) -> bool:
    # What `bounded_copy` copies, without the copy.
    nodes, characters = MAX_NODES, MAX_CHARACTERS
    layer: list[JsonMapping | list[JsonValue]] = [value]
    for _ in range(MAX_DEPTH):
        below: list[JsonMapping | list[JsonValue]] = []
        for container in layer:
            nodes -= len(container)
            children: Iterable[JsonValue]
            if isinstance(container, list):
                children = container
            else:
                characters -= _length("".join(container))
                children = container.values()
            for child in children:
                if isinstance(child, str):
                    characters -= _length(child)
                elif isinstance(child, (dict, list)):
                    below.append(child)
                elif isinstance(child, int) and not _LOWEST <= child <= _HIGHEST:
                    return False
            if nodes < 0 or characters < 0:
                return False
        if not below:
            return True
        layer = below
    return False


def _length(text: str) -> int:
    """Return the length; beyond every bound for text that is not Unicode, which the conditions' engine cannot take."""
    return len(text) if text.isascii() or _SURROGATE.search(text) is None else MAX_CHARACTERS + 1


def _time(at: float) -> datetime | None:
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(at, UTC)
    return None


def _of_resource(request: AccessRequest) -> Mapping[str, object]:
    match request.resource:
        case McpTool(name, pin):
            return {"resource.tool": name, "resource.pin": pin.value}
        case McpPrompt(name):
            return {"resource.prompt": name}
        case McpResource(uri):
            return {"resource.uri": uri}
        case McpServerRequest(method):
            return {"resource.server_request": method}
        case McpMethod():
            return _NOTHING
        case HttpPath(host, path):
            return {"resource.host": host, "resource.path": path}
        case KubePath(path):
            return {"resource.path": path}
        case KubeObject() as kube:
            return {
                "resource.group": kube.group,
                "resource.version": kube.version,
                "resource.resource": kube.resource,
                "resource.subresource": kube.subresource,
                "resource.namespace": kube.namespace,
                "resource.name": kube.name,
            }


_NOTHING: Mapping[str, object] = MappingProxyType({})


def bounded_copy(value: JsonMapping) -> JsonObject | None:
    """Copy an object, or return None where a condition cannot read it.

    That is: larger or deeper than it may be, or with an integer beyond 64 bits or a lone surrogate in it.
    """
    if not _is_readable(value):
        return None
    root = dict(value)
    waiting: list[JsonObject | list[JsonValue]] = [root]
    while waiting:
        container = waiting.pop()
        slots: Any = container  # keys of a dict, indices of a list: both are written to in the same way
        for key, child in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(child, (dict, list)):
                copied = child.copy()
                slots[key] = copied
                waiting.append(copied)
    return root
