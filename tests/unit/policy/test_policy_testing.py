from pathlib import Path

import pytest
from tests.fakes.policies import bundle_of, policy_text

from holdpoint.policy.testing import run_tests

HEAD = "apiVersion: holdpoint/v1\nkind: PolicyTest\n"
RULES = (
    "name: read, effect: allow, match: {tools: ['get_*']}, mask: [credentials]",
    (
        "name: write, effect: hold, match: {tools: [put]}, when: 'args.n > 1', "
        "approval: {reviewers: ['group:a'], required: 1, timeout: 5m, grant: {scope: window, for: 1m}, "
        "auto_approve_after: 10s}"
    ),
    "name: drop, effect: deny, match: {tools: ['drop_*']}, reason: never",
    "name: trial, effect: deny, match: {tools: ['get_*']}, shadow: true",
    (
        "name: scoped, effect: allow, match: {tools: [scoped]}, scopes: [a, b], limits: {calls_per_minute: 5}, "
        "guard: {results: [x+]}"
    ),
    "name: ask, effect: allow, match: {server_requests: [elicitation/create]}",
    "name: new, effect: allow, match: {tools: [new], protocol_versions: ['2026-*'], pins: [changed]}",
    (
        "name: two, effect: hold, match: {tools: [two]}, approval: {require_reason: true, all_of: "
        "[{reviewers: ['group:a']}, {reviewers: ['group:b'], required: 2}], "
        "grant: {scope: window, for: 1m, widen: [arguments]}, break_glass: {who: ['group:c'], for: 1m}}"
    ),
)


def run(folder, cases, head=HEAD):
    bundle = bundle_of(folder, policy_text(*RULES))
    file = folder / "cases.yaml"
    file.write_text(head + cases, encoding="utf-8")
    return run_tests(bundle, [file])


def case(request, expect):
    return f"cases:\n  - name: c\n    request: {{principal: {{subject: ada}}, {request}}}\n    expect: {{{expect}}}\n"


@pytest.mark.parametrize(
    ("request_", "expect"),
    [
        pytest.param(
            "target: mcp, tool: get_a",
            "effect: allow, rules: [p/read], masks: [credentials], shadow: [p/trial]",
            id="allowed",
        ),
        pytest.param("target: mcp, tool: drop_a", "effect: deny, rules: [p/drop], message: never", id="denied"),
        pytest.param("target: mcp, verb: ping", "effect: deny, rules: [], masks: []", id="denied by no rule"),
        pytest.param(
            "target: mcp, tool: put, args: {n: 2}",
            "effect: hold, approval: {rule: p/write, reviewers: ['group:a'], required: 1, timeout: 5m, scope: window, "
            "for: 1m, auto_approve_after: 10s}",
            id="held",
        ),
        pytest.param("target: mcp, tool: put, args: {n: 2}", "effect: hold, approval: [{required: 1}]", id="in a list"),
        pytest.param(
            "target: mcp, tool: two",
            "effect: hold, approval: {all_of: [{reviewers: ['group:b'], required: 2}, {reviewers: ['group:a']}], "
            "require_reason: true, preview: optional, widen: [arguments], break_glass: {who: ['group:c'], for: 1m}}",
            id="several sets",
        ),
        pytest.param(
            "target: mcp, tool: put, args: {n: 2}",
            "effect: hold, approval: {widen: [], break_glass: false, require_reason: false}",
            id="nothing more",
        ),
        pytest.param("target: mcp, tool: put", "effect: hold, errors: true", id="held by a failed condition"),
        pytest.param("target: mcp, prompt: a", "effect: deny", id="prompt"),
        pytest.param(
            "target: mcp, tool: scoped",
            "effect: deny, rules: [p/scoped], scopes: [b, a], visible: true, limits: [], guards: []",
            id="scopes",
        ),
        pytest.param(
            "target: mcp, tool: scoped, scopes: [a, b]",
            "effect: allow, limits: [5 a minute], guards: [x+], scopes: []",
            id="scopes of the request",
        ),
        pytest.param("target: mcp, server_request: elicitation/create", "effect: allow, rules: [p/ask]", id="question"),
        pytest.param("target: mcp, server_request: elicitation/create, verb: response", "effect: allow", id="answer"),
        pytest.param("target: mcp, server_request: roots/list", "effect: deny", id="another question"),
        pytest.param(
            "target: mcp, tool: new, pin: changed, protocol_version: '2026-07-28'", "effect: allow", id="pin, version"
        ),
        pytest.param(
            "target: mcp, tool: new, protocol_version: '2026-07-28'", "effect: deny, visible: false", id="no pin"
        ),
        pytest.param("target: mcp, tool: new, pin: changed", "effect: deny", id="no version"),
        pytest.param(
            "target: mcp, members: [{tool: get_a}, {tool: put, args: {n: 2}}]",
            "effect: hold, rules: [p/read, p/write], visible: false",
            id="batch",
        ),
        pytest.param(
            "target: mcp, verb: subscriptions/listen, members: [{verb: resources/subscribe, uri: 'a://b'}]",
            "effect: deny",
            id="members of another verb",
        ),
        pytest.param("target: mcp, verb: resources/subscribe, uri: 'a://b'", "effect: deny", id="resource"),
        pytest.param("target: web, verb: get, host: a, path: /b, args: {x: 1}", "effect: deny", id="HTTP"),
        pytest.param("target: cluster, verb: get, resource: pods/log, namespace: a", "effect: deny", id="Kubernetes"),
        pytest.param("target: cluster, verb: get, path: /api, time: '2027-01-01T00:00:00Z'", "effect: deny", id="path"),
    ],
)
def test_case_passes_where_the_bundle_says_what_it_should(tmp_path, request_, expect):
    report = run(tmp_path, case(request_, expect))
    assert report.passed, list(report.lines())
    first, *_, last = report.lines()
    assert (first, last) == ("ok   c", "1 passed, 0 failed")


