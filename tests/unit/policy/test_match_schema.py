import pytest
from tests.fakes.policies import bundle_of, policy_text

from holdpoint.domain.refusal import ConfigError


def rule(match, effect="allow"):
    extra = ', approval: {reviewers: ["group:a"]}' if effect == "hold" else ""
    extra = ", mask: [credentials]" if effect == "mask" else extra
    return f"name: r, effect: {effect}, match: {match}{extra}"


@pytest.mark.parametrize(
    ("match", "effect", "targets", "message"),
    [
        pytest.param("{}", "deny", "mcp", "an empty match", id="empty"),
        pytest.param("{any: true}", "allow", "mcp", "must say what it allows", id="allow anything"),
        pytest.param("{any: false, verbs: [ping]}", "deny", "mcp", "leave it out", id="any is false"),
        pytest.param("{any: true, verbs: [ping]}", "deny", "mcp", "covers every verb", id="any and a verb"),
        pytest.param("{verb: [ping]}", "allow", "mcp", "unknown key `verb`", id="unknown key"),
        pytest.param("{verbs: ping}", "allow", "mcp", "expected a list", id="no list"),
        pytest.param("{verbs: []}", "deny", "mcp", "an empty list matches nothing", id="empty list"),
        pytest.param("{verbs: [ping, ping]}", "allow", "mcp", "listed twice", id="twice"),
        pytest.param("{verbs: [1]}", "allow", "mcp", "expected text", id="number"),
        pytest.param('{tools: ["a**"]}', "deny", "mcp", "holds `**`", id="bad glob"),
        pytest.param('{tools: ["!a"]}', "deny", "mcp", "no negation", id="negation"),
        pytest.param('{tools: [""]}', "deny", "mcp", "an empty glob", id="empty glob"),
        pytest.param("{verbs: [tool/call]}", "deny", "mcp", "did you mean `tools/call`?", id="MCP verb"),
        pytest.param("{verbs: [GET], paths: [/a]}", "allow", "web", "did you mean `get`?", id="capital verb"),
        pytest.param("{verbs: [deleet]}", "deny", "cluster", "did you mean `delete`?", id="Kubernetes verb"),
        pytest.param('{verbs: ["z*"]}', "deny", "cluster", "unknown verb `z*`", id="glob of no verb"),
        pytest.param("{verbs: [tools/call]}", "allow", "mcp", "allow `tools/call` without saying", id="tools/call"),
        pytest.param("{verbs: [prompts/get]}", "allow", "mcp", "name `prompts`", id="prompts/get"),
        pytest.param("{verbs: [resources/read]}", "allow", "mcp", "name `uris`", id="resources/read"),
        pytest.param("{verbs: [resources/subscribe]}", "allow", "mcp", "name `uris`", id="resources/subscribe"),
        pytest.param('{verbs: ["tools/*"]}', "allow", "mcp", "allow `tools/call`", id="glob over tools/call"),
        pytest.param('{verbs: ["*"]}', "allow", "mcp", "allow `tools/call`", id="every verb"),
        pytest.param("{principals: {groups: [a]}}", "allow", "mcp", "allow `tools/call`", id="no verb"),
        pytest.param(
            "{verbs: [tools/call, prompts/get], tools: [a]}",
            "deny",
            "mcp",
            "`prompts/get` can match nothing",
            id="dead",
        ),
        pytest.param("{verbs: [tools/list], tools: [a]}", "deny", "mcp", "none of these verbs", id="dead by its verb"),
        pytest.param("{tools: [a]}", "deny", "cluster", "`tools` exists on `mcp` targets only", id="tools, cluster"),
        pytest.param("{resources: [pods]}", "deny", "mcp", "on `kubernetes` targets only", id="resources, MCP"),
        pytest.param("{verbs: [get]}", "deny", "web", "name `paths`", id="HTTP without paths"),
        pytest.param("{hosts: [a]}", "deny", "web", "`hosts` needs `paths`", id="hosts alone"),
        pytest.param("{hosts: [A.b], paths: [/]}", "deny", "web", "is no host", id="capital host"),
        pytest.param("{hosts: ['https://a'], paths: [/]}", "deny", "web", "is no host", id="host with a scheme"),
        pytest.param("{paths: [a]}", "deny", "web", "is no path", id="relative path"),
        pytest.param("{paths: ['/a?b=c']}", "deny", "web", "is no path", id="path with a query"),
        pytest.param("{resources: [Pod]}", "deny", "cluster", "is no resource", id="a kind, not a resource"),
        pytest.param("{resources: [pods/log/x]}", "deny", "cluster", "is no resource", id="too many parts"),
        pytest.param("{names: [a], paths: [/a]}", "deny", "cluster", "a rule of their own", id="names and paths"),
        pytest.param("{principals: {}}", "deny", "mcp", "an empty `principals`", id="empty principals"),
        pytest.param("{principals: {group: [a]}}", "deny", "mcp", "unknown key `group`", id="unknown principal key"),
        pytest.param("{principals: {kinds: [robot]}}", "deny", "mcp", "`robot` is none of", id="unknown kind"),
        pytest.param("{principals: {groups: []}}", "deny", "mcp", "an empty list", id="no groups"),
        pytest.param("{tools: [a], unverified: {client: [a]}}", "allow", "mcp", "never allow", id="own word, allow"),
        pytest.param("{tools: [a], unverified: {client: [a]}}", "mask", "mcp", "never mask", id="own word, mask"),
        pytest.param("{unverified: {}}", "deny", "mcp", "an empty `unverified`", id="empty own word"),
        pytest.param("{unverified: {clinet: [a]}}", "deny", "mcp", "unknown key `clinet`", id="unknown own word"),
    ],
)
def test_match_that_cannot_be_meant_is_refused(tmp_path, match, effect, targets, message):
    with pytest.raises(ConfigError) as caught:
        bundle_of(tmp_path, policy_text(rule(match, effect), targets=targets))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/f0.yaml:6:")


@pytest.mark.parametrize(
    ("match", "effect", "targets"),
    [
        pytest.param("{any: true}", "deny", "mcp", id="deny anything"),
        pytest.param("{any: true, principals: {groups: [a]}}", "hold", "web", id="hold anything of a group"),
        pytest.param("{verbs: [vendor/do]}", "allow", "mcp", id="method of an extension"),
        pytest.param("{verbs: [tools/call]}", "deny", "mcp", id="deny every tool"),
        pytest.param("{verbs: [tools/call]}", "hold", "mcp", id="hold every tool"),
        pytest.param('{verbs: ["*"], tools: ["*"]}', "allow", "mcp", id="allow every tool"),
        pytest.param('{verbs: ["notifications/*"]}', "allow", "mcp", id="glob of harmless verbs"),
        pytest.param('{groups: ["", apps], namespaces: ["", "a-*"]}', "allow", "cluster", id="empty core group"),
        pytest.param("{verbs: [get, list]}", "allow", "mcp, cluster", id="verbs of one of two protocols"),
        pytest.param("{hosts: [a.example.com], paths: ['*']}", "allow", "web", id="host and paths"),
    ],
)
def test_match_that_can_be_meant_is_read(tmp_path, match, effect, targets):
    assert bundle_of(tmp_path, policy_text(rule(match, effect), targets=targets)).policies
