import pytest
from tests.fakes.policies import TARGETS, bundle_of, policy_text

from holdpoint.domain.access import Protocol
from holdpoint.domain.decision import RequireApproval, RuleRef, Scope
from holdpoint.domain.refusal import ConfigError
from holdpoint.policy.bundle import load_bundle
from holdpoint.policy.rules import Effect

ALLOW = "name: r, effect: allow, match: {verbs: [ping]}"
HOLD = 'name: r, effect: hold, match: {verbs: [ping]}, approval: {reviewers: ["group:sre"]'


def problem(folder, text):
    with pytest.raises(ConfigError) as caught:
        bundle_of(folder, text)
    return str(caught.value).removeprefix(f"{folder}/")


def test_every_key_of_a_rule_is_read(tmp_path):
    text = policy_text(
        "name: r, effect: hold, match: {tools: [a]}, when: 'args.n > 1', mask: [credentials], credential: read, "
        "record: {bodies: false}, limits: {response: 1MiB}, reason: because, shadow: true, "
        'approval: {reviewers: ["group:sre", "person:bo"], timeout: 5m, '
        "grant: {scope: window, for: 15m}, auto_approve_after: 30s}"
    )
    (policy,) = bundle_of(tmp_path, text).policies
    (rule,) = policy.rules
    assert rule.ref == RuleRef("p", "r", "f0.yaml:6")
    assert rule.effect is Effect.HOLD
    assert rule.match.tools == ("a",)
    assert rule.conditions[Protocol.MCP].source == "args.n > 1"
    assert (rule.mask, rule.credential, rule.record_bodies, rule.response_bytes) == (
        ("credentials",),
        "read",
        False,
        1 << 20,
    )
    assert (rule.reason, rule.shadow) == ("because", True)
    assert rule.approval == RequireApproval(
        rule=rule.ref,
        reviewers=frozenset({"group:sre", "person:bo"}),
        timeout=300.0,
        scope=Scope.WINDOW,
        duration=900.0,
        auto_approve_after=30.0,
        reason="because",
    )


def test_approval_has_careful_defaults(tmp_path):
    (policy,) = bundle_of(tmp_path, policy_text(HOLD + "}")).policies
    term = policy.rules[0].approval
    assert term is not None
    assert (term.required, term.timeout, term.scope, term.duration, term.auto_approve_after) == (
        1,
        600.0,
        Scope.REQUEST,
        0.0,
        None,
    )


