"""Decide: deny wins over hold, hold over allow, and what nothing permits is denied.

Order never counts. A condition that cannot be evaluated makes a deny, hold or mask rule match and an allow rule not;
silence never approves a hold that matched for that reason.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from holdpoint.domain.access import AccessRequest, Protocol, Resource
from holdpoint.domain.decision import (
    Decision,
    Deny,
    DenyReason,
    Limit,
    MaskFields,
    Obligation,
    Permit,
    RecordBodies,
    RuleRef,
    UseCredential,
)
from holdpoint.domain.refusal import GatewayFault
from holdpoint.policy.bundle import Bundle
from holdpoint.policy.cel import Condition, ConditionFailed, Facts
from holdpoint.policy.globs import TextTest
from holdpoint.policy.matchers import KINDS, Test, compile_match, compile_verbs
from holdpoint.policy.rules import Effect, Rule


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A rule as it applies to one target and one kind of resource."""

    rule: Rule
    verb_fits: TextTest
    tests: tuple[Test, ...]
    condition: Condition | None


@dataclass(frozen=True, slots=True)
class _Hit:
    """A rule that matched; `error` says why it only counts as matched."""

    rule: Rule
    error: str = ""


type _Index = dict[type[Resource], "_Kind"]


@dataclass(frozen=True, slots=True)
class _Kind:
    candidates: tuple[_Candidate, ...]
    by_verb: dict[str, tuple[_Candidate, ...]]
    """For the verbs that rules write out. Other verbs are looked for among all candidates."""

    def of(self, verb: str) -> Iterable[_Candidate]:
        found = self.by_verb.get(verb)
        return found if found is not None else (c for c in self.candidates if c.verb_fits(verb))


