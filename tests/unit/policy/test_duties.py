"""Scopes, rates and guards: what rules ask beside their match."""

from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, ask, bundle_of, by, call, policy_text

from holdpoint.domain.decision import Charge, Deny, DenyReason, GuardAnswer, Permit, Rate, charges
from holdpoint.domain.refusal import ConfigError
from holdpoint.policy.engine import Engine

ALLOW = "name: allow, effect: allow, match: {tools: ['*']}"
HOLD = "name: hold, effect: hold, match: {tools: ['*']}, approval: {reviewers: ['group:a']}"


def decide(folder, *rules, scopes=(), request=None):
    caller = replace(ADA, scopes=frozenset(scopes))
    return Engine(bundle_of(folder, policy_text(*rules))).decide(by(request or call(), caller))


@pytest.mark.parametrize("rule", [ALLOW, HOLD], ids=["allow", "hold"])
def test_rule_whose_scopes_are_missing_opens_nothing_and_says_which(tmp_path, rule):
    rule += ", scopes: [notes:read, notes:write]"
    for scopes in ((), ("notes:read",), ("notes:read", "notes:*"), ("Notes:read", "notes:write")):
        decision = decide(tmp_path, rule, scopes=scopes)
        assert isinstance(decision, Deny)
        assert (decision.reason, decision.scopes) == (DenyReason.SCOPE, {"notes:read", "notes:write"})
        assert not decision.by_rule
    assert isinstance(decide(tmp_path, rule, scopes=("notes:read", "notes:write", "more")), Permit)


def test_scopes_asked_for_are_those_of_which_the_fewest_are_missing(tmp_path):
    broad = "name: broad, effect: allow, match: {tools: [t]}, scopes: [admin]"
    narrow = "name: narrow, effect: allow, match: {tools: [t]}, scopes: [read, write, list]"
    assert decide(tmp_path, broad, narrow).scopes == {"admin"}
    assert decide(tmp_path, broad, narrow, scopes=("read", "write")).scopes == {"admin"}
    three = decide(tmp_path, narrow, broad.replace("[admin]", "[admin, super]"), scopes=("read", "write"))
    assert (three.scopes, [r.rule for r in three.rules]) == ({"read", "write", "list"}, ["narrow"])


def test_scopes_are_asked_for_only_where_they_would_help(tmp_path):
    wanting = ALLOW + ", scopes: [a]"
    denied = decide(tmp_path, wanting, "name: d, effect: deny, match: {tools: ['*']}")
    assert (denied.reason, denied.scopes) == (DenyReason.RULE, frozenset())
    assert decide(tmp_path, wanting + ", when: 'args.x == 1 && false'").reason is DenyReason.NO_RULE
    assert decide(tmp_path, wanting + ", when: 'args.x == 1'").reason is DenyReason.EVALUATION_ERROR
    assert decide(tmp_path, wanting + ", shadow: true").reason is DenyReason.NO_RULE
    assert isinstance(decide(tmp_path, wanting, ALLOW.replace("name: allow", "name: other")), Permit)


def test_fewer_scopes_never_spare_an_approval(tmp_path):
    hold = HOLD + ", scopes: [a], mask: [credentials]"
    without = decide(tmp_path, ALLOW, hold)
    assert isinstance(without, Permit)
    assert ([t.rule.rule for t in without.approvals], without.masks) == (["hold"], ("credentials",))
    assert without == decide(tmp_path, ALLOW, hold, scopes=("a",))


def test_limits_become_rates(tmp_path):
    limits = ", limits: {calls_per_minute: 5, calls_per_session: 50, response: 1KiB}"
    decision = decide(tmp_path, ALLOW + limits)
    assert isinstance(decision, Permit)
    rates = [d for d in decision.obligations if isinstance(d, Rate)]
    assert [(r.rule.rule, r.calls, r.per, r.by_tool) for r in rates] == [
        ("allow", 5, "minute", True),
        ("allow", 50, "session", True),
    ]


def test_rates_of_every_matching_rule_count(tmp_path):
    mask = "name: m, effect: mask, match: {any: true}, limits: {calls_per_minute: 100, by_tool: false}"
    decision = decide(tmp_path, ALLOW + ", limits: {calls_per_minute: 5}", mask)
    assert isinstance(decision, Permit)
    assert [(c.rate.calls, c.tool, c.calls) for c in charges(call(), decision)] == [(5, "t", 1), (100, "", 1)]


