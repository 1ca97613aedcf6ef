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
        *(
            pytest.param(match, "deny", "cluster", message, id=match)
            for match, message in [
                ("{groups: [core]}", 'the core group is `""`'),
                ("{groups: [v1]}", "a group has no version"),
                ("{groups: [v1beta1]}", "a group has no version"),
                ("{groups: [apps/v1]}", "write `apps`"),
                ("{groups: ['apps/*']}", "no API group"),
                ("{groups: [Apps]}", "is no API group"),
                ("{groups: [app]}", "did you mean `apps`?"),
                ("{groups: [networking]}", "did you mean `networking.k8s.io`?"),
                ("{groups: [rbac]}", "did you mean `rbac.authorization.k8s.io`?"),
                ("{resources: [secret]}", "`secrets`"),
                ("{resources: [deploy]}", "`deployments`"),
                ("{resources: [po]}", "`pods`"),
                ("{resources: [cm]}", "`configmaps`"),
                ("{resources: [ingress]}", "`ingresses`"),
                ("{resources: [networkpolicy]}", "`networkpolicies`"),
                ("{resources: [endpoint]}", "`endpoints`"),
                ("{resources: [pod/log]}", "`pods/log`"),
                ("{resources: [pods/logs]}", "did you mean `pods/log`?"),
                ("{resources: ['po/*']}", "`pods/*`"),
                ("{groups: ['', apps], resources: [deploy]}", "`deployments`"),
                ("{groups: ['*'], resources: [sts]}", "`statefulsets`"),
                ("{resources: [deployments.apps]}", "write `resources: [deployments]` and `groups: [apps]`"),
                ("{resources: [apps/deployments]}", "write `resources: [deployments]` and `groups: [apps]`"),
                ("{groups: [''], resources: [pods, deployments]}", "`deployments` is in group `apps`"),
                ("{groups: [apps], resources: [secrets]}", '`secrets` is in group `""` (core)'),
                ("{verbs: [impersonate], resources: [user]}", "write `users`"),
                ("{namespaces: [Demo]}", "no namespace is named `Demo`"),
                ("{namespaces: ['Prod-*']}", "no namespace is named `Prod-*`"),
                ("{namespaces: [a_b]}", "no namespace is named"),
                ("{namespaces: [a.b]}", "no namespace is named"),
                ("{namespaces: [-a]}", "no namespace is named"),
                (f"{{namespaces: [{'a' * 64}]}}", "at most 63"),
                ("{verbs: [get], names: [pods/web]}", "its name alone"),
                ("{resources: [secrets], names: [DB]}", "none of these is named `DB`"),
                ("{verbs: [cp], resources: [pods], commands: ['cat **']}", "`tar` and `test`"),
                ("{verbs: [post], resources: [pods]}", "of `resources` it is `create`"),
                ("{verbs: [logs]}", "`get` of `pods/log`"),
                ("{verbs: [view]}", "`get`, `list` and `watch`"),
                ("{verbs: [read]}", "`get`, `list` and `watch`"),
                ("{verbs: [edit]}", "`update` and `patch`"),
                ("{verbs: [apply]}", "`create`, `get` and `patch`"),
                ("{verbs: [scale]}", "`*/scale`"),
                ("{verbs: [evict]}", "`pods/eviction`"),
                ("{verbs: [debug]}", "`pods/ephemeralcontainers`"),
                ("{verbs: [copy]}", "`cp` of `pods`"),
                ("{verbs: [Logs]}", "`get` of `pods/log`"),
            ]
        ),
        pytest.param("{verbs: [logs]}", "deny", "mcp, cluster", "`get` of `pods/log`", id="logs, one of two protocols"),
        pytest.param("{resources: [pods/log/x]}", "deny", "cluster", "is no resource", id="too many parts"),
        pytest.param("{verbs: [exec]}", "deny", "cluster", "`exec` needs `resources`", id="exec of nothing"),
        pytest.param("{verbs: [cp], groups: ['']}", "allow", "cluster", "`cp` needs `resources`", id="copy of nothing"),
        pytest.param(
            "{verbs: [create, get], resources: [pods/exec]}",
            "deny",
            "cluster",
            "goes by the verb `exec`",
            id="exec as create",
        ),
        pytest.param(
            "{verbs: [get], resources: [pods, nodes/proxy]}",
            "deny",
            "cluster",
            "goes by the verb `proxy`",
            id="proxy as get",
        ),
        pytest.param(
            "{verbs: [impersonate], resources: [users]}",
            "allow",
            "cluster",
            "act as anybody: name `names`",
            id="as anybody",
        ),
        pytest.param("{verbs: [impersonate], names: [a]}", "allow", "cluster", "name `resources`", id="as anything"),
        pytest.param("{label_selectors: [a=b]}", "deny", "cluster", "needs `verbs` beside it", id="selector, no verb"),
        pytest.param(
            "{verbs: [list, get], label_selectors: [a=b]}",
            "deny",
            "cluster",
            "none but `deletecollection`",
            id="get by labels",
        ),
        pytest.param(
            "{verbs: [list], label_selectors: ['a=b=c']}", "allow", "cluster", "is no selector", id="no selector"
        ),
        pytest.param("{verbs: [list], field_selectors: [a]}", "allow", "cluster", "is no selector", id="no field"),
        pytest.param("{verbs: [list], label_selectors: ['']}", "allow", "cluster", "selects everything", id="all"),
        pytest.param("{verbs: [list], label_selectors: []}", "allow", "cluster", "an empty list", id="no selectors"),
        pytest.param(
            "{verbs: [get], resources: [pods], commands: [ls]}",
            "allow",
            "cluster",
            "none but `cp`, `exec`",
            id="get command",
        ),
        pytest.param(
            "{verbs: [exec], resources: [pods], commands: ['ls \"']}",
            "allow",
            "cluster",
            "a quote is not closed",
            id="quote",
        ),
        pytest.param(
            "{verbs: [exec], resources: [pods], commands: [[]]}", "allow", "cluster", "an empty command", id="no words"
        ),
        pytest.param(
            "{verbs: [exec], resources: [pods], commands: ['** ls']}",
            "allow",
            "cluster",
            "may stand last",
            id="rest first",
        ),
        pytest.param(
            "{verbs: [portforward], resources: [pods], ports: [0]}", "allow", "cluster", "expected a port", id="no port"
        ),
        pytest.param(
            "{verbs: [portforward], resources: [pods], ports: ['9-8']}",
            "allow",
            "cluster",
            "expected a port",
            id="no row",
        ),
        pytest.param(
            "{verbs: [exec, list], resources: [pods], tty: true}",
            "hold",
            "cluster",
            "`tty` needs `verbs`",
            id="tty of a list",
        ),
        pytest.param("{resources: [pods], dry_run: 1}", "deny", "cluster", "expected `true` or `false`", id="dry run"),
        pytest.param("{tools: [a], dry_run: true}", "deny", "mcp", "on `kubernetes` targets only", id="dry run, MCP"),
        pytest.param("{paths: [/a], dry_run: true}", "deny", "cluster", "a rule of their own", id="dry run of a path"),
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
        *(
            pytest.param(match, "deny", "cluster", id=match)
            for match in [
                "{groups: [example.com], resources: [secret, po]}",
                "{groups: [serving.knative.dev], resources: [services]}",
                "{groups: [metrics.k8s.io], resources: [pods]}",
                "{groups: [extensions], resources: [ingresses]}",
                "{groups: ['*.k8s.io'], resources: [deployments]}",
                "{groups: [internal], resources: [things]}",
                "{resources: [widget, widgets/status, pods/custom]}",
                "{verbs: [impersonate], resources: [userextras/example.com]}",
                "{verbs: [impersonate], resources: [users], names: ['Ada/B']}",
                "{resources: [roles], names: ['system:Node']}",
                "{verbs: [proxy], resources: [services], names: ['https:web:443']}",
                "{namespaces: ['', '*-system', 'a*b', '*']}",
                "{resources: [secrets], names: ['db*', a.b-c]}",
                "{verbs: [cp, exec], resources: [pods], commands: ['cat **']}",
                "{verbs: [cp], resources: [pods], commands: ['tar cf - **', '*', '**']}",
                "{verbs: [post], paths: [/a], resources: [pods]}",
            ]
        ),
        pytest.param("{verbs: [copy, label], paths: [/a]}", "deny", "web, cluster", id="verbs of another protocol"),
        pytest.param("{verbs: [get, list]}", "allow", "mcp, cluster", id="verbs of one of two protocols"),
        pytest.param("{hosts: [a.example.com], paths: ['*']}", "allow", "web", id="host and paths"),
    ],
)
def test_match_that_can_be_meant_is_read(tmp_path, match, effect, targets):
    assert bundle_of(tmp_path, policy_text(rule(match, effect), targets=targets)).policies
