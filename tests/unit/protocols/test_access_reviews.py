"""Answers to "may I?" hold for the gateway too."""

from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, bundle_of, kube, policy_text

from holdpoint.domain.access import KubeOptions
from holdpoint.policy.engine import Engine
from holdpoint.protocols.kubernetes.access_reviews import asks_for_one, corrected, is_review
from holdpoint.protocols.kubernetes.rules_reviews import NOTE

RULES = (
    "name: read, effect: allow, match: {verbs: [get, list], resources: [pods, secrets, pods/log]}",
    (
        "name: change, effect: hold, match: {verbs: [patch], resources: [pods]}, approval: {reviewers: ['group:a']}, "
        "reason: a second person looks"
    ),
    "name: no, effect: deny, match: {resources: [secrets]}, reason: never secrets",
    "name: run, effect: allow, match: {verbs: [exec], resources: [pods], commands: [ls]}",
    "name: copy, effect: allow, match: {verbs: [cp], resources: [jobs]}",
    "name: small, effect: allow, match: {verbs: [create], resources: [pods]}, when: object.spec.x < 3",
    "name: big, effect: deny, match: {verbs: [create], resources: [pods]}, when: has(object.spec.big)",
    "name: paths, effect: allow, match: {verbs: [get], paths: [/version]}",
)


@pytest.fixture
def decide(tmp_path):
    engine = Engine(bundle_of(tmp_path, policy_text(*RULES, targets="cluster")))

    def decide(verb, resource):
        return engine.prospect(replace(kube(verb, "x"), resource=resource))

    return decide


def review(kind="selfsubjectaccessreviews", namespace="", **spec):
    return kube("create", kind, namespace, group="authorization.k8s.io", spec=spec)


def answer(spec, *, allowed=True, **status):
    return {"kind": "SelfSubjectAccessReview", "spec": spec, "status": {"allowed": allowed, **status}}


def asked(verb, resource, subresource="", name="", namespace="dev"):
    found = {"verb": verb, "resource": resource, "namespace": namespace}
    return {
        "resourceAttributes": found
        | ({"subresource": subresource} if subresource else {})
        | ({"name": name} if name else {})
    }


@pytest.mark.threat("T42")
@pytest.mark.parametrize(
    ("spec", "status"),
    [
        pytest.param(asked("get", "pods"), {"allowed": True, "reason": "RBAC: x"}, id="allowed"),
        pytest.param(
            asked("delete", "pods"),
            {"allowed": False, "reason": "denied by holdpoint: no rule allows this"},
            id="no rule",
        ),
        pytest.param(
            asked("get", "secrets"),
            {"allowed": False, "denied": True, "reason": "denied by holdpoint: p/no: never secrets"},
            id="a rule",
        ),
        pytest.param(
            asked("patch", "pods"),
            {"allowed": True, "reason": "allowed after approval (p/change): a second person looks; RBAC: x"},
            id="held",
        ),
        pytest.param(
            asked("create", "pods"),
            {"allowed": True, "reason": "holdpoint: depends on the request (p/big); RBAC: x"},
            id="some",
        ),
        pytest.param(asked("create", "pods", "exec"), {"allowed": True, "reason": "RBAC: x"}, id="exec as create"),
        pytest.param(asked("get", "pods/exec"), {"allowed": True, "reason": "RBAC: x"}, id="exec as get, in one word"),
        pytest.param(asked("create", "jobs", "exec"), {"allowed": True, "reason": "RBAC: x"}, id="only copies"),
        pytest.param(
            asked("create", "pods", "attach"),
            {"allowed": False, "reason": "denied by holdpoint: no rule allows this"},
            id="attach",
        ),
        pytest.param(
            {"nonResourceAttributes": {"path": "/version", "verb": "get"}},
            {"allowed": True, "reason": "RBAC: x"},
            id="path",
        ),
        pytest.param(
            {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}},
            {"allowed": False, "reason": "denied by holdpoint: no rule allows this"},
            id="another path",
        ),
        pytest.param({}, {"allowed": False, "reason": "denied by holdpoint: no rule allows this"}, id="nothing"),
        pytest.param(
            asked("*", "*"),
            {"allowed": False, "denied": True, "reason": "denied by holdpoint: p/big, p/no: never secrets"},
            id="everything",
        ),
    ],
)
def test_yes_of_the_server_is_one_if_policy_could_say_so_too(decide, spec, status):
    found = corrected(review(**spec), answer(spec, reason="RBAC: x"), decide)
    assert found == answer(spec) | {"status": status}


@pytest.mark.threat("T42")
def test_no_of_the_server_stays_one(decide):
    spec = asked("get", "pods")
    said = answer(spec, allowed=False, reason="RBAC: y")
    assert corrected(review(**spec), said, decide) == said


def test_what_was_asked_counts_and_not_what_the_answer_says_was_asked(decide):
    found = corrected(review(**asked("get", "secrets")), answer(asked("get", "pods")), decide)
    assert found["status"]["allowed"] is False


def test_question_that_was_not_fully_understood_is_read_from_the_answer(decide):
    unknown = review()
    unknown = replace(unknown, resource=replace(unknown.resource, options=KubeOptions(known=False)))
    assert corrected(unknown, answer(asked("get", "pods")), decide)["status"]["allowed"] is True
    assert corrected(unknown, answer(asked("get", "secrets")), decide)["status"]["allowed"] is False


