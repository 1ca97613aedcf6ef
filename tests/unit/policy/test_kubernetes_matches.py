"""What a rule says of a request to a Kubernetes API, and how doubt counts for the stricter side."""

from dataclasses import replace

import pytest
from tests.fakes.policies import bundle_of, impersonation, kube, kube_with, policy_text
from tests.unit.policy.test_matchers import matches

from holdpoint.domain.access import KubeOptions
from holdpoint.domain.decision import Deny, Permit
from holdpoint.policy.engine import Engine


def both(folder, match, request):
    """Tell whether an allow rule and a deny rule of that match are about a request."""
    return matches(folder, match, request, "allow"), matches(folder, match, request, "deny")


def shell(*command, verb="exec", **options):
    return kube_with(verb, "pods/exec", "dev", "web-1", command=command, **options)


EXEC = "verbs: [exec], resources: [pods]"
FORWARD = "verbs: [portforward], resources: [pods]"
YES, NO, STRICT = (True, True), (False, False), (False, True)
"""What an allow rule and a deny rule say; the last is doubt."""


@pytest.mark.threat("T40")
@pytest.mark.parametrize(
    ("match", "request_", "expected"),
    [
        pytest.param("{verbs: [cp], resources: [pods]}", shell(verb="cp"), YES, id="copy by name"),
        pytest.param("{verbs: [exec], resources: [pods]}", shell(verb="cp"), STRICT, id="copy as exec"),
        pytest.param('{verbs: ["*"], resources: ["*/*"]}', shell(verb="cp"), STRICT, id="copy by a glob"),
        pytest.param('{resources: ["*/*"]}', shell(verb="cp"), STRICT, id="copy by no verb"),
        pytest.param("{resources: [pods/exec]}", shell(verb="cp"), STRICT, id="copy by its subresource"),
        pytest.param("{verbs: [cp], resources: [pods]}", shell("ls"), NO, id="exec is no copy"),
        pytest.param("{verbs: [attach], resources: [pods]}", shell("ls"), NO, id="exec is no attach"),
        pytest.param("{verbs: [delete], resources: [pods]}", kube("deletecollection", "pods", "a"), STRICT, id="all"),
        pytest.param("{names: [web]}", kube("create", "pods", "a"), STRICT, id="created without a name"),
        pytest.param("{names: [web]}", kube("create", "pods", "a", "web"), YES, id="created by name"),
        pytest.param("{names: [web]}", kube("create", "pods", "a", "db"), NO, id="created by another name"),
        pytest.param('{names: ["*"]}', kube("create", "pods", "a"), YES, id="any name"),
        pytest.param("{names: [web]}", kube("list", "pods", "a", "web"), YES, id="named by a field selector"),
        pytest.param("{names: [db]}", kube("list", "pods", "a", "web"), NO, id="another named by a field selector"),
        pytest.param("{names: [db]}", kube("list", "things", "a", "web", group="x.io"), STRICT, id="of unknown kind"),
        pytest.param(
            "{names: [web]}", kube("list", "things", "a", "web", group="x.io"), STRICT, id="same name, unknown"
        ),
        pytest.param("{namespaces: [a]}", kube("list", "nodes", group="x.io"), STRICT, id="a kind that is called so"),
        pytest.param("{namespaces: [a]}", kube("list", "nodes"), NO, id="outside every namespace"),
    ],
)
def test_doubt_restricts_and_never_allows(tmp_path, match, request_, expected):
    assert both(tmp_path, match, request_) == expected


