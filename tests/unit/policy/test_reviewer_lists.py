"""Reviewers by target and namespace, and who stands in for whom."""

from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, TARGETS, ask, bundle_of, call, policy_text

from holdpoint.domain.access import AccessRequest, Action, KubeObject, KubePath, Protocol
from holdpoint.domain.decision import Clause, Deny, DenyReason, Permit
from holdpoint.domain.prospect import Outlook
from holdpoint.domain.refusal import ConfigError
from holdpoint.policy.bundle import load_bundle, read_bundle
from holdpoint.policy.engine import Engine

HEAD = "apiVersion: holdpoint/v1\nkind: Reviewers\nmetadata: {name: owners}\n"
LISTS = (
    HEAD + "lists:\n"
    '  - {targets: [cluster], namespaces: [pay, "pay-*"], reviewers: ["group:payments"]}\n'
    '  - {namespaces: ["team-*"], reviewers: ["group:teams", "person:Bo@X.example"]}\n'
    '  - {targets: [mcp], reviewers: ["group:tools"]}\n'
)
RULE = (
    "name: r, effect: hold, match: {verbs: ['*'], resources: ['*']}, reason: ask, "
    "approval: {reviewers: ['list:owners']}"
)
DELEGATIONS = "apiVersion: holdpoint/v1\nkind: Delegations\nmetadata: {name: leave}\ndelegations:\n"
LEAVE = (
    '  - {for: "group:sre", to: ["person:Bob@X.example"], from: "2027-01-15T08:00:00Z", '
    'until: "2027-01-16T08:00:00+00:00", reason: away}\n'
)
AT = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""


def delete(namespace: str, target: str = "cluster") -> AccessRequest:
    what = KubeObject("", "v1", "pods", namespace=namespace, name="web")
    return AccessRequest(ADA, target, Action(Protocol.KUBERNETES, "delete"), what, at=AT)


def decide(folder, request, *, rule=RULE, lists=LISTS, targets="cluster"):
    return Engine(bundle_of(folder, lists, policy_text(rule, targets=targets))).decide(request)


@pytest.mark.parametrize(
    ("namespace", "reviewers"),
    [
        pytest.param("pay", {"group:payments"}, id="named"),
        pytest.param("pay-eu", {"group:payments"}, id="by glob"),
        pytest.param("team-a", {"group:teams", "person:bo@x.example"}, id="second entry"),
    ],
)
def test_list_becomes_those_who_are_meant_there(tmp_path, namespace, reviewers):
    decision = decide(tmp_path, delete(namespace))
    assert isinstance(decision, Permit)
    assert [t.reviewers for t in decision.approvals] == [reviewers]


@pytest.mark.threat("T62")
@pytest.mark.parametrize("namespace", ["demo", "", "xpay"])
def test_where_a_list_names_nobody_the_rule_denies(tmp_path, namespace):
    decision = decide(tmp_path, delete(namespace))
    assert isinstance(decision, Deny)
    assert decision.reason is DenyReason.EVALUATION_ERROR
    assert decision.message == "ask"
    where = f"namespace `{namespace}` of target `cluster`" if namespace else "target `cluster`"
    assert decision.errors == (f"rule `p/r` at f1.yaml:6: `list:owners` names nobody for {where}",)


@pytest.mark.threat("T62")
def test_what_another_rule_allows_is_denied_where_nobody_can_be_asked(tmp_path):
    allow = policy_text(
        "name: a, effect: allow, match: {verbs: [delete], resources: [pods]}", targets="cluster", name="q"
    )
    engine = Engine(bundle_of(tmp_path, LISTS, policy_text(RULE, targets="cluster"), allow))
    assert isinstance(engine.decide(delete("demo")), Deny)


@pytest.mark.parametrize(
    ("namespace", "outlook"),
    [pytest.param("pay", Outlook.HELD, id="somebody"), pytest.param("demo", Outlook.DENIED, id="nobody")],
)
def test_what_could_come_of_a_request_is_told_by_its_place(tmp_path, namespace, outlook):
    engine = Engine(bundle_of(tmp_path, LISTS, policy_text(RULE, targets="cluster")))
    assert engine.prospect(delete(namespace)).outlook is outlook


def test_default_is_for_all_that_no_entry_is_about(tmp_path):
    decision = decide(tmp_path, delete("demo"), lists=LISTS + 'default: ["group:platform"]\n')
    assert isinstance(decision, Permit)
    assert decision.approvals[0].reviewers == {"group:platform"}


