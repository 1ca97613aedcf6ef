"""The words under `approval:`: several sets of reviewers, reasons, previews, windows, broken glass."""

import pytest
from tests.fakes.policies import bundle_of, policy_text

from holdpoint.domain.decision import BreakGlass, Clause, Scope
from holdpoint.domain.refusal import ConfigError

TOOL = "name: r, effect: hold, match: {tools: [a]}, approval: {"
PODS = "name: r, effect: hold, match: {verbs: [patch], resources: [pods]}, approval: {"
EXEC = "name: r, effect: hold, match: {verbs: ['*'], resources: [pods/exec]}, approval: {"
SRE = 'reviewers: ["group:sre"]'
WINDOW = SRE + ", grant: {scope: window, for: 15m, widen: "


def term_of(folder, rule, targets="mcp"):
    (policy,) = bundle_of(folder, policy_text(rule, targets=targets)).policies
    term = policy.rules[0].approval
    assert term is not None
    return term


def test_every_word_of_an_approval_is_read(tmp_path):
    rule = (
        PODS
        + "all_of: [{reviewers: ['group:sre']}, {reviewers: ['group:owners', 'person:Bo@X.example'], required: 2}], "
        "require_reason: true, preview: required, grant: {scope: window, for: 30m, widen: [verb, name]}, "
        "break_glass: {who: ['group:oncall', 'person:Ana@X.example'], for: 15m}}"
    )
    term = term_of(tmp_path, rule, "cluster")
    owners = Clause(frozenset({"group:owners", "person:bo@x.example"}), 2)
    assert term.clauses == (Clause(frozenset({"group:sre"})), owners)
    assert term.persons == 3
    assert (term.require_reason, term.require_preview) == (True, True)
    assert (term.scope, term.duration, term.widen) == (Scope.WINDOW, 1800.0, frozenset({"verb", "name"}))
    assert term.break_glass == BreakGlass(frozenset({"group:oncall", "person:ana@x.example"}), 900.0)


def test_what_is_not_written_is_the_careful_side(tmp_path):
    term = term_of(tmp_path, TOOL + SRE + "}")
    assert (term.also, term.widen, term.break_glass) == ((), frozenset(), None)
    assert (term.require_reason, term.require_preview) == (False, False)
    assert term_of(tmp_path, TOOL + SRE + ", preview: optional}") == term


@pytest.mark.parametrize("names", ["[arguments]", "[arguments.note, arguments.dry-run]"])
def test_arguments_of_a_tool_can_be_left_open(tmp_path, names):
    assert term_of(tmp_path, TOOL + WINDOW + names + "}}").widen


def test_rule_for_both_protocols_may_leave_open_what_either_pins(tmp_path):
    rule = "name: r, effect: hold, match: {any: true}, approval: {" + WINDOW + "[name, arguments]}}"
    assert term_of(tmp_path, rule, "mcp, cluster").widen == frozenset({"name", "arguments"})