@pytest.mark.parametrize("user", ["ada", "ada@example.com"])
def test_own_rights_by_name_are_corrected_and_those_of_others_left(decide, user):
    spec = asked("get", "secrets", namespace="") | {"user": user}
    own = corrected(review("localsubjectaccessreviews", "dev", **spec), answer(spec), decide)
    assert own["status"]["allowed"] is False
    others = spec | {"user": "bo"}
    assert corrected(review("subjectaccessreviews", **others), answer(others), decide) == answer(others)
    nobody = {k: v for k, v in spec.items() if k != "user"}
    assert corrected(review("subjectaccessreviews", **nobody), answer(nobody), decide) == answer(nobody)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"kind": "Status", "status": "Failure"}, id="an error"),
        pytest.param([], id="a list"),
        pytest.param(None, id="nothing"),
        pytest.param({"kind": "Table", "rows": None}, id="a table of nothing"),
    ],
)
def test_what_is_no_answer_to_a_review_stays(decide, said):
    assert corrected(review(**asked("get", "secrets")), said, decide) == said


def test_review_in_a_table_is_corrected_in_its_row(decide):
    spec = asked("get", "secrets")
    table = {"kind": "Table", "rows": [{"cells": ["x"], "object": answer(spec)}, {"cells": []}]}
    found = corrected(review(**spec), table, decide)
    assert found["rows"][0]["object"]["status"]["allowed"] is False
    assert found["rows"][1] == {"cells": []}
    assert table["rows"][0]["object"]["status"]["allowed"] is True


@pytest.mark.parametrize(
    ("request_", "whole", "one"),
    [
        pytest.param(review(), True, True, id="access"),
        pytest.param(review("selfsubjectrulesreviews"), True, False, id="rules"),
        pytest.param(kube("create", "selfsubjectreviews", group="authentication.k8s.io"), False, False, id="whoami"),
        pytest.param(kube("create", "pods", "dev"), False, False, id="pod"),
        pytest.param(kube("get", "selfsubjectaccessreviews", group="authorization.k8s.io"), False, True, id="get"),
    ],
)
def test_reviews_are_known_by_what_is_asked(request_, whole, one):
    assert (is_review(request_), asks_for_one(request_)) == (whole, one)


def test_who_one_is_comes_back_as_it_is(decide):
    who = {"kind": "SelfSubjectReview", "status": {"userInfo": {"username": "x"}}}
    assert corrected(kube("create", "selfsubjectreviews", group="authentication.k8s.io"), who, decide) is who


def rules(*, resources=(), paths=()):
    return {
        "kind": "SelfSubjectRulesReview",
        "status": {
            "resourceRules": [{"verbs": v, "apiGroups": g, "resources": r, **more} for v, g, r, more in resources],
            "nonResourceRules": [{"verbs": v, "nonResourceURLs": u} for v, u in paths],
            "incomplete": False,
        },
    }


def listed(decide, said):
    status = corrected(review("selfsubjectrulesreviews", namespace="dev"), said, decide)["status"]
    assert status["incomplete"] is True
    assert NOTE in status["evaluationError"]
    return status


@pytest.mark.threat("T42")
def test_list_of_rights_keeps_what_policy_could_permit(decide):
    status = listed(
        decide,
        rules(
            resources=[
                (["get", "delete"], [""], ["pods", "secrets", "services"], {}),
                (["create"], [""], ["pods/exec", "pods/attach"], {}),
                (["get"], [""], ["pods"], {"resourceNames": ["web"]}),
            ],
            paths=[(["get"], ["/version", "/metrics"])],
        ),
    )
    assert status["resourceRules"] == [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["create"], "apiGroups": [""], "resources": ["pods/exec"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web"]},
    ]
    assert status["nonResourceRules"] == [{"verbs": ["get"], "nonResourceURLs": ["/version"]}]


@pytest.mark.threat("T42")
def test_wildcards_of_an_administrator_become_what_policy_could_permit(decide):
    said = rules(resources=[(["*"], ["*"], ["*"], {})], paths=[(["*"], ["*"])])
    status = listed(decide, said)
    core = {r: v["verbs"] for v in status["resourceRules"] if v["apiGroups"] == [""] for r in v["resources"]}
    assert core == {
        "pods": ["get", "list", "create", "patch"],
        "pods/exec": ["create", "get"],
        "pods/log": ["get", "list"],
    }
    assert status["nonResourceRules"] == [{"verbs": ["get"], "nonResourceURLs": ["/version"]}]


def test_wildcard_that_policy_permits_whole_is_kept(tmp_path):
    engine = Engine(
        bundle_of(tmp_path, policy_text("name: a, effect: allow, match: {resources: ['*', '*/*']}", targets="cluster"))
    )

    def decide(verb, resource):
        return engine.prospect(replace(kube(verb, "x"), resource=resource, principal=ADA))

    said = rules(resources=[(["*"], ["*"], ["*"], {})])
    assert listed(decide, said)["resourceRules"] == said["status"]["resourceRules"]


def test_list_of_rights_that_is_broken_shows_nothing(decide):
    said = {"kind": "SelfSubjectRulesReview", "status": {"resourceRules": "x", "nonResourceRules": [1, {}]}}
    status = listed(decide, said)
    assert (status["resourceRules"], status["nonResourceRules"]) == ([], [])
