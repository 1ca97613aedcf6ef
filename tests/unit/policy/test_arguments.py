import json
from dataclasses import replace

import pytest
from tests.fakes.policies import bundle_of, call, policy_text

from holdpoint.domain.decision import Deny, Permit
from holdpoint.domain.refusal import ConfigError
from holdpoint.policy.argument_paths import BadPath, parse_path
from holdpoint.policy.argument_values import folded, spellings
from holdpoint.policy.engine import Engine

ALLOW_ALL = "name: open, effect: allow, match: {tools: ['*']}"


def allows(folder, arguments, given):
    """Tell whether an allow rule with these argument globs lets a call through."""
    rule = f"name: r, effect: allow, match: {{tools: [t], arguments: {arguments}}}"
    request = replace(call("t"), arguments=given)
    return isinstance(Engine(bundle_of(folder, policy_text(rule))).decide(request), Permit)


def denies(folder, arguments, given, key="arguments"):
    """Tell whether a deny rule stops what everything else allows."""
    rule = f"name: r, effect: deny, match: {{tools: [t], {key}: {arguments}}}"
    request = replace(call("t"), arguments=given)
    return isinstance(Engine(bundle_of(folder, policy_text(rule, ALLOW_ALL))).decide(request), Deny)


PATH = '{path: ["/tmp/*"]}'
EACH = '{"files[*].path": ["/tmp/*"]}'


@pytest.mark.parametrize(
    ("arguments", "given", "expected"),
    [
        pytest.param(PATH, {"path": "/tmp/a"}, True, id="as written"),
        pytest.param(PATH, {"path": "/etc/a"}, False, id="another value"),
        pytest.param(PATH, {}, False, id="absent"),
        pytest.param(PATH, {"path": None}, False, id="null"),
        pytest.param('{path: ["*"]}', {"path": None}, False, id="null is not anything"),
        pytest.param('{path: ["*"]}', {}, False, id="absence is not anything"),
        pytest.param('{path: ["*"]}', {"path": {"a": 1}}, False, id="an object is no text"),
        pytest.param(PATH, {"path": ["/tmp/a"]}, False, id="a list is no text"),
        pytest.param(PATH, {"path": []}, False, id="an empty list"),
        pytest.param(PATH, {"Path": "/tmp/a"}, False, id="another case"),
        pytest.param(PATH, {"path": "/tmp/a", "Path": "/etc/a"}, False, id="two cases"),
        pytest.param(PATH, {"path": "/tmp/a", "pa\u200bth": "/etc/a"}, False, id="a key with an invisible character"),
        pytest.param(PATH, {"path": "/tmp/a", "pat\u212a": 1}, True, id="another key altogether"),
        pytest.param('{"a.b": [x]}', {"a": {"b": "x"}}, True, id="below"),
        pytest.param('{"a.b": [x]}', {"a.b": "x"}, False, id="a key with a dot is no path"),
        pytest.param("{'[\"a.b\"]': [x]}", {"a.b": "x"}, True, id="a quoted key"),
        pytest.param('{"a.b": [x]}', {"a": '{"b": "x"}'}, False, id="JSON in a string"),
        pytest.param('{"a.b": [x]}', {"a": {"b": "x", "B": "y"}}, False, id="two cases below"),
        pytest.param('{"a.b": [x]}', {"a": [{"b": "x"}]}, False, id="a list on the way"),
        pytest.param(EACH, {"files": [{"path": "/tmp/a"}, {"path": "/tmp/b"}]}, True, id="every element"),
        pytest.param(EACH, {"files": [{"path": "/tmp/a"}, {"path": "/etc/b"}]}, False, id="all but one"),
        pytest.param(EACH, {"files": [{"path": "/tmp/a"}, {}]}, False, id="one element without"),
        pytest.param(EACH, {"files": []}, False, id="no elements"),
        pytest.param(EACH, {"files": {"path": "/tmp/a"}}, False, id="no list"),
        pytest.param('{n: ["5"]}', {"n": 5}, True, id="number"),
        pytest.param('{n: ["5"]}', {"n": 5.5}, False, id="another number"),
        pytest.param('{n: ["true"]}', {"n": True}, True, id="boolean"),
        pytest.param('{n: ["true"]}', {"n": 1}, False, id="a number is no boolean"),
        pytest.param("{a: [x], b: [y]}", {"a": "x"}, False, id="every path counts"),
        pytest.param("{a: [x], b: [y]}", {"a": "x", "b": "y"}, True, id="both paths"),
    ],
)
def test_allow_rule_takes_arguments_as_written_and_absence_never_opens(tmp_path, arguments, given, expected):
    assert allows(tmp_path, arguments, given) is expected


