"""Messages that travel together: batches, streams of several things, calls with answers."""

from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, ask, bundle_of, by, call, policy_text

from holdpoint.domain.access import McpResource, McpServerRequest
from holdpoint.domain.decision import Deny, DenyReason, Limit, MaskFields, Permit, Rate, RecordBodies, charges
from holdpoint.policy.engine import Engine

RULES = (
    "name: talk, effect: allow, match: {verbs: [ping, subscriptions/listen, batch/x]}",
    "name: a, effect: allow, match: {tools: [a]}, mask: [credentials], limits: {response: 2KiB, calls_per_minute: 5}",
    (
        "name: b, effect: allow, match: {tools: [b]}, mask: [personal-data], limits: {response: 1KiB}, "
        "record: {bodies: false}"
    ),
    "name: c, effect: allow, match: {tools: [c]}, credential: other",
    "name: s, effect: allow, match: {tools: [s]}, scopes: [one]",
    "name: s2, effect: allow, match: {tools: [s2]}, scopes: [two]",
    (
        "name: h, effect: hold, match: {tools: [h]}, approval: {reviewers: ['group:x'], auto_approve_after: 30s}, "
        "when: args.n > 0"
    ),
    "name: no, effect: deny, match: {tools: [no]}, reason: not this",
    "name: never, effect: deny, match: {tools: [never]}, reason: nor that",
    "name: docs, effect: allow, match: {uris: ['docs://*']}",
    "name: elicit, effect: allow, match: {server_requests: [elicitation/create]}",
)


@pytest.fixture
def engine(tmp_path):
    return Engine(bundle_of(tmp_path, policy_text(*RULES)))


def batch(*members):
    return replace(ask("batch"), members=members)


def test_batch_passes_if_each_member_does_with_the_duties_of_all(engine):
    decision = engine.decide(batch(ask("ping"), call("a"), call("b")))
    assert isinstance(decision, Permit)
    assert [r.rule for r in decision.rules] == ["a", "b", "talk"]
    assert decision.masks == ("credentials", "personal-data")
    assert [type(d) for d in decision.obligations] == [MaskFields, RecordBodies, Limit, Rate]
    assert RecordBodies(enabled=True) in decision.obligations
    assert Limit(1 << 10) in decision.obligations
    assert [d.rules[0].rule for d in decision.members] == ["talk", "a", "b"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_denied_member_keeps_all_back_and_is_named(engine, place):
    members = [call("a"), call("b")]
    members.insert(place, call("no"))
    decision = engine.decide(batch(*members))
    assert isinstance(decision, Deny)
    assert (decision.reason, decision.message, [r.rule for r in decision.rules]) == (
        DenyReason.RULE,
        "not this",
        ["no"],
    )
    assert [isinstance(d, Deny) for d in decision.members] == [i == place for i in range(3)]


@pytest.mark.parametrize(
    ("tools", "reason", "scopes", "message"),
    [
        pytest.param(["no", "never"], DenyReason.RULE, set(), "not this; nor that", id="two rules"),
        pytest.param(["unheard", "no"], DenyReason.RULE, set(), "not this", id="a rule is the stronger reason"),
        pytest.param(["unheard", "s"], DenyReason.NO_RULE, set(), "", id="scopes would not help"),
        pytest.param(["s", "a"], DenyReason.SCOPE, {"one"}, "", id="scopes would help"),
        pytest.param(["s", "s2"], DenyReason.SCOPE, {"one", "two"}, "", id="scopes of both"),
        pytest.param(["s", "no"], DenyReason.RULE, set(), "not this", id="a rule and scopes"),
    ],
)
def test_denials_of_members_combine(engine, tools, reason, scopes, message):
    decision = engine.decide(batch(*map(call, tools)))
    assert isinstance(decision, Deny)
    assert (decision.reason, decision.scopes, decision.message) == (reason, scopes, message)


def test_one_held_member_holds_all(engine):
    decision = engine.decide(batch(call("a"), call("h", n=1)))
    assert isinstance(decision, Permit)
    assert [(t.rule.rule, t.auto_approve_after) for t in decision.approvals] == [("h", 30.0)]


def test_one_approval_covers_two_members_and_silence_only_if_it_does_for_both(engine):
    for members in ((call("h", n=1), call("h")), (call("h"), call("h", n=1))):
        decision = engine.decide(batch(*members))
        assert isinstance(decision, Permit)
        assert [(t.rule.rule, t.auto_approve_after) for t in decision.approvals] == [("h", None)]
        assert len(decision.errors) == 1


def test_members_that_need_different_credentials_are_denied(engine):
    assert isinstance(engine.decide(batch(call("c"), call("c"))), Permit)
    decision = engine.decide(batch(call("a"), call("c")))
    assert isinstance(decision, Deny)
    assert decision.reason is DenyReason.EVALUATION_ERROR
    assert decision.errors == ("messages that travel together need different credentials",)


def test_bodies_go_unrecorded_only_if_no_member_wants_them(engine):
    decision = engine.decide(batch(call("b"), call("b")))
    assert isinstance(decision, Permit)
    assert RecordBodies(enabled=False) in decision.obligations


@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(batch(), id="no members"),
        pytest.param(batch(batch(call("a"))), id="a batch in a batch"),
        pytest.param(batch(batch()), id="an empty batch in a batch"),
        pytest.param(batch(call("a"), by(call("a"), replace(ADA, subject="eve"))), id="a member of somebody else"),
        pytest.param(batch(call("a"), replace(call("a"), target="web")), id="a member to another target"),
        pytest.param(batch(call("a"), replace(ask("get", target="web"), target="mcp")), id="another protocol"),
        pytest.param(replace(batch(call("a")), target="none"), id="unknown target"),
    ],
)
def test_members_that_do_not_belong_together_are_denied(engine, request_):
    assert isinstance(engine.decide(request_), Deny)