@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    ("rule", "targets", "message"),
    [
        pytest.param(TOOL + "timeout: 5m}", "mcp", "name who may approve, or several sets", id="nobody"),
        pytest.param(TOOL + f"{SRE}, all_of: []}}", "mcp", "`reviewers` beside `all_of`", id="both"),
        pytest.param(TOOL + "required: 2, all_of: []}", "mcp", "`required` beside `all_of`", id="count beside"),
        pytest.param(TOOL + "all_of: []}", "mcp", "expected 2 to 5 sets", id="no sets"),
        pytest.param(TOOL + f"all_of: [{{{SRE}}}]}}", "mcp", "for a single one write `reviewers`", id="one set"),
        pytest.param(TOOL + f"all_of: [{{{SRE}}}, {{{SRE}}}]}}", "mcp", "with a larger `required`", id="set twice"),
        pytest.param(TOOL + f"all_of: [{{{SRE}}}, {{required: 1}}]}}", "mcp", "`reviewers` is missing", id="empty set"),
        pytest.param(
            TOOL + "all_of: [{reviewers: ['person:a', 'person:b']}, {reviewers: ['person:a']}, "
            "{reviewers: ['person:b']}]}",
            "mcp",
            "3 persons are required of 2 named",
            id="fewer persons than places",
        ),
        pytest.param(
            TOOL + "all_of: [{reviewers: ['group:a'], required: 11}, {reviewers: ['group:b'], required: 10}]}",
            "mcp",
            "more than 20 persons",
            id="a crowd",
        ),
        pytest.param(TOOL + SRE + ", require_reason: false}", "mcp", "or leave it out", id="no reason"),
        pytest.param(TOOL + SRE + ", preview: always}", "mcp", "`always` is none of", id="unknown preview"),
        pytest.param(TOOL + SRE + ", preview: required}", "mcp", "only a cluster can try", id="preview of a tool"),
        pytest.param(
            "name: r, effect: hold, match: {any: true}, approval: {" + SRE + ", preview: required}",
            "mcp, cluster",
            "a rule of their own",
            id="preview of a tool too",
        ),
        pytest.param(
            PODS.replace("patch", "get, list") + SRE + ", preview: required}", "cluster", "store nothing", id="reads"
        ),
        pytest.param(EXEC + SRE + ", preview: required}", "cluster", "`pods/exec` has no dry run", id="exec"),
        pytest.param(
            "name: r, effect: hold, match: {paths: [/metrics]}, approval: {" + SRE + ", preview: required}",
            "cluster",
            "paths have no dry run",
            id="preview of a path",
        ),
        pytest.param(
            PODS + SRE + ", grant: {scope: request, widen: [name]}}", "cluster", "`widen` belongs to", id="widen once"
        ),
        pytest.param(PODS + WINDOW + "[]}}", "cluster", "an empty list widens nothing", id="widen nothing"),
        pytest.param(PODS + WINDOW + "[name, name]}}", "cluster", "listed twice", id="widen twice"),
        pytest.param(PODS + WINDOW + "[body]}}", "cluster", "`body` is nothing that a window", id="unknown word"),
        pytest.param(PODS + WINDOW + "[arguments]}}", "cluster", "write any of `command`", id="word of a tool"),
        pytest.param(TOOL + WINDOW + "[name]}}", "mcp", "write any of `arguments`, `arg", id="word of a cluster"),
        pytest.param(TOOL + WINDOW + "['arguments.']}}", "mcp", "is nothing that a window", id="no argument"),
        pytest.param(TOOL + WINDOW + "['arguments.*']}}", "mcp", "is nothing that a window", id="wildcard"),
        pytest.param(
            TOOL + WINDOW + "[arguments, arguments.a]}}", "mcp", "take out `arguments.a`, or", id="all and one"
        ),
        pytest.param(
            "name: r, effect: hold, match: {paths: [/a]}, approval: {" + WINDOW + "[name]}}",
            "web",
            "is pinned whole",
            id="widen a path",
        ),
        pytest.param(
            "name: r, effect: hold, match: {uris: ['file:*']}, approval: {" + WINDOW + "[arguments]}}",
            "mcp",
            "is pinned whole",
            id="widen a resource",
        ),
        pytest.param(TOOL + SRE + ", break_glass: {for: 5m}}", "mcp", "`who` is missing", id="glass for nobody"),
        pytest.param(TOOL + SRE + ", break_glass: {who: [], for: 5m}}", "mcp", "no reviewers", id="empty glass"),
        pytest.param(
            TOOL + SRE + ", break_glass: {who: ['group:*'], for: 5m}}", "mcp", "without wildcards", id="glass for all"
        ),
        pytest.param(TOOL + SRE + ", break_glass: {who: ['group:a']}}", "mcp", "`for` is missing", id="no end"),
        pytest.param(
            TOOL + SRE + ", break_glass: {who: ['group:a'], for: 9h}}", "mcp", "at most `8h`", id="glass for long"
        ),
        pytest.param(
            TOOL + SRE + ", grant: {scope: window, for: 5m}, break_glass: {who: ['group:a'], for: 6m}}",
            "mcp",
            "longer than an approval",
            id="glass beyond the window",
        ),
        pytest.param(
            TOOL + SRE + ", required: 2, auto_approve_after: 30s}", "mcp", "several persons", id="silence of two"
        ),
        pytest.param(
            TOOL + f"all_of: [{{{SRE}}}, {{reviewers: ['group:b']}}], auto_approve_after: 30s}}",
            "mcp",
            "several persons",
            id="silence of two sets",
        ),
        pytest.param(
            PODS + SRE + ", preview: required, auto_approve_after: 30s}", "cluster", "looks at no", id="unseen"
        ),
        pytest.param(
            TOOL + SRE + ", require_reason: true, auto_approve_after: 30s}", "mcp", "reads no reason", id="unread"
        ),
        pytest.param(
            TOOL + SRE + ", break_glass: {who: ['group:a'], for: 5m}, auto_approve_after: 30s}",
            "mcp",
            "needs no broken glass",
            id="silence and glass",
        ),
        pytest.param(
            TOOL + WINDOW + "[arguments]}, auto_approve_after: 30s}",
            "mcp",
            "more than what was asked",
            id="silence, wide",
        ),
    ],
)
def test_what_makes_no_sense_does_not_load(tmp_path, rule, targets, message):
    with pytest.raises(ConfigError) as caught:
        bundle_of(tmp_path, policy_text(rule, targets=targets))
    found = str(caught.value).removeprefix(f"{tmp_path}/")
    assert found.startswith("f0.yaml:6:")
    assert message in found
