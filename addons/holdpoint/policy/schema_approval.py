"""Read the `approval:` of a hold rule: who may say yes, how many, for how long, and for how much."""

from holdpoint.domain.access import PinState, person_name
from holdpoint.domain.decision import RequireApproval, RuleRef, Scope
from holdpoint.located_yaml import Located
from holdpoint.policy.rules import Match

MAX_TIMEOUT = 30 * 86_400.0
MAX_REVIEWERS = 20


def read_approval(node: Located, ref: RuleRef, match: Match, reason: str) -> RequireApproval:
    """Read the terms of a rule. Raises ConfigError."""
    fields = node.fields(
        required=frozenset({"reviewers"}), optional=frozenset({"required", "timeout", "grant", "auto_approve_after"})
    )
    reviewers = _reviewers(fields["reviewers"])
    count = fields.get("required")
    required = count.integer(low=1, high=MAX_REVIEWERS) if count else 1
    if count and required > len(reviewers) and all(r.startswith("person:") for r in reviewers):
        raise count.error(f"{required} persons are required and {len(reviewers)} named: nobody could ever pass")
    timeout = _span(fields.get("timeout"), 600.0)
    silence = fields.get("auto_approve_after")
    if silence and match.unverified:
        raise silence.error("silence cannot approve what a caller's own word (`unverified`) selects")
    if silence and (match.arguments or match.argument_patterns):
        # They match whatever a server might read, which is right for asking and too wide for not asking.
        raise silence.error("silence cannot approve what `arguments` or `argument_patterns` select; use `when`")
    if silence and match.pins is not None and match.pins != frozenset({PinState.PINNED}):
        raise silence.error("silence cannot approve what `pins` select: a person looks at what a tool has become")
    if silence and _span(silence, 0.0) >= timeout:
        raise silence.error("`auto_approve_after` must end before `timeout` does")
    scope, duration = _grant(fields.get("grant"))
    return RequireApproval(
        rule=ref,
        reviewers=reviewers,
        required=required,
        timeout=timeout,
        scope=scope,
        duration=duration,
        auto_approve_after=_span(silence, 0.0) if silence else None,
        reason=reason,
    )


def _reviewers(node: Located) -> frozenset[str]:
    found: set[str] = set()
    for element in node.elements():
        text = element.text()
        kind, _, name = text.partition(":")
        if kind not in ("group", "person") or not name or name != name.strip() or "*" in name:
            raise element.error(f"`{text}` is no reviewer; write `group:NAME` or `person:NAME`, without wildcards")
        if kind == "person":
            text = f"person:{person_name(name)}"
        if text in found:
            raise element.error(f"`{text}` is listed twice")
        found.add(text)
    if not found:
        raise node.error("no reviewers: nobody could ever approve")
    return frozenset(found)


def _span(node: Located | None, default: float) -> float:
    if node is None:
        return default
    seconds = node.duration()
    if not 0 < seconds <= MAX_TIMEOUT:
        raise node.error("expected more than nothing and at most `30d`")
    return seconds


def _grant(node: Located | None) -> tuple[Scope, float]:
    if node is None:
        return Scope.REQUEST, 0.0
    fields = node.fields(required=frozenset({"scope"}), optional=frozenset({"for"}))
    scope = Scope(fields["scope"].choice(*(s.value for s in Scope)))
    span = fields.get("for")
    if scope is Scope.REQUEST and span:
        raise span.error("a grant for this request is spent once; `for` belongs to `window` and `session`")
    if scope is not Scope.REQUEST and span is None:
        raise node.error(f"a grant of scope `{scope.value}` needs `for`: how long it holds")
    return scope, _span(span, 0.0)