def test_batch_itself_is_allowed_by_no_rule(tmp_path):
    rule = "name: r, effect: allow, match: {verbs: ['b*']}"
    assert isinstance(Engine(bundle_of(tmp_path, policy_text(rule))).decide(ask("batch")), Deny)


def test_what_carries_members_is_decided_too(engine):
    listen = replace(
        ask("subscriptions/listen"), members=(ask("resources/subscribe", McpResource("docs://a"), uri="docs://a"),)
    )
    decision = engine.decide(listen)
    assert isinstance(decision, Permit)
    assert [r.rule for r in decision.rules] == ["docs", "talk"]
    assert len(decision.members) == 1
    other = replace(listen, members=(*listen.members, ask("resources/subscribe", McpResource("file:///etc"))))
    assert isinstance(engine.decide(other), Deny)
    assert isinstance(engine.decide(replace(listen, action=ask("tasks/list").action)), Deny)


def test_call_with_answers_to_the_servers_questions_needs_both(engine):
    answer = ask("response", McpServerRequest("elicitation/create"), result={"action": "accept"})
    assert isinstance(engine.decide(replace(call("a"), members=(answer,))), Permit)
    assert isinstance(engine.decide(replace(call("no"), members=(answer,))), Deny)
    other = replace(answer, resource=McpServerRequest("sampling/createMessage"))
    assert isinstance(engine.decide(replace(call("a"), members=(answer, other))), Deny)


def test_each_member_is_charged(engine):
    request = batch(call("a"), call("b"), call("a"))
    decision = engine.decide(request)
    assert isinstance(decision, Permit)
    assert [(c.rate.rule.rule, c.tool, c.calls) for c in charges(request, decision)] == [("a", "a", 2)]
    carried = replace(call("a"), members=(ask("response", McpServerRequest("elicitation/create")),))
    permit = engine.decide(carried)
    assert isinstance(permit, Permit)
    assert [(c.tool, c.calls) for c in charges(carried, permit)] == [("a", 1)]
