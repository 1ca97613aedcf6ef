"""CEL behind one class: the only module that knows the engine (cel-expr-python 0.1).

Variables have dotted names and types, so that a misspelt field is an error when the policy is read. Three traps of the
engine are closed here: an evaluation error comes back as a value (which is truthy), a bad regular expression is found
at run time only, and arguments are converted whole and without a bound.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from cel_expr_python import cel  # type: ignore[import-untyped]  # has a stub, but no py.typed

from holdpoint.domain.access import AccessRequest, Protocol
from holdpoint.policy.cel_literals import constant_calls, members_read, names_in
from holdpoint.policy.cel_messages import explain, explain_call, undeclared
from holdpoint.policy.facts import ARGUMENTS, BESIDE_RESOURCE, values_of

MAX_SOURCE = 4_096

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
    "request.linked": _BOOL,
    "request.call": _T.STRING,
    "args": _MAP,
    "object": _MAP,
}
_RESOURCE: dict[Protocol, tuple[str, ...]] = {
    Protocol.MCP: ("tool", "pin", "prompt", "uri", "server_request"),
    Protocol.HTTP: ("host", "path"),
    Protocol.KUBERNETES: ("group", "version", "resource", "subresource", "namespace", "name", "path"),
}
_OPTIONS: dict[str, cel.Type] = {
    "request.label_selector": _T.STRING,
    "request.field_selector": _T.STRING,
    "request.dry_run": _BOOL,
    "request.command": _TEXTS,
    "request.container": _T.STRING,
    "request.stdin": _BOOL,
    "request.tty": _BOOL,
    "request.ports": _T.List(_T.INT),
}
_FIRST_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_REASONS = {
    "NOT_FOUND": "it reads a key that is not there; guard it with `has(...)`",
    "INVALID_ARGUMENT": "a value is not of the type or range that it needs",
    "UNKNOWN": (
        "a value is not of the type it needs, or not known, or the arguments are too large, or hold an integer "
        "beyond 64 bits"
    ),
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
    own = {f"resource.{name}": _T.STRING for name in _RESOURCE[protocol]}
    if protocol is Protocol.MCP:
        own["request.protocol_version"] = _T.STRING
    return _COMMON | own | (_OPTIONS if protocol is Protocol.KUBERNETES else {})


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
    reads: frozenset[str]
    """Variables that it may read; more than it does, where that cannot be told."""
    keys: frozenset[str] | None
    """Arguments that it may read; None: any."""

    @property
    def reads_arguments(self) -> bool:
        """Whether what it says may depend on the arguments, or on what a request says beside its resource."""
        return not BESIDE_RESOURCE.isdisjoint(self.reads)

    @property
    def reads_resource(self) -> bool:
        """Whether what it says may depend on the resource."""
        return any(name.startswith("resource.") for name in self.reads)

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
        raise ConditionProblem(f"the condition gives `{name}`, not a truth value; compare it, as in `… == true`")
    _check_constants(source)
    return Condition(source, expression, _reads(source, protocol), members_read(source, ARGUMENTS))


def _reads(source: str, protocol: Protocol) -> frozenset[str]:
    known = variables(protocol)
    names = names_in(source)
    return frozenset(known if names is None else (v for v in known if v.rpartition(".")[2] in names))


class Joined:
    """Conditions evaluated at once, as one list. Safe to share between threads."""

    __slots__ = ("_count", "_expression")

    def __init__(self, conditions: Sequence[Condition], protocol: Protocol) -> None:
        """Join conditions that were compiled for a protocol. Raises ConditionProblem where there is too much."""
        # A newline before each closing bracket: a condition may end with a comment.
        source = "[" + ",".join(f"({c.source}\n)" for c in conditions) + "]"
        try:
            self._expression: cel.Expression = _environment(protocol).compile(source)
        except (RuntimeError, TypeError):
            raise ConditionProblem("too much for one expression") from None
        self._count = len(conditions)

    def outcomes(self, facts: "Facts") -> list[bool] | None:
        """Return what each condition says; None where any of them fails, and each must be asked by itself."""
        try:
            found: object = self._expression.eval(facts.activation).plain_value()
        except Exception:  # noqa: BLE001  # see Condition.holds
            return None
        if not isinstance(found, list) or len(found) != self._count:
            return None
        truths = [value for value in found if value is True or value is False]
        return truths if len(truths) == self._count else None


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
            raise ConditionProblem(explain_call(call.name, detail), line=call.line, column=call.column)


def _problem(message: str, protocol: Protocol) -> ConditionProblem:
    found = _FIRST_ERROR.search(message)
    if not found:
        return ConditionProblem("the condition is not valid CEL")
    text = found[3].removesuffix(" [INVALID_ARGUMENT]")
    others = [p.value for p in Protocol if undeclared(text) in variables(p)]
    elsewhere = ""
    if others:
        elsewhere = (
            f"; it exists on {' and '.join(others)} targets only, and this rule matches on {protocol.value} ones"
        )
    return ConditionProblem(explain(text, variables(protocol), elsewhere), line=int(found[1]), column=int(found[2]))


class Facts:
    """What the conditions of one decision read: converted once, on first use, from a copy of its own."""

    __slots__ = ("_activation", "_keys", "_reads", "_request")

    def __init__(
        self, request: AccessRequest, reads: frozenset[str] | None = None, keys: frozenset[str] | None = None
    ) -> None:
        """Take a request, and the variables and arguments that will be read of it; None: all."""
        self._request = request
        self._reads = reads
        self._keys = keys
        self._activation: cel.Activation | None = None

    @property
    def activation(self) -> cel.Activation:
        """The engine's form of the facts."""
        if self._activation is None:
            environment = _environment(self._request.action.protocol)
            self._activation = environment.Activation(values_of(self._request, self._reads, self._keys))
        return self._activation
