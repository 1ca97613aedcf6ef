"""Refuse names in a `match:` that no request to a Kubernetes API server has: a rule of them would match nothing.

What may be the name of a custom resource stays allowed.
"""

import re
from difflib import get_close_matches

from holdpoint.located_yaml import Fields, Located
from holdpoint.policy.globs import TextTest, compile_globs
from holdpoint.policy.kubectl_words import GROUPS_OF, IDENTITIES, PLURALS
from holdpoint.policy.rules import Match
from holdpoint.policy.verbs import COPY, IMPERSONATE, KUBERNETES_STREAMS
from holdpoint.protocols.kubernetes.built_in import BUILT_IN, SUBRESOURCES

_MAX_LABEL, _MAX_SUBDOMAIN = 63, 253
_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")
_LABEL = re.compile(r"[a-z0-9*]([a-z0-9*-]*[a-z0-9*])?")
"""RFC 1123, and a glob of it."""
_SUBDOMAIN = re.compile(r"[a-z0-9*]([a-z0-9.*-]*[a-z0-9*])?")
_DOTTED = {group.partition(".")[0]: group for group in BUILT_IN if "." in group and not group.startswith("internal.")}
_BARE = sorted(group for group in BUILT_IN if group and "." not in group)
_OLD = "extensions"
"""What ingresses were in until Kubernetes 1.22."""
_NAMED_BY_DOMAINS = frozenset(
    {
        *(BUILT_IN[""].keys() - {"bindings", "componentstatuses", "events", "podtemplates"}),
        *(BUILT_IN["apps"].keys() - {"controllerrevisions"}),
        *BUILT_IN["batch"],
        *("horizontalpodautoscalers", "ingresses", "networkpolicies", "poddisruptionbudgets"),
    }
)
"""What has names of RFC 1123. Others, as roles, may have nearly any."""
_COPIES = ("tar", "test")
"""What `kubectl cp` runs."""
_OBJECTS_GO_BY = {"post": "create", "put": "update", "options": "get"}


def check_names(fields: Fields, match: Match) -> None:
    """Refuse groups, resources, namespaces, names and commands that no request has. Raises ConfigError."""
    for element in _elements(fields, "groups"):
        _check_group(element)
    group_fits = compile_globs(match.groups if match.groups is not None else ["*"])
    verb_fits = compile_globs(match.verbs if match.verbs is not None else ["*"])
    for element in _elements(fields, "resources"):
        _check_resource(element, match, group_fits, verb_fits)
    for element in _elements(fields, "namespaces"):
        text = element.text()
        if text and not (_LABEL.fullmatch(text) and len(text.replace("*", "")) <= _MAX_LABEL):
            raise element.error(
                f"no namespace is named `{text}`: lower-case letters, digits and inner hyphens, at most {_MAX_LABEL}"
            )
    for element in _elements(fields, "names"):
        _check_name(element, match, verb_fits)
    _check_method(fields, match)
    _check_copies(fields, match)


def _elements(fields: Fields, key: str) -> list[Located]:
    node = fields.get(key)
    return node.elements() if node else []


def _check_group(element: Located) -> None:
    text = element.text()
    if text == "core":
        raise element.error('no API group is named `core`: the core group is `""`')
    if _VERSION.fullmatch(text):
        raise element.error(f'`{text}` is a version, and no API group: a group has no version, the core group is `""`')
    if "/" in text:
        group, _, version = text.partition("/")
        hint = f'write `{group}` (the core group is `""`)' if _VERSION.fullmatch(version) else "it holds no `/`"
        raise element.error(f"`{text}` is no API group: a group has no version, {hint}")
    if text and not (_SUBDOMAIN.fullmatch(text) and len(text.replace("*", "")) <= _MAX_SUBDOMAIN):
        raise element.error(f'`{text}` is no API group; write it as `""` (core), `apps` or `networking.k8s.io`')
    if text in BUILT_IN or text == _OLD or "." in text or "*" in text:
        return
    # A custom resource has a dot in its group. An aggregated API server need not: only slips are refused.
    close = [_DOTTED[text]] if text in _DOTTED else get_close_matches(text, _BARE, n=1, cutoff=0.8)
    if close:
        raise element.error(f"no API group is named `{text}`; did you mean `{close[0]}`?")


def _check_resource(element: Located, match: Match, group_fits: TextTest, verb_fits: TextTest) -> None:
    text = element.text()
    name, slash, below = text.partition("/")
    if "*" in name:
        return
    if "." in name:
        plural, _, group = name.partition(".")
        raise element.error(f"`{name}` is no resource; write `resources: [{plural}]` and `groups: [{group}]`")
    if name in BUILT_IN and below in GROUPS_OF:
        raise element.error(f"`{text}` is no resource; write `resources: [{below}]` and `groups: [{name}]`")
    plural = PLURALS.get(name, "")
    if plural and any(group_fits(group) for group in GROUPS_OF[plural]):
        raise element.error(
            f"no resource is named `{name}`; write the lower-case plural: `{plural}{slash}{below}` "
            f"(one of your own that has this name needs its `groups` beside it)"
        )
    if name in IDENTITIES and match.verbs is not None and verb_fits(IMPERSONATE):
        raise element.error(f"nobody is impersonated by `{name}`; write `{IDENTITIES[name]}`")
    groups = GROUPS_OF.get(name)
    if groups is None:
        return
    # Another group may have a resource of that name, unless it is one whose resources are known.
    if match.groups is not None and all(g in BUILT_IN for g in match.groups) and not set(groups) & set(match.groups):
        names = " and ".join(f"`{group}`" if group else '`""` (core)' for group in groups)
        raise element.error(f"`{name}` is in group {names}, and this rule names others only")
    if below and "*" not in below and match.groups is None:
        known = [s for group in groups for s in SUBRESOURCES.get((group, name), ())]
        close = get_close_matches(below, known, n=1, cutoff=0.8) if below not in known else []
        if close:
            raise element.error(f"`{name}` have no `{below}`; did you mean `{name}/{close[0]}`?")


def _check_name(element: Located, match: Match, verb_fits: TextTest) -> None:
    text = element.text()
    if match.verbs is not None and not verb_fits(IMPERSONATE) and ("/" in text or text in {".", ".."}):
        raise element.error(f"no object is named `{text}`: its name alone, without kind and namespace")
    resources = match.resources or ()
    by_domain = bool(resources) and _NAMED_BY_DOMAINS.issuperset(resources)
    # Whom a proxy leads to is named with scheme and port.
    if by_domain and text and "proxy" not in (match.verbs or ()) and not _SUBDOMAIN.fullmatch(text):
        raise element.error(f"none of these is named `{text}`: lower-case letters, digits, inner hyphens and dots")


def _check_method(fields: Fields, match: Match) -> None:
    if match.paths is not None or match.resources is None:
        return
    for element in _elements(fields, "verbs"):
        verb = _OBJECTS_GO_BY.get(element.text())
        if verb:
            raise element.error(f"`{element.text()}` is a verb of `paths`; of `resources` it is `{verb}`")


def _check_copies(fields: Fields, match: Match) -> None:
    if match.verbs is None or set(match.verbs) & KUBERNETES_STREAMS or COPY not in match.verbs:
        return
    for element, words in zip(_elements(fields, "commands"), match.commands, strict=True):
        if words[0] != "**" and not any(map(compile_globs([words[0]]), _COPIES)):
            raise element.error("`kubectl cp` runs nothing but `tar` and `test`: this is a command of `exec`")
