"""A call that came through others: all of them must be allowed it."""

from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, bundle_of, call, impersonation, kube, policy_text

from holdpoint.domain.access import Actor, McpTool, Principal
from holdpoint.domain.decision import Deny, DenyReason, Permit, UseCredential
from holdpoint.policy.engine import Engine

SERVER = Principal("holdpoint", "mcp-server:ops", "workload", groups=frozenset({"servers"}))
AGENT = replace(ADA, subject="agent", groups=frozenset({"agents"}), person="bo@example.com")
RULES = (
    "name: ada, effect: allow, match: {verbs: [get, list], resources: [pods], principals: {groups: [developers]}}",
    "name: secrets, effect: allow, match: {resources: [secrets], principals: {groups: [developers]}}, credential: x",
    "name: agents, effect: allow, match: {verbs: [get], resources: [pods, secrets], principals: {groups: [agents]}}",
    (
        "name: servers, effect: allow, match: {verbs: [get], resources: [pods], principals: {groups: [servers]}}, "
        "mask: [credentials]"
    ),
    (
        "name: as, effect: allow, match: {verbs: [impersonate], resources: [users], names: [bo], "
        "principals: {groups: [developers, agents]}}"
    ),
    (
        "name: as-server, effect: hold, match: {verbs: [impersonate], resources: [users], names: [bo], "
        "principals: {groups: [servers]}}, approval: {reviewers: ['group:a']}"
    ),
    "name: no, effect: deny, match: {names: [db], principals: {groups: [agents]}}, reason: not by agents",
)


@pytest.fixture
def engine(tmp_path):
    return Engine(bundle_of(tmp_path, policy_text(*RULES, targets="cluster")))


def through(request, *legs):
    principal = replace(request.principal, legs=legs, call="ex-1")
    return replace(
        request, principal=principal, members=tuple(replace(m, principal=principal) for m in request.members)
    )


POD = kube("get", "pods", "dev", "web")


@pytest.mark.threat("T41")
def test_each_leg_must_be_allowed(engine):
    assert isinstance(engine.decide(POD), Permit)
    permit = engine.decide(through(POD, AGENT, SERVER))
    assert isinstance(permit, Permit)
    assert [r.rule for r in permit.rules] == ["ada", "agents", "servers"]
    assert permit.masks == ("credentials",)
    listing = replace(POD, action=kube("list", "pods").action)
    assert isinstance(engine.decide(listing), Permit)
    denied = engine.decide(through(listing, AGENT, SERVER))
    assert isinstance(denied, Deny)
    assert denied.reason is DenyReason.NO_RULE


def test_a_leg_adds_no_rights(engine):
    asked = through(replace(POD, principal=replace(ADA, groups=frozenset())), AGENT, SERVER)
    assert isinstance(engine.decide(asked), Deny)


def test_a_rule_that_denies_a_leg_denies_the_whole(engine):
    found = engine.decide(through(kube("get", "pods", "dev", "db"), AGENT, SERVER))
    assert isinstance(found, Deny)
    assert (found.message, [r.rule for r in found.rules]) == ("not by agents", ["no"])


@pytest.mark.threat("T41")
def test_legs_count_for_what_travels_with_a_request_too(engine):
    asked = replace(POD, members=(impersonation("users", "bo"),))
    plain = engine.decide(through(asked, AGENT))
    assert isinstance(plain, Permit)
    assert len(plain.members) == 1
    held = engine.decide(through(asked, AGENT, SERVER))
    assert isinstance(held, Permit)
    assert [t.rule.rule for t in held.approvals] == ["as-server"]
    assert [[t.rule.rule for t in m.approvals] for m in held.members if isinstance(m, Permit)] == [["as-server"]]
    other = replace(POD, members=(impersonation("users", "eve"),))
    assert isinstance(engine.decide(through(other, AGENT)), Deny)


def test_member_of_somebody_else_is_denied_on_every_leg(engine):
    asked = through(POD, AGENT)
    stranger = replace(impersonation("users", "bo"), principal=AGENT)
    found = engine.decide(replace(asked, members=(stranger,)))
    assert isinstance(found, Deny)
    assert found.reason is DenyReason.EVALUATION_ERROR


def test_credential_is_the_principals_choice(engine):
    found = engine.decide(through(kube("get", "secrets", "dev", "a"), AGENT))
    assert isinstance(found, Permit)
    assert [d.name for d in found.obligations if isinstance(d, UseCredential)] == ["x"]


def test_leg_that_asks_for_a_credential_that_its_principal_does_not_is_denied(tmp_path):
    rules = (
        "name: a, effect: allow, match: {resources: [pods], principals: {groups: [developers]}}",
        "name: b, effect: allow, match: {resources: [pods], principals: {groups: [agents]}}, credential: x",
    )
    engine = Engine(bundle_of(tmp_path, policy_text(*rules, targets="cluster")))
    assert isinstance(engine.decide(POD), Permit)
    assert isinstance(engine.decide(through(POD, AGENT)), Deny)


def test_denial_tells_the_operator_which_leg_may_not(engine):
    listing = replace(POD, action=kube("list", "pods").action)
    found = engine.decide(through(listing, AGENT, SERVER))
    assert isinstance(found, Deny)
    assert found.legs == (
        f"the call came through `{AGENT.id}`, for whom no rule allows this",
        "the call came through `holdpoint#mcp-server:ops`, for whom no rule allows this",
    )
    assert not found.message
    assert found.errors == ()


def test_leg_of_an_agent_is_told_by_its_agent_and_its_rule(engine):
    acting = replace(AGENT, actor=Actor("helper"))
    found = engine.decide(through(kube("get", "pods", "dev", "db"), acting))
    assert isinstance(found, Deny)
    assert found.legs == (f"the call came through `{AGENT.id}` (agent `helper`), for whom a rule denies this: `p/no`",)


def test_denial_of_the_principal_alone_names_no_leg(engine):
    found = engine.decide(through(replace(POD, principal=replace(ADA, groups=frozenset())), AGENT, SERVER))
    assert isinstance(found, Deny)
    assert found.legs == ()


def test_leg_of_a_leg_is_refused(engine):
    found = engine.decide(through(POD, replace(AGENT, legs=(SERVER,))))
    assert isinstance(found, Deny)
    assert found.reason is DenyReason.EVALUATION_ERROR


def test_nobody_behind_a_leg_may_approve():
    owned = replace(SERVER, owners=frozenset({"olga@example.com"}))
    principal = replace(ADA, legs=(AGENT, owned))
    assert principal.requesters == {"ada@example.com", "bo@example.com", "olga@example.com"}


def test_lists_show_what_each_leg_may_use(tmp_path):
    rules = (
        "name: a, effect: allow, match: {tools: ['*'], principals: {groups: [developers]}}",
        "name: b, effect: allow, match: {tools: [a, b], principals: {groups: [agents]}}",
    )
    engine = Engine(bundle_of(tmp_path, policy_text(*rules)))
    tools = [McpTool("a"), McpTool("c")]
    assert engine.visible_many(call("a"), tools) == [True, True]
    assert engine.visible_many(through(call("a"), AGENT), tools) == [True, False]
    assert engine.visible_many(through(call("a"), AGENT, SERVER), tools) == [False, False]
