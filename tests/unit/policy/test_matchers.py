from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, ask, bundle_of, by, call, fetch, kube, policy_text

from holdpoint.domain.access import Actor, KubePath, McpPrompt, McpResource
from holdpoint.domain.decision import Permit
from holdpoint.policy.engine import Engine


def matches(folder, match, request, effect="mask"):
    """Tell whether a rule matches, by the duty that it adds to what another rule holds."""
    approval = "approval: {reviewers: ['group:a']}"
    texts = [
        policy_text(f"name: {name}, effect: hold, match: {{any: true}}, {approval}", targets=name, name=f"all-{name}")
        for name in ("mcp", "web", "cluster")
    ]
    duty = {"mask": ", mask: [credentials]", "hold": f", {approval}"}.get(effect, "")
    rule = f"name: r, effect: {effect}, match: {match}{duty}"
    decision = Engine(bundle_of(folder, policy_text(rule, targets=request.target), *texts)).decide(request)
    return "p/r" in {str(r) for r in decision.rules}


PROMPT = ask("prompts/get", McpPrompt("t"))
READ = ask("resources/read", McpResource("docs://a/b"))


@pytest.mark.parametrize(
    ("match", "request_", "expected"),
    [
        pytest.param("{tools: [t]}", call("t"), True, id="tool"),
        pytest.param("{tools: [t]}", call("tt"), False, id="another tool"),
        pytest.param("{tools: [t]}", PROMPT, False, id="tools are no prompts"),
        pytest.param("{tools: [t]}", ask("ping"), False, id="tools are no messages"),
        pytest.param("{prompts: [t]}", PROMPT, True, id="prompt"),
        pytest.param("{prompts: [t]}", call("t"), False, id="prompts are no tools"),
        pytest.param('{uris: ["docs://*"]}', READ, True, id="uri"),
        pytest.param("{tools: [x], prompts: [t]}", PROMPT, True, id="one kind of two"),
        pytest.param("{verbs: [tools/call]}", call("t"), True, id="verb alone, tool"),
        pytest.param("{verbs: [ping]}", ask("ping"), True, id="verb alone, message"),
        pytest.param("{verbs: [ping]}", ask("pong"), False, id="another verb"),
        pytest.param('{verbs: ["p*"]}', ask("pong"), True, id="glob of a verb"),
        pytest.param("{paths: [/a]}", fetch("get", "/a"), True, id="path"),
        pytest.param("{paths: [/a]}", fetch("get", "/a/b"), False, id="a path is not what is below"),
        pytest.param('{paths: ["/a/*"]}', fetch("get", "/a/b/c"), True, id="glob of a path"),
        pytest.param("{verbs: [get], paths: [/a]}", fetch("post", "/a"), False, id="path by another verb"),
        pytest.param('{paths: ["*"], hosts: [a.b]}', fetch("get", "/", "A.b"), True, id="host in any case"),
        pytest.param('{paths: ["*"], hosts: [a.b]}', fetch("get", "/", "c.b"), False, id="another host"),
        pytest.param("{verbs: [get]}", kube("get", "pods", "a", "x"), True, id="object without resources"),
        pytest.param("{verbs: [get]}", kube("get", "pods/proxy", "a", "x"), False, id="no subresource"),
        pytest.param("{verbs: [get]}", ask("get", KubePath("/api"), target="cluster"), False, id="no path"),
        pytest.param('{resources: ["*"]}', kube("get", "pods", "a"), True, id="any resource"),
        pytest.param('{resources: ["*"]}', kube("get", "pods/log", "a"), False, id="any resource, no subresource"),
        pytest.param('{resources: ["*"]}', ask("get", KubePath("/api"), target="cluster"), False, id="no path by *"),
        pytest.param('{resources: ["*/*"]}', kube("get", "pods/log", "a"), True, id="all, subresource"),
        pytest.param('{resources: ["*/*"]}', kube("get", "pods", "a"), True, id="all, resource"),
        pytest.param('{resources: ["*/*"]}', ask("get", KubePath("/api"), target="cluster"), False, id="all, no path"),
        pytest.param("{resources: [pods/log]}", kube("get", "pods/log", "a"), True, id="subresource"),
        pytest.param("{resources: [pods/log]}", kube("get", "pods", "a"), False, id="subresource is not its object"),
        pytest.param('{resources: ["pods/*"]}', kube("get", "pods/exec", "a"), True, id="any subresource"),
        pytest.param('{resources: ["pods/*"]}', kube("get", "nodes/proxy"), False, id="of another resource"),
        pytest.param('{resources: ["*/scale"]}', kube("get", "deployments/scale", "a"), True, id="scale of anything"),
        pytest.param("{verbs: [exec], resources: [pods]}", kube("exec", "pods/exec", "a"), True, id="exec written out"),
        pytest.param('{verbs: ["*"], resources: [pods]}', kube("exec", "pods/exec", "a"), False, id="exec by a glob"),
        pytest.param("{verbs: [exec], resources: [pods]}", kube("exec", "pods/attach", "a"), False, id="exec, attach"),
        pytest.param("{resources: [pods]}", kube("get", "pods/exec", "a"), False, id="exec as get"),
        pytest.param("{groups: [apps]}", kube("get", "deployments", "a", group="apps"), True, id="group"),
        pytest.param('{groups: [""]}', kube("get", "deployments", "a", group="apps"), False, id="core is no other"),
        pytest.param('{groups: [""]}', kube("get", "pods", "a"), True, id="core group"),
        pytest.param('{namespaces: ["p*"]}', kube("get", "pods", "prod"), True, id="namespace"),
        pytest.param('{namespaces: ["p*"]}', kube("get", "pods", "dev"), False, id="another namespace"),
        pytest.param("{names: [web]}", kube("get", "pods", "a", "web"), True, id="name"),
        pytest.param("{names: [web]}", kube("get", "pods", "a", "db"), False, id="another name"),
        pytest.param("{namespaces: [a]}", ask("get", KubePath("/api"), target="cluster"), False, id="objects, no path"),
        pytest.param("{paths: [/logs]}", ask("get", KubePath("/logs"), target="cluster"), True, id="Kubernetes path"),
        pytest.param("{paths: [/api]}", kube("get", "pods", "a"), False, id="paths are no objects"),
        pytest.param("{any: true}", kube("get", "pods/proxy", "a"), True, id="any, subresource"),
        pytest.param("{any: true}", ask("get", KubePath("/x"), target="cluster"), True, id="any, path"),
        pytest.param("{any: true}", fetch("get", "/x"), True, id="any, HTTP"),
        pytest.param("{any: true}", call("t"), True, id="any, tool"),
        pytest.param("{any: true, principals: {groups: [x]}}", call("t"), False, id="any of others"),
    ],
)
def test_rule_matches_as_documented(tmp_path, match, request_, expected):
    assert matches(tmp_path, match, request_) is expected


