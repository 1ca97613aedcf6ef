"""Compile a rule's `match:` into small tests, chosen once by the type of the resource.

A rule about named things never matches other things; a rule that names nothing matches messages and plain objects,
never a subresource or a path. `docs/reference/policy.md` has the table.
"""

from collections.abc import Callable
from dataclasses import dataclass

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
    PinState,
    Protocol,
    Resource,
)
from holdpoint.policy.globs import TextTest, compile_globs
from holdpoint.policy.match_arguments import compile_arguments
from holdpoint.policy.match_callers import compile_caller
from holdpoint.policy.match_objects import compile_objects, kubernetes_verbs
from holdpoint.policy.match_options import compile_options
from holdpoint.policy.rules import Effect, Globs, Match, Rule

type Test = Callable[[AccessRequest], bool]

MCP_KINDS: tuple[type[Resource], ...] = (McpTool, McpPrompt, McpResource, McpServerRequest, McpMethod)
KINDS: dict[Protocol, tuple[type[Resource], ...]] = {
    Protocol.MCP: MCP_KINDS,
    Protocol.HTTP: (HttpPath,),
    Protocol.KUBERNETES: (KubeObject, KubePath),
}
"""Which resources a protocol has."""

AS_APPROVED = frozenset({PinState.NONE, PinState.PINNED})
"""States in which a rule allows a tool without naming them."""


@dataclass(frozen=True, slots=True)
class Tests:
    """What must hold for a rule to match, beside its verb and its condition."""

    resource: tuple[Test, ...]
    """Read action and resource alone."""
    caller: tuple[Test, ...]
    """Read neither resource nor arguments."""
    arguments: tuple[Test, ...]
    """Read what of a request is beside its resource: the body, and options of the Kubernetes API."""


def compile_verbs(rule: Rule, kind: type[Resource]) -> TextTest:
    """Make the test of the verb, for resources of one kind."""
    listed = rule.match.verbs if rule.match.verbs is not None else ("*",)
    fits = compile_globs(listed)
    return fits if kind is not KubeObject else kubernetes_verbs(listed, fits, rule.effect)


def compile_narrow(rule: Rule, kind: type[Resource]) -> Test | None:
    """Make the test of whether a hold rule would match if it were one that allows. None: it always would.

    What it matches beyond that, it holds in doubt.
    """
    if rule.effect is not Effect.HOLD or kind is not KubeObject:
        return None
    match = rule.match
    listed = match.verbs if match.verbs is not None else ("*",)
    verb_fits = kubernetes_verbs(listed, compile_globs(listed), Effect.ALLOW)
    found = () if match.any else compile_objects(match, Effect.ALLOW) or ()
    tests = (*found, *compile_options(match, Effect.ALLOW, is_certain=True))
    return lambda request: verb_fits(request.action.verb) and all(test(request) for test in tests)


def compile_match(rule: Rule, kind: type[Resource]) -> Tests | None:
    """Make the tests, beside that of the verb, for resources of one kind. None: the rule matches none of them."""
    match = rule.match
    if match.is_mcp_only and kind not in MCP_KINDS:
        return None
    found = () if match.any else _of_kind(match, rule.effect, kind)
    if found is None:
        return None
    options = compile_options(match, rule.effect) if kind is KubeObject else ()
    return Tests(found, compile_caller(rule), (*options, *compile_arguments(rule)))


def _of_kind(match: Match, effect: Effect, kind: type[Resource]) -> tuple[Test, ...] | None:
    if kind is McpMethod:
        return None if match.names_something else ()
    if kind is HttpPath:
        return _of_path(match)
    if kind is KubePath:
        return None if match.hosts is not None else _of_path(match)
    if kind is KubeObject:
        return compile_objects(match, effect)
    if kind is McpTool:
        return _of_tool(match, effect)
    return _of_named(_globs_for(match, kind), match, effect)


def _globs_for(match: Match, kind: type[Resource]) -> Globs:
    if kind is McpServerRequest:
        return match.server_requests
    return match.tools if kind is McpTool else match.prompts if kind is McpPrompt else match.uris


def _of_named(globs: Globs, match: Match, effect: Effect) -> tuple[Test, ...] | None:
    if globs is None:
        # INVARIANT: an allow rule never allows a named thing that it does not name. The schema refuses such rules too.
        return None if match.names_something or effect is Effect.ALLOW else ()
    fits = compile_globs(globs)
    restricts = effect is not Effect.ALLOW

    def test(request: AccessRequest) -> bool:
        match request.resource:
            case McpTool(name=name) | McpPrompt(name=name):
                return fits(name)
            case McpResource(uri):
                return fits(uri)
            case McpServerRequest(method):
                # An answer to nobody knows what may be one to anything.
                return fits(method) if method else restricts
            case _:
                return False

    return (test,)


def _of_tool(match: Match, effect: Effect) -> tuple[Test, ...] | None:
    pins = match.pins
    if match.tools is None and pins is not None and effect is not Effect.ALLOW:
        named: tuple[Test, ...] | None = ()
    else:
        named = _of_named(match.tools, match, effect)
    # INVARIANT: what nobody approved is allowed by no rule that does not say so.
    wanted = AS_APPROVED if pins is None and effect is Effect.ALLOW else pins
    if named is None or wanted is None:
        return named

    def test(request: AccessRequest) -> bool:
        return isinstance(request.resource, McpTool) and request.resource.pin in wanted

    return (*named, test)


def _of_path(match: Match) -> tuple[Test, ...] | None:
    if match.paths is None:
        return None
    fits, host_fits = compile_globs(match.paths), compile_globs(match.hosts if match.hosts is not None else ["*"])

    def test(request: AccessRequest) -> bool:
        match request.resource:
            case HttpPath(host, path):
                return fits(path) and host_fits(host.lower())
            case KubePath(path):
                return fits(path)
            case _:
                return False

    return (test,)
