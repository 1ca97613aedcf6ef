"""The resources that a Kubernetes API server has by itself (1.36): what is not among them may be served by anybody.

Source: the types of k8s.io/api and the storage of kubernetes/pkg/registry, `kubectl api-resources`.
"""

from collections.abc import Mapping
from types import MappingProxyType

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
"""Verbs of what is stored."""


def _group(inside: str, outside: str = "") -> Mapping[str, bool]:
    return MappingProxyType({**dict.fromkeys(inside.split(), True), **dict.fromkeys(outside.split(), False)})


BUILT_IN: Mapping[str, Mapping[str, bool]] = MappingProxyType(
    {
        "": _group(
            "bindings configmaps endpoints events limitranges persistentvolumeclaims pods podtemplates "
            "replicationcontrollers resourcequotas secrets serviceaccounts services",
            "componentstatuses namespaces nodes persistentvolumes",
        ),
        "admissionregistration.k8s.io": _group(
            "",
            "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations "
            "validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations",
        ),
        "apiextensions.k8s.io": _group("", "customresourcedefinitions"),
        "apiregistration.k8s.io": _group("", "apiservices"),
        "apps": _group("controllerrevisions daemonsets deployments replicasets statefulsets"),
        "authentication.k8s.io": _group("", "selfsubjectreviews tokenreviews"),
        "authorization.k8s.io": _group(
            "localsubjectaccessreviews", "selfsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews"
        ),
        "autoscaling": _group("horizontalpodautoscalers"),
        "batch": _group("cronjobs jobs"),
        "certificates.k8s.io": _group("podcertificaterequests", "certificatesigningrequests clustertrustbundles"),
        "coordination.k8s.io": _group("leasecandidates leases"),
        "discovery.k8s.io": _group("endpointslices"),
        "events.k8s.io": _group("events"),
        "flowcontrol.apiserver.k8s.io": _group("", "flowschemas prioritylevelconfigurations"),
        "internal.apiserver.k8s.io": _group("", "storageversions"),
        "networking.k8s.io": _group("ingresses networkpolicies", "ingressclasses ipaddresses servicecidrs"),
        "node.k8s.io": _group("", "runtimeclasses"),
        "policy": _group("poddisruptionbudgets"),
        "rbac.authorization.k8s.io": _group("rolebindings roles", "clusterrolebindings clusterroles"),
        "resource.k8s.io": _group(
            "resourceclaims resourceclaimtemplates",
            "deviceclasses devicetaintrules resourceslices",
        ),
        "scheduling.k8s.io": _group("podgroups workloads", "priorityclasses"),
        "storage.k8s.io": _group(
            "csistoragecapacities", "csidrivers csinodes storageclasses volumeattachments volumeattributesclasses"
        ),
        "storagemigration.k8s.io": _group("", "storageversionmigrations"),
    }
)
"""By group and resource: whether it is inside a namespace."""

_POD = "attach binding ephemeralcontainers eviction exec log portforward proxy resize status"
SUBRESOURCES: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("", "namespaces"): ("finalize", "status"),
        ("", "nodes"): ("proxy", "status"),
        ("", "persistentvolumeclaims"): ("status",),
        ("", "persistentvolumes"): ("status",),
        ("", "pods"): tuple(_POD.split()),
        ("", "replicationcontrollers"): ("scale", "status"),
        ("", "resourcequotas"): ("status",),
        ("", "serviceaccounts"): ("token",),
        ("", "services"): ("proxy", "status"),
        ("apiextensions.k8s.io", "customresourcedefinitions"): ("status",),
        ("apiregistration.k8s.io", "apiservices"): ("status",),
        ("apps", "daemonsets"): ("status",),
        ("apps", "deployments"): ("scale", "status"),
        ("apps", "replicasets"): ("scale", "status"),
        ("apps", "statefulsets"): ("scale", "status"),
        ("autoscaling", "horizontalpodautoscalers"): ("status",),
        ("batch", "cronjobs"): ("status",),
        ("batch", "jobs"): ("status",),
        ("certificates.k8s.io", "certificatesigningrequests"): ("approval", "status"),
        ("networking.k8s.io", "ingresses"): ("status",),
        ("policy", "poddisruptionbudgets"): ("status",),
    }
)

_STORED_BELOW = frozenset({"", "approval", "ephemeralcontainers", "eviction", "finalize", "resize", "scale", "status"})
_NEVER_STORED = frozenset({"bindings", "componentstatuses"})
_REVIEWS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
_WRITES = frozenset({"create", "delete", "deletecollection", "patch", "update"})


def is_built_in(group: str, resource: str) -> bool:
    """Tell whether the API server itself serves it, by rules that are known here."""
    return resource in BUILT_IN.get(group, ())


_CREATED_BY_UPDATE = {
    "": frozenset({"endpoints", "events", "limitranges", "services"}),
    "coordination.k8s.io": frozenset({"leases"}),
    "events.k8s.io": frozenset({"events"}),
    "node.k8s.io": frozenset({"runtimeclasses"}),
    "rbac.authorization.k8s.io": frozenset({"clusterrolebindings", "clusterroles", "rolebindings", "roles"}),
}
"""Kinds that a PUT makes where they are not there (`AllowCreateOnUpdate` of their strategies in pkg/registry)."""


def is_created_by_update(group: str, resource: str) -> bool:
    """Tell whether an update may make the object. What nobody knows may do so."""
    return not is_built_in(group, resource) or resource in _CREATED_BY_UPDATE.get(group, ())


def is_outside_namespaces(group: str, resource: str) -> bool:
    """Tell whether it is known to be outside every namespace. What nobody knows may be inside."""
    return BUILT_IN.get(group, {}).get(resource) is False


def honours_dry_run(verb: str, group: str, resource: str, subresource: str) -> bool:
    """Tell whether `dryRun=All` keeps such a request from changing anything.

    It does for what is stored and built in. A review stores nothing and answers all the same, a TokenRequest gives out
    a live token, a stream runs, and an aggregated API server may read the parameter or not.
    """
    return (
        verb in _WRITES
        and is_built_in(group, resource)
        and group not in _REVIEWS
        and resource not in _NEVER_STORED
        and subresource in _STORED_BELOW
    )