def test_list_stands_beside_others_and_in_sets(tmp_path):
    rule = RULE.replace(
        "{reviewers: ['list:owners']}",
        "{all_of: [{reviewers: ['list:owners', 'group:sre']}, {reviewers: ['list:owners'], required: 2}]}",
    )
    decision = decide(tmp_path, delete("pay"), rule=rule)
    assert isinstance(decision, Permit)
    payments = frozenset({"group:payments"})
    assert decision.approvals[0].clauses == (Clause(payments | {"group:sre"}), Clause(payments, 2))
    elsewhere = decide(tmp_path, delete("demo"), rule=rule)
    assert isinstance(elsewhere, Deny)


def test_entry_without_namespaces_is_for_tools_too(tmp_path):
    rule = "name: r, effect: hold, match: {tools: [t]}, approval: {reviewers: ['list:owners']}"
    decision = decide(tmp_path, call("t"), rule=rule, targets="mcp")
    assert isinstance(decision, Permit)
    assert decision.approvals[0].reviewers == {"group:tools"}


@pytest.mark.threat("T62")
def test_parts_of_one_request_that_ask_others_ask_them_all(tmp_path):
    lists = LISTS + 'default: ["group:platform"]\n'
    engine = Engine(
        bundle_of(tmp_path, lists, policy_text(RULE.replace("'*'", "'*', impersonate", 1), targets="cluster"))
    )
    user = KubeObject("", "v1", "users", name="root")
    member = replace(delete(""), action=Action(Protocol.KUBERNETES, "impersonate"), resource=user)
    decision = engine.decide(replace(delete("pay"), members=(member,)))
    assert isinstance(decision, Permit)
    assert {t.reviewers for t in decision.approvals} == {frozenset({"group:payments"}), frozenset({"group:platform"})}