class Engine:
    """A bundle, indexed by target and kind of resource. Holds no state of requests; safe to share between threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._targets: dict[str, tuple[Protocol, _Index]] = {
            target: (protocol, _index(bundle, target, protocol)) for target, protocol in bundle.targets.items()
        }

    def decide(self, request: AccessRequest) -> Decision:
        """Answer a request. Never raises: what goes wrong in here is a Deny."""
        try:
            return self._decide(request)
        except Exception as error:  # noqa: BLE001  # whatever it is, the answer is no
            wrong = f"the engine failed: {type(error).__name__}"
            return Deny(DenyReason.EVALUATION_ERROR, bundle=self.bundle.hash, errors=(wrong,))

    def _decide(self, request: AccessRequest) -> Decision:
        bundle = self.bundle.hash
        entry = self._targets.get(request.target)
        if entry is None or entry[0] is not request.action.protocol:
            return Deny(DenyReason.NO_RULE, bundle=bundle)
        kind = entry[1].get(type(request.resource))
        if kind is None:
            return Deny(DenyReason.NO_RULE, bundle=bundle)
        tally = _Tally()
        facts = Facts(request)
        for candidate in kind.of(request.action.verb):
            for test in candidate.tests:
                if not test(request):
                    break
            else:
                tally.weigh(candidate, facts)
        return tally.decision(bundle)


@dataclass(slots=True)
class _Tally:
    """What the rules say to one request."""

    hits: dict[Effect, list[_Hit]] = field(default_factory=lambda: {effect: [] for effect in Effect})
    shadow: list[RuleRef] = field(default_factory=list[RuleRef])
    errors: list[str] = field(default_factory=list[str])
    allow_failed: bool = False

    def weigh(self, candidate: _Candidate, facts: Facts) -> None:
        rule, error = candidate.rule, ""
        if candidate.condition is not None:
            try:
                if not candidate.condition.holds(facts):
                    return
            except ConditionFailed as failed:
                error = f"rule `{rule.ref}` at {rule.ref.where}: {failed}"
                self.errors.append(error)
                if rule.effect is Effect.ALLOW:
                    self.allow_failed |= not rule.shadow
                    return
        if rule.shadow:
            self.shadow.append(rule.ref)
        else:
            self.hits[rule.effect].append(_Hit(rule, error))

    def decision(self, bundle: str) -> Decision:
        denying = self.hits[Effect.DENY]
        if denying:
            certain = any(not h.error for h in denying)
            return self._deny(bundle, DenyReason.RULE if certain else DenyReason.EVALUATION_ERROR, denying)
        opening = self.hits[Effect.HOLD] + self.hits[Effect.ALLOW]
        if not opening:
            return self._deny(bundle, DenyReason.EVALUATION_ERROR if self.allow_failed else DenyReason.NO_RULE, [])
        matched = opening + self.hits[Effect.MASK]
        naming = [h for h in matched if h.rule.credential]
        if len({h.rule.credential for h in naming}) > 1:
            named = ", ".join(f"`{h.rule.ref}`" for h in _sorted(naming))
            self.errors.append(f"rules {named} ask for different credentials")
            return self._deny(bundle, DenyReason.EVALUATION_ERROR, naming)
        return Permit(bundle, _refs(matched), _duties(_sorted(matched)), self._shadow(), self._errors())

    def _deny(self, bundle: str, reason: DenyReason, hits: list[_Hit]) -> Deny:
        reasons = dict.fromkeys(h.rule.reason for h in _sorted(hits) if h.rule.effect is Effect.DENY and h.rule.reason)
        return Deny(reason, bundle, _refs(hits), "; ".join(reasons), self._errors(), self._shadow())

    def _shadow(self) -> tuple[RuleRef, ...]:
        return tuple(sorted(self.shadow, key=_by_name))

    def _errors(self) -> tuple[str, ...]:
        return tuple(sorted(self.errors))


def _index(bundle: Bundle, target: str, protocol: Protocol) -> _Index:
    rules = [rule for policy in bundle.policies if target in policy.targets for rule in policy.rules]
    return {kind: _kind(rules, protocol, kind) for kind in KINDS[protocol]}


def _kind(rules: Sequence[Rule], protocol: Protocol, kind: type[Resource]) -> _Kind:
    candidates: list[_Candidate] = []
    for rule in rules:
        tests = compile_match(rule, kind)
        if tests is not None:
            # INVARIANT: a condition is compiled for every protocol its rule can match on; without one it would open.
            if rule.conditions and protocol not in rule.conditions:
                raise GatewayFault(f"rule `{rule.ref}` has no condition for {protocol.value}")
            candidates.append(_Candidate(rule, compile_verbs(rule.match), tests, rule.conditions.get(protocol)))
    written_out = {v for rule in rules for v in rule.match.verbs or () if "*" not in v}
    by_verb = {verb: tuple(c for c in candidates if c.verb_fits(verb)) for verb in written_out}
    return _Kind(tuple(candidates), by_verb)


def _by_name(ref: RuleRef) -> tuple[str, str]:
    return ref.policy, ref.rule


def _sorted(hits: list[_Hit]) -> list[_Hit]:
    return sorted(hits, key=lambda h: _by_name(h.rule.ref))


def _refs(hits: list[_Hit]) -> tuple[RuleRef, ...]:
    return tuple(h.rule.ref for h in _sorted(hits))


def _duties(hits: list[_Hit]) -> tuple[Obligation, ...]:
    duties: list[Obligation] = []
    for hit in hits:
        term = hit.rule.approval
        if term is not None:
            # A rule whose condition failed asks for a human: what nobody could evaluate, silence cannot approve.
            duties.append(replace(term, auto_approve_after=None) if hit.error else term)
    profiles = tuple(sorted({name for h in hits for name in h.rule.mask}))
    if profiles:
        duties.append(MaskFields(profiles))
    duties.extend(UseCredential(name) for name in {h.rule.credential for h in hits} - {""})
    record = [h.rule.record_bodies for h in hits if h.rule.record_bodies is not None]
    if record:
        duties.append(RecordBodies(enabled=any(record)))
    limits = [h.rule.response_bytes for h in hits if h.rule.response_bytes is not None]
    if limits:
        duties.append(Limit(min(limits)))
    return tuple(duties)
