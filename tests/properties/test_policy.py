"""What must hold for any policy and any request."""

import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.policies import ADA, TARGETS, ask, bundle_of, call, fetch, kube, policy_text

from holdpoint.domain.access import McpServerRequest, McpTool, PinState
from holdpoint.domain.decision import Decision, Deny, Permit
from holdpoint.policy.bundle import Bundle
from holdpoint.policy.cel import ConditionProblem, Facts, compile_condition
from holdpoint.policy.engine import Engine
from holdpoint.policy.index import Kind, outcome
from holdpoint.policy.rules import Effect, Rule

CONDITIONS = [
    "",
    "true",
    "false",
    "args.n > 1",
    'args.missing == "x"',
    'principal.kind == "human"',
    "has(args.n)",
    "args.n > 1 // not little",
    "size(args) > 1",
    'resource.tool == "a" || args.n == 1',
    'request.protocol_version == "2025-03-26"',
    'principal.claims.team == "x"',
    "args.list.all(a, args.list.all(b, a == b))",
    'args.exists(k, k == "n")',
]
FAILS = 'args.gone.deeper == "x"'
MATCHES = [
    "{tools: [a]}",
    "{tools: ['*']}",
    "{verbs: [ping]}",
    "{verbs: [tools/call, ping], principals: {groups: [developers]}}",
    "{principals: {groups: [others]}}",
    "{any: true}",
    "{tools: ['*'], pins: [changed, pinned]}",
    "{tools: ['*'], arguments: {n: ['2', '5']}}",
    "{server_requests: ['*']}",
]
REQUESTS = [
    call("a", n=2),
    call("b"),
    call("a", n=2**70),
    ask("ping", n=1),
    call("a", n=2, big=2**70),
    call("a", n=2, odd="\ud800"),
    call("a", n=2, list=[1] * 200),
    call("a", n=2, x="a" * 300_000),
    call("a", unverified={"protocol_version": "2025-03-26"}, n=2),
    replace(call("a", n=2), resource=McpTool("a", PinState.CHANGED)),
    ask("sampling/createMessage", McpServerRequest("sampling/createMessage"), n=2),
    ask("response", McpServerRequest("roots/list")),
    replace(ask("batch"), members=(call("a", n=2), ask("ping"))),
    ask("unheard/of"),
    replace(call("a", n=5), principal=replace(ADA, groups=frozenset({"others"}))),
    replace(call("a"), target="none"),
    fetch("get", "/a"),
    kube("get", "pods", "x"),
]
MAY_ALLOW = {"{verbs: [ping]}", "{server_requests: ['*']}"}
EFFECTS = {
    "deny": "",
    "hold": ", approval: {reviewers: ['group:a'], auto_approve_after: 30s}",
    "allow": "",
    "mask": ", mask: [credentials]",
}


@dataclass(frozen=True)
class Shape:
    effect: str
    match: str
    when: str
    shadow: bool

    def text(self, number: int) -> str:
        when = f", when: '{self.when}'" if self.when else ""
        extra = EFFECTS[self.effect]
        if "pins" in self.match or "arguments" in self.match:
            extra = extra.replace(", auto_approve_after: 30s", "")  # the schema refuses it
        return (
            f"name: r{number}, effect: {self.effect}, match: {self.match}{extra}{when}, "
            f"shadow: {str(self.shadow).lower()}"
        )


def possible(shape: Shape) -> bool:
    # An allow rule must name what it allows: the schema refuses these.
    if shape.effect == "hold":
        return "server_requests" not in shape.match
    return shape.effect != "allow" or "tools:" in shape.match or shape.match in MAY_ALLOW


SHAPES = st.builds(
    Shape,
    st.sampled_from(sorted(EFFECTS)),
    st.sampled_from(MATCHES),
    st.sampled_from(CONDITIONS),
    st.booleans(),
).filter(possible)
LISTS = st.lists(SHAPES, min_size=1, max_size=6)