@pytest.mark.parametrize(
    ("request_", "expect", "problem"),
    [
        pytest.param("target: mcp, tool: get_a", "effect: deny", "expected deny, got allow by p/read", id="effect"),
        pytest.param("target: mcp, verb: ping", "effect: allow", "got deny by no rule", id="effect by no rule"),
        pytest.param(
            "target: mcp, tool: get_a", "effect: allow, rules: [p/reed]", "expected rules `p/reed`, got", id="rules"
        ),
        pytest.param("target: mcp, tool: get_a", "effect: allow, rules: []", "expected rules none, got", id="no rules"),
        pytest.param("target: mcp, tool: get_a", "effect: allow, masks: []", "got `credentials`", id="masks"),
        pytest.param("target: mcp, tool: get_a", "effect: allow, shadow: []", "expected shadow rules", id="shadow"),
        pytest.param("target: mcp, tool: drop_a", "effect: deny, message: no", "got `never`", id="message"),
        pytest.param("target: mcp, tool: put", "effect: hold", "a condition failed: rule `p/write`", id="error"),
        pytest.param("target: mcp, tool: get_a", "effect: allow, visible: false", "and they show it", id="shown"),
        pytest.param("target: mcp, tool: drop_a", "effect: deny, visible: true", "and they hide it", id="hidden"),
        pytest.param("target: mcp, tool: scoped", "effect: deny, scopes: [a]", "got `a`, `b`", id="scopes"),
        pytest.param("target: mcp, tool: get_a", "effect: allow, limits: [1 a minute]", "limits `1 a min", id="limits"),
        pytest.param("target: mcp, tool: get_a", "effect: allow, guards: [x]", "guards `x`, got none", id="guards"),
        pytest.param("target: mcp, tool: get_a", "effect: allow, errors: true", "and none did", id="no error"),
        pytest.param(
            "target: mcp, tool: put, args: {n: 2}",
            "effect: hold, approval: {required: 3}",
            "required 1 is not 3",
            id="terms",
        ),
        pytest.param(
            "target: mcp, tool: two",
            "effect: hold, approval: {reviewers: ['group:a']}",
            "reviewers ['group:a'] and ['group:b'] is not ['group:a']",
            id="sets that were not expected",
        ),
        pytest.param(
            "target: mcp, tool: two",
            "effect: hold, approval: {all_of: [{reviewers: ['group:a']}, {reviewers: ['group:b']}]}",
            "is not 1 of ['group:a'] and 1 of ['group:b']",
            id="fewer of a set",
        ),
        pytest.param(
            "target: mcp, tool: two",
            "effect: hold, approval: {break_glass: false, widen: [], preview: required}",
            "widen ['arguments'] is not []; break_glass by ['group:c'] for 60 s is not by nobody",
            id="broken glass",
        ),
        pytest.param(
            "target: mcp, tool: put, args: {n: 2}",
            "effect: hold, approval: [{required: 2}, {required: 2}]",
            "expected 2 sets of approval terms, got 1",
            id="number of terms",
        ),
    ],
)
def test_case_fails_where_the_bundle_says_otherwise(tmp_path, request_, expect, problem):
    report = run(tmp_path, case(request_, expect))
    assert not report.passed
    assert any(problem in line for line in report.lines())
    assert list(report.lines())[-1] == "0 passed, 1 failed"


