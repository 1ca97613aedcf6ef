"""CEL behind one class: the only module that knows the engine (cel-expr-python 0.1).

Variables have dotted names and types, so that a misspelt field is an error when the policy is read. Three traps of the
engine are closed here: an evaluation error comes back as a value (which is truthy), a bad regular expression is found
at run time only, and arguments are converted whole and without a bound.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]  # has a stub, but no py.typed

from holdpoint.domain.access import (
    AccessRequest,
    HttpPath,
    KubeObject,
    KubePath,
    McpMethod,
    McpPrompt,
    McpResource,
    McpServerRequest,
    McpTool,
    Protocol,
)
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.policy.cel_literals import constant_calls

MAX_SOURCE = 4_096
MAX_NODES = 9_000
"""Values in one request's arguments. Below the engine's own limit of 10,000 steps of a comprehension."""
MAX_CHARACTERS = 256 << 10
MAX_DEPTH = 64

_T = cel.Type
_BOOL = _T.BOOL
_TEXTS = _T.List(_T.STRING)
_MAP = _T.Map(_T.STRING, _T.DYN)
_COMMON: dict[str, cel.Type] = {
    "principal.subject": _T.STRING,
    "principal.issuer": _T.STRING,
    "principal.person": _T.STRING,
    "principal.kind": _T.STRING,
    "principal.groups": _TEXTS,
    "principal.actor": _T.STRING,
    "principal.owners": _TEXTS,
    "principal.client_id": _T.STRING,
    "principal.scopes": _TEXTS,
    "principal.claims": _MAP,
    "target.name": _T.STRING,
    "request.verb": _T.STRING,
    "request.protocol": _T.STRING,
    "request.time": _T.TIMESTAMP,
    "args": _MAP,
    "object": _MAP,
}
_RESOURCE: dict[Protocol, tuple[str, ...]] = {
    Protocol.MCP: ("tool", "prompt", "uri"),
    Protocol.HTTP: ("host", "path"),
    Protocol.KUBERNETES: ("group", "version", "resource", "subresource", "namespace", "name", "path"),
}
_FIRST_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'(?: \(in container ''\))?")
_REASONS = {
    "NOT_FOUND": "it reads a key that is not there; guard it with `has(...)`",
    "INVALID_ARGUMENT": "a value is not of the type or range that it needs",
    "UNKNOWN": "a value is not of the type that it needs, or the arguments are too large",
}


class ConditionProblem(ValueError):  # noqa: N818  # the error is ConfigError, made from it
    """A condition that cannot be compiled; `line` and `column` count from one within the condition."""

    def __init__(self, message: str, *, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class ConditionFailed(Exception):  # noqa: N818  # an outcome that the engine weighs, not an error of the program
    """A condition that could not be evaluated. The message holds nothing of the request."""


def variables(protocol: Protocol) -> Mapping[str, cel.Type]:
    """Return the variables that a condition may read on targets of a protocol."""
    return _COMMON | {f"resource.{name}": _T.STRING for name in _RESOURCE[protocol]}


@cache
def _environment(protocol: Protocol) -> cel.Env:
    return cel.NewEnv(variables=dict(variables(protocol)))


@cache
def _empty() -> cel.Env:
    return cel.NewEnv(variables={})


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """A compiled condition. Safe to share between threads."""

    source: str
    expression: cel.Expression

    def holds(self, facts: "Facts") -> bool:
        """Evaluate. Raises ConditionFailed on anything that is not plainly true or false."""
        try:
            result = self.expression.eval(facts.activation)
            value: object = result.value()
            is_bool = result.type() == _BOOL
        except Exception as error:  # what the engine throws on its limits and on lone surrogates has no common type
            raise ConditionFailed("it could not be evaluated within the limits") from error
        if not is_bool:
            code = str(value).partition(":")[0]
            raise ConditionFailed(_REASONS.get(code, "it gave no truth value"))
        return value is True


def compile_condition(source: str, protocol: Protocol) -> Condition:
    """Compile a condition for targets of a protocol. Raises ConditionProblem."""
    if not source.strip():
        raise ConditionProblem("the condition is empty")
    if len(source) > MAX_SOURCE:
        raise ConditionProblem(f"the condition is longer than {MAX_SOURCE} characters")
    try:
        expression = _environment(protocol).compile(source)
    except (RuntimeError, TypeError) as error:
        raise _problem(str(error), protocol) from None
    if expression.return_type() != _T.BOOL:
        name = expression.return_type().name().lower()
        raise ConditionProblem(f"the condition gives `{name}`, not a truth value; compare it with something")
    _check_constants(source)
    return Condition(source, expression)


def _check_constants(source: str) -> None:
    # The engine compiles `x.matches("(")` and fails when it runs: try every constant argument once, by its own RE2.
    for call in constant_calls(source):
        try:
            probe = _empty().compile(call.probe)
        except (RuntimeError, TypeError):
            continue  # it reads variables: not a constant
        try:
            result = probe.eval(_empty().Activation({}))
            failed = result.type() == _T.ERROR
            detail = str(result.value()).partition(": ")[2] if failed else ""
        except Exception as error:  # noqa: BLE001  # see Condition.holds
            failed, detail = True, str(error)
        if failed:
            raise ConditionProblem(f"`{call.name}` cannot work: {detail}", line=call.line, column=call.column)


def _problem(message: str, protocol: Protocol) -> ConditionProblem:
    found = _FIRST_ERROR.search(message)
    if not found:
        return ConditionProblem("the condition is not valid CEL")
    text = found[3].removesuffix(" [INVALID_ARGUMENT]")
    undeclared = _UNDECLARED.search(text)
    if undeclared:
        text = f"undeclared reference to `{undeclared[1]}`{_hint(undeclared[1], protocol)}"
    return ConditionProblem(text, line=int(found[1]), column=int(found[2]))


def _hint(name: str, protocol: Protocol) -> str:
    elsewhere = [p.value for p in Protocol if name in variables(p)]
    if elsewhere:
        return f"; it exists on {' and '.join(elsewhere)} targets only, and this rule matches on {protocol.value} ones"
    head, dot, tail = name.rpartition(".")
    tails = [v.rpartition(".")[2] for v in variables(protocol) if v.rpartition(".")[0] == head]
    close = get_close_matches(tail, tails, n=1)
    return f"; did you mean `{head}{dot}{close[0]}`?" if close else ""


class Facts:
    """What the conditions of one decision read: converted once, on first use, from a copy of its own."""

    __slots__ = ("_activation", "_request")

    def __init__(self, request: AccessRequest) -> None:
        self._request = request
        self._activation: cel.Activation | None = None

    @property
    def activation(self) -> cel.Activation:
        """The engine's form of the facts."""
        if self._activation is None:
            self._activation = _environment(self._request.action.protocol).Activation(_values(self._request))
        return self._activation