@cache
def rule_of(shape: Shape) -> tuple[Bundle, Rule]:
    with tempfile.TemporaryDirectory() as folder:
        bundle = bundle_of(Path(folder), policy_text(shape.text(0)))
    return bundle, bundle.policies[0].rules[0]


def engine_of(shapes: list[Shape]) -> Engine:
    bundle, _ = rule_of(shapes[0])
    rules: list[Rule] = []
    for number, shape in enumerate(shapes):
        rule = rule_of(shape)[1]
        ref = replace(rule.ref, rule=f"r{number}")
        approval = rule.approval and replace(rule.approval, rule=ref)
        rules.append(replace(rule, ref=ref, approval=approval))
    return Engine(replace(bundle, policies=(replace(bundle.policies[0], rules=tuple(rules)),)))


def alone(shape: Shape, request) -> bool:
    """Tell whether a deny rule matches, by itself."""
    return bool(engine_of([replace(shape, shadow=False)]).decide(request).rules)


class OneByOne(Kind):
    """As plain as can be: every rule, every test, every condition by itself, of all facts."""

    def matching(self, request):
        facts = Facts(request)
        found = []
        for candidate in self.candidates:
            tests = candidate.tests
            if candidate.verb_fits(request.action.verb) and all(
                test(request) for test in (*tests.resource, *tests.caller, *tests.arguments)
            ):
                said = True if candidate.condition is None else outcome(candidate.condition, facts)
                if said is not False:
                    found.append((candidate, said))
        return found


def slowly(engine: Engine, request) -> Decision:
    slow = Engine(engine.bundle)
    slow._targets = {
        target: (protocol, {k: OneByOne(kind.candidates, protocol) for k, kind in kinds.items()})
        for target, (protocol, kinds) in engine._targets.items()
    }
    return slow.decide(request)


@given(LISTS, st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4))
def test_evaluating_at_once_says_what_evaluating_one_by_one_says(shapes, requests):
    engine = engine_of(shapes)
    for request in (*requests, *requests):
        assert engine.decide(request) == slowly(engine, request)


SINGLE = [r for r in REQUESTS if not r.members]


@given(LISTS, st.sampled_from(SINGLE))
def test_what_is_permitted_is_shown(shapes, request):
    """Lists never hide what a call with these arguments gets."""
    engine = engine_of(shapes)
    if isinstance(engine.decide(request), Permit):
        assert engine.visible(request)


@given(LISTS, st.sampled_from(SINGLE))
def test_what_is_shown_does_not_hang_on_the_arguments(shapes, request):
    engine = engine_of(shapes)
    assert engine.visible(request) == engine.visible(replace(request, arguments={}))


@given(LISTS, st.lists(st.sampled_from([r for r in SINGLE if r.target == "mcp" and r.principal is ADA]), min_size=1))
def test_messages_together_pass_exactly_if_each_does(shapes, members):
    engine = engine_of(shapes)
    decision = engine.decide(replace(ask("batch"), members=tuple(members)))
    alone_ = [engine.decide(member) for member in members]
    assert isinstance(decision, Permit) == all(isinstance(d, Permit) for d in alone_)
    assert decision.members == tuple(alone_)
    if isinstance(decision, Permit):
        asked = {t.rule for d in alone_ if isinstance(d, Permit) for t in d.approvals}
        assert {t.rule for t in decision.approvals} == asked


@given(
    LISTS, st.sampled_from(SINGLE), st.sets(st.sampled_from(["a", "b"])), st.lists(st.sets(st.sampled_from(["a", "b"])))
)
def test_fewer_scopes_never_get_further(shapes, request, fewer, wanted):
    engine = engine_of(shapes)
    (policy,) = engine.bundle.policies
    rules = [
        replace(rule, scopes=frozenset(scopes)) if rule.effect in (Effect.ALLOW, Effect.HOLD) else rule
        for rule, scopes in zip(policy.rules, [*wanted, *[set()] * len(policy.rules)], strict=False)
    ]
    engine = Engine(replace(engine.bundle, policies=(replace(policy, rules=tuple(rules)),)))
    less = engine.decide(replace(request, principal=replace(request.principal, scopes=frozenset(fewer))))
    more = engine.decide(replace(request, principal=replace(request.principal, scopes=frozenset({"a", "b"}))))
    if isinstance(less, Permit):
        assert isinstance(more, Permit)
        assert set(less.approvals) == set(more.approvals)
    elif isinstance(more, Permit):
        assert less.scopes <= {"a", "b"}
        assert less.scopes - fewer


