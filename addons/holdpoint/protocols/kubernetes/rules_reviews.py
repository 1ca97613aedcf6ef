"""The list of what one may do (`kubectl auth can-i --list`), filtered by what policy could permit.

A SelfSubjectRulesReview is incomplete by its own words; what comes from here says so. A wildcard is kept where policy
could permit all that it stands for, and else becomes the built-in resources and verbs for which it could permit
something.
"""

from collections.abc import Callable, Iterable, Iterator

from holdpoint.domain.access import KubeObject, KubePath, Resource
from holdpoint.domain.prospect import Prospect
from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.protocols.kubernetes.built_in import BUILT_IN, SUBRESOURCES, VERBS
from holdpoint.protocols.kubernetes.request_info import STREAMS

type Decide = Callable[[str, Resource], Prospect]

NOTE = "filtered by holdpoint: ask for one thing to learn the whole truth, as in `kubectl auth can-i VERB RESOURCE`"
MAX_ASKED = 5_000
"""Combinations that are looked at; what is beyond is left out of the list."""
_PATHS = ("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi/*", "/readyz", "/version")


def corrected_rules(status: JsonObject, namespace: str, decide: Decide) -> JsonValue:
    """Return the status of a SelfSubjectRulesReview without what policy could not permit."""
    asker = _Asker(decide, namespace)
    resources = [r for rule in _list(status.get("resourceRules")) for r in asker.of_resources(as_object(rule))]
    paths = [r for rule in _list(status.get("nonResourceRules")) for r in asker.of_paths(as_object(rule))]
    error = "; ".join(filter(None, (str(status.get("evaluationError") or ""), NOTE)))
    return {
        **status,
        "resourceRules": resources,
        "nonResourceRules": paths,
        "incomplete": True,
        "evaluationError": error,
    }


class _Asker:
    def __init__(self, decide: Decide, namespace: str) -> None:
        self._decide = decide
        self._namespace = namespace
        self._known: dict[tuple[str, Resource], bool] = {}

    def _may(self, verb: str, resource: Resource) -> bool:
        key = (verb, resource)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MAX_ASKED:
                return False
            found = self._known[key] = self._decide(verb, resource).possible
        return found

    def of_resources(self, rule: JsonObject) -> Iterator[JsonValue]:
        """Yield what is left of a rule: one for each group, name and set of verbs."""
        names = _texts(rule.get("resourceNames")) or [""]
        verbs = _texts(rule.get("verbs"))
        for group in _texts(rule.get("apiGroups")):
            left: dict[tuple[tuple[str, ...], str, str], list[JsonValue]] = {}
            for name in names:
                for found_group, resource in self._expanded(group, _texts(rule.get("resources")), name, verbs):
                    kept = tuple(self._verbs(verbs, found_group, resource, name))
                    if kept:
                        left.setdefault((kept, found_group, name), []).append(resource)
            for (kept, found_group, name), resources in left.items():
                made: JsonObject = {"verbs": [*kept], "apiGroups": [found_group], "resources": resources}
                if name:
                    made["resourceNames"] = [name]
                yield made

    def _expanded(self, group: str, resources: list[str], name: str, verbs: list[str]) -> Iterator[tuple[str, str]]:
        for resource in resources:
            is_plain = "*" not in (group, resource) and not resource.startswith("*/")
            if is_plain or all(self._may(v, self._object(group, resource, name)) for v in verbs):
                yield group, resource
            else:
                yield from _of_wildcard(group, resource)

    def _verbs(self, verbs: list[str], group: str, resource: str, name: str) -> Iterator[str]:
        asked = self._object(group, resource, name)
        for verb in verbs:
            if asked.subresource in STREAMS:
                words = {"exec": ("exec", "cp")}.get(asked.subresource, (asked.subresource,))
                if any(self._may(word, asked) for word in words):
                    yield from ("create", "get") if verb == "*" else (verb,)
            elif verb != "*" or self._may("*", asked):
                if self._may(verb, asked):
                    yield verb
            else:
                yield from (v for v in VERBS if v not in verbs and self._may(v, asked))

    def _object(self, group: str, resource: str, name: str) -> KubeObject:
        kind, _, below = resource.partition("/")
        is_outside = BUILT_IN.get(group, {}).get(kind) is False
        return KubeObject(group, "", kind, below, "" if is_outside else self._namespace, name)

    def of_paths(self, rule: JsonObject) -> Iterator[JsonValue]:
        """Yield what is left of a rule about paths: one for each set of verbs."""
        left: dict[tuple[str, ...], list[JsonValue]] = {}
        verbs = [v if v != "*" else "get" for v in _texts(rule.get("verbs"))]
        for path in _texts(rule.get("nonResourceURLs")):
            for one in _PATHS if path == "*" else (path,):
                kept = tuple(v for v in verbs if self._may(v, KubePath(one)))
                if kept:
                    left.setdefault(kept, []).append(one)
        for kept, paths in left.items():
            yield {"verbs": [*kept], "nonResourceURLs": paths}


def _of_wildcard(group: str, resource: str) -> Iterator[tuple[str, str]]:
    for known, kinds in BUILT_IN.items():
        if group not in ("*", known):
            continue
        for kind in kinds:
            below = SUBRESOURCES.get((known, kind), ())
            if resource == "*":
                yield known, kind
                yield from ((known, f"{kind}/{s}") for s in below)
            elif resource.startswith("*/") and resource[2:] in below:
                yield known, f"{kind}/{resource[2:]}"
            elif resource in {kind, *(f"{kind}/{s}" for s in below)}:
                yield known, resource


def _list(value: JsonValue) -> Iterable[JsonValue]:
    return value if isinstance(value, list) else ()


def _texts(value: JsonValue) -> list[str]:
    return [v for v in _list(value) if isinstance(v, str)]