@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(HEAD + "lists: []\n", "4:8: no lists", id="no lists"),
        pytest.param(HEAD, "key `lists` is missing", id="nothing"),
        pytest.param(
            LISTS.replace("[mcp]", "[mpc]"), "7:16: unknown target `mpc`; known: `cluster`, `mcp`, `web`", id="target"
        ),
        pytest.param(LISTS.replace("[mcp]", "[mcp, mcp]"), "listed twice", id="target twice"),
        pytest.param(LISTS.replace("[mcp]", "[]"), "leave `targets` out", id="no targets"),
        pytest.param(LISTS.replace("targets: [mcp], ", ""), "write it as `default`", id="for everything"),
        pytest.param(LISTS.replace("[mcp]", "[mcp], namespaces: [a]"), "has a namespace", id="namespace of a tool"),
        pytest.param(LISTS + LISTS.splitlines()[-1] + "\n", "and the first counts", id="entry twice"),
        pytest.param(LISTS.replace('"group:tools"', ""), "no reviewers", id="nobody"),
        pytest.param(LISTS.replace("group:tools", "list:owners"), "is no reviewer; write", id="list within a list"),
        pytest.param(LISTS + "default: []\n", "no reviewers", id="empty default"),
        pytest.param(LISTS.replace("name: owners", "name: Owners"), "is no name", id="name"),
        pytest.param(LISTS + "---\n" + LISTS, "duplicate list of reviewers `owners`; the first is at", id="twice"),
        pytest.param(DELEGATIONS + LEAVE.replace("group:sre", "list:owners"), "is no reviewer", id="lent list"),
        pytest.param(DELEGATIONS + LEAVE.replace("group:sre", "person:bob@x.example"), "for itself", id="itself"),
        pytest.param(DELEGATIONS + LEAVE.replace('["person:Bob@X.example"]', "[]"), "no reviewers", id="to nobody"),
        pytest.param(DELEGATIONS + LEAVE.replace("01-16", "01-15"), "is not after `from`", id="no time"),
        pytest.param(DELEGATIONS + LEAVE.replace("2027-01-16", "2027-04-16"), "longer than 90 days", id="for ever"),
        pytest.param(DELEGATIONS + LEAVE.replace("08:00:00Z", "08:00:00"), "with its zone", id="no zone"),
        pytest.param(
            DELEGATIONS + LEAVE.replace('"2027-01-15T08:00:00Z"', "2027-01-15T08:00:00Z"), "in quotes", id="bare"
        ),
        pytest.param(DELEGATIONS + LEAVE.replace("2027-01-15T", "2027-13-15T"), "expected a time", id="no month"),
        pytest.param(DELEGATIONS + LEAVE.replace("2027-01-15T", "2027-W02-5T"), "expected a time", id="week"),
        pytest.param(DELEGATIONS + LEAVE.replace("reason: away", "reason: ''"), "1 to 500 printable", id="no reason"),
        pytest.param(DELEGATIONS + LEAVE.replace(", reason: away", ""), "`reason` is missing", id="reason left out"),
    ],
)
def test_bad_document_is_refused_with_its_place(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        bundle_of(tmp_path, text, policy_text("name: a, effect: allow, match: {verbs: [ping]}"))
    found = str(caught.value)
    assert "/f0.yaml:" in found
    assert message in found


@pytest.mark.parametrize(
    ("approval", "message"),
    [
        pytest.param("reviewers: ['list:owner']", "unknown list `owner`; did you mean `list:owners`?", id="slip"),
        pytest.param("reviewers: ['list:x']", "unknown list `x`; known: `owners`", id="unknown"),
        pytest.param(
            "reviewers: ['group:a'], break_glass: {who: ['list:owners'], for: 5m}", "is no reviewer", id="broken glass"
        ),
        pytest.param(
            "reviewers: ['list:few'], required: 2",
            "2 persons are required, and `list:few` (at f1.yaml:3) names just `person:bo` somewhere",
            id="too few in one place",
        ),
    ],
)
def test_rule_that_names_no_known_list_does_not_load(tmp_path, approval, message):
    few = HEAD.replace("owners", "few") + 'lists: [{targets: [mcp], reviewers: ["person:bo"]}]\n'
    rule = f"name: r, effect: hold, match: {{tools: [t]}}, approval: {{{approval}}}"
    with pytest.raises(ConfigError) as caught:
        bundle_of(tmp_path, LISTS, few if "few" in approval else MASKS_ONLY, policy_text(rule))
    assert message in str(caught.value)


MASKS_ONLY = "apiVersion: holdpoint/v1\nkind: Masks\nprofiles:\n  - {name: other, keys: [x]}\n"


@pytest.mark.parametrize(
    ("person", "groups", "at", "names"),
    [
        pytest.param("bob@x.example", (), AT, {"group:sre"}, id="from the first moment"),
        pytest.param("bob@x.example", (), AT - 1, set(), id="not before"),
        pytest.param("bob@x.example", (), AT + 86_400, set(), id="not at the end"),
        pytest.param("eve@x.example", (), AT, set(), id="somebody else"),
        pytest.param("", ("deputies",), AT, set(), id="no person"),
        pytest.param("bob@x.example", ("sre",), AT, set(), id="what one has anyway"),
        pytest.param("carl@x.example", ("deputies",), AT, {"person:ana@x.example"}, id="as a group"),
    ],
)
def test_say_is_lent_for_a_time(tmp_path, person, groups, at, names):
    to_group = LEAVE.replace('"person:Bob@X.example"', '"group:deputies"').replace("group:sre", "person:Ana@X.example")
    bundle = bundle_of(tmp_path, DELEGATIONS + LEAVE + to_group, policy_text(RULE_OF_TOOLS))
    assert bundle.delegations.acting_for(person, groups, at) == names


RULE_OF_TOOLS = "name: a, effect: allow, match: {verbs: [ping]}"


def test_what_is_lent_is_not_lent_on(tmp_path):
    on = LEAVE.replace("group:sre", "person:bob@x.example").replace("Bob@X.example", "carl@x.example")
    bundle = bundle_of(tmp_path, DELEGATIONS + LEAVE + on, policy_text(RULE_OF_TOOLS))
    assert bundle.delegations.acting_for("carl@x.example", (), AT) == {"person:bob@x.example"}


def test_lists_and_delegations_are_part_of_the_hash(tmp_path):
    (tmp_path / "p.yaml").write_text(policy_text(RULE_OF_TOOLS), encoding="utf-8")
    (tmp_path / "d.yaml").write_text(DELEGATIONS + LEAVE, encoding="utf-8")
    files = [tmp_path / "p.yaml", tmp_path / "d.yaml"]
    before = load_bundle(files, targets=TARGETS).hash
    (tmp_path / "d.yaml").write_text(DELEGATIONS + LEAVE.replace("away", "gone"), encoding="utf-8")
    assert load_bundle(files, targets=TARGETS).hash != before


def test_lists_alone_are_no_bundle(tmp_path):
    (tmp_path / "l.yaml").write_text(LISTS, encoding="utf-8")
    bundle, problems = read_bundle([tmp_path / "l.yaml"], targets=TARGETS)
    assert bundle is None
    assert "holds no policy" in str(problems[0])


def test_what_is_no_object_has_no_namespace(tmp_path):
    rule = "name: r, effect: hold, match: {paths: ['/metrics']}, approval: {reviewers: ['list:owners']}"
    decision = decide(tmp_path, ask("get", KubePath("/metrics"), target="cluster"), rule=rule)
    assert isinstance(decision, Deny)