@pytest.mark.threat("T41")
@pytest.mark.parametrize(
    ("match", "request_", "expected"),
    [
        pytest.param('{resources: ["*"]}', impersonation("users", "ada"), STRICT, id="no verb"),
        pytest.param('{verbs: ["*"], resources: ["*"]}', impersonation("users", "ada"), STRICT, id="a glob"),
        pytest.param(
            "{verbs: [impersonate], resources: [users], names: [ada]}", impersonation("users", "ada"), YES, id="by name"
        ),
        pytest.param(
            "{verbs: [impersonate], resources: [users], names: [ada]}", impersonation("users", "bo"), NO, id="another"
        ),
        pytest.param(
            "{verbs: [impersonate], resources: [users], names: [ada]}", impersonation("groups", "ada"), NO, id="a group"
        ),
        pytest.param(
            '{verbs: [impersonate], resources: [groups], names: ["*"]}',
            impersonation("groups", "system:masters"),
            STRICT,
            id="masters by a glob",
        ),
        pytest.param(
            '{verbs: [impersonate], resources: [groups], names: ["system:*"]}',
            impersonation("groups", "system:masters"),
            STRICT,
            id="masters by another glob",
        ),
        pytest.param(
            '{verbs: [impersonate], resources: [groups], names: ["system:masters"]}',
            impersonation("groups", "system:masters"),
            YES,
            id="masters, written out",
        ),
        pytest.param(
            "{verbs: [impersonate], resources: [serviceaccounts], namespaces: [dev], names: [ci]}",
            impersonation("serviceaccounts", "ci", "prod"),
            NO,
            id="service account of another namespace",
        ),
        pytest.param(
            '{verbs: [impersonate], resources: ["userextras/scopes"], names: [view]}',
            impersonation("userextras/scopes", "view"),
            YES,
            id="extra",
        ),
    ],
)
def test_acting_as_somebody_is_allowed_by_name_only(tmp_path, match, request_, expected):
    assert both(tmp_path, match, request_) == expected


def test_request_as_somebody_needs_both_and_keeps_the_own_rights(tmp_path):
    engine = Engine(
        bundle_of(
            tmp_path,
            policy_text(
                "name: read, effect: allow, match: {verbs: [get], resources: [pods]}",
                "name: as, effect: allow, match: {verbs: [impersonate], resources: [users], names: [bo]}",
                targets="cluster",
            ),
        )
    )
    asked = kube("get", "pods", "dev", "web")
    assert isinstance(engine.decide(replace(asked, members=(impersonation("users", "bo"),))), Permit)
    assert isinstance(engine.decide(replace(asked, members=(impersonation("users", "eve"),))), Deny)
    both_of = (impersonation("users", "bo"), impersonation("groups", "system:masters"))
    assert isinstance(engine.decide(replace(asked, members=both_of)), Deny)
    secret = replace(kube("get", "secrets", "dev", "web"), members=(impersonation("users", "bo"),))
    assert isinstance(engine.decide(secret), Deny)


def listing(selector="", field="", verb="list", group=""):
    return kube_with(verb, "pods", "dev", group=group, label_selector=selector, field_selector=field)


@pytest.mark.threat("T40")
@pytest.mark.parametrize(
    ("match", "request_", "expected"),
    [
        pytest.param("label_selectors: [app=web]", listing("app=web"), YES, id="the same"),
        pytest.param("label_selectors: [app=web]", listing("app in (web),tier"), YES, id="narrower"),
        pytest.param("label_selectors: [app=web]", listing(), STRICT, id="none at all"),
        pytest.param("label_selectors: [app=web]", listing("tier=a"), STRICT, id="another key"),
        pytest.param("label_selectors: [app=web]", listing("app=db"), NO, id="another value"),
        pytest.param("label_selectors: [app=web]", listing("app in (web,db)"), STRICT, id="wider"),
        pytest.param("label_selectors: [app=web]", listing("app="), NO, id="empty value"),
        pytest.param("label_selectors: [app=web]", listing("app=web\0,x"), STRICT, id="cut off by a NUL"),
        pytest.param("label_selectors: [app=web]", listing("app==web=x"), STRICT, id="no selector"),
        pytest.param('label_selectors: ["app=web", "app=db"]', listing("app=db"), YES, id="one of two"),
        pytest.param("field_selectors: [spec.nodeName=a]", listing(field="spec.nodeName=a"), YES, id="field"),
        pytest.param("field_selectors: [spec.nodeName=a]", listing(field="spec.nodeName!=a"), NO, id="another field"),
        pytest.param("field_selectors: [spec.nodeName=a]", listing(field="x=y"), STRICT, id="another field's name"),
        pytest.param(
            "field_selectors: [spec.nodeName=a]", listing(field="spec.nodeName=a", group="x.io"), STRICT, id="unknown"
        ),
    ],
)
def test_selector_is_allowed_if_at_least_as_narrow_and_restricted_unless_apart(tmp_path, match, request_, expected):
    assert both(tmp_path, f"{{verbs: [list], resources: [pods], {match}}}", request_) == expected


def change(verb="patch", resource="pods", *, dry_run=True, group="", name="x"):
    return kube_with(verb, resource, "dev", name, group=group, dry_run=dry_run)


