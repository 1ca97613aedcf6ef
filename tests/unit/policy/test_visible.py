"""What lists show."""

from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, ask, bundle_of, by, call, policy_text

from holdpoint.domain.access import McpMethod, McpPrompt, McpResource, McpTool, PinState
from holdpoint.domain.decision import Permit
from holdpoint.policy.engine import Engine

ALLOW = "name: allow, effect: allow, match: {tools: ['*']}"
HOLD = "name: hold, effect: hold, match: {tools: ['*']}, approval: {reviewers: ['group:a']}"
DENY = "name: deny, effect: deny, match: {tools: ['*']}"


def shows(folder, *rules, request=None):
    return Engine(bundle_of(folder, policy_text(*rules))).visible(request or call())


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([ALLOW], True, id="allowed"),
        pytest.param([HOLD], True, id="held"),
        pytest.param(["name: m, effect: mask, match: {tools: ['*']}, mask: [credentials]"], False, id="masked only"),
        pytest.param(["name: o, effect: allow, match: {tools: [other]}"], False, id="no rule"),
        pytest.param([ALLOW, DENY], False, id="denied"),
        pytest.param([ALLOW, "name: d, effect: deny, match: {any: true}"], False, id="denied with everything"),
        pytest.param([ALLOW + ", shadow: true"], False, id="allowed in the shadow"),
        pytest.param([ALLOW, DENY + ", shadow: true"], True, id="denied in the shadow"),
        pytest.param([ALLOW + ", when: args.n > 1"], True, id="allowed for some arguments"),
        pytest.param([ALLOW + ", when: object.n > 1"], True, id="allowed for some objects"),
        pytest.param([HOLD + ", when: has(args.n)"], True, id="held for some arguments"),
        pytest.param([ALLOW, DENY + ", when: args.n > 1"], True, id="denied for some arguments"),
        pytest.param([ALLOW, DENY.replace("}", ", arguments: {a: [b]}}")], True, id="denied for an argument"),
        pytest.param([ALLOW, DENY.replace("}", ", argument_patterns: [b]}")], True, id="denied for a pattern"),
        pytest.param([ALLOW.replace("}", ", arguments: {a: [b]}}")], True, id="allowed for an argument"),
        pytest.param([ALLOW + ", when: principal.kind == 'human'"], True, id="a condition that holds"),
        pytest.param([ALLOW + ", when: principal.kind == 'workload'"], False, id="a condition that does not"),
        pytest.param([ALLOW, DENY + ", when: resource.tool == 't'"], False, id="a condition on the tool that holds"),
        pytest.param([ALLOW, DENY + ", when: resource.tool == 'u'"], True, id="a condition on the tool that does not"),
        pytest.param([ALLOW, DENY + ", when: principal.claims.x == 1"], False, id="a deny that fails"),
        pytest.param([ALLOW + ", when: principal.claims.x == 1"], False, id="an allow that fails"),
        pytest.param([HOLD + ", when: principal.claims.x == 1"], True, id="a hold that fails"),
        pytest.param([ALLOW, DENY + ", when: \"principal.kind == 'args'\""], True, id="a word in a string"),
        pytest.param([ALLOW, DENY + ", when: \"'args' != ''\""], False, id="a word in a string, true"),
        pytest.param([ALLOW, DENY.replace("}", ", principals: {groups: [x]}}")], True, id="denied to others"),
        pytest.param([ALLOW.replace("}", ", principals: {groups: [x]}}")], False, id="allowed to others"),
        pytest.param([ALLOW + ", scopes: [s]"], True, id="what another scope opens"),
        pytest.param([ALLOW + ", credential: a", HOLD + ", credential: b"], False, id="credentials that never agree"),
        pytest.param([ALLOW + ", credential: a", HOLD + ", credential: b, when: args.n > 1"], True, id="or may agree"),
        pytest.param([ALLOW.replace("}", ", protocol_versions: ['2025-*']}")], False, id="unknown version, allow"),
        pytest.param([ALLOW, DENY.replace("}", ", protocol_versions: ['2025-*']}")], False, id="unknown version, deny"),
    ],
)
def test_thing_is_shown_if_some_call_of_it_could_be_permitted(tmp_path, rules, expected):
    assert shows(tmp_path, *rules) is expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(replace(call(), resource=McpTool("t", PinState.CHANGED)), False, id="changed tool"),
        pytest.param(replace(call(), resource=McpTool("t", PinState.PINNED)), True, id="pinned tool"),
        pytest.param(ask("prompts/get", McpPrompt("p")), True, id="prompt"),
        pytest.param(ask("prompts/get", McpPrompt("q")), False, id="another prompt"),
        pytest.param(ask("resources/read", McpResource("docs://a")), True, id="resource"),
        pytest.param(ask("resources/read", McpResource("file:///a")), False, id="another resource"),
        pytest.param(replace(call(), target="none"), False, id="unknown target"),
        pytest.param(replace(call(), target="web"), False, id="target of another protocol"),
        pytest.param(replace(call(), members=(call(),)), False, id="members"),
        pytest.param(replace(call(), principal=None), False, id="nobody"),
    ],
)
def test_thing_of_any_kind_is_shown_as_it_would_be_decided(tmp_path, request_, expected):
    rule = ALLOW.replace("}", ", prompts: [p], uris: ['docs://*'], principals: {kinds: [human]}}")
    assert shows(tmp_path, rule, request=request_) is expected


def test_hold_rule_shows_a_tool_that_changed(tmp_path):
    assert shows(tmp_path, ALLOW, HOLD, request=replace(call(), resource=McpTool("t", PinState.CHANGED)))


def test_several_things_are_answered_in_order_and_as_each_would_be(tmp_path):
    engine = Engine(
        bundle_of(
            tmp_path,
            policy_text(
                "name: a, effect: allow, match: {tools: ['a*'], prompts: ['*']}",
                "name: b, effect: allow, match: {tools: ['b*']}, when: args.n > 1",
                "name: c, effect: deny, match: {tools: ['*']}, when: 'resource.tool.endsWith(\"x\")'",
                "name: d, effect: deny, match: {any: true}, when: 'resource.prompt == \"hush\"'",
            ),
        )
    )
    things = [McpTool("a"), McpTool("ax"), McpTool("b"), McpTool("c"), McpPrompt("p"), McpPrompt("hush"), McpMethod()]
    found = engine.visible_many(call("whatever"), things)
    assert found == [True, False, True, False, True, False, False]
    assert found == [engine.visible(replace(call(), resource=thing)) for thing in things]
    assert engine.visible_many(call(), []) == []


def test_one_caller_sees_nothing_of_what_another_was_shown(tmp_path):
    rule = "name: r, effect: allow, match: {tools: ['*'], principals: {groups: [developers]}}"
    engine = Engine(bundle_of(tmp_path, policy_text(rule)))
    other = by(call(), replace(ADA, groups=frozenset({"sales"})))
    assert [engine.visible(r) for r in (call(), other, call())] == [True, False, True]
    assert [isinstance(engine.decide(r), Permit) for r in (call(), other, call())] == [True, False, True]


def test_names_that_are_remembered_are_bounded(tmp_path):
    engine = Engine(bundle_of(tmp_path, policy_text("name: r, effect: allow, match: {tools: ['a*']}")))
    for number in range(20_000):
        assert engine.visible(replace(call(), resource=McpTool(f"a{number}")))
    kind = engine._targets["mcp"][1][McpTool]
    assert 0 < len(kind._remembered) <= 8_192
    size = len(kind._remembered)
    assert engine.visible(replace(call(), resource=McpTool("a" * 10_000)))
    assert len(kind._remembered) == size
