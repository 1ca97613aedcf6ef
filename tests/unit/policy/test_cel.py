from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, bundle_of, by, call, fetch, kube, policy_text

from holdpoint.domain.access import Actor, Protocol
from holdpoint.domain.decision import Permit
from holdpoint.policy.cel import ConditionFailed, ConditionProblem, Facts, Joined, compile_condition
from holdpoint.policy.engine import Engine
from holdpoint.policy.facts import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, bounded_copy


def holds(source, request):
    return compile_condition(source, request.action.protocol).holds(Facts(request))


FULL = by(
    call("t", x="a", n=3, f=3.0, deep={"list": [1, 2]}),
    replace(
        ADA,
        actor=Actor("agent"),
        owners=frozenset({"bo"}),
        scopes=frozenset({"s"}),
        claims={"team": "blue"},
    ),
)


@pytest.mark.parametrize(
    "source",
    [
        'principal.subject == "ada"',
        'principal.issuer == "https://issuer.example.com"',
        'principal.person == "ada@example.com"',
        'principal.kind == "human"',
        '"developers" in principal.groups',
        'principal.actor == "agent"',
        'principal.owners == ["bo"]',
        'principal.client_id == "cli"',
        'principal.scopes.exists(s, s == "s")',
        'principal.claims.team == "blue"',
        'target.name == "mcp"',
        'request.verb == "tools/call"',
        'request.protocol == "mcp"',
        'request.time == timestamp("2027-01-15T08:00:00Z")',
        'request.time.getHours("Europe/Berlin") == 9',
        'resource.tool == "t" && resource.prompt == "" && resource.uri == ""',
        'args.x == "a"',
        "args.n == 3 && args.f == 3 && args.f in [3]",
        "object.deep.list[1] == 2",
        "!has(args.nothing)",
    ],
)
def test_condition_reads_what_is_documented(source):
    assert holds(source, FULL) is True


def test_condition_on_kubernetes_reads_the_object():
    request = kube("patch", "deployments/scale", "prod", "web", group="apps", spec={"replicas": 2})
    source = (
        'resource.group == "apps" && resource.version == "v1" && resource.resource == "deployments" && '
        'resource.subresource == "scale" && resource.namespace == "prod" && resource.name == "web" && '
        'resource.path == "" && object.spec.replicas in [1, 2]'
    )
    assert holds(source, request)


def test_condition_on_http_reads_host_and_path():
    assert holds('resource.host == "web.example.com" && resource.path == "/a"', fetch("get", "/a"))


def test_absent_person_and_actor_read_as_empty():
    request = by(call(), replace(ADA, person=None))
    assert holds('principal.person == "" && principal.actor == ""', request)


@pytest.mark.parametrize(
    ("source", "message", "line", "column"),
    [
        pytest.param(
            'principal.gruops == "x"',
            "undeclared reference to `principal.gruops`; did you mean `principal.groups`?",
            1,
            10,
            id="misspelt field",
        ),
        pytest.param(
            "true &&\n  principal.kind == 1", "`==` cannot be used on `(string, int)`", 2, 18, id="wrong type"
        ),
        pytest.param("true && (", "ends too early", 1, 10, id="syntax"),
        pytest.param(
            'principal.kind.startWith("h")',
            "undeclared reference to `startWith`; did you mean `startsWith`?",
            1,
            25,
            id="function",
        ),
        pytest.param("principal.kind", "gives `string`", 1, 1, id="no truth value"),
        pytest.param("args.flag", "gives `dyn`", 1, 1, id="any value"),
        pytest.param("  ", "is empty", 1, 1, id="empty"),
        pytest.param("true || " + "x" * 5_000, "longer than", 1, 1, id="too long"),
        pytest.param(
            'resource.namespace == "x"', "exists on kubernetes targets only", 1, 9, id="variable of another protocol"
        ),
        pytest.param('true &&\n args.x.matches("(a")', "`matches` cannot work", 2, 17, id="bad pattern"),
        pytest.param('args.x.matches("a" + "[")', "missing ]", 1, 16, id="bad pattern of two parts"),
        pytest.param("args.x.matches(r'a(' // why\n)", "missing )", 1, 16, id="bad raw pattern with a comment"),
        pytest.param('args.x.matches(["a", "("][1])', "missing )", 1, 16, id="bad pattern with a comma before it"),
        pytest.param('matches(args.x, "(")', "missing )", 1, 17, id="bad pattern of the global form"),
        pytest.param('args.x.matches("(?=a)")', "invalid perl operator", 1, 16, id="pattern RE2 does not have"),
        pytest.param('request.time > timestamp("soon")', "`timestamp` cannot work", 1, 26, id="bad time"),
        pytest.param('request.time - request.time > duration("5 days")', "`duration`", 1, 40, id="bad duration"),
        pytest.param('request.time.getHours("Nowhere") > 8', "Invalid timezone", 1, 23, id="bad zone"),
    ],
)
def test_bad_condition_is_refused_when_it_is_read(source, message, line, column):
    with pytest.raises(ConditionProblem) as caught:
        compile_condition(source, Protocol.MCP)
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    "source",
    [
        'args.x.matches("^a+$")',
        "args.x.matches(r'\\d{2}')",
        "args.x == \"matches('(')\"",
        'args.x.matches("[(]") // .matches("(")',
        '["a", "b"].exists(p, args.x.matches(p))',
        'args.x == "}{" && {"a": [1]}.a[0] == 1',
    ],
)
def test_good_patterns_and_strings_that_look_like_calls_pass(source):
    assert compile_condition(source, Protocol.MCP).source == source


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        pytest.param('args.missing == "x"', {}, id="missing key"),
        pytest.param("args.x > 1", {"x": "text"}, id="wrong type"),
        pytest.param("args.x > 1", {"x": 2**70}, id="number beyond 64 bits"),
        pytest.param('args.x == "a"', {"x": "\ud800"}, id="lone surrogate"),
        pytest.param("args.x.matches(args.p)", {"x": "a", "p": "("}, id="pattern of the caller's"),
        pytest.param("args.x.all(a, args.x.all(b, a == b))", {"x": [1] * 200}, id="more steps than allowed"),
        pytest.param("args.x == 1 || args.y == 1", {"x": "text"}, id="error or error"),
        pytest.param("args.x ? true : false", {"x": "yes"}, id="text is no truth value"),
        pytest.param('has(args.x) && args.x == "a"', {"x": "a", "y": ["b"] * MAX_NODES}, id="too many values"),
        pytest.param('has(args.x) && args.x == "a"', {"x": "a", "y": "b" * MAX_CHARACTERS}, id="too much text"),
    ],
)
def test_condition_that_cannot_be_evaluated_fails_and_tells_nothing_of_the_request(source, arguments):
    with pytest.raises(ConditionFailed) as caught:
        holds(source, call("t", **arguments))
    assert "text" not in str(caught.value)
    assert str(2**70) not in str(caught.value)