@pytest.mark.parametrize(
    ("match", "request_"),
    [
        pytest.param("{namespaces: [prod]}", kube("list", "secrets"), id="list over all namespaces"),
        pytest.param("{namespaces: [prod]}", kube("watch", "secrets"), id="watch over all namespaces"),
        pytest.param("{names: [db]}", kube("list", "secrets", "prod"), id="list of all names"),
        pytest.param("{names: [db]}", kube("deletecollection", "secrets", "prod"), id="delete of all names"),
        pytest.param("{namespaces: [prod], names: [db]}", kube("list", "secrets"), id="both"),
    ],
)
def test_collection_counts_as_what_it_holds_for_rules_that_restrict_alone(tmp_path, match, request_):
    assert matches(tmp_path, match, request_, "deny")
    assert matches(tmp_path, match, request_, "hold")
    assert matches(tmp_path, match, request_, "mask")
    assert not matches(tmp_path, match, request_, "allow")


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(kube("list", "nodes"), id="resource outside namespaces"),
        pytest.param(kube("get", "things", "", "x"), id="one object outside namespaces"),
        pytest.param(kube("list", "pods", "dev"), id="list of another namespace"),
    ],
)
def test_what_is_outside_a_namespace_is_not_taken_for_inside(tmp_path, request_):
    assert not matches(tmp_path, "{namespaces: [prod]}", request_, "deny")


@pytest.mark.parametrize(
    ("principals", "expected"),
    [
        pytest.param("groups: ['dev*']", True, id="group"),
        pytest.param("groups: [dev]", False, id="another group"),
        pytest.param("persons: ['*@example.com']", True, id="person"),
        pytest.param("subjects: [ada]", True, id="subject"),
        pytest.param("issuers: ['https://issuer.example.com']", True, id="issuer"),
        pytest.param("issuers: ['https://issuer.example.co']", False, id="another issuer"),
        pytest.param("kinds: [workload]", False, id="kind"),
        pytest.param("clients: [cli]", True, id="client"),
        pytest.param("actors: ['*']", False, id="no actor"),
        pytest.param("groups: ['dev*'], subjects: [bo]", False, id="all keys count"),
        pytest.param("subjects: [bo, ada]", True, id="one of a list"),
    ],
)
def test_principal_matches_by_what_the_token_proves(tmp_path, principals, expected):
    assert matches(tmp_path, f"{{principals: {{{principals}}}}}", call()) is expected


def test_actor_matches_the_agent_that_acts(tmp_path):
    request = by(call(), replace(ADA, actor=Actor("agent-7", chain=("agent-8",))))
    assert matches(tmp_path, "{principals: {actors: ['agent-7']}}", request)
    assert not matches(tmp_path, "{principals: {actors: ['agent-8']}}", request)


def test_unknown_person_is_matched_by_no_glob(tmp_path):
    request = by(call(), replace(ADA, person=None, client_id=""))
    assert not matches(tmp_path, "{principals: {persons: ['*']}}", request)
    assert not matches(tmp_path, "{principals: {clients: ['*']}}", request)


def test_own_word_of_a_caller_can_deny(tmp_path):
    match = "{unverified: {client: ['old-*']}}"
    assert matches(tmp_path, match, call(unverified={"client": "old-1"}), "deny")
    assert not matches(tmp_path, match, call(unverified={"client": "new"}), "deny")
    assert not matches(tmp_path, match, call(), "deny")


def test_every_named_thing_needs_its_name_to_be_allowed(tmp_path):
    # The schema refuses an allow rule for `tools/call` without `tools`; an unknown method must not open one either.
    rule = "name: r, effect: allow, match: {verbs: [vendor/do, ping]}"
    engine = Engine(bundle_of(tmp_path, policy_text(rule)))
    assert isinstance(engine.decide(ask("vendor/do")), Permit)
    assert not isinstance(engine.decide(replace(call(), action=ask("vendor/do").action)), Permit)