@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    ("rule", "message"),
    [
        pytest.param("name: r, effect: allow", "6:5: key `match` is missing", id="no match"),
        pytest.param(ALLOW + ", matches: {}", "unknown key `matches`", id="unknown key"),
        pytest.param(ALLOW.replace("allow", "permit"), "6:23: `permit` is none of", id="unknown effect"),
        pytest.param(ALLOW.replace("r,", "R x,"), "6:12: `R x` is no name", id="bad name"),
        pytest.param(ALLOW + ", shadow: 'yes'", "expected `true` or `false`", id="wrong type"),
        pytest.param(ALLOW + ", when: true", "expected text", id="condition that is no text"),
        pytest.param(ALLOW + ", mask: [nope]", "unknown mask profile `nope`; known: `cred", id="unknown mask"),
        pytest.param(ALLOW + ", mask: []", "an empty list", id="empty mask"),
        pytest.param(ALLOW + ", mask: [credentials, credentials]", "listed twice", id="mask twice"),
        pytest.param(ALLOW + ", limits: {response: 0B}", "a limit of nothing", id="limit of nothing"),
        pytest.param(ALLOW + ", limits: {response: 5}", "expected text", id="limit without a unit"),
        pytest.param(ALLOW + ", record: false", "expected a mapping", id="record that is no mapping"),
        pytest.param(ALLOW + ", reason: ''", "printable", id="empty reason"),
        pytest.param(ALLOW + ', reason: "a\\u202eb"', "printable", id="reason with direction marks"),
        pytest.param(ALLOW + ", approval: {reviewers: ['group:a']}", "`approval` has no", id="allow, approval"),
        pytest.param("name: r, effect: deny, match: {verbs: [ping]}, mask: [credentials]", "`mask` has no", id="deny"),
        pytest.param("name: r, effect: mask, match: {verbs: [ping]}", "a mask rule needs", id="mask without a duty"),
        pytest.param(
            "name: r, effect: mask, match: {verbs: [ping]}, mask: [credentials], credential: a",
            "`credential` has no meaning",
            id="mask with a credential",
        ),
        pytest.param("name: r, effect: hold, match: {verbs: [ping]}", "needs `approval`", id="hold without approval"),
        pytest.param(HOLD.replace('"group:sre"', "") + "}", "no reviewers", id="no reviewers"),
        pytest.param(HOLD.replace("group:sre", "sre") + "}", "`sre` is no reviewer", id="reviewer without a kind"),
        pytest.param(HOLD.replace("group:sre", "group:*") + "}", "without wildcards", id="any reviewer"),
        pytest.param(HOLD.replace("group:sre", "group:") + "}", "is no reviewer", id="reviewer without a name"),
        pytest.param(HOLD + ", required: 0}", "whole number", id="none required"),
        pytest.param(HOLD + ", required: two}", "expected a whole number", id="required in words"),
        pytest.param(HOLD.replace("group", "person") + ", required: 2}", "nobody could ever pass", id="too many"),
        pytest.param(HOLD + ", timeout: 0s}", "more than nothing", id="no time"),
        pytest.param(HOLD + ", timeout: 31d}", "at most `30d`", id="too much time"),
        pytest.param(HOLD + ", timeout: 10}", "`10` is no duration; write `10s`", id="time without a unit"),
        pytest.param(HOLD + ", timeout: '10'}", "`10` is no duration; write `10s`", id="quoted time without a unit"),
        pytest.param(HOLD + ", timeout: 1.5h}", "is no duration", id="broken time"),
        pytest.param(HOLD + ", auto_approve_after: 0s}", "more than nothing", id="silence at once"),
        pytest.param(HOLD + ", auto_approve_after: 10m}", "must end before `timeout`", id="silence after the end"),
        pytest.param(HOLD + ", grant: {for: 15m}}", "key `scope` is missing", id="grant without a scope"),
        pytest.param(HOLD + ", grant: {scope: window}}", "needs `for`", id="window without an end"),
        pytest.param(HOLD + ", grant: {scope: request, for: 1m}}", "is spent once", id="one request with an end"),
        pytest.param(HOLD + ", grant: {scope: ever}}", "is none of", id="unknown scope"),
        pytest.param(
            HOLD.replace("verbs: [ping]", "unverified: {client: [x]}") + ", auto_approve_after: 1m}",
            "silence cannot approve",
            id="silence by a caller's own word",
        ),
    ],
)
def test_bad_rule_is_refused_with_its_place(tmp_path, rule, message):
    found = problem(tmp_path, policy_text(rule))
    assert found.startswith("f0.yaml:6:")
    assert message in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(policy_text(ALLOW).replace("/v1", "/v2"), "1:13: `holdpoint/v2` is none of", id="version"),
        pytest.param(policy_text(ALLOW).replace("kind: Policy", "kind: Polcy"), "2:7: `Polcy` is none of", id="kind"),
        pytest.param(policy_text(ALLOW).replace("kind: Policy\n", ""), "1:1: key `kind` is missing", id="no kind"),
        pytest.param(policy_text(ALLOW, targets="nope"), "4:11: unknown target `nope`; known: `cluster`", id="target"),
        pytest.param(policy_text(ALLOW, targets=""), "4:10: no targets", id="no targets"),
        pytest.param(policy_text(ALLOW, targets="mcp, mcp"), "listed twice", id="target twice"),
        pytest.param(policy_text(ALLOW) + "extra: 1\n", "7:1: unknown key `extra`", id="unknown key"),
        pytest.param(policy_text(ALLOW) + "rules: []\n", "duplicate key `rules`", id="duplicate key"),
        pytest.param(policy_text().replace("rules:\n", "rules: []\n"), "5:8: no rules", id="no rules"),
        pytest.param(policy_text(ALLOW, ALLOW), "7:5: duplicate rule `r` in policy `p`", id="duplicate rule"),
        pytest.param(policy_text(ALLOW) + "---\n" + policy_text(ALLOW), "duplicate policy `p`", id="duplicate policy"),
        pytest.param("", "holds no document", id="empty file"),
        pytest.param("a: [", "not valid YAML", id="no YAML"),
        pytest.param("- 1\n", "expected a mapping", id="a list"),
        pytest.param(policy_text("<<: {a: b}, " + ALLOW), "merge keys are not allowed", id="merge key"),
    ],
)
def test_bad_document_is_refused_with_its_place(tmp_path, text, message):
    assert message in problem(tmp_path, text)


