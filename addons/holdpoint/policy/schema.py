"""Read `kind: Policy` documents. Every key is known, every value checked, every error names file, line and column."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from holdpoint.domain.access import Protocol
from holdpoint.domain.decision import RuleRef
from holdpoint.domain.refusal import ConfigError
from holdpoint.located_yaml import Fields, Located
from holdpoint.policy.cel import Condition, ConditionProblem, compile_condition
from holdpoint.policy.names import read_name
from holdpoint.policy.places import place_in_text
from holdpoint.policy.reviewers import ReviewerList
from holdpoint.policy.rules import Effect, Match, Policy, Rule
from holdpoint.policy.schema_approval import read_approval
from holdpoint.policy.schema_duties import Limits, read_guard, read_limits, read_scopes
from holdpoint.policy.schema_match import reaches, read_match
from holdpoint.policy.schema_targets import read_targets
from holdpoint.protocols.kubernetes.discovery import is_discovery_path

API_VERSION = "holdpoint/v1"
MAX_REASON = 500
_DUTIES = frozenset({"mask", "record", "limits", "guard"})
_RULE_KEYS = _DUTIES | {"match", "when", "approval", "credential", "scopes", "reason", "shadow"}
_NOT_FOR: dict[Effect, frozenset[str]] = {
    Effect.DENY: _DUTIES | {"approval", "credential", "scopes"},
    Effect.HOLD: frozenset(),
    Effect.ALLOW: frozenset({"approval"}),
    Effect.MASK: frozenset({"approval", "credential", "scopes"}),
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
    lists: Mapping[str, ReviewerList] = field(default_factory=dict[str, ReviewerList])
    """The reviewer lists of the bundle."""


def read_policy(document: Located, around: Surroundings) -> Policy:
    """Read one document. Raises ConfigError for the document; what is wrong with a rule is reported."""
    fields = document.fields(required=frozenset({"apiVersion", "kind", "metadata", "targets", "rules"}))
    metadata = fields["metadata"].fields(required=frozenset({"name"}), optional=frozenset({"description"}))
    description = metadata.get("description")
    if description:
        description.text()
    name = read_name(metadata["name"])
    targets = read_targets(fields["targets"], around.targets)
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


def _rule(node: Located, policy: str, protocols: set[Protocol], around: Surroundings) -> Rule:
    fields = node.fields(required=frozenset({"name", "effect", "match"}), optional=_RULE_KEYS)
    ref = RuleRef(policy, read_name(fields["name"]), f"{around.name}:{fields['name'].line}")
    effect = Effect(fields["effect"].choice(*(e.value for e in Effect)))
    for key in sorted(_NOT_FOR[effect]):
        unfit = fields.get(key)
        if unfit:
            raise unfit.error(f"`{key}` has no meaning in a rule of effect `{effect.value}`")
    if effect is Effect.MASK and not _DUTIES & fields.values.keys():
        raise node.error("a mask rule needs `mask`, `record`, `limits` or `guard`")
    match = read_match(fields["match"], effect, protocols)
    reason = _reason(fields)
    approval = None
    if effect is Effect.HOLD:
        if "approval" not in fields.values:
            raise node.error("a hold rule needs `approval`, which says who may approve")
        reached = {p for p in protocols if reaches(match, p)}
        approval = read_approval(fields["approval"], ref, match, reason, protocols=reached, lists=around.lists)
        if protocols == {Protocol.KUBERNETES} and match.paths and all(map(_is_discovery, match.paths)):
            raise fields["match"].error("discovery is never held for review: allow these paths, or deny them")
    shadow, limits, record = fields.get("shadow"), fields.get("limits"), fields.get("record")
    limited = read_limits(limits, ref) if limits else Limits()
    scopes, guard = fields.get("scopes"), fields.get("guard")
    return Rule(
        ref=ref,
        effect=effect,
        match=match,
        conditions=_conditions(fields.get("when"), match, protocols, around),
        approval=approval,
        mask=_masks(fields.get("mask"), around.profiles),
        credential=read_name(fields["credential"]) if "credential" in fields.values else "",
        record_bodies=record.fields(required=frozenset({"bodies"}))["bodies"].boolean() if record else None,
        response_bytes=limited.response_bytes,
        rates=limited.rates,
        scopes=read_scopes(scopes) if scopes else frozenset(),
        guard=read_guard(guard, ref) if guard else None,
        reason=reason,
        shadow=shadow.boolean() if shadow else False,
    )


def _is_discovery(glob: str) -> bool:
    return "*" not in glob and "?" not in glob and is_discovery_path(glob)


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
