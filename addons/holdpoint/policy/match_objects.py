"""The parts of a match that are about objects of the Kubernetes API."""

from collections.abc import Callable

from holdpoint.domain.access import AccessRequest, Action, KubeObject
from holdpoint.policy import verbs
from holdpoint.policy.globs import TextTest, compile_globs
from holdpoint.policy.rules import Effect, Match

type Test = Callable[[AccessRequest], bool]

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


def compile_objects(match: Match, effect: Effect) -> tuple[Test, ...] | None:
    """Make the tests for objects. None: the rule matches none of them."""
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
