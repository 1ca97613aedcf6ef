"""Compile a rule's `match:` into small tests, chosen once by the type of the resource.

A rule about named things never matches other things; a rule that names nothing matches messages and plain objects,
never a subresource or a path. `docs/reference/policy.md` has the table.
"""

from collections.abc import Callable

from holdpoint.domain.access import (
    AccessRequest,
    Action,
    HttpPath,
    KubeObject,
    KubePath,
    McpMethod,
    McpPrompt,
    McpResource,
    McpTool,
    Principal,
    Protocol,
    Resource,
    person_name,
)
from holdpoint.policy import verbs
from holdpoint.policy.globs import TextTest, compile_globs
from holdpoint.policy.rules import Effect, Globs, Match, Rule

type Test = Callable[[AccessRequest], bool]

KINDS: dict[Protocol, tuple[type[Resource], ...]] = {
    Protocol.MCP: (McpTool, McpPrompt, McpResource, McpMethod),
    Protocol.HTTP: (HttpPath,),
    Protocol.KUBERNETES: (KubeObject, KubePath),
}
"""Which resources a protocol has."""

_CLUSTER_SCOPED = frozenset(
    {
        "apiservices",
        "certificatesigningrequests",
        "clusterrolebindings",
        "clusterroles",
        "componentstatuses",
        "csidrivers",
        "csinodes",
        "customresourcedefinitions",
        "flowschemas",
        "ingressclasses",
        "mutatingwebhookconfigurations",
        "namespaces",
        "nodes",
        "persistentvolumes",
        "priorityclasses",
        "prioritylevelconfigurations",
        "runtimeclasses",
        "selfsubjectaccessreviews",
        "selfsubjectreviews",
        "selfsubjectrulesreviews",
        "storageclasses",
        "subjectaccessreviews",
        "tokenreviews",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
        "volumeattachments",
    }
)
"""Built-in resources outside every namespace."""


def compile_verbs(match: Match) -> TextTest:
    """Make the test of the verb."""
    return compile_globs(match.verbs if match.verbs is not None else ["*"])


def compile_match(rule: Rule, kind: type[Resource]) -> tuple[Test, ...] | None:
    """Make the tests, beside that of the verb, for resources of one kind. None: the rule matches none of them."""
    match = rule.match
    tests = () if match.any else _of_kind(match, rule.effect, kind)
    return None if tests is None else (*tests, *_of_principal(match), *_of_unverified(match))


def _of_kind(match: Match, effect: Effect, kind: type[Resource]) -> tuple[Test, ...] | None:
    if kind is McpMethod:
        return None if match.names_something else ()
    if kind is HttpPath:
        return _of_path(match)
    if kind is KubePath:
        return None if match.hosts is not None else _of_path(match)
    if kind is KubeObject:
        return _of_object(match, effect)
    globs = match.tools if kind is McpTool else match.prompts if kind is McpPrompt else match.uris
    if globs is not None:
        return (_of_named(globs),)
    # INVARIANT: an allow rule never allows a named thing that it does not name. The schema refuses such rules too.
    return None if match.names_something or effect is Effect.ALLOW else ()


def _of_named(globs: tuple[str, ...]) -> Test:
    fits = compile_globs(globs)

    def test(request: AccessRequest) -> bool:
        match request.resource:
            case McpTool(name=name) | McpPrompt(name=name):
                return fits(name)
            case McpResource(uri):
                return fits(uri)
            case _:
                return False

    return test


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


def _of_object(match: Match, effect: Effect) -> tuple[Test, ...] | None:
    if match.names_something and not match.names_objects:
        return None
    resource_fits = _compile_resources(match)
    group_fits = compile_globs(match.groups if match.groups is not None else ["*"])
    namespaces, names = match.namespaces, match.names
    namespace_fits = compile_globs(namespaces if namespaces is not None else ["*"])
    name_fits = compile_globs(names if names is not None else ["*"])
    restricts = effect is not Effect.ALLOW

    def test(request: AccessRequest) -> bool:
        kube = request.resource
        if not isinstance(kube, KubeObject) or not resource_fits(request.action, kube) or not group_fits(kube.group):
            return False
        # A list over all namespaces reaches into each of them, and a collection holds every name in it: rules that
        # restrict count it, rules that allow do not.
        wide = restricts and not kube.name and request.action.verb in verbs.KUBERNETES_COLLECTIONS
        everywhere = wide and not kube.namespace and kube.resource not in _CLUSTER_SCOPED
        return (everywhere or namespace_fits(kube.namespace)) and (wide or name_fits(kube.name))

    return (test,)


def _compile_resources(match: Match) -> Callable[[Action, KubeObject], bool]:
    if match.resources is None:
        return lambda _, kube: not kube.subresource
    plain = compile_globs([r for r in match.resources if "/" not in r])
    everything = "*/*" in match.resources
    pairs = [tuple(map(_one, r.split("/", 1))) for r in match.resources if "/" in r]
    streams = verbs.KUBERNETES_STREAMS.intersection(match.verbs or ())

    def fits(action: Action, kube: KubeObject) -> bool:
        if everything:
            return True
        if not kube.subresource:
            return plain(kube.resource)
        # `verbs: [exec], resources: [pods]`: who writes the verb out has named the subresource of the same name.
        if action.verb in streams and action.verb == kube.subresource and plain(kube.resource):
            return True
        return any(resource(kube.resource) and subresource(kube.subresource) for resource, subresource in pairs)

    return fits


def _one(glob: str) -> TextTest:
    return compile_globs([glob])


def _of_principal(match: Match) -> tuple[Test, ...]:
    who = match.principals
    tests: list[Test] = []

    def add(globs: Globs, read: Callable[[Principal], str | None]) -> None:
        if globs is not None:
            tests.append(_on_text(compile_globs(globs), read))

    persons = None if who.persons is None else tuple(person_name(p) for p in who.persons)
    add(persons, lambda p: p.person)
    add(who.subjects, lambda p: p.subject)
    add(who.issuers, lambda p: p.issuer)
    add(who.kinds, lambda p: p.kind)
    add(who.clients, lambda p: p.client_id)
    add(who.actors, lambda p: p.actor.subject if p.actor else None)
    if who.groups is not None:
        tests.append(_on_groups(who.groups))
    return tuple(tests)


def _on_text(fits: TextTest, read: Callable[[Principal], str | None]) -> Test:
    def test(request: AccessRequest) -> bool:
        text = read(request.principal)
        return bool(text) and fits(text or "")

    return test


def _on_groups(globs: tuple[str, ...]) -> Test:
    fits = compile_globs(globs)
    return lambda request: any(map(fits, request.principal.groups))


def _of_unverified(match: Match) -> tuple[Test, ...]:
    return tuple(_on_word(name, compile_globs(globs)) for name, globs in sorted(match.unverified.items()))


def _on_word(name: str, fits: TextTest) -> Test:
    def test(request: AccessRequest) -> bool:
        word = request.unverified.get(name)
        return word is not None and fits(word)

    return test