@pytest.mark.threat("T40")
@pytest.mark.parametrize(
    ("request_", "dry", "wet"),
    [
        pytest.param(change(), YES, NO, id="dry run"),
        pytest.param(change(dry_run=False), NO, YES, id="none"),
        pytest.param(change(resource="pods/eviction", verb="create"), YES, NO, id="eviction"),
        pytest.param(change(resource="deployments/scale", group="apps"), YES, NO, id="scale"),
        pytest.param(change(resource="serviceaccounts/token", verb="create"), STRICT, STRICT, id="a live token"),
        pytest.param(
            change(resource="tokenreviews", verb="create", group="authentication.k8s.io"), STRICT, STRICT, id="review"
        ),
        pytest.param(
            change(resource="subjectaccessreviews", verb="create", group="authorization.k8s.io"),
            STRICT,
            STRICT,
            id="access review",
        ),
        pytest.param(change(resource="pods/exec", verb="exec"), STRICT, STRICT, id="exec"),
        pytest.param(change(resource="services/proxy", verb="proxy"), STRICT, STRICT, id="proxy"),
        pytest.param(change(resource="things", group="x.io"), STRICT, STRICT, id="unknown group"),
        pytest.param(change(resource="things", group="apps"), STRICT, STRICT, id="unknown resource"),
    ],
)
def test_dry_run_is_one_only_where_the_server_honours_it(tmp_path, request_, dry, wet):
    assert both(tmp_path, '{resources: ["*/*"], dry_run: true}', request_) == dry
    assert both(tmp_path, '{resources: ["*/*"], dry_run: false}', request_) == wet


@pytest.mark.threat("T40")
@pytest.mark.parametrize(
    ("commands", "command", "expected"),
    [
        pytest.param("[ls]", ["ls"], YES, id="the command"),
        pytest.param("[ls]", ["ls", "-l"], STRICT, id="more words"),
        pytest.param('["ls **"]', ["ls", "-l", "/"], YES, id="whatever follows"),
        pytest.param('["ls **"]', ["ls"], YES, id="nothing follows"),
        pytest.param('[[cat, "/var/log/*"]]', ["cat", "/var/log/a"], YES, id="a glob"),
        pytest.param('[[cat, "/var/log/*"]]', ["cat", "/etc/passwd"], NO, id="not the glob"),
        pytest.param('[[cat, "/var/log/*"]]', ["cat"], NO, id="too few words"),
        pytest.param("['sh -c \"rm a\"']", ["sh", "-c", "rm a"], YES, id="split as a shell does"),
        pytest.param("[rm]", ["sh", "-c", "cd /; rm -rf *"], STRICT, id="inside a shell"),
        pytest.param("[rm]", ["sh", "-c", "r'm' -rf /"], STRICT, id="quoted inside a shell"),
        pytest.param("[rm]", ["/bin/rm", "x"], STRICT, id="by its path"),
        pytest.param("[rm]", ["env", "A=1", "busybox", "rm"], STRICT, id="by another program"),
        pytest.param('["rm -rf"]', ["rm", "-rf", "/"], STRICT, id="two words of more"),
        pytest.param('["rm -rf"]', ["rm", "x"], NO, id="one of two words"),
        pytest.param("[rm]", ["ls", "farm"], NO, id="part of a word"),
        pytest.param("[rm]", [], STRICT, id="no command"),
        pytest.param("[rm]", ["x " * 60_000], STRICT, id="more than is read"),
    ],
)
def test_command_is_allowed_whole_and_restricted_anywhere(tmp_path, commands, command, expected):
    assert both(tmp_path, f"{{{EXEC}, commands: {commands}}}", shell(*command)) == expected


@pytest.mark.parametrize(
    ("match", "request_", "expected"),
    [
        pytest.param(f"{EXEC}, containers: [app]", shell("ls", container="app"), YES, id="container"),
        pytest.param(f"{EXEC}, containers: [app]", shell("ls", container="proxy"), NO, id="another container"),
        pytest.param(f"{EXEC}, containers: [app]", shell("ls"), STRICT, id="the only container"),
        pytest.param(f'{EXEC}, containers: ["*"]', shell("ls"), YES, id="any container"),
        pytest.param(f"{EXEC}, tty: false", shell("ls"), YES, id="no terminal"),
        pytest.param(f"{EXEC}, tty: false", shell("ls", tty=True), NO, id="a terminal"),
        pytest.param(f"{EXEC}, stdin: false", shell("ls", stdin=True), NO, id="input"),
        pytest.param(f"{EXEC}, stdin: true", shell("ls", stdin=True), YES, id="input wanted"),
    ],
)
def test_container_terminal_and_input_match(tmp_path, match, request_, expected):
    assert both(tmp_path, f"{{{match}}}", request_) == expected


