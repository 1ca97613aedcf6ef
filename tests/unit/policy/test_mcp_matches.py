"""Server requests, pins, protocol versions: what matches, and what must not."""

from dataclasses import replace

import pytest
from tests.fakes.policies import ask, bundle_of, call, policy_text

from holdpoint.domain.access import McpPrompt, McpResource, McpServerRequest, McpTool, PinState
from holdpoint.domain.decision import Deny, DenyReason, Permit
from holdpoint.domain.refusal import ConfigError
from holdpoint.policy.engine import Engine

OPEN = "name: open, effect: allow, match: {tools: ['*'], prompts: ['*'], uris: ['*']}"
OPEN_ASKING = "name: ask, effect: allow, match: {server_requests: ['*']}"
ELICIT = "elicitation/create"
SAMPLE = "sampling/createMessage"
APPROVAL = "approval: {reviewers: ['group:a'], auto_approve_after: 30s}"


def engine(folder, *rules):
    return Engine(bundle_of(folder, policy_text(*rules)))


def passes(folder, *rules, request):
    return isinstance(engine(folder, *rules).decide(request), Permit)


def question(method=ELICIT, **params):
    return ask(method, McpServerRequest(method), **params)


def answer(method=ELICIT, **params):
    return ask("response", McpServerRequest(method), **params)


@pytest.mark.parametrize(
    ("match", "request_", "expected"),
    [
        pytest.param(f"server_requests: [{ELICIT}]", question(), True, id="question"),
        pytest.param(f"server_requests: [{ELICIT}]", answer(), True, id="its answer"),
        pytest.param(f"server_requests: [{ELICIT}]", question(SAMPLE), False, id="another question"),
        pytest.param(f"server_requests: [{ELICIT}]", answer(SAMPLE), False, id="the answer to another"),
        pytest.param("server_requests: ['*']", question("vendor/ask"), True, id="anything, said so"),
        pytest.param("server_requests: ['*']", answer(""), False, id="answer to nobody knows what"),
        pytest.param(f"server_requests: [{ELICIT}], verbs: [{ELICIT}]", question(), True, id="question alone"),
        pytest.param(f"server_requests: [{ELICIT}], verbs: [{ELICIT}]", answer(), False, id="question, no answer"),
        pytest.param(f"server_requests: [{ELICIT}], verbs: [response]", answer(), True, id="answer alone"),
        pytest.param(f"server_requests: [{ELICIT}], verbs: [response]", question(), False, id="answer, no question"),
        pytest.param("verbs: ['s*']", question(SAMPLE), False, id="a glob of verbs names no request"),
        pytest.param("verbs: ['elicit*']", question(), False, id="a glob of verbs that fits the method"),
        pytest.param("verbs: [vendor/ask]", question("vendor/ask"), False, id="a verb written out"),
        pytest.param("tools: ['*'], prompts: ['*'], uris: ['*']", question(), False, id="other things"),
        pytest.param(f"server_requests: [{ELICIT}]", ask(ELICIT), False, id="a client that sends a server's method"),
        pytest.param("server_requests: ['*']", call("t"), False, id="server requests are no tools"),
    ],
)
def test_allow_rule_covers_only_the_server_requests_it_names(tmp_path, match, request_, expected):
    assert passes(tmp_path, f"name: r, effect: allow, match: {{{match}}}", request=request_) is expected


@pytest.mark.parametrize(
    ("match", "request_", "expected"),
    [
        pytest.param("any: true", question(), True, id="anything"),
        pytest.param("any: true", answer(), True, id="anything, answer"),
        pytest.param("principals: {groups: [developers]}", question(), True, id="whatever somebody does"),
        pytest.param("verbs: ['*']", question(), True, id="every verb"),
        pytest.param("verbs: [response]", answer(SAMPLE), True, id="every answer"),
        pytest.param(f"verbs: [{SAMPLE}]", question(SAMPLE), True, id="by its verb"),
        pytest.param(f"server_requests: [{ELICIT}]", answer(""), True, id="answer to nobody knows what"),
        pytest.param(f"server_requests: [{SAMPLE}]", question(), False, id="another"),
        pytest.param("tools: ['*']", question(), False, id="tools"),
        pytest.param("verbs: [tools/call]", question(), False, id="another verb"),
    ],
)
def test_deny_rule_covers_server_requests_where_it_says_so_or_names_nothing(tmp_path, match, request_, expected):
    rule = f"name: r, effect: deny, match: {{{match}}}"
    allowed = question("x/y") if request_.resource == McpServerRequest("") else request_
    assert passes(tmp_path, OPEN_ASKING, request=allowed)
    assert passes(tmp_path, OPEN_ASKING, rule, request=request_) is not expected


