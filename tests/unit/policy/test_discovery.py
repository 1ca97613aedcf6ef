"""What clients of Kubernetes ask before all else is never held, and never open because a hold rule names it."""

import pytest
from tests.fakes.policies import ask, bundle_of, policy_text

from holdpoint.domain.access import KubePath
from holdpoint.domain.decision import Deny, MaskFields, Permit
from holdpoint.domain.refusal import ConfigError
from holdpoint.policy.engine import Engine

ALLOW = "name: allow, effect: allow, match: {paths: ['/*']}"
HOLD = "name: hold, effect: hold, match: {paths: ['/*']}, approval: {reviewers: ['group:a']}, mask: [credentials]"
DENY = "name: deny, effect: deny, match: {paths: ['/*']}"


def decide(folder, *rules, path="/apis", verb="get"):
    engine = Engine(bundle_of(folder, policy_text(*rules, targets="cluster")))
    return engine.decide(ask(verb, KubePath(path), target="cluster"))


@pytest.mark.threat("T39")
@pytest.mark.parametrize(
    "path",
    [
        *("/api", "/api/", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/openapi/v2", "/openapi/v3"),
        *("/openapi/v3/apis/apps/v1", "/healthz", "/healthz/etcd", "/livez", "/readyz/ping"),
    ],
)
def test_hold_rule_neither_holds_nor_opens_discovery(tmp_path, path):
    refused = decide(tmp_path, HOLD, path=path)
    assert isinstance(refused, Deny)
    assert refused.message == "discovery is never held for review: an allow rule must open it"
    opened = decide(tmp_path, HOLD, ALLOW, path=path)
    assert isinstance(opened, Permit)
    assert opened.approvals == ()


@pytest.mark.threat("T39")
@pytest.mark.parametrize(
    ("verb", "path"), [("get", "/metrics"), ("get", "/logs/x"), ("get", "/apisx"), ("post", "/apis"), ("get", "/debug")]
)
def test_everything_else_is_held(tmp_path, verb, path):
    decision = decide(tmp_path, HOLD, ALLOW, path=path, verb=verb)
    assert isinstance(decision, Permit)
    assert len(decision.approvals) == 1


def test_other_duties_of_the_rule_stay(tmp_path):
    decision = decide(tmp_path, HOLD, ALLOW)
    assert isinstance(decision, Permit)
    assert MaskFields(("credentials",)) in decision.obligations


def test_deny_rule_denies_discovery(tmp_path):
    assert isinstance(decide(tmp_path, ALLOW, DENY), Deny)


@pytest.mark.parametrize(
    ("paths", "is_fine"),
    [("[/version]", False), ("[/api, /openapi/v3/x]", False), ("[/version, /metrics]", True), ("['/api*']", True)],
)
def test_rule_that_holds_nothing_but_discovery_is_refused_at_load(tmp_path, paths, is_fine):
    rule = f"name: hold, effect: hold, match: {{paths: {paths}}}, approval: {{reviewers: ['group:a']}}"
    if is_fine:
        assert bundle_of(tmp_path, policy_text(rule, targets="cluster"))
        return
    with pytest.raises(ConfigError, match="discovery is never held"):
        bundle_of(tmp_path, policy_text(rule, targets="cluster"))