def test_arguments_that_are_too_large_do_not_harm_conditions_that_do_not_read_them():
    assert holds('principal.kind == "human"', call("t", y="b" * MAX_CHARACTERS))


def test_a_time_out_of_range_fails_only_what_reads_it():
    request = replace(call(), at=1e300)
    assert holds("true", request)
    with pytest.raises(ConditionFailed):
        holds('request.time > timestamp("2027-01-15T08:00:00Z")', request)


def test_facts_do_not_follow_later_changes_of_the_arguments():
    arguments = {"x": {"y": [1]}}
    facts = Facts(replace(call(), arguments=arguments))
    condition = compile_condition("args.x.y[0] == 1", Protocol.MCP)
    assert facts.activation is facts.activation
    arguments["x"]["y"][0] = 2
    assert condition.holds(facts)


def test_bounded_copy_is_equal_and_shares_nothing():
    value = {"a": [1, {"b": "x", "c": [None, True, 1.5]}]}
    copy = bounded_copy(value)
    assert copy == value
    assert copy is not None
    assert copy["a"] is not value["a"]
    assert copy["a"][1]["c"] is not value["a"][1]["c"]


def nested(depth):
    value = {}
    for _ in range(depth - 1):
        value = {"x": value}
    return value


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        pytest.param(nested(MAX_DEPTH), True, id="as deep as allowed"),
        pytest.param(nested(MAX_DEPTH + 1), False, id="deeper"),
        pytest.param({"x": [0] * (MAX_NODES - 1)}, True, id="as many as allowed"),
        pytest.param({"x": [0] * MAX_NODES}, False, id="more"),
        pytest.param({"x": "a" * (MAX_CHARACTERS - 1)}, True, id="as long as allowed"),
        pytest.param({"x": "a" * MAX_CHARACTERS}, False, id="longer"),
        pytest.param({"a" * MAX_CHARACTERS: "a"}, False, id="long keys"),
    ],
)
def test_copy_is_bounded(value, fits):
    assert (bounded_copy(value) is not None) is fits