@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        pytest.param(PATH, {"path": "/tmp/a"}, id="as written"),
        pytest.param(PATH, {"Path": "/tmp/a"}, id="another case"),
        pytest.param(PATH, {"path": "/x", "PATH": "/tmp/a"}, id="two cases"),
        pytest.param(PATH, {"pa\u200bth": "/tmp/a"}, id="a key with an invisible character"),
        pytest.param('{kind: ["x"]}', {"\u212aind": "x"}, id="the Kelvin sign for a K"),
        pytest.param(PATH, {"path": ["/tmp/a"]}, id="a list of one"),
        pytest.param(PATH, {"path": ["/x", "/tmp/a"]}, id="a list of several"),
        pytest.param(PATH, {"path": [["/tmp/a"]]}, id="a list of lists"),
        pytest.param(PATH, {"path": {"value": "/tmp/a"}}, id="an object"),
        pytest.param(PATH, {"path": '["/tmp/a"]'}, id="a list in a string"),
        pytest.param(PATH, {"path": ' {"v": "/tmp/a"}'}, id="an object in a string"),
        pytest.param(PATH, {"path": " /tmp/a"}, id="space before it"),
        pytest.param('{path: ["*"]}', {"path": []}, id="anything, an empty list"),
        pytest.param('{path: ["*"]}', {"path": None}, id="anything, null"),
        pytest.param('{"a.b": [x]}', {"a": '{"b": "x"}'}, id="JSON in a string on the way"),
        pytest.param('{"a.b": [x]}', {"a": json.dumps(json.dumps({"b": "x"}))[1:-1]}, id="JSON that cannot be read"),
        pytest.param('{"a.b": [x]}', {"a": '{"b": "y", "b": "x"}'}, id="JSON that readers differ over"),
        pytest.param('{"a.b": [x]}', {"a": [{"b": "x"}]}, id="a list on the way"),
        pytest.param('{"a[*].b": [x]}', {"a": {"b": "x"}}, id="one where a list is expected"),
        pytest.param('{"a[*].b": [x]}', {"a": [[{"b": "x"}]]}, id="a list of lists on the way"),
        pytest.param('{"a[*]": [x]}', {"a": "x"}, id="a text where a list is expected"),
        pytest.param('{"a[*]": [x]}', {"a": '["x"]'}, id="a list in a string, each element"),
        pytest.param('{n: ["5"]}', {"n": 5.0}, id="a whole number with a point"),
        pytest.param('{n: ["5"]}', {"n": "5"}, id="a number as text"),
        pytest.param('{n: ["5"]}', {"n": "+5.00"}, id="a number as text, at length"),
        pytest.param('{n: ["5"]}', {"n": "05"}, id="a number with a zero before it"),
        pytest.param('{n: ["5"]}', {"n": "5e0"}, id="a number with an exponent"),
        pytest.param('{n: ["0.5"]}', {"n": ".50"}, id="a fraction at length"),
        pytest.param('{n: ["true"]}', {"n": "Yes"}, id="a word for true"),
        pytest.param('{n: ["true"]}', {"n": 1}, id="one for true"),
        pytest.param('{n: ["false"]}', {"n": "off"}, id="a word for false"),
        pytest.param('{n: ["1"]}', {"n": True}, id="true for one"),
    ],
)
def test_no_shape_that_a_lax_server_reads_slips_past_a_deny_rule(tmp_path, arguments, given):
    assert denies(tmp_path, arguments, given)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        pytest.param(PATH, {}, id="absent"),
        pytest.param(PATH, {"path": "/etc/a"}, id="another value"),
        pytest.param(PATH, {"other": "/tmp/a"}, id="another argument"),
        pytest.param(PATH, {"deep": {"path": "/tmp/a"}}, id="the same key further down"),
        pytest.param('{path: ["*"]}', {}, id="anything needs something"),
        pytest.param(PATH, {"path": "{not JSON"}, id="text that starts with a brace"),
        pytest.param('{"a.b": [x]}', {"a": "plain"}, id="text on the way"),
        pytest.param('{n: ["5"]}', {"n": "v5"}, id="text with a number in it"),
        pytest.param('{n: ["true"]}', {"n": "truest"}, id="text that starts with a word for true"),
    ],
)
def test_deny_rule_leaves_alone_what_it_does_not_name(tmp_path, arguments, given):
    assert not denies(tmp_path, arguments, given)


def test_values_beyond_counting_match_a_rule_that_restricts(tmp_path):
    assert denies(tmp_path, '{"a[*]": [x]}', {"a": [0] * 100_001})
    assert not allows(tmp_path, '{"a[*]": [x]}', {"a": ["x"] * 100 + ["y"]})


