"""Read the `grant:` of a hold rule: how much one approval opens, for how long, and what it leaves open."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from holdpoint.domain.access import Protocol
from holdpoint.domain.decision import Scope
from holdpoint.located_yaml import Located
from holdpoint.policy.rules import Match

MAX_SPAN = 30 * 86_400.0
_HOUR = 3_600
KUBERNETES_WIDER = frozenset({"verb", "resource", "name", "namespace", "command", "container", "selectors", "ports"})
_ARGUMENT = re.compile(r"arguments\.[A-Za-z0-9_$][A-Za-z0-9_.$-]{0,199}")


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """What `grant:` says."""

    scope: Scope = Scope.REQUEST
    duration: float = 0.0
    widen: frozenset[str] = frozenset()


def read_grant(node: Located | None, match: Match, protocols: AbstractSet[Protocol]) -> GrantTerms:
    """Read how much an approval opens; `protocols`: those on which the rule can match. Raises ConfigError."""
    if node is None:
        return GrantTerms()
    fields = node.fields(required=frozenset({"scope"}), optional=frozenset({"for", "widen"}))
    scope = Scope(fields["scope"].choice(*(s.value for s in Scope)))
    span, widen = fields.get("for"), fields.get("widen")
    if scope is Scope.REQUEST and span:
        raise span.error("a grant for this request is spent once; `for` belongs to `window` and `session`")
    if scope is Scope.REQUEST and widen:
        raise widen.error("a grant for this request is for nothing else; `widen` belongs to `window` and `session`")
    if scope is not Scope.REQUEST and span is None:
        raise node.error(f"a grant of scope `{scope.value}` needs `for`: how long it holds")
    return GrantTerms(scope, read_span(span, 0.0), _widen(widen, match, protocols) if widen else frozenset())


def read_span(node: Located | None, default: float, most: float = MAX_SPAN) -> float:
    """Read a duration of more than nothing, at most `most` seconds. Raises ConfigError."""
    if node is None:
        return default
    seconds = node.duration()
    if not 0 < seconds <= most:
        limit = f"{most / _HOUR:.0f}h" if most < MAX_SPAN else "30d"
        raise node.error(f"expected more than nothing and at most `{limit}`")
    return seconds


def _widen(node: Located, match: Match, protocols: AbstractSet[Protocol]) -> frozenset[str]:
    objects = Protocol.KUBERNETES in protocols and (match.names_objects or match.paths is None)
    arguments = Protocol.MCP in protocols and (
        match.tools is not None or match.prompts is not None or (match.uris is None and match.server_requests is None)
    )
    if not objects and not arguments:
        raise node.error("`widen` has no meaning here: what this rule matches is pinned whole")
    known = sorted(KUBERNETES_WIDER) if objects else []
    hint = ", ".join(f"`{k}`" for k in [*known, *(["arguments", "arguments.NAME"] if arguments else [])])
    found: set[str] = set()
    for element in node.elements():
        text = element.text()
        is_argument = arguments and (text == "arguments" or _ARGUMENT.fullmatch(text))
        if text not in known and not is_argument:
            raise element.error(f"`{text}` is nothing that a window of this rule pins; write any of {hint}")
        if text in found:
            raise element.error(f"`{text}` is listed twice")
        found.add(text)
    if not found:
        raise node.error("an empty list widens nothing; leave `widen` out")
    single = next((t for t in sorted(found) if t.startswith("arguments.")), "")
    if "arguments" in found and single:
        raise node.error(f"`arguments` leaves all of them open already; take out `{single}`, or `arguments`")
    return frozenset(found)