@pytest.mark.parametrize(
    ("source", "reads", "keys"),
    [
        pytest.param("true", set(), set(), id="nothing"),
        pytest.param("args.n > 1", {"args"}, {"n"}, id="an argument"),
        pytest.param("has(args.n) && object.m.n == 1", {"args", "object"}, {"n", "m"}, id="both names"),
        pytest.param("args . // why\n n > 1", {"args"}, {"n"}, id="blanks and a comment"),
        pytest.param('args["n"] == 1', {"args"}, None, id="by index"),
        pytest.param("size(args) == 1", {"args"}, None, id="whole"),
        pytest.param('args.exists(k, k == "a")', {"args"}, None, id="by its keys"),
        pytest.param("args == object", {"args", "object"}, None, id="compared"),
        pytest.param('args.`n-n` == 1 && target.name == "a"', None, None, id="a quoted name: all"),
        pytest.param('principal.kind == "args.n"', {"principal.kind"}, set(), id="a word in a string"),
        pytest.param("principal.kind == r'\\\\d' && args.n == 1", {"principal.kind", "args"}, {"n"}, id="raw string"),
        pytest.param('principal.kind == """a"b args""" ', {"principal.kind"}, set(), id="long string"),
        pytest.param("[1].exists(args, args == 1)", {"args"}, None, id="a variable of that name"),
        pytest.param("principal.claims.args.n == 1", {"principal.claims", "args"}, {"n"}, id="a member of that name"),
        pytest.param('resource.tool == "t"', {"resource.tool"}, set(), id="resource"),
    ],
)
def test_what_a_condition_reads_is_never_told_too_small(source, reads, keys):
    condition = compile_condition(source, Protocol.MCP)
    assert condition.keys == (None if keys is None else frozenset(keys))
    assert condition.reads >= (frozenset({"args", "target.name"}) if reads is None else reads)
    if reads is not None:
        assert condition.reads_arguments is ("args" in reads or "object" in reads)
        assert condition.reads_resource is any(r.startswith("resource.") for r in reads)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param('principal.kind = "a"', "write `==` to compare", id="one equals sign"),
        pytest.param("true and true", "syntax error at `and`: write `&&`", id="and"),
        pytest.param("true & true", "write it twice", id="one ampersand"),
        pytest.param("true #", "`#` is not part of CEL", id="strange character"),
        pytest.param("args.x == 'a", "a string is not closed", id="open string"),
        pytest.param('args.x == "\\d"', "patterns go in r", id="bad escape"),
        pytest.param('args["x"', "`]` is missing", id="open bracket"),
        pytest.param("true true", "something is missing before it", id="two operands"),
        pytest.param('principal.groups.contains("a")', "a list is asked with `in`", id="contains on a list"),
        pytest.param('"a" in principal.kind', "for text write `contains`", id="in on text"),
        pytest.param('true ? 1 : "a"', "both answers have one type", id="two types"),
        pytest.param('request.time > "2027"', "`>` cannot be used on `(timestamp, string)`", id="time and text"),
        pytest.param("size(args, 1) == 1", "the function takes others", id="number of arguments"),
        pytest.param("principal == 1", "name a field of it: `principal.actor`", id="no field"),
        pytest.param("arg.x == 1", "did you mean `args`?", id="slip of a root"),
        pytest.param("groups == []", "there are `args`, `object`, `principal`", id="no root"),
        pytest.param("args.x == 99999999999999999999", "beyond 64 bits", id="large number"),
        pytest.param('args.x.matches("a**")', "bad repetition operator: **; a repetition", id="bad pattern"),
    ],
)
def test_error_of_a_condition_says_what_to_do(source, message):
    with pytest.raises(ConditionProblem) as caught:
        compile_condition(source, Protocol.MCP)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_joined_conditions_say_what_each_says_or_nothing():
    conditions = [compile_condition(s, Protocol.MCP) for s in ("args.n == 1 // one", "args.n > 1", '"]" != ")"')]
    joined = Joined(conditions, Protocol.MCP)
    assert joined.outcomes(Facts(call(n=1))) == [True, False, True]
    assert joined.outcomes(Facts(call(n="text"))) is None
    assert joined.outcomes(Facts(call())) is None


def test_conditions_beyond_one_expression_are_refused_when_joined():
    many = [compile_condition(f'"{"a" * 4_000}" != ""', Protocol.MCP)] * 64
    with pytest.raises(ConditionProblem):
        Joined(many, Protocol.MCP)


def test_many_conditions_are_decided_all_the_same(tmp_path):
    rules = [f"name: r{i}, effect: deny, match: {{tools: [t]}}, when: 'args.n == {i}'" for i in range(100)]
    engine = Engine(bundle_of(tmp_path, policy_text("name: a, effect: allow, match: {tools: [t]}", *rules)))
    assert [r.rule for r in engine.decide(call(n=77)).rules] == ["r77"]
    assert isinstance(engine.decide(call(n=100)), Permit)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"y": 2**63}, id="integer beyond 64 bits"),
        pytest.param({"y": [{"z": -(2**63) - 1}]}, id="one below"),
        pytest.param({"y": "\ud800"}, id="lone surrogate"),
        pytest.param({"y": {"\ud800": 1}}, id="lone surrogate in a key"),
        pytest.param({"y": ["b"] * MAX_NODES}, id="too many values"),
    ],
)
def test_what_one_condition_says_does_not_hang_on_what_another_reads(tmp_path, other):
    # Evaluated alone, `args.x` needs only `x`; beside `size(args)` it is given all.
    alone, beside = "when: 'args.x == 1'", "name: s, effect: deny, match: {tools: [u]}, when: 'size(args) > 9'"
    rule = f"name: r, effect: allow, match: {{tools: ['*']}}, {alone}"
    request = call("t", x=1, **other)
    decided = Engine(bundle_of(tmp_path, policy_text(rule))).decide(request)
    assert decided.errors
    together = Engine(bundle_of(tmp_path, policy_text(rule, beside.replace("[u]", "[t]")))).decide(request)
    assert set(decided.errors) < set(together.errors)


def test_integers_of_64_bits_are_read():
    assert holds("args.x == 9223372036854775807", call(x=2**63 - 1))
    assert holds("args.x < -9223372036854775807", call(x=-(2**63)))
