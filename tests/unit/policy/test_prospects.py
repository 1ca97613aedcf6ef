"""What could come of a request that is known in part."""

from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, ask, bundle_of, kube, policy_text

from holdpoint.domain.access import KubePath
from holdpoint.domain.prospect import Outlook
from holdpoint.policy.engine import Engine

GET = kube("get", "pods", "dev")
READ = 'name: read, effect: allow, match: {verbs: [get], resources: ["*"]}'
HOLD = "approval: {reviewers: ['group:a']}, reason: a second person"


def tell(folder, *rules, request=GET):
    return Engine(bundle_of(folder, policy_text(*rules, targets="cluster"))).prospect(request)


@pytest.mark.parametrize(
    ("rules", "outlook", "by", "doubt"),
    [
        pytest.param([READ.replace("get", "list")], Outlook.NO_RULE, [], [], id="nothing"),
        pytest.param([READ], Outlook.ALLOWED, [], [], id="allowed"),
        pytest.param([READ + ", when: object.a == 1"], Outlook.ALLOWED, [], [], id="allowed for some"),
        pytest.param([READ + ", when: request.dry_run"], Outlook.ALLOWED, [], [], id="allowed for a dry run"),
        pytest.param([READ + ", when: principal.kind == 'workload'"], Outlook.NO_RULE, [], [], id="of others"),
        pytest.param([READ + ", when: resource.namespace == 'dev'"], Outlook.ALLOWED, [], [], id="here"),
        pytest.param([READ + ", when: resource.namespace == 'prod'"], Outlook.NO_RULE, [], [], id="elsewhere"),
        pytest.param([READ + ", scopes: [s]"], Outlook.NO_RULE, [], [], id="a scope that is missing"),
        pytest.param([READ + ", shadow: true"], Outlook.NO_RULE, [], [], id="in the shadow"),
        pytest.param(
            [READ, "name: no, effect: deny, match: {resources: [pods]}, reason: never"],
            Outlook.DENIED,
            ["no"],
            [],
            id="no",
        ),
        pytest.param(
            [READ, "name: no, effect: deny, match: {resources: [pods]}, when: has(object.a)"],
            Outlook.ALLOWED,
            [],
            ["no"],
            id="denied for some",
        ),
        pytest.param(
            [READ, "name: no, effect: deny, match: {resources: ['*'], dry_run: false}"],
            Outlook.ALLOWED,
            [],
            ["no"],
            id="denied unless a dry run",
        ),
        pytest.param(
            [f"name: h, effect: hold, match: {{resources: [pods]}}, {HOLD}"], Outlook.HELD, ["h"], [], id="held"
        ),
        pytest.param(
            [READ, f"name: h, effect: hold, match: {{resources: [pods]}}, {HOLD}"],
            Outlook.HELD,
            ["h"],
            [],
            id="held too",
        ),
        pytest.param(
            [READ, f"name: h, effect: hold, match: {{resources: [pods]}}, {HOLD}, when: has(object.a)"],
            Outlook.ALLOWED,
            [],
            ["h"],
            id="held for some",
        ),
        pytest.param(
            [f"name: h, effect: hold, match: {{resources: [pods]}}, {HOLD}, when: has(object.a)"],
            Outlook.HELD,
            ["h"],
            [],
            id="held or denied",
        ),
    ],
)
def test_outlook_is_as_a_decision_could_be(tmp_path, rules, outlook, by, doubt):
    found = tell(tmp_path, *rules)
    assert (found.outlook, [r.rule for r in found.rules], [r.rule for r in found.doubt]) == (outlook, by, doubt)
    assert found.possible is (outlook in (Outlook.ALLOWED, Outlook.HELD))
    if outlook is Outlook.HELD:
        assert found.message == "a second person"


ALL = kube("*", "*/*", "dev", group="*")


@pytest.mark.parametrize(
    ("rules", "request_", "outlook"),
    [
        pytest.param([READ], ALL, Outlook.NO_RULE, id="less than all"),
        pytest.param(["name: a, effect: allow, match: {resources: ['*/*']}"], ALL, Outlook.ALLOWED, id="all"),
        pytest.param(
            [
                "name: a, effect: allow, match: {resources: ['*/*']}",
                "name: n, effect: deny, match: {resources: [pods]}",
            ],
            ALL,
            Outlook.DENIED,
            id="all but one",
        ),
        pytest.param(
            [
                "name: a, effect: allow, match: {resources: ['*/*']}",
                "name: n, effect: deny, match: {resources: [pods], namespaces: [prod]}",
            ],
            ALL,
            Outlook.ALLOWED,
            id="all but one elsewhere",
        ),
        pytest.param(
            ["name: a, effect: allow, match: {resources: ['*/*']}, when: has(object.a)"],
            ALL,
            Outlook.NO_RULE,
            id="some",
        ),
        pytest.param(
            [READ, "name: n, effect: deny, match: {verbs: [delete], resources: ['*']}"],
            kube("get", "*", "dev", group="*"),
            Outlook.ALLOWED,
            id="all resources by one verb",
        ),
        pytest.param(
            [READ, "name: n, effect: deny, match: {resources: [secrets]}"],
            kube("get", "*", "dev", group="*"),
            Outlook.DENIED,
            id="all resources but one",
        ),
        pytest.param(
            [READ, f"name: h, effect: hold, match: {{resources: [secrets]}}, {HOLD}"],
            kube("get", "*", "dev", group="*"),
            Outlook.ALLOWED,
            id="one of all is held",
        ),
    ],
)
def test_wildcard_is_all_that_it_stands_for(tmp_path, rules, request_, outlook):
    assert tell(tmp_path, *rules, request=request_).outlook is outlook


def test_every_leg_counts(tmp_path):
    rules = (
        READ.replace("}", ", principals: {groups: [developers]}}"),
        f"name: h, effect: hold, match: {{resources: [pods], principals: {{groups: [agents]}}}}, {HOLD}",
    )
    agent = replace(ADA, groups=frozenset({"agents"}))
    stranger = replace(ADA, groups=frozenset())
    assert tell(tmp_path, *rules).outlook is Outlook.ALLOWED
    held = tell(tmp_path, *rules, request=replace(GET, principal=replace(ADA, legs=(agent,))))
    assert (held.outlook, held.message) == (Outlook.HELD, "a second person")
    none = tell(tmp_path, *rules, request=replace(GET, principal=replace(ADA, legs=(agent, stranger))))
    assert none.outlook is Outlook.NO_RULE


def test_paths_have_a_prospect_and_what_nobody_knows_has_none(tmp_path):
    rule = "name: a, effect: allow, match: {paths: ['/api*']}"
    path = ask("get", KubePath("/apis"), target="cluster")
    assert tell(tmp_path, rule, request=path).outlook is Outlook.ALLOWED
    assert tell(tmp_path, rule, request=replace(path, target="none")).outlook is Outlook.NO_RULE
    assert tell(tmp_path, rule, request=replace(path, principal=None)).outlook is Outlook.NO_RULE
