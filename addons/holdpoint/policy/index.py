"""Rules as they apply to one target and one kind of resource, and which of them match a request.

What depends on verb and resource alone is remembered for the things that come again, as tools do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from holdpoint.domain.access import AccessRequest, McpMethod, McpPrompt, McpServerRequest, McpTool, Protocol, Resource
from holdpoint.domain.refusal import GatewayFault
from holdpoint.policy.bundle import Bundle
from holdpoint.policy.cel import Condition, ConditionFailed, ConditionProblem, Facts, Joined
from holdpoint.policy.globs import TextTest
from holdpoint.policy.match_objects import may_create
from holdpoint.policy.matchers import KINDS, Test, Tests, compile_match, compile_narrow, compile_verbs
from holdpoint.policy.rules import Effect, Rule
from holdpoint.policy.verbs import KUBERNETES_BY_NAME

MAX_REMEMBERED = 8_192
MAX_NAME = 256
MAX_PLANS = 256
MAX_JOINED = 64
"""Conditions in one expression: compiling takes about 0.1 ms for each."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule as it applies to one target and one kind of resource."""

    number: int
    rule: Rule
    verb_fits: TextTest
    tests: Tests
    condition: Condition | None
    narrow: Test | None = None
    """Of a hold rule: whether it matches a request without any doubt. None: whatever it matches."""

    def is_certain(self, request: AccessRequest) -> bool:
        """Whether a match of it hangs on no doubt about what is asked."""
        return self.narrow is None or self.narrow(request)

    def opens(self, request: AccessRequest) -> bool:
        """Whether it may open what it matches, if it opens anything. What only a name opens, no doubt does."""
        return request.action.verb not in KUBERNETES_BY_NAME or self.is_certain(request)

    def fits_resource(self, request: AccessRequest) -> bool:
        """Whether it is about this verb and this resource."""
        return self._fits_verb(request) and all(test(request) for test in self.tests.resource)

    def _fits_verb(self, request: AccessRequest) -> bool:
        if self.verb_fits(request.action.verb):
            return True
        return self.rule.effect is not Effect.ALLOW and may_create(request) and self.verb_fits("create")

    def fits_caller(self, request: AccessRequest) -> bool:
        """Whether it is about this caller."""
        return all(test(request) for test in self.tests.caller)


type Outcome = bool | str
"""What a condition says, or why it could not."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the conditions of some candidates are evaluated: each different one once, all at once where that works."""

    conditions: tuple[Condition, ...]
    joined: Joined | None
    reads: frozenset[str]
    keys: frozenset[str] | None

    def outcomes(self, request: AccessRequest) -> dict[str, Outcome]:
        """Return the outcome of each condition, by its source."""
        facts = Facts(request, self.reads, self.keys)
        if self.joined is not None:
            found = self.joined.outcomes(facts)
            if found is not None:
                return {c.source: truth for c, truth in zip(self.conditions, found, strict=True)}
        return {c.source: outcome(c, facts) for c in self.conditions}


def outcome(condition: Condition, facts: Facts) -> Outcome:
    """Evaluate one condition by itself."""
    try:
        return condition.holds(facts)
    except ConditionFailed as failed:
        return str(failed)


class Kind:
    """The candidates for one kind of resource, in the order of their names."""

    def __init__(self, candidates: Sequence[Candidate], protocol: Protocol) -> None:
        self.candidates = tuple(candidates)
        self._protocol = protocol
        self._remembered: dict[tuple[str, Resource], tuple[Candidate, ...]] = {}
        self._plans: dict[tuple[int, ...], _Plan] = {}

    def about(self, request: AccessRequest, resource: Resource) -> tuple[Candidate, ...]:
        """Return the candidates that are about the verb of a request and a resource, which need not be its own."""
        if not _comes_again(resource):
            return self._search(request, resource)
        key = (request.action.verb, resource)
        found = self._remembered.get(key)
        if found is None:
            found = self._search(request, resource)
            # The names are the caller's: whoever sends many costs himself the memory of what was remembered.
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            if len(key[0]) <= MAX_NAME:
                self._remembered[key] = found
        return found

    def _search(self, request: AccessRequest, resource: Resource) -> tuple[Candidate, ...]:
        if resource is not request.resource:
            request = replace(request, resource=resource)
        return tuple(c for c in self.candidates if c.fits_resource(request))

    def matching(self, request: AccessRequest) -> Iterable[tuple[Candidate, Outcome]]:
        """Yield the candidates that match, and those whose condition could not be evaluated, with what it says."""
        found: list[Candidate] = []
        for candidate in self.about(request, request.resource):
            tests = candidate.tests
            for test in tests.caller:
                if not test(request):
                    break
            else:
                if not tests.arguments or all(t(request) for t in tests.arguments):
                    found.append(candidate)
        return [(c, outcome) for c, outcome in self.weigh(found, request) if outcome is not False]

    def weigh(self, candidates: Sequence[Candidate], request: AccessRequest) -> Iterable[tuple[Candidate, Outcome]]:
        """Yield each candidate with what its condition says to a request: True where it has none."""
        conditional = tuple(c.number for c in candidates if c.condition is not None)
        if not conditional:
            return [(c, True) for c in candidates]
        plan = self._plans.get(conditional)
        if plan is None:
            plan = self._plan(conditional)
        outcomes = plan.outcomes(request)
        return [(c, True if c.condition is None else outcomes[c.condition.source]) for c in candidates]

    def _plan(self, numbers: tuple[int, ...]) -> _Plan:
        wanted = set(numbers)
        chosen = [c.condition for c in self.candidates if c.number in wanted and c.condition is not None]
        conditions = tuple({c.source: c for c in chosen}.values())
        reads = frozenset[str]().union(*(c.reads for c in conditions))
        keys: frozenset[str] | None = frozenset()
        for condition in conditions:
            keys = None if keys is None or condition.keys is None else keys | condition.keys
        room = len(self._plans) < MAX_PLANS
        joined: Joined | None = None
        if room and 1 < len(conditions) <= MAX_JOINED:
            try:
                joined = Joined(conditions, self._protocol)
            except ConditionProblem:
                joined = None
        plan = _Plan(conditions, joined, reads, keys)
        if room:
            self._plans[numbers] = plan
        return plan


def _comes_again(resource: Resource) -> bool:
    match resource:
        case McpTool(name=name) | McpPrompt(name=name) | McpServerRequest(method=name):
            return len(name) <= MAX_NAME
        case McpMethod():
            return True
        case _:
            return False


def index_target(bundle: Bundle, target: str, protocol: Protocol) -> dict[type[Resource], Kind]:
    """Index the rules for a target by kind of resource."""
    rules = [rule for policy in bundle.policies if target in policy.targets for rule in policy.rules]
    rules.sort(key=lambda r: (r.ref.policy, r.ref.rule))
    return {kind: Kind(_candidates(rules, protocol, kind), protocol) for kind in KINDS[protocol]}


def _candidates(rules: Sequence[Rule], protocol: Protocol, kind: type[Resource]) -> Sequence[Candidate]:
    found: list[Candidate] = []
    for rule in rules:
        tests = compile_match(rule, kind)
        if tests is None:
            continue
        # INVARIANT: a condition is compiled for every protocol its rule can match on; without one it would open.
        if rule.conditions and protocol not in rule.conditions:
            raise GatewayFault(f"rule `{rule.ref}` has no condition for {protocol.value}")
        condition = rule.conditions.get(protocol)
        narrow = compile_narrow(rule, kind)
        found.append(Candidate(len(found), rule, compile_verbs(rule, kind), tests, condition, narrow))
    return found
