from dataclasses import replace

import pytest
from tests.fakes.policies import ask, bundle_of, call, policy_text

from holdpoint.domain.access import KubeObject, Protocol
from holdpoint.domain.decision import (
    Deny,
    DenyReason,
    Limit,
    MaskFields,
    Permit,
    RecordBodies,
    RuleRef,
    UseCredential,
)
from holdpoint.domain.refusal import GatewayFault
from holdpoint.policy.engine import Engine
from holdpoint.policy.facts import MAX_CHARACTERS

ALLOW = "name: allow, effect: allow, match: {tools: ['*']}"
HOLD = "name: hold, effect: hold, match: {tools: ['*']}, approval: {reviewers: ['group:a']}"
DENY = "name: deny, effect: deny, match: {tools: ['*']}, reason: no"
MASK = "name: mask, effect: mask, match: {tools: ['*']}, mask: [credentials]"
BAD = ", when: 'args.missing == 1'"
NEVER = ", when: 'args.x == 1 && false'"


def decide(folder, *rules, request=None):
    return Engine(bundle_of(folder, policy_text(*rules))).decide(request or call())


def names(decision):
    return [r.rule for r in decision.rules]


@pytest.mark.parametrize(
    ("rules", "effect", "named"),
    [
        pytest.param([ALLOW], "allow", ["allow"], id="allow"),
        pytest.param([HOLD], "hold", ["hold"], id="hold"),
        pytest.param([DENY], "deny", ["deny"], id="deny"),
        pytest.param([MASK], "deny", [], id="a mask permits nothing"),
        pytest.param([ALLOW, HOLD], "hold", ["allow", "hold"], id="hold wins over allow"),
        pytest.param([ALLOW, HOLD, MASK, DENY], "deny", ["deny"], id="deny wins"),
        pytest.param([ALLOW, MASK], "allow", ["allow", "mask"], id="mask joins allow"),
        pytest.param([ALLOW + NEVER], "deny", [], id="condition is false"),
        pytest.param([ALLOW, HOLD + NEVER, DENY + NEVER], "allow", ["allow"], id="false deny and hold"),
    ],
)
def test_strictest_matching_effect_wins(tmp_path, rules, effect, named):
    for order in (rules, rules[::-1]):
        decision = decide(tmp_path, *order)
        found = "deny" if isinstance(decision, Deny) else "hold" if decision.approvals else "allow"
        assert (found, names(decision)) == (effect, named)


@pytest.mark.threat("T21")
def test_nothing_matched_is_deny(tmp_path):
    engine = Engine(bundle_of(tmp_path, policy_text(ALLOW)))
    decision = engine.decide(ask("ping"))
    assert decision == Deny(DenyReason.NO_RULE, bundle=engine.bundle.hash)


@pytest.mark.threat("T21")
def test_unknown_target_is_deny(tmp_path):
    assert decide(tmp_path, ALLOW, request=replace(call(), target="other")).reason is DenyReason.NO_RULE


@pytest.mark.threat("T21")
def test_target_without_a_policy_is_deny(tmp_path):
    assert isinstance(decide(tmp_path, ALLOW, request=ask("get", target="web")), Deny)


def test_request_whose_protocol_is_not_the_targets_is_deny(tmp_path):
    request = replace(call(), action=ask("tools/call", target="web").action)
    assert isinstance(decide(tmp_path, ALLOW, request=request), Deny)


@pytest.mark.threat("T21")
def test_resource_of_another_protocol_is_deny(tmp_path):
    rule = "name: r, effect: hold, match: {any: true}, approval: {reviewers: ['group:a']}"
    assert isinstance(decide(tmp_path, rule, request=ask("get", KubeObject("", "v1", "pods"))), Deny)


def test_deny_names_its_rules_its_bundle_and_its_reasons(tmp_path):
    other = "name: also, effect: deny, match: {tools: [t]}, reason: nor this"
    engine = Engine(bundle_of(tmp_path, policy_text(DENY, ALLOW, other)))
    assert engine.decide(call()) == Deny(
        DenyReason.RULE,
        bundle=engine.bundle.hash,
        rules=(RuleRef("p", "also", "f0.yaml:8"), RuleRef("p", "deny", "f0.yaml:6")),
        message="nor this; no",
    )


@pytest.mark.failure("F-policy-error")
def test_error_in_a_deny_rule_denies(tmp_path):
    decision = decide(tmp_path, ALLOW, DENY + BAD)
    assert (decision.reason, names(decision)) == (DenyReason.EVALUATION_ERROR, ["deny"])
    assert decision.errors == (
        "rule `p/deny` at f0.yaml:7: it reads a key that is not there; guard it with `has(...)`",
    )


def test_a_certain_deny_beside_a_failed_one_is_by_rule(tmp_path):
    assert decide(tmp_path, DENY, DENY.replace("name: deny", "name: bad") + BAD).reason is DenyReason.RULE


@pytest.mark.failure("F-policy-error")
def test_error_in_an_allow_rule_allows_nothing(tmp_path):
    decision = decide(tmp_path, ALLOW + BAD)
    assert (decision.reason, names(decision), len(decision.errors)) == (DenyReason.EVALUATION_ERROR, [], 1)


def test_error_in_one_allow_rule_does_not_close_another(tmp_path):
    decision = decide(tmp_path, ALLOW, ALLOW.replace("name: allow", "name: bad") + BAD)
    assert isinstance(decision, Permit)
    assert (names(decision), len(decision.errors)) == (["allow"], 1)


@pytest.mark.failure("F-policy-error")
def test_error_in_a_hold_rule_holds(tmp_path):
    decision = decide(tmp_path, ALLOW, HOLD + BAD)
    assert len(decision.approvals) == 1
    assert len(decision.errors) == 1