def forward(*ports):
    return kube_with("portforward", "pods/portforward", "dev", "web-1", ports=ports)


@pytest.mark.threat("T40")
@pytest.mark.parametrize(
    ("ports", "request_", "expected"),
    [
        pytest.param("[8080]", forward(8080), YES, id="port"),
        pytest.param("[8080]", forward(22), NO, id="another port"),
        pytest.param('["8000-8100"]', forward(8080, 8081), YES, id="ports in a row"),
        pytest.param("[8080]", forward(8080, 22), STRICT, id="one of two"),
        # Each is decided once more when it is named.
        pytest.param("[22]", forward(), (True, False), id="named later"),
    ],
)
def test_ports_match_when_they_are_known(tmp_path, ports, request_, expected):
    assert both(tmp_path, f"{{{FORWARD}, ports: {ports}}}", request_) == expected


@pytest.mark.threat("T40")
def test_a_hold_over_ports_is_asked_before_they_are_named(tmp_path):
    assert matches(tmp_path, f"{{{FORWARD}, ports: [22]}}", forward(), "hold")


def decide(folder, rule, request):
    allow = 'name: a, effect: allow, match: {verbs: [get, list, patch, exec], resources: ["*", pods/exec]}'
    return Engine(bundle_of(folder, policy_text(allow, rule, targets="cluster"))).decide(request)


@pytest.mark.parametrize(
    ("when", "request_", "denied"),
    [
        pytest.param("request.dry_run", change(), True, id="dry run"),
        pytest.param("request.dry_run", change(dry_run=False), False, id="no dry run"),
        pytest.param("request.command[0] == 'ls'", shell("ls"), True, id="command"),
        pytest.param("request.command.exists(w, w == 'rm')", shell("ls"), False, id="another command"),
        pytest.param("request.command.exists(w, w == 'rm')", shell(), True, id="no command"),
        pytest.param("request.tty && !request.stdin", shell("ls", tty=True), True, id="terminal"),
        pytest.param("request.container == 'a'", shell("ls", container="a"), True, id="container"),
        pytest.param("request.label_selector == ''", listing("a=b"), False, id="label selector"),
        pytest.param("request.field_selector != ''", listing(field="a=b"), True, id="field selector"),
        pytest.param("request.linked", change(), False, id="not linked"),
        pytest.param("request.call == ''", change(), True, id="no call"),
        pytest.param("request.ports.exists(p, p < 1024)", change(), False, id="no ports"),
    ],
)
def test_condition_reads_what_stands_beside_the_name(tmp_path, when, request_, denied):
    found = decide(tmp_path, f'name: d, effect: deny, match: {{resources: ["*/*"]}}, when: "{when}"', request_)
    assert isinstance(found, Deny) is denied


def test_condition_on_an_object_that_is_not_fully_known_counts_as_an_error(tmp_path):
    rule = 'name: d, effect: deny, match: {resources: [pods]}, when: "has(object.spec) && object.spec.x == 1"'
    asked = kube("patch", "pods", "dev", "x", metadata={})
    assert isinstance(decide(tmp_path, rule, asked), Permit)
    unknown = replace(asked, resource=replace(asked.resource, options=KubeOptions(known=False)))
    found = decide(tmp_path, rule, unknown)
    assert isinstance(found, Deny)
    assert len(found.errors) == 1


def test_condition_reads_the_call_that_a_request_serves(tmp_path):
    rule = "name: d, effect: deny, match: {any: true}, when: \"request.linked && request.call == 'ex-1'\""
    asked = kube("get", "pods", "dev", "x")
    linked = replace(asked, principal=replace(asked.principal, call="ex-1"))
    assert isinstance(decide(tmp_path, rule, linked), Deny)
    assert isinstance(decide(tmp_path, rule, asked), Permit)


