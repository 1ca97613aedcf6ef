"""The parts of a match that are about objects of the Kubernetes API."""

from collections.abc import Callable, Sequence

from holdpoint.domain.access import AccessRequest, Action, KubeObject
from holdpoint.policy import verbs
from holdpoint.policy.globs import TextTest, compile_globs
from holdpoint.policy.rules import Effect, Match
from holdpoint.protocols.kubernetes.built_in import is_built_in, is_created_by_update, is_outside_namespaces

type Test = Callable[[AccessRequest], bool]

_SYSTEM = "system:"


def kubernetes_verbs(listed: Sequence[str], fits: TextTest, effect: Effect) -> TextTest:
    """Make the test of a verb on objects, from the globs of a rule and their own test."""
    if effect is Effect.ALLOW:
        # INVARIANT: copying out of a pod and acting as somebody else are allowed by name, never by a wildcard.
        unnamed = verbs.KUBERNETES_BY_NAME.difference(listed)
        return lambda verb: verb not in unnamed and fits(verb)
    implied = frozenset(verb for verb, other in verbs.KUBERNETES_IMPLIED.items() if fits(other))
    return lambda verb: verb in implied or fits(verb)


def may_create(request: AccessRequest) -> bool:
    """Tell whether a request makes the object where it is not there: server-side apply does, and some updates do."""
    kube = request.resource
    if not isinstance(kube, KubeObject) or kube.subresource:
        return False
    if request.action.verb == "update":
        return is_created_by_update(kube.group, kube.resource)
    return kube.options.patch == "apply"


def compile_objects(match: Match, effect: Effect) -> tuple[Test, ...] | None:
    """Make the tests for objects. None: the rule matches none of them."""
    if match.names_something and not match.names_objects:
        return None
    resource_fits = _compile_resources(match)
    group_fits = compile_globs(match.groups if match.groups is not None else ["*"])
    namespaces, names = match.namespaces, match.names
    namespace_fits = compile_globs(namespaces if namespaces is not None else ["*"])
    name_fits = compile_globs(names if names is not None else ["*"])
    any_name = names is None or "*" in names
    restricts = effect is not Effect.ALLOW

    def restricting(request: AccessRequest) -> bool:
        kube, verb = request.resource, request.action.verb
        if not isinstance(kube, KubeObject) or not resource_fits(request.action, kube) or not group_fits(kube.group):
            return False
        # A list over all namespaces reaches into each of them, and a collection holds every name in it: rules that
        # restrict count it, rules that allow do not. What is created may get any name from the server.
        collection = verb in verbs.KUBERNETES_COLLECTIONS
        everywhere = collection and not kube.namespace and not is_outside_namespaces(kube.group, kube.resource)
        nameless = not kube.name and (collection or verb == "create")
        return (everywhere or namespace_fits(kube.namespace)) and (
            nameless or name_fits(kube.name) or name_fits(_proxied(kube)) or _by_selector(kube, verb)
        )

    def allowing(request: AccessRequest) -> bool:
        kube, verb = request.resource, request.action.verb
        if not isinstance(kube, KubeObject) or not resource_fits(request.action, kube) or not group_fits(kube.group):
            return False
        if verb == verbs.IMPERSONATE and kube.name.startswith(_SYSTEM) and kube.name not in (names or ()):
            return False
        return namespace_fits(kube.namespace) and (any_name or (name_fits(kube.name) and not _by_selector(kube, verb)))

    return (restricting if restricts else allowing,)


def _proxied(kube: KubeObject) -> str:
    """Return the object's own name, where a proxied one is named with scheme and port: `https:web:443`."""
    if kube.subresource != "proxy" or ":" not in kube.name:
        return kube.name
    parts = kube.name.split(":")
    return parts[1] if len(parts) > 2 else parts[0]  # noqa: PLR2004  # `SCHEME:NAME:PORT`, or `NAME:PORT`


def _by_selector(kube: KubeObject, verb: str) -> bool:
    # The name of a list is that of its field selector, which an aggregated API server may read otherwise or not at all.
    return verb in verbs.KUBERNETES_COLLECTIONS and bool(kube.name) and not is_built_in(kube.group, kube.resource)


def _compile_resources(match: Match) -> Callable[[Action, KubeObject], bool]:
    if match.resources is None:
        return lambda _, kube: not kube.subresource
    plain = compile_globs([r for r in match.resources if "/" not in r])
    everything = "*/*" in match.resources
    pairs = [tuple(map(_one, r.split("/", 1))) for r in match.resources if "/" in r]
    streams = verbs.KUBERNETES_STREAMS.intersection(verbs.KUBERNETES_IMPLIED.get(v, v) for v in match.verbs or ())

    def fits(action: Action, kube: KubeObject) -> bool:
        if everything:
            return True
        if not kube.subresource:
            return plain(kube.resource)
        # `verbs: [exec], resources: [pods]`: who writes the verb out has named the subresource of the same name.
        stream = "exec" if action.verb == verbs.COPY else action.verb
        if stream in streams and stream == kube.subresource and plain(kube.resource):
            return True
        return any(resource(kube.resource) and subresource(kube.subresource) for resource, subresource in pairs)

    return fits


def _one(glob: str) -> TextTest:
    return compile_globs([glob])