@pytest.mark.failure("F-policy-error")
def test_error_in_a_mask_rule_masks(tmp_path):
    assert decide(tmp_path, ALLOW, MASK + BAD).masks == ("credentials",)


def test_error_in_a_mask_rule_alone_is_no_rule(tmp_path):
    assert decide(tmp_path, MASK + BAD).reason is DenyReason.NO_RULE


@pytest.mark.failure("F-policy-error")
def test_silence_never_approves_what_could_not_be_evaluated(tmp_path):
    rule = HOLD.replace("['group:a']", "['group:a'], auto_approve_after: 30s")
    (certain,) = decide(tmp_path, rule).approvals
    (failed,) = decide(tmp_path, rule + BAD).approvals
    assert certain.auto_approve_after == 30.0
    assert failed == replace(certain, auto_approve_after=None)


def test_arguments_too_large_to_read_never_open(tmp_path):
    request = call(x="a" * MAX_CHARACTERS)
    read = ", when: 'has(args.x)'"
    assert isinstance(decide(tmp_path, ALLOW + read, request=request), Deny)
    assert isinstance(decide(tmp_path, ALLOW, DENY + ", when: 'has(args.y)'", request=request), Deny)
    assert isinstance(decide(tmp_path, ALLOW + ", when: 'principal.kind == \"human\"'", request=request), Permit)


def test_all_matching_holds_set_terms_and_all_matching_rules_set_masks(tmp_path):
    second = "name: b, effect: hold, match: {tools: [t]}, approval: {reviewers: ['group:b']}, mask: [personal-data]"
    decision = decide(tmp_path, ALLOW + ", mask: [credentials]", HOLD, second)
    assert [t.rule.rule for t in decision.approvals] == ["b", "hold"]
    assert decision.masks == ("credentials", "personal-data")


def test_duties_of_several_rules_combine_to_the_stricter(tmp_path):
    decision = decide(
        tmp_path,
        ALLOW + ", limits: {response: 2KiB}, record: {bodies: false}, mask: [credentials], credential: read",
        MASK + ", limits: {response: 1KiB}",
        "name: more, effect: mask, match: {tools: [t]}, record: {bodies: true}",
    )
    assert decision.obligations == (
        MaskFields(("credentials",)),
        UseCredential("read"),
        RecordBodies(enabled=True),
        Limit(1 << 10),
    )


def test_bodies_go_unrecorded_only_if_no_rule_asks_for_them(tmp_path):
    assert decide(tmp_path, ALLOW + ", record: {bodies: false}").obligations == (RecordBodies(enabled=False),)


def test_rules_that_ask_for_different_credentials_deny(tmp_path):
    decision = decide(tmp_path, ALLOW + ", credential: a", HOLD + ", credential: b", MASK)
    assert isinstance(decision, Deny)
    assert (decision.reason, names(decision)) == (DenyReason.EVALUATION_ERROR, ["allow", "hold"])
    assert decision.errors == ("rules `p/allow`, `p/hold` ask for different credentials",)
    assert decision.message == ""


def test_rules_that_ask_for_the_same_credential_agree(tmp_path):
    decision = decide(tmp_path, ALLOW + ", credential: a", HOLD + ", credential: a")
    assert UseCredential("a") in decision.obligations


@pytest.mark.parametrize("rule", [DENY, HOLD, ALLOW, MASK])
def test_shadow_rule_is_named_and_does_nothing(tmp_path, rule):
    plain = "name: plain, effect: allow, match: {tools: [t]}"
    with_shadow = decide(tmp_path, plain, rule + ", shadow: true")
    assert names(with_shadow) == ["plain"]
    assert with_shadow.obligations == ()
    assert [r.rule for r in with_shadow.shadow] == [rule.split(",")[0].removeprefix("name: ")]


def test_shadow_rule_opens_nothing(tmp_path):
    decision = decide(tmp_path, ALLOW + ", shadow: true")
    assert isinstance(decision, Deny)
    assert [r.rule for r in decision.shadow] == ["allow"]
    assert decide(tmp_path, ALLOW + ", shadow: true" + BAD).reason is DenyReason.NO_RULE


def test_policies_apply_to_their_targets_only(tmp_path):
    web = policy_text("name: r, effect: deny, match: {any: true}", targets="web", name="q")
    assert isinstance(Engine(bundle_of(tmp_path, policy_text(ALLOW), web)).decide(call()), Permit)


def test_policies_for_one_target_join(tmp_path):
    other = policy_text(DENY, name="q")
    assert isinstance(Engine(bundle_of(tmp_path, policy_text(ALLOW), other)).decide(call()), Deny)


@pytest.mark.failure("F-policy-error")
@pytest.mark.parametrize("missing", ["action", "principal", "arguments"])
def test_engine_answers_no_to_what_makes_it_fail(tmp_path, missing):
    rule = "name: r, effect: allow, match: {tools: ['*'], principals: {kinds: [human]}}, when: '!has(args.x)'"
    engine = Engine(bundle_of(tmp_path, policy_text(rule)))
    assert isinstance(engine.decide(call()), Permit)
    decision = engine.decide(replace(call(), **{missing: None}))
    assert isinstance(decision, Deny)
    assert decision.reason is DenyReason.EVALUATION_ERROR


def test_engine_refuses_a_rule_whose_condition_was_lost(tmp_path):
    bundle = bundle_of(tmp_path, policy_text(ALLOW + ", when: 'true'"))
    (policy,) = bundle.policies
    (rule,) = policy.rules
    lost = replace(rule, conditions={Protocol.HTTP: rule.conditions[Protocol.MCP]})
    with pytest.raises(GatewayFault, match="has no condition for mcp"):
        Engine(replace(bundle, policies=(replace(policy, rules=(lost,)),)))