@pytest.mark.parametrize(
    ("cases", "problem"),
    [
        pytest.param("cases: []\n", "3:8: no cases: this file tests nothing", id="no cases"),
        pytest.param("", "key `cases` is missing", id="no list of cases"),
        pytest.param(case("target: no, verb: ping", "effect: deny"), "unknown target `no`", id="unknown target"),
        pytest.param(case("verb: ping", "effect: deny"), "key `target` is missing", id="no target"),
        pytest.param(case("target: mcp", "effect: deny"), "key `verb` is missing", id="no verb"),
        pytest.param(case("target: mcp, tol: a", "effect: deny"), "unknown key `tol`", id="unknown key"),
        pytest.param(case("target: mcp, tool: a", "effects: deny"), "unknown key `effects`", id="unknown expectation"),
        pytest.param(case("target: mcp, tool: a", "rules: []"), "key `effect` is missing", id="no effect"),
        pytest.param(case("target: mcp, verb: tools/call", "effect: deny"), "`tools/call` needs `tool`", id="no tool"),
        pytest.param(case("target: mcp, tool: a, uri: b", "effect: deny"), "is about one thing", id="two things"),
        pytest.param(case("target: mcp, tool: a, args: 1", "effect: deny"), "expected a mapping", id="no arguments"),
        pytest.param(
            case("target: web, verb: get, args: {}, object: {}", "effect: deny"), "two names", id="both names"
        ),
        pytest.param(case("target: cluster, verb: get", "effect: deny"), "`resource` or `path`", id="no resource"),
        pytest.param(
            case("target: cluster, verb: get, resource: a, path: /b", "effect: deny"), "not both", id="two resources"
        ),
        pytest.param(case("target: mcp, verb: ping, time: 'soon'", "effect: deny"), "expected a time", id="no time"),
        pytest.param(
            case("target: mcp, verb: ping, time: '2027-01-01'", "effect: deny"), "needs its zone", id="time of nowhere"
        ),
        pytest.param(
            case("target: mcp, tool: a", "effect: deny, approval: {required: 1}"), "only what is held", id="deny, terms"
        ),
        pytest.param(
            case("target: mcp, tool: a", "effect: deny").replace("{subject: ada}", "ada"),
            "unknown principal `ada`",
            id="unknown principal",
        ),
        pytest.param(
            case("target: mcp, tool: a", "effect: deny")
            + case("target: mcp, tool: a", "effect: deny").removeprefix("cases:\n"),
            "duplicate case `c`",
            id="duplicate case",
        ),
        pytest.param("cases: [", "not valid YAML", id="no YAML"),
        pytest.param(case("target: mcp, tool: a, pin: odd", "effect: deny"), "`odd` is none of", id="unknown pin"),
        pytest.param(
            case("target: mcp, prompt: a, pin: changed", "effect: deny"), "only a `tool`", id="pin of a prompt"
        ),
        pytest.param(case("target: mcp, members: []", "effect: deny"), "no members", id="no members"),
        pytest.param(case("target: mcp, members: [{tool: a, target: x}]", "effect: deny"), "unknown key", id="member"),
        pytest.param(
            case("target: mcp, server_request: roots/list, verb: ping", "effect: deny"), "goes by its method", id="verb"
        ),
        pytest.param(
            case("target: mcp, tool: a, protocol_version: a, unverified: {protocol_version: b}", "effect: deny"),
            "names another version",
            id="two versions",
        ),
    ],
)
def test_file_that_cannot_be_run_fails(tmp_path, cases, problem):
    report = run(tmp_path, cases)
    assert not report.passed
    assert any(problem in line for line in report.lines())


def test_empty_file_fails(tmp_path):
    assert not run(tmp_path, "# nothing\n", head="").passed


def test_no_files_at_all_fail(tmp_path):
    report = run_tests(bundle_of(tmp_path, policy_text(*RULES)), [])
    assert not report.passed
    assert list(report.lines())[-1] == "no tests: nothing was tested"


def test_missing_file_fails(tmp_path):
    report = run_tests(bundle_of(tmp_path, policy_text(*RULES)), [Path(tmp_path / "none.yaml")])
    assert not report.passed
    assert any("none.yaml: cannot be read" in line for line in report.lines())


def test_rules_that_no_case_matched_are_noted(tmp_path):
    report = run(tmp_path, case("target: mcp, tool: get_a", "effect: allow"))
    assert [str(r) for r in report.untested] == ["p/ask", "p/drop", "p/new", "p/scoped", "p/two", "p/write"]
    assert "note rule `p/drop` at f0.yaml:8 was matched by no case" in list(report.lines())


def test_principals_can_be_named_once(tmp_path):
    cases = "principals: {ada: {subject: ada, groups: [x], claims: {a: 1}}}\n" + case(
        "target: mcp, tool: get_a", "effect: allow"
    ).replace("{subject: ada}", "ada")
    assert run(tmp_path, cases).passed


def test_terms_are_compared_without_regard_to_order(tmp_path):
    hold = "effect: hold, match: {tools: [put]}, approval: {reviewers: ['group:%s'], required: %d}"
    bundle = bundle_of(tmp_path, policy_text("name: a, " + hold % ("a", 1), "name: b, " + hold % ("b", 2)))
    file = tmp_path / "cases.yaml"
    terms = "approval: [{}, {required: 2, reviewers: ['group:b']}]"
    file.write_text(HEAD + case("target: mcp, tool: put", f"effect: hold, {terms}"))
    assert run_tests(bundle, [file]).passed