def test_nesting_beyond_counting_matches_a_rule_that_restricts(tmp_path):
    deep: object = "y"
    for _ in range(70):
        deep = {"v": deep}
    assert denies(tmp_path, "{a: [x]}", {"a": deep})


@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"a": "rm -rf /"}, id="value"),
        pytest.param({"rm -rf": 1}, id="key"),
        pytest.param({"a": [{"b": ["x; rm  -rf ."]}]}, id="nested"),
        pytest.param({"a": '{"cmd": "\\u0072m -rf"}'}, id="escaped, in JSON in a string"),
        pytest.param({"a": json.dumps(json.dumps({"cmd": "rm -rf"})).replace("r", "\\u0072")}, id="escaped twice"),
        pytest.param({"a": "ä rm -rf"}, id="after what is not ASCII"),
    ],
)
def test_pattern_is_found_anywhere_in_the_arguments(tmp_path, given):
    assert denies(tmp_path, "['rm\\s+-rf']", given, key="argument_patterns")


def test_pattern_is_found_in_numbers_and_not_elsewhere(tmp_path):
    assert denies(tmp_path, "['^4111']", {"card": 4111111111111111}, key="argument_patterns")
    assert not denies(tmp_path, "['rm\\s+-rf']", {"a": "rm x -rf"}, key="argument_patterns")
    assert not denies(tmp_path, "['rm\\s+-rf']", {}, key="argument_patterns")


@pytest.mark.parametrize(
    ("match", "effect", "message"),
    [
        pytest.param("{tools: [t], arguments: {}}", "deny", "6:60: an empty `arguments`", id="empty"),
        pytest.param("{tools: [t], arguments: {a..b: [x]}}", "deny", "6:61: `a..b` is no path", id="bad path"),
        pytest.param("{tools: [t], arguments: {$.a: [x]}}", "deny", "starts with `$`", id="path of masks"),
        pytest.param('{tools: [t], arguments: {"a[0]": [x]}}', "deny", "is no path", id="index"),
        pytest.param("{tools: [t], arguments: {a.0: [x]}}", "deny", "`[*]` is each element", id="index by a dot"),
        pytest.param("{tools: [t], arguments: {a: []}}", "deny", "an empty list", id="no globs"),
        pytest.param("{tools: [t], arguments: {a: [1]}}", "deny", "expected text", id="a number without quotes"),
        pytest.param("{tools: [t], arguments: {a: [x], \"['a']\": [x]}}", "deny", "the same path", id="twice"),
        pytest.param("{tools: [t], argument_patterns: [x]}", "allow", "can deny or hold", id="patterns that allow"),
        pytest.param("{tools: [t], argument_patterns: []}", "deny", "an empty list", id="no patterns"),
        pytest.param("{tools: [t], argument_patterns: [x, x]}", "deny", "listed twice", id="pattern twice"),
        pytest.param(
            "{tools: [t], argument_patterns: ['(a']}", "deny", "6:69: no regular expression", id="bad pattern"
        ),
        pytest.param("{tools: [t], argument_patterns: ['a*']}", "deny", "the empty text", id="pattern of anything"),
        pytest.param("{tools: [t], argument_patterns: ['\\Qa']}", "deny", "needs its `\\E`", id="open quote"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(tmp_path, match, effect, message):
    with pytest.raises(ConfigError) as caught:
        bundle_of(tmp_path, policy_text(f"name: r, effect: {effect}, match: {match}"))
    assert message in str(caught.value)


def test_silence_never_approves_what_arguments_select(tmp_path):
    for key in ("arguments: {a: [x]}", "argument_patterns: [x]"):
        approval = "approval: {reviewers: ['group:a'], auto_approve_after: 30s}"
        rule = f"name: r, effect: hold, match: {{tools: [t], {key}}}, {approval}"
        with pytest.raises(ConfigError, match="silence cannot approve"):
            bundle_of(tmp_path, policy_text(rule))


def test_arguments_exist_on_mcp_targets_only(tmp_path):
    for target in ("web", "cluster"):
        with pytest.raises(ConfigError, match="on `mcp` targets only"):
            bundle_of(tmp_path, policy_text("name: r, effect: deny, match: {arguments: {a: [x]}}", targets=target))


@pytest.mark.parametrize("text", ["", "a.", ".a", "a b", "a[*]b", "[*]", 'a["', "a\nb", "x" * 501, ".".join("a" * 17)])
def test_text_that_is_no_path_is_refused(text):
    with pytest.raises(BadPath):
        parse_path(text)


def test_keys_are_folded_as_lax_readers_do():
    assert {folded(k) for k in ("Path", "PATH", "pa\u00adth", "path ")} == {"path"}


def test_numbers_beyond_any_size_have_a_spelling():
    assert "1e+400" not in set(spellings("1e400"))
    assert "1E+400" in set(spellings("1e400"))
