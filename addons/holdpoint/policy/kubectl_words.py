"""Words that kubectl and people use for what a rule names otherwise: singulars and short names, verbs of kubectl.

Source: `kubectl api-resources` (1.36), the storage of kubernetes/pkg/registry (`ShortNames`).
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from holdpoint.protocols.kubernetes.built_in import BUILT_IN

_SHORT = (
    "cs componentstatuses, cm configmaps, ep endpoints, endpoint endpoints, ev events, limits limitranges, ns "
    "namespaces, no nodes, pvc persistentvolumeclaims, pv persistentvolumes, po pods, rc replicationcontrollers, "
    "quota resourcequotas, sa serviceaccounts, svc services, crd customresourcedefinitions, crds "
    "customresourcedefinitions, ds daemonsets, deploy deployments, rs replicasets, sts statefulsets, hpa "
    "horizontalpodautoscalers, cj cronjobs, csr certificatesigningrequests, ing ingresses, netpol "
    "networkpolicies, ip ipaddresses, pdb poddisruptionbudgets, pc priorityclasses, sc storageclasses, vac "
    "volumeattributesclasses"
)
_IDENTITIES = "user users, uid uids, userextra userextras"


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(", "):
        word, _, plural = pair.partition(" ")
        yield word, plural


def _singular(plural: str) -> str:
    if plural.endswith("ies"):
        return plural.removesuffix("ies") + "y"
    if plural.endswith(("sses", "uses")):
        return plural.removesuffix("es")
    return plural if plural == "endpoints" else plural.removesuffix("s")


PLURALS: Mapping[str, str] = MappingProxyType(
    {
        **{_singular(plural): plural for group in BUILT_IN.values() for plural in group if _singular(plural) != plural},
        **dict(_pairs(_SHORT)),
    }
)
"""By singular and short name of what is built in: the name that a request has for it."""
IDENTITIES: Mapping[str, str] = MappingProxyType(dict(_pairs(_IDENTITIES)))
"""By singular: what `impersonate` is about."""

GROUPS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        plural: tuple(sorted(group for group, plurals in BUILT_IN.items() if plural in plurals))
        for plurals in BUILT_IN.values()
        for plural in plurals
    }
)
"""By the name of what is built in: its groups."""

_READ = "`get`, `list` and `watch`"
_WRITE = "`update` and `patch`"
_PATCH = "`patch`"
VERBS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("describe", "read", "show", "view"), _READ),
        **dict.fromkeys(("change", "edit", "modify", "set", "write"), _WRITE),
        **dict.fromkeys(("annotate", "label", "restart", "rollout"), _PATCH),
        **dict.fromkeys(("log", "logs"), "`get` of `pods/log`"),
        **dict.fromkeys(("drain", "evict"), "`create` of `pods/eviction`"),
        **dict.fromkeys(("cordon", "taint", "uncordon"), "`patch` of `nodes`"),
        **dict.fromkeys(("expose", "run"), "`create`"),
        **dict.fromkeys(("bash", "sh", "shell", "ssh"), "`exec` of `pods`"),
        **dict.fromkeys(("as", "sudo"), "`impersonate`"),
        **dict.fromkeys(("bind", "escalate"), "`create`, `update` and `patch` of what RBAC has, as `rolebindings`"),
        "apply": "`create`, `get` and `patch`",
        "approve": "`update` of `certificatesigningrequests/approval`",
        "autoscale": "`create` of `horizontalpodautoscalers`",
        "copy": "`cp` of `pods`",
        "debug": "`patch` of `pods/ephemeralcontainers`, and `attach`",
        "forward": "`portforward` of `pods`",
        "port-forward": "`portforward` of `pods`",
        "remove": "`delete`",
        "replace": "`update`",
        "scale": "`update` and `patch` of `*/scale`, as `deployments/scale`",
        "token": "`create` of `serviceaccounts/token`",
        "top": "`get` and `list` of group `metrics.k8s.io`",
    }
)
"""By what kubectl, RBAC or people call it: the verbs that such a request has."""
