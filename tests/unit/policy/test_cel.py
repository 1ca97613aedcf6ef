from dataclasses import replace

import pytest
from tests.fakes.policies import ADA, by, call, fetch, kube

from holdpoint.domain.access import Actor, Protocol
from holdpoint.policy.cel import ConditionFailed, ConditionProblem, Facts, compile_condition
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