def test_what_is_no_tool_is_counted_together(tmp_path):
    decision = decide(
        tmp_path, "name: r, effect: allow, match: {verbs: [ping]}, limits: {calls_per_minute: 5}", request=ask("ping")
    )
    assert isinstance(decision, Permit)
    ((rate,), request) = decision.obligations, ask("ping")
    assert charges(request, decision) == (Charge(rate, "", 1),)


def test_guards_of_every_matching_rule_count(tmp_path):
    one = ALLOW + ", guard: {results: ['secret', 'top\\s+hush']}"
    two = "name: m, effect: mask, match: {any: true}, guard: {results: ['(?i)begin']}"
    decision = decide(tmp_path, one, two)
    assert isinstance(decision, Permit)
    guards = [d for d in decision.obligations if isinstance(d, GuardAnswer)]
    assert [(g.rule.rule, g.patterns) for g in guards] == [("allow", ("secret", "top\\s+hush")), ("m", ("(?i)begin",))]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        pytest.param("scopes: []", "an empty list asks for nothing", id="no scopes"),
        pytest.param("scopes: [a, a]", "listed twice", id="scope twice"),
        pytest.param("scopes: ['a b']", "list each by itself", id="two in one"),
        pytest.param("scopes: ['notes:*']", "compared whole", id="wildcard"),
        pytest.param("scopes: ['a\"b']", "visible ASCII", id="quote"),
        pytest.param(f"scopes: [{', '.join(f's{i}' for i in range(21))}]", "more than 20", id="too many"),
        pytest.param("limits: {}", "limit nothing", id="no limits"),
        pytest.param("limits: {calls_per_minute: 0}", "at least 1", id="no calls"),
        pytest.param("limits: {calls_per_minute: 1000001}", "at most 1000000", id="any calls"),
        pytest.param("limits: {calls_per_minute: '5'}", "expected a whole number", id="calls in quotes"),
        pytest.param("limits: {calls_per_hour: 5}", "unknown key `calls_per_hour`", id="unknown span"),
        pytest.param("limits: {response: 1KiB, by_tool: false}", "how calls are counted", id="nothing to count"),
        pytest.param("limit: {response: 1KiB}", "unknown key `limit`", id="singular"),
        pytest.param("guard: {}", "key `results` is missing", id="empty guard"),
        pytest.param("guard: {results: []}", "an empty list", id="no patterns"),
        pytest.param("guard: {results: ['']}", "1 to 4096", id="empty pattern"),
        pytest.param("guard: {results: ['(?=a)']}", "RE2 has no look-ahead", id="look-ahead"),
        pytest.param("guard: {results: ['a**']}", "bad repetition operator: **; a repetition", id="repetition"),
        pytest.param("guard: {results: ['[a']}", "a `[` is not closed", id="open class"),
        pytest.param("guard: {results: ['a|']}", "the empty text", id="empty alternative"),
    ],
)
def test_duty_that_cannot_be_meant_is_refused_at_its_place(tmp_path, extra, message):
    with pytest.raises(ConfigError) as caught:
        bundle_of(tmp_path, policy_text(f"{ALLOW}, {extra}"))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/f0.yaml:6:")


@pytest.mark.parametrize(
    ("effect", "extra"),
    [
        ("deny", "scopes: [a]"),
        ("deny", "limits: {calls_per_minute: 5}"),
        ("deny", "guard: {results: [a]}"),
        ("mask", "scopes: [a]"),
    ],
)
def test_duty_is_refused_where_it_has_no_meaning(tmp_path, effect, extra):
    with pytest.raises(ConfigError, match="has no meaning in a rule of effect"):
        bundle_of(tmp_path, policy_text(f"name: r, effect: {effect}, match: {{tools: [t]}}, {extra}"))


def test_mask_rule_may_limit_or_guard_alone(tmp_path):
    for extra in ("limits: {calls_per_session: 5}", "guard: {results: [a]}"):
        assert bundle_of(tmp_path, policy_text(f"name: r, effect: mask, match: {{any: true}}, {extra}")).policies