def test_mask_rule_that_names_nothing_masks_what_servers_ask(tmp_path):
    mask = "name: m, effect: mask, match: {any: true}, mask: [credentials]"
    decision = engine(tmp_path, OPEN_ASKING, mask).decide(question())
    assert isinstance(decision, Permit)
    assert decision.masks == ("credentials",)


@pytest.mark.threat("T16")
@pytest.mark.parametrize("match", ["any: true", "verbs: ['*']", "principals: {groups: [developers]}"])
def test_what_a_hold_rule_covers_cannot_wait_here_and_does_not_pass(tmp_path, match):
    hold = f"name: h, effect: hold, match: {{{match}}}, {APPROVAL}, reason: ask first"
    decision = engine(tmp_path, OPEN_ASKING, hold).decide(question())
    assert isinstance(decision, Deny)
    assert (decision.reason, [r.rule for r in decision.rules], decision.message) == (
        DenyReason.RULE,
        ["h"],
        "ask first",
    )
    failing = hold.replace("reason", "when: 'args.gone == 1', reason")
    assert engine(tmp_path, OPEN_ASKING, failing).decide(question()).reason is DenyReason.EVALUATION_ERROR


def test_notice_of_a_server_is_decided_by_its_verb(tmp_path):
    deny = "name: d, effect: deny, match: {verbs: [notifications/message]}, when: 'args.level == \"debug\"'"
    decided = engine(tmp_path, deny)
    denied = decided.decide(ask("notifications/message", level="debug"))
    assert (denied.reason, denied.by_rule) == (DenyReason.RULE, True)
    unknown = decided.decide(ask("notifications/message"))
    assert (unknown.reason, unknown.by_rule) == (DenyReason.EVALUATION_ERROR, True)
    unsaid = decided.decide(ask("notifications/message", level="info"))
    assert (unsaid.reason, unsaid.by_rule) == (DenyReason.NO_RULE, False)


@pytest.mark.parametrize(
    ("pin", "allowed"),
    [
        pytest.param(PinState.NONE, True, id="not pinned"),
        pytest.param(PinState.PINNED, True, id="as approved"),
        pytest.param(PinState.CHANGED, False, id="changed"),
        pytest.param(PinState.RENAMED, False, id="renamed"),
        pytest.param(PinState.DUPLICATE, False, id="duplicate"),
        pytest.param(PinState.HIDDEN, False, id="hidden"),
        pytest.param(PinState.UNKNOWN, False, id="unknown"),
    ],
)
def test_rule_without_pins_allows_tools_as_approved_and_holds_and_denies_any(tmp_path, pin, allowed):
    request = replace(call(), resource=McpTool("t", pin))
    assert passes(tmp_path, OPEN, request=request) is allowed
    hold = f"name: h, effect: hold, match: {{tools: [t]}}, {APPROVAL}"
    assert passes(tmp_path, hold, request=request)
    assert not passes(tmp_path, hold, "name: d, effect: deny, match: {tools: [t]}", request=request)