@given(LISTS, st.sampled_from(REQUESTS))
def test_any_matching_deny_wins(shapes, request):
    denies = [s for s in shapes if s.effect == "deny" and not s.shadow and alone(s, request)]
    decision = engine_of(shapes).decide(request)
    if denies:
        assert isinstance(decision, Deny)
        assert len(decision.rules) == len(denies)


@given(LISTS, SHAPES, st.sampled_from(REQUESTS))
def test_only_an_allow_or_hold_rule_turns_a_deny_into_a_permit(shapes, added, request):
    before, after = engine_of(shapes).decide(request), engine_of([*shapes, added]).decide(request)
    if isinstance(before, Deny) and isinstance(after, Permit):
        assert added.effect in ("allow", "hold")
        assert not added.shadow


@given(LISTS, SHAPES, st.sampled_from(REQUESTS))
def test_adding_a_rule_never_takes_a_duty_away(shapes, added, request):
    before, after = engine_of(shapes).decide(request), engine_of([*shapes, added]).decide(request)
    if isinstance(before, Permit) and isinstance(after, Permit):
        assert set(before.obligations) <= set(after.obligations)


@given(LISTS.flatmap(lambda s: st.tuples(st.just(s), st.permutations(range(len(s))))), st.sampled_from(REQUESTS))
def test_order_is_irrelevant(shapes_and_order, request):
    shapes, order = shapes_and_order
    engine = engine_of(shapes)
    (policy,) = engine.bundle.policies
    shuffled = replace(policy, rules=tuple(policy.rules[i] for i in order))
    assert Engine(replace(engine.bundle, policies=(shuffled,))).decide(request) == engine.decide(request)


def strictness(decision) -> tuple[int, int]:
    if isinstance(decision, Deny):
        return (2, 0)
    return (1, len(decision.obligations)) if decision.approvals else (0, len(decision.obligations))


@pytest.mark.failure("F-policy-error")
@given(LISTS, st.integers(0, 5), st.sampled_from(REQUESTS))
def test_an_error_never_opens_what_was_closed_to_everybody(shapes, index, request):
    """A failing condition is no looser than the same rule without one (allow rules: than no such rule)."""
    index %= len(shapes)
    failing = replace(shapes[index], when=FAILS)
    others = shapes[:index] + shapes[index + 1 :]
    decision = engine_of([*others, failing]).decide(request)
    always = engine_of([*others, replace(failing, when="true")]).decide(request)
    if failing.effect == "allow":
        never = engine_of([*others, replace(failing, when="false")]).decide(request)
        assert strictness(decision) == strictness(never)
    else:
        assert strictness(decision) >= strictness(always)
    if isinstance(decision, Permit):
        for term in decision.approvals:
            if any(str(term.rule) in error for error in decision.errors):
                assert term.auto_approve_after is None


@given(LISTS, st.sampled_from(REQUESTS))
def test_every_decision_names_its_bundle_and_permits_name_a_rule(shapes, request):
    engine = engine_of(shapes)
    decision = engine.decide(request)
    assert decision.bundle == engine.bundle.hash
    if isinstance(decision, Permit):
        opening = {s.ref for p in engine.bundle.policies for s in p.rules if s.effect in (Effect.ALLOW, Effect.HOLD)}
        assert opening & set(decision.rules)


@given(st.text(max_size=30), st.sampled_from(sorted(TARGETS)))
def test_no_text_crashes_the_compiler(source, target):
    try:
        outcome = compile_condition(source, TARGETS[target]).source
    except ConditionProblem as problem:
        outcome = str(problem)
    assert outcome