SILENT = "approval: {reviewers: ['group:a'], auto_approve_after: 30s}"


@pytest.mark.threat("T40")
@pytest.mark.parametrize(
    ("match", "request_", "silent"),
    [
        pytest.param("{verbs: [delete], resources: [pods]}", kube("delete", "pods", "a", "x"), True, id="as written"),
        pytest.param("{verbs: [delete], resources: [pods]}", kube("deletecollection", "pods", "a"), False, id="all"),
        pytest.param("{names: [web]}", kube("create", "pods", "a"), False, id="a name that the server makes"),
        pytest.param("{namespaces: [a], verbs: [list]}", kube("list", "pods"), False, id="all namespaces"),
        pytest.param(f"{{{EXEC}, commands: [ls]}}", shell("ls"), True, id="the command"),
        pytest.param(f"{{{EXEC}, commands: [ls]}}", shell("sh", "-c", "rm x; ls"), False, id="inside a shell"),
        pytest.param(f"{{{FORWARD}, ports: [80]}}", forward(), False, id="ports that are named later"),
        pytest.param('{resources: ["*/*"], dry_run: true}', change(resource="pods"), True, id="dry run"),
        pytest.param(
            '{resources: ["*/*"], dry_run: true}',
            change("create", "serviceaccounts/token"),
            False,
            id="dry run that is none",
        ),
    ],
)
def test_silence_approves_what_is_certain_and_nothing_in_doubt(tmp_path, match, request_, silent):
    rule = f"name: h, effect: hold, match: {match}, {SILENT}"
    found = Engine(bundle_of(tmp_path, policy_text(rule, targets="cluster"))).decide(request_)
    assert isinstance(found, Permit)
    assert [t.auto_approve_after for t in found.approvals] == [30.0 if silent else None]


@pytest.mark.threat("T41")
@pytest.mark.parametrize(
    ("match", "request_", "opens"),
    [
        pytest.param("{any: true}", impersonation("groups", "system:masters"), False, id="masters by anything"),
        pytest.param('{verbs: ["*"], resources: ["*"]}', impersonation("users", "bo"), False, id="anybody by a glob"),
        pytest.param(
            '{verbs: [impersonate], resources: ["*"], names: ["*"]}',
            impersonation("groups", "system:masters"),
            False,
            id="masters by a glob",
        ),
        pytest.param("{verbs: [impersonate], resources: [users]}", impersonation("users", "bo"), True, id="named"),
        pytest.param("{verbs: [exec], resources: [pods]}", shell(verb="cp"), False, id="copy by exec"),
        pytest.param("{any: true}", shell(verb="cp"), False, id="copy by anything"),
        pytest.param("{verbs: [cp], resources: [pods]}", shell(verb="cp"), True, id="copy by name"),
    ],
)
def test_hold_opens_by_name_what_only_a_name_opens(tmp_path, match, request_, opens):
    rule = f"name: h, effect: hold, match: {match}, approval: {{reviewers: ['group:a']}}"
    engine = Engine(bundle_of(tmp_path, policy_text(rule, targets="cluster")))
    assert isinstance(engine.decide(request_), Permit) is opens
    assert engine.prospect(request_).possible is opens
    allow = (
        "name: a, effect: allow, match: {verbs: [cp, impersonate], resources: ['*', '*/*'], "
        "names: ['*', 'system:masters']}"
    )
    both_of = Engine(bundle_of(tmp_path, policy_text(rule, allow, targets="cluster")))
    found = both_of.decide(request_)
    assert isinstance(found, Permit)
    assert [t.rule.rule for t in found.approvals] == ["h"]


@pytest.mark.threat("T40")
@pytest.mark.parametrize("when", ["request.dry_run", "!request.dry_run"])
def test_condition_does_not_take_for_a_dry_run_what_nobody_may_heed(tmp_path, when):
    asked = kube_with("patch", "things", "dev", "a", group="agg.example", dry_run=True)
    found: list[bool] = []
    for effect in ("allow", "deny"):
        rule = f'name: r, effect: {effect}, match: {{verbs: [patch], resources: ["*"]}}, when: "{when}"'
        decision = Engine(bundle_of(tmp_path, policy_text(rule, targets="cluster"))).decide(asked)
        assert isinstance(decision, Deny)
        found.append(bool(decision.rules))
    assert found == [False, True]
