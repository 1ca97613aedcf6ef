"""Read `kind: Policy` documents. Every key is known, every value checked, every error names file, line and column."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdpoint.domain.access import Protocol, person_name
from holdpoint.domain.decision import RequireApproval, RuleRef, Scope
from holdpoint.domain.refusal import ConfigError
from holdpoint.located_yaml import Fields, Located
from holdpoint.policy.cel import Condition, ConditionProblem, compile_condition
from holdpoint.policy.places import place_in_text
from holdpoint.policy.rules import Effect, Match, Policy, Rule
from holdpoint.policy.schema_match import reaches, read_match

API_VERSION = "holdpoint/v1"
MAX_TIMEOUT = 30 * 86_400.0
MAX_REASON = 500
MAX_REVIEWERS = 20
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_RULE_KEYS = frozenset({"match", "when", "approval", "mask", "credential", "record", "limit", "reason", "shadow"})
_DUTIES = frozenset({"mask", "record", "limit"})
_NOT_FOR: dict[Effect, frozenset[str]] = {
    Effect.DENY: _DUTIES | {"approval", "credential"},
    Effect.HOLD: frozenset(),
    Effect.ALLOW: frozenset({"approval"}),
    Effect.MASK: frozenset({"approval", "credential"}),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What reading a policy depends on beside the document itself."""

    targets: Mapping[str, Protocol]
    profiles: frozenset[str]
    """Names of the mask profiles of the bundle."""
    text: str
    """The whole file, to find places within conditions."""
    name: str
    """The file's name within the bundle."""
    report: Callable[[ConfigError], None]
    """Takes what is wrong with one rule; the other rules are read all the same."""


def read_name(node: Located) -> str:
    """Return a name that can stand in logs and links. Raises ConfigError."""
    text = node.text()
    if not _NAME.fullmatch(text):
        raise node.error(f"`{text}` is no name; use lower-case letters, digits, `-`, `_` and `.`, at most 63")
    return text


def read_policy(document: Located, around: Surroundings) -> Policy:
    """Read one document. Raises ConfigError for the document; what is wrong with a rule is reported."""
    fields = document.fields(required=frozenset({"apiVersion", "kind", "metadata", "targets", "rules"}))
    metadata = fields["metadata"].fields(required=frozenset({"name"}), optional=frozenset({"description"}))
    description = metadata.get("description")
    if description:
        description.text()
    name = read_name(metadata["name"])
    targets = _targets(fields["targets"], around.targets)
    rules: list[Rule] = []
    elements = fields["rules"].elements()
    if not elements:
        raise fields["rules"].error("no rules")
    seen: set[str] = set()
    for element in elements:
        try:
            rule = _rule(element, name, {around.targets[t] for t in targets}, around)
            if rule.ref.rule in seen:
                raise element.error(f"duplicate rule `{rule.ref.rule}` in policy `{name}`")
        except ConfigError as error:
            around.report(error)
        else:
            seen.add(rule.ref.rule)
            rules.append(rule)
    return Policy(name, targets, tuple(rules), f"{around.name}:{metadata['name'].line}")


def _targets(node: Located, known: Mapping[str, Protocol]) -> tuple[str, ...]:
    found: list[str] = []
    for element in node.elements():
        text = element.text()
        if text not in known:
            names = ", ".join(f"`{t}`" for t in sorted(known)) or "none"
            raise element.error(f"unknown target `{text}`; known: {names}")
        if text in found:
            raise element.error(f"`{text}` is listed twice")
        found.append(text)
    if not found:
        raise node.error("no targets")
    return tuple(found)


def _rule(node: Located, policy: str, protocols: set[Protocol], around: Surroundings) -> Rule:
    fields = node.fields(required=frozenset({"name", "effect", "match"}), optional=_RULE_KEYS)
    ref = RuleRef(policy, read_name(fields["name"]), f"{around.name}:{fields['name'].line}")
    effect = Effect(fields["effect"].choice(*(e.value for e in Effect)))
    for key in sorted(_NOT_FOR[effect]):
        unfit = fields.get(key)
        if unfit:
            raise unfit.error(f"`{key}` has no meaning in a rule of effect `{effect.value}`")
    if effect is Effect.MASK and not _DUTIES & fields.values.keys():
        raise node.error("a mask rule needs `mask`, `record` or `limit`")
    match = read_match(fields["match"], effect, protocols)
    reason = _reason(fields)
    approval = None
    if effect is Effect.HOLD:
        if "approval" not in fields.values:
            raise node.error("a hold rule needs `approval`, which says who may approve")
        approval = _approval(fields["approval"], ref, match, reason)
    shadow, limit, record = fields.get("shadow"), fields.get("limit"), fields.get("record")
    return Rule(
        ref=ref,
        effect=effect,
        match=match,
        conditions=_conditions(fields.get("when"), match, protocols, around),
        approval=approval,
        mask=_masks(fields.get("mask"), around.profiles),
        credential=read_name(fields["credential"]) if "credential" in fields.values else "",
        record_bodies=record.fields(required=frozenset({"bodies"}))["bodies"].boolean() if record else None,
        response_bytes=_limit(limit) if limit else None,
        reason=reason,
        shadow=shadow.boolean() if shadow else False,
    )


def _conditions(
    node: Located | None, match: Match, protocols: set[Protocol], around: Surroundings
) -> dict[Protocol, Condition]:
    if node is None:
        return {}
    source = node.text()
    found: dict[Protocol, Condition] = {}
    for protocol in sorted(p for p in protocols if reaches(match, p)):
        try:
            found[protocol] = compile_condition(source, protocol)
        except ConditionProblem as problem:
            where = place_in_text(node, around.text, line=problem.line, column=problem.column)
            raise ConfigError(str(problem), where=where) from None
    return found


def _reason(fields: Fields) -> str:
    node = fields.get("reason")
    if node is None:
        return ""
    text = " ".join(node.text().split())
    if not text or len(text) > MAX_REASON or not text.isprintable():
        raise node.error(f"expected 1 to {MAX_REASON} printable characters: callers read this")
    return text


def _masks(node: Located | None, profiles: frozenset[str]) -> tuple[str, ...]:
    if node is None:
        return ()
    found: list[str] = []
    for element in node.elements():
        name = element.text()
        if name not in profiles:
            known = ", ".join(f"`{p}`" for p in sorted(profiles)) or "none"
            raise element.error(f"unknown mask profile `{name}`; known: {known}")
        if name in found:
            raise element.error(f"`{name}` is listed twice")
        found.append(name)
    if not found:
        raise node.error("an empty list masks nothing; leave `mask` out")
    return tuple(found)


def _limit(node: Located) -> int:
    size = node.fields(required=frozenset({"response"}))["response"]
    found = size.size()
    if found < 1:
        raise size.error("a limit of nothing refuses every answer; write a deny rule")
    return found


def _approval(node: Located, ref: RuleRef, match: Match, reason: str) -> RequireApproval:
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