@pytest.mark.parametrize(
    ("effect", "pins", "pin", "expected"),
    [
        pytest.param("allow", "[changed]", PinState.CHANGED, True, id="allow, named"),
        pytest.param("allow", "[changed]", PinState.PINNED, False, id="allow, another named"),
        pytest.param("allow", "[changed, pinned]", PinState.PINNED, True, id="allow, both named"),
        pytest.param("allow", "[pinned]", PinState.NONE, False, id="allow as approved, not pinned"),
        pytest.param("hold", "[changed]", PinState.CHANGED, True, id="hold, named"),
        pytest.param("hold", "[changed]", PinState.HIDDEN, False, id="hold, another named"),
    ],
)
def test_pins_that_a_rule_names_are_those_it_takes(tmp_path, effect, pins, pin, expected):
    approval = ", approval: {reviewers: ['group:a']}" if effect == "hold" else ""
    rule = f"name: r, effect: {effect}, match: {{tools: [t], pins: {pins}}}{approval}"
    assert passes(tmp_path, rule, request=replace(call(), resource=McpTool("t", pin))) is expected


def test_deny_by_pins_alone_is_about_tools(tmp_path):
    rule = "name: r, effect: deny, match: {pins: [unknown, hidden]}"
    assert not passes(tmp_path, OPEN, rule, request=replace(call(), resource=McpTool("t", PinState.UNKNOWN)))
    assert passes(tmp_path, OPEN, rule, request=call("t"))
    assert passes(tmp_path, OPEN, rule, request=ask("prompts/get", McpPrompt("p")))
    assert passes(tmp_path, OPEN, rule, request=ask("resources/read", McpResource("a://b")))


def test_silence_never_approves_a_tool_that_is_not_as_approved(tmp_path):
    hold = engine(tmp_path, f"name: h, effect: hold, match: {{tools: [t]}}, {APPROVAL}")
    (pinned,) = hold.decide(replace(call(), resource=McpTool("t", PinState.PINNED))).approvals
    (changed,) = hold.decide(replace(call(), resource=McpTool("t", PinState.CHANGED))).approvals
    assert (pinned.auto_approve_after, changed.auto_approve_after) == (30.0, None)


def test_condition_reads_pin_version_and_server_request(tmp_path):
    deny = "name: d, effect: deny, match: {any: true}, when: '%s'"
    pinned = engine(tmp_path, OPEN, deny % 'resource.pin == "pinned"')
    assert isinstance(pinned.decide(replace(call(), resource=McpTool("t", PinState.PINNED))), Deny)
    assert isinstance(pinned.decide(call()), Permit)
    asked = engine(tmp_path, OPEN_ASKING, deny % f'resource.server_request == "{SAMPLE}"')
    assert isinstance(asked.decide(question(SAMPLE)), Deny)
    assert isinstance(asked.decide(question()), Permit)
    versioned = engine(tmp_path, OPEN, deny % 'request.protocol_version == "2025-03-26"')
    assert isinstance(versioned.decide(call(unverified={"protocol_version": "2025-03-26"})), Deny)
    assert isinstance(versioned.decide(call(unverified={"protocol_version": "2025-06-18"})), Permit)
    unknown = versioned.decide(call())
    assert (unknown.reason, len(unknown.errors)) == (DenyReason.EVALUATION_ERROR, 1)


@pytest.mark.parametrize(
    ("version", "allow", "deny"),
    [
        pytest.param("2025-11-25", True, True, id="named"),
        pytest.param("2026-07-28", False, False, id="another"),
        pytest.param("", False, True, id="unknown counts for the stricter side"),
    ],
)
def test_version_can_allow_and_deny(tmp_path, version, allow, deny):
    request = call(unverified={"protocol_version": version} if version else {})
    match = "{tools: [t], protocol_versions: ['2025-*']}"
    assert passes(tmp_path, f"name: r, effect: allow, match: {match}", request=request) is allow
    assert passes(tmp_path, OPEN, f"name: r, effect: deny, match: {match}", request=request) is not deny


def test_version_narrows_anything_and_other_protocols_have_none(tmp_path):
    text = policy_text(
        "name: r, effect: deny, match: {any: true, protocol_versions: ['2025-03-26']}", targets="mcp, web"
    )
    web = policy_text("name: w, effect: allow, match: {paths: ['*']}", targets="web", name="q")
    decided = Engine(bundle_of(tmp_path, text, policy_text(OPEN, name="o"), web))
    assert isinstance(decided.decide(call(unverified={"protocol_version": "2025-03-26"})), Deny)
    assert isinstance(decided.decide(call(unverified={"protocol_version": "2025-06-18"})), Permit)
    assert isinstance(decided.decide(replace(ask("get", target="web"), resource=McpTool("t"))), Deny)


