"""What a request does beside its own word: rules that restrict count it, rules that allow do not."""

from dataclasses import replace

import pytest
from tests.fakes.policies import bundle_of, kube, policy_text

from holdpoint.domain.access import KubeOptions
from holdpoint.domain.decision import Deny, Permit
from holdpoint.policy.engine import Engine

PATCHES = "name: patches, effect: allow, match: {verbs: [patch], resources: [secrets, 'secrets/*']}"
CREATES = "name: creates, effect: allow, match: {verbs: [create], resources: [secrets]}"
NO_CREATES = "name: none, effect: deny, match: {verbs: [create], resources: [secrets]}"


def patch(kind: str, resource: str = "secrets"):
    request = kube("patch", resource, "shop", "db")
    return replace(request, resource=replace(request.resource, options=KubeOptions(patch=kind)))


def decide(folder, request, *rules):
    return Engine(bundle_of(folder, policy_text(*rules, targets="cluster"))).decide(request)


@pytest.mark.threat("T37")
def test_rule_against_creating_denies_an_apply(tmp_path):
    assert isinstance(decide(tmp_path, patch("apply"), PATCHES, NO_CREATES), Deny)


@pytest.mark.parametrize("kind", ["json", "merge", "strategic"])
def test_other_patches_create_nothing(tmp_path, kind):
    assert isinstance(decide(tmp_path, patch(kind), PATCHES, NO_CREATES), Permit)


def test_apply_to_a_subresource_creates_nothing(tmp_path):
    assert isinstance(decide(tmp_path, patch("apply", "secrets/status"), PATCHES, NO_CREATES), Permit)


@pytest.mark.threat("T37")
@pytest.mark.parametrize(
    ("resource", "group", "effect"),
    [
        ("services", "", Deny),
        ("rolebindings", "rbac.authorization.k8s.io", Deny),
        ("widgets", "example.com", Deny),
        ("services/status", "", Permit),
        ("deployments", "apps", Permit),
        ("secrets", "", Permit),
    ],
)
def test_rule_against_creating_denies_an_update_that_may_create(tmp_path, resource, group, effect):
    updates = "name: updates, effect: allow, match: {verbs: [update], resources: ['*', '*/*']}"
    creates = "name: none, effect: deny, match: {verbs: [create], resources: ['*', '*/*']}"
    update = kube("update", resource, "shop", "db", group=group)
    assert isinstance(decide(tmp_path, update, updates, creates), effect)


def test_leave_to_create_is_no_leave_to_apply(tmp_path):
    assert isinstance(decide(tmp_path, patch("apply"), CREATES), Deny)


@pytest.mark.threat("T36")
@pytest.mark.parametrize("name", ["web", "web:443", "https:web:443", "http:web:", "https:web:"])
def test_scheme_and_port_do_not_hide_whom_a_proxy_leads_to(tmp_path, name):
    proxies = "name: all, effect: allow, match: {verbs: [proxy], resources: [services/proxy]}"
    named = "name: web, effect: deny, match: {verbs: [proxy], resources: [services/proxy], names: [web]}"
    assert isinstance(decide(tmp_path, kube("proxy", "services/proxy", "shop", name), proxies, named), Deny)
    assert isinstance(
        decide(tmp_path, kube("proxy", "services/proxy", "shop", "https:other:443"), proxies, named), Permit
    )


def test_leave_to_proxy_to_a_name_is_for_that_very_name(tmp_path):
    named = "name: web, effect: allow, match: {verbs: [proxy], resources: [services/proxy], names: [web]}"
    assert isinstance(decide(tmp_path, kube("proxy", "services/proxy", "shop", "https:web:443"), named), Deny)