def _values(request: AccessRequest) -> dict[str, object]:
    principal = request.principal
    values: dict[str, object] = {
        "principal.subject": principal.subject,
        "principal.issuer": principal.issuer,
        "principal.person": principal.person or "",
        "principal.kind": principal.kind,
        "principal.groups": sorted(principal.groups),
        "principal.actor": principal.actor.subject if principal.actor else "",
        "principal.owners": sorted(principal.owners),
        "principal.client_id": principal.client_id,
        "principal.scopes": sorted(principal.scopes),
        "target.name": request.target,
        "request.verb": request.action.verb,
        "request.protocol": request.action.protocol.value,
    }
    # What is too large, or no time, is left out: a condition that reads it fails, and the others go on.
    with suppress(ValueError, OverflowError, OSError):
        values["request.time"] = datetime.fromtimestamp(request.at, UTC)
    claims = bounded_copy(dict(principal.claims))
    if claims is not None:
        values["principal.claims"] = claims
    arguments = bounded_copy(dict(request.arguments))
    if arguments is not None:
        values["args"] = values["object"] = arguments
    _add_resource(values, request)
    return values


def _add_resource(values: dict[str, object], request: AccessRequest) -> None:
    for name in _RESOURCE[request.action.protocol]:
        values[f"resource.{name}"] = ""
    match request.resource:
        case McpTool(name=name):
            values["resource.tool"] = name
        case McpPrompt(name):
            values["resource.prompt"] = name
        case McpResource(uri):
            values["resource.uri"] = uri
        case McpMethod() | McpServerRequest():
            pass
        case HttpPath(host, path):
            values["resource.host"] = host
            values["resource.path"] = path
        case KubePath(path):
            values["resource.path"] = path
        case KubeObject() as kube:
            values["resource.group"] = kube.group
            values["resource.version"] = kube.version
            values["resource.resource"] = kube.resource
            values["resource.subresource"] = kube.subresource
            values["resource.namespace"] = kube.namespace
            values["resource.name"] = kube.name


def bounded_copy(value: JsonObject) -> JsonObject | None:
    """Copy an object, or return None where it is larger or deeper than a condition may read."""
    root = dict(value)
    nodes, characters = MAX_NODES, MAX_CHARACTERS
    layer: list[JsonObject | list[JsonValue]] = [root]
    for _ in range(MAX_DEPTH):
        below: list[JsonObject | list[JsonValue]] = []
        for container in layer:
            nodes -= len(container)
            if isinstance(container, dict):
                characters -= sum(map(len, container))
            slots: Any = container  # keys of a dict, indices of a list: both are written to in the same way
            for key, child in container.items() if isinstance(container, dict) else enumerate(container):
                if isinstance(child, str):
                    characters -= len(child)
                elif isinstance(child, (dict, list)):
                    copied = child.copy()
                    slots[key] = copied
                    below.append(copied)
            if nodes < 0 or characters < 0:
                return None
        if not below:
            return root
        layer = below
    return None