@pytest.mark.parametrize(
    ("when", "place"),
    [
        pytest.param("when: principal.nope == 1", "9:20", id="plain"),
        pytest.param('when: "principal.nope == 1"', "9:21", id="quoted"),
        pytest.param("when: |\n        true &&\n          principal.nope == 1", "11:20", id="block"),
        pytest.param("when: |2\n        true && principal.nope == 1", "10:26", id="block with its indentation told"),
        pytest.param("when: >-\n        true &&\n        principal.nope == 1", "11:18", id="folded"),
        pytest.param("when: true &&\n        principal.nope == 1", "10:18", id="plain on two lines"),
        pytest.param('when: "\\u0074rue && principal.nope == 1"', "9:11", id="escapes hide the place"),
        pytest.param("when: |\n        true &&", "10:16", id="end of the text"),
        pytest.param("when: |\n        'é日😀' == principal.nope", "10:27", id="beyond ASCII"),
    ],
)
def test_error_in_a_condition_names_line_and_column_of_the_file(tmp_path, when, place):
    text = policy_text().replace("rules:\n", "rules:\n  - name: r\n    effect: deny\n    match: {verbs: [ping]}\n    ")
    found = problem(tmp_path, text + when + "\n")
    assert found.startswith(f"f0.yaml:{place}: ")


def test_masks_are_read_in_both_forms(tmp_path):
    masks = (
        "apiVersion: holdpoint/v1\nkind: Masks\nprofiles:\n"
        "  - name: m\n    paths: [{path: $.a, action: hash}, $.b]\n    keys: [k]\n"
        "    detectors: [jwt, {name: own, pattern: 'x+', action: partial}]\n"
    )
    profile = bundle_of(tmp_path, policy_text(ALLOW), masks).masks["m"]
    assert [(p.path, p.action) for p in profile.paths] == [("$.a", "hash"), ("$.b", "redact")]
    assert [(k.key, k.action) for k in profile.keys] == [("k", "redact")]
    assert [(d.name, d.pattern, d.action) for d in profile.detectors] == [
        ("jwt", "", "redact"),
        ("own", "x+", "partial"),
    ]
    assert profile.where == f"{tmp_path}/f1.yaml:4"
    assert profile.detectors[1].where == f"{tmp_path}/f1.yaml:7"


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        pytest.param("[]", "3:11: no profiles", id="none"),
        pytest.param("[{name: m}]", "masks nothing", id="empty profile"),
        pytest.param("[{name: '', keys: [a]}]", "needs a name", id="no name"),
        pytest.param("[{name: m, key: [a]}]", "unknown key `key`", id="unknown key"),
        pytest.param("[{name: m, keys: ['']}]", "expected text, found none", id="empty text"),
        pytest.param("[{name: m, keys: [{key: a, action: hide}]}]", "`hide` is none of", id="unknown action"),
        pytest.param("[{name: m, keys: [1]}]", "expected text", id="number"),
        pytest.param("[{name: m, detectors: [{pattern: a}]}]", "key `name` is missing", id="nameless detector"),
        pytest.param("[{name: m, keys: [a]}, {name: m, keys: [a]}]", "duplicate mask profile `m`", id="twice"),
        pytest.param("[{name: credentials, keys: [a]}]", "duplicate mask profile", id="twice in the bundle"),
    ],
)
def test_bad_masks_are_refused(tmp_path, profiles, message):
    masks = f"apiVersion: holdpoint/v1\nkind: Masks\nprofiles: {profiles}\n"
    assert message in problem(tmp_path, masks + "---\n" + policy_text(ALLOW))


def test_masks_of_a_later_file_are_known_to_an_earlier_policy(tmp_path):
    assert bundle_of(tmp_path, policy_text(ALLOW + ", mask: [credentials]")).policies[0].rules[0].mask == (
        "credentials",
    )


def test_condition_is_compiled_for_each_protocol_that_the_rule_can_match_on(tmp_path):
    rule = "name: r, effect: deny, match: {verbs: [get], paths: ['/a']}, when: 'resource.path == \"/a\"'"
    text = policy_text(rule, targets="mcp, web, cluster")
    (policy,) = bundle_of(tmp_path, text).policies
    assert set(policy.rules[0].conditions) == {Protocol.HTTP, Protocol.KUBERNETES}


def test_no_targets_are_known_without_settings(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(policy_text(ALLOW))
    with pytest.raises(ConfigError, match="known: none"):
        load_bundle([file], targets={})
    assert load_bundle([file], targets=TARGETS).policies