@pytest.mark.parametrize(
    ("match", "effect", "message"),
    [
        pytest.param(f"server_requests: [{ELICIT}]", "hold", "nobody can be asked while a server waits", id="hold"),
        pytest.param(f"verbs: [{SAMPLE}]", "hold", "6:45: nobody can be asked", id="hold by the verb"),
        pytest.param("verbs: [response]", "hold", "nobody can be asked about `response`", id="hold an answer"),
        pytest.param(f"verbs: [{SAMPLE}]", "allow", f"name `server_requests: [{SAMPLE}]`", id="allow by the verb"),
        pytest.param("verbs: [response]", "allow", "this would allow nothing", id="allow an answer to anything"),
        pytest.param("server_requests: [elicitation/creat]", "deny", f"did you mean `{ELICIT}`?", id="slip"),
        pytest.param("server_requests: [ping]", "deny", "`ping` always passes", id="ping"),
        pytest.param("server_requests: []", "deny", "an empty list", id="no requests"),
        pytest.param("server_requests: [x/y], tools: [t]", "deny", "a rule of its own", id="together with tools"),
        pytest.param("server_requests: [x/y], verbs: [tools/call]", "deny", "can match nothing", id="verb of a client"),
        pytest.param(f"server_requests: [x/y], verbs: [{SAMPLE}]", "deny", "can match nothing", id="verb of another"),
        pytest.param("verbs: [batch]", "deny", "each of its messages is decided", id="batch"),
        pytest.param("tools: [t], pins: [chnged]", "deny", "`chnged` is none of", id="unknown pin"),
        pytest.param("tools: [t], pins: []", "deny", "an empty list", id="no pins"),
        pytest.param("tools: [t], pins: [changed, changed]", "deny", "listed twice", id="pin twice"),
        pytest.param("pins: [changed]", "allow", "without saying which", id="pins that allow any tool"),
        pytest.param("prompts: [p], pins: [changed]", "deny", "about tools", id="pins of prompts"),
        pytest.param("verbs: [ping], pins: [changed]", "deny", "about `tools/call`", id="pins of messages"),
        pytest.param("tools: [t], protocol_versions: [2024-11-05]", "deny", "expected text", id="a date"),
        pytest.param("tools: [t], protocol_versions: ['2024-11-05']", "deny", "is no version", id="unknown version"),
        pytest.param("protocol_versions: ['2025-*']", "allow", "without saying of what", id="version that allows all"),
        pytest.param("verbs: [subscriptions/listen], tools: [t]", "deny", "none of these verbs", id="dead"),
    ],
)
def test_match_of_mcp_that_cannot_be_meant_is_refused(tmp_path, match, effect, message):
    extra = f", {APPROVAL}" if effect == "hold" else ""
    with pytest.raises(ConfigError) as caught:
        bundle_of(tmp_path, policy_text(f"name: r, effect: {effect}, match: {{{match}}}{extra}"))
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["pins: [changed]", "protocol_versions: ['2025-*']", "arguments: {a: [b]}"])
def test_what_only_messages_of_mcp_have_goes_with_no_path_or_object(tmp_path, key):
    for other, targets in (("paths: ['*']", "mcp, web"), ("resources: [pods]", "mcp, cluster")):
        with pytest.raises(ConfigError, match="give them a rule of their own"):
            bundle_of(tmp_path, policy_text(f"name: r, effect: deny, match: {{{key}, {other}}}", targets=targets))


def test_completions_and_subscriptions_may_be_about_a_named_thing(tmp_path):
    rule = "name: r, effect: allow, match: {verbs: [completion/complete, subscriptions/listen], uris: ['a://*']}"
    assert passes(tmp_path, rule, request=ask("subscriptions/listen", McpResource("a://b")))
    assert passes(tmp_path, rule, request=ask("completion/complete", McpResource("a://{x}")))
    assert not passes(tmp_path, rule, request=ask("completion/complete", McpPrompt("p")))
    assert not passes(tmp_path, rule, request=ask("subscriptions/listen"))
