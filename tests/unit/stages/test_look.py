"""What a server says is looked at message by message."""

import copy
from dataclasses import replace

import pytest
from tests.fakes.looking import BOB, LEGACY, MODERN, Lookout, answer, notice, question

from holdpoint.domain.access import Action, McpMethod, McpTool, Protocol
from holdpoint.domain.decision import GuardAnswer, RuleRef
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.sse import Event, Parser
from holdpoint.settings import TargetMode
from holdpoint.stages import states

TOOLS = 'name: tools, effect: allow, match: {verbs: [tools/call], tools: ["read_*", t]}'
ELICIT = "name: ask, effect: allow, match: {server_requests: [elicitation/create]}"
SAMPLING_DENIED = "name: no, effect: deny, reason: no models here, match: {server_requests: [sampling/createMessage]}"
READ = 'name: read, effect: allow, match: {verbs: [resources/read], uris: ["note://public/*"]}'
QUIET = "name: quiet, effect: deny, match: {verbs: [notifications/message]}"


@pytest.fixture
def lookout(tmp_path) -> Lookout:
    return Lookout(tmp_path, TOOLS, ELICIT, SAMPLING_DENIED, READ, QUIET)


# -- answers ------------------------------------------------------------------------------------------------------


def test_plain_answer_is_the_very_same_object(lookout):
    said = answer(content=[{"type": "text", "text": "x"}])
    assert lookout.look()(said) is said
    assert lookout.exchange.notes == []


@pytest.mark.parametrize("request_id", [2, "1", ""])
def test_answer_to_what_was_not_asked_is_withheld(lookout, request_id):
    look = lookout.look()
    assert look(answer(request_id)) is None
    assert look({"jsonrpc": "2.0", "id": request_id, "error": {"code": 1, "message": "x"}}) is None
    assert lookout.exchange.notes == ["withheld an answer to something that was not asked, or was answered before"]


def test_second_answer_to_one_request_is_withheld(lookout):
    look = lookout.look()
    assert look(answer(content=[])) is not None
    assert look(answer(content=[{"type": "text", "text": "again"}])) is None


def test_stream_without_a_request_carries_no_answers(lookout):
    assert lookout.look(lookout.call("session/listen", request_id=None))(answer(1)) is None


def test_resumed_stream_carries_the_answers_that_the_first_one_owed_and_no_others(lookout):
    look = lookout.look(lookout.call("session/listen", request_id=None), resumed=states.Place("e1", {5: "tools/call"}))
    assert look(answer(6)) is None
    assert look(answer(5)) is not None
    assert look(answer(5)) is None


def test_error_without_an_id_passes_only_while_an_answer_is_owed(lookout):
    look = lookout.look()
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "x"}}
    assert look(error) is error
    look(answer())
    assert look(error) is None


def test_batch_of_answers_loses_only_what_was_not_asked(lookout):
    members = tuple(
        replace(lookout.call().access, action=Action(Protocol.MCP, verb), resource=McpMethod())
        for verb in ("ping", "notifications/initialized", "tools/list")
    )
    look = lookout.look(lookout.call("batch", request_id=None, batch_ids=("a", "b"), batch_at=(0, 2), members=members))
    shown = look([answer("b", tools=[{"name": "drop"}]), answer("x"), answer("a")])
    assert shown == [answer("b", tools=[]), answer("a")]
    assert look([answer("a")]) is None


def test_untouched_batch_is_the_very_same_object(lookout):
    members = (lookout.call().access,) * 2
    look = lookout.look(lookout.call("batch", request_id=None, batch_ids=(1, 2), batch_at=(0, 1), members=members))
    said = [answer(1), answer(2)]
    assert look(said) is said


def test_whole_body_of_which_nothing_is_left_is_refused(lookout):
    with pytest.raises(Refusal) as refused:
        lookout.look().whole(answer(2))
    assert refused.value.kind is RefusalKind.WITHHELD


def test_what_is_no_message_is_refused(lookout):
    for value in (None, "text", 1, {}, [[]], {"jsonrpc": "2.0", "id": 1, "result": {"InputRequests": {}}}):
        with pytest.raises(Undecodable):
            lookout.look()(value)


# -- what a server asks -------------------------------------------------------------------------------------------


def test_question_that_a_rule_allows_passes_and_is_remembered(lookout):
    look = lookout.look(lookout.call(session="s1"))
    asked = question("elicitation/create", 7, message="who?")
    assert look(asked) is asked
    questions = lookout.services.questions
    assert questions.answered(lookout.call().access.principal.id, "mcp", "s1", 7) == "elicitation/create"
    assert questions.answered(lookout.call().access.principal.id, "mcp", "s1", 7) is None


def test_question_that_no_rule_allows_ends_the_call_that_waits(lookout):
    with pytest.raises(Refusal) as refused:
        lookout.look()(question("roots/list"))
    assert refused.value.kind is RefusalKind.DENIED
    assert lookout.exchange.notes == ["withheld what the server asked of the client: roots/list"]


def test_denied_question_tells_the_rules_own_reason(lookout):
    with pytest.raises(Refusal, match="no models here"):
        lookout.look()(question("sampling/createMessage"))


def test_denied_question_is_withheld_where_no_call_waits(lookout):
    assert lookout.look(lookout.call("session/listen", request_id=None))(question("roots/list")) is None
    look = lookout.look()
    look(answer())
    assert look(question("roots/list")) is None


def test_ping_of_the_server_always_passes(lookout):
    assert lookout.look()(question("ping")) is not None


def test_denied_question_passes_with_a_note_where_the_target_only_observes(lookout):
    look = lookout.look(target=replace(lookout.target, mode=TargetMode.OBSERVE))
    assert look(question("roots/list")) is not None
    assert lookout.exchange.notes == ["would withhold what the server asked of the client: roots/list"]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(
            answer(
                resultType="input_required",
                inputRequests={"a": {"method": "elicitation/create"}, "b": {"method": "roots/list"}},
            ),
            id="one of two input requests",
        ),
        pytest.param(
            answer(result={"inputRequests": {"a": {"method": "roots/list"}}}), id="hidden in the result of a task"
        ),
    ],
)
def test_answer_that_asks_for_something_denied_becomes_an_error(lookout, said):
    shown = lookout.look()(said)
    assert shown["id"] == 1
    assert shown["error"]["data"]["kind"] == "denied"
    assert "result" not in shown


def test_demand_of_an_elicitation_is_decided_like_the_elicitation(lookout, tmp_path):
    demand = {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32042, "message": "x", "data": {"elicitations": [{"mode": "url", "url": "https://evil"}]}},
    }
    assert lookout.look()(demand) is demand
    closed = Lookout(tmp_path, TOOLS)
    assert closed.look()(demand)["error"]["code"] == 4030


def test_rule_may_read_what_the_question_says(tmp_path):
    only = 'name: ask, effect: allow, match: {server_requests: [elicitation/create]}, when: args.mode == "form"'
    lookout = Lookout(tmp_path, TOOLS, only)
    assert lookout.look()(question("elicitation/create", mode="form")) is not None
    with pytest.raises(Refusal):
        lookout.look()(question("elicitation/create", mode="url"))


def test_body_that_answers_nothing_holds_an_error_and_nothing_that_a_client_would_act_on(lookout, tmp_path):
    look = lookout.look()
    look.aside(b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"x"}}')
    look.aside(b"not json")
    for body in (
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
        b'[{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage"}]',
    ):
        with pytest.raises(Refusal):
            look.aside(body)
    with pytest.raises(Refusal):
        Lookout(tmp_path, TOOLS).look().aside(b'{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"x"}}')


# -- notices ------------------------------------------------------------------------------------------------------


def test_notices_pass_unless_a_rule_denies_them(lookout):
    look = lookout.look()
    progress = notice("notifications/progress", progress=1)
    assert look(progress) is progress
    assert look(notice("notifications/message", data="x")) is None
    assert lookout.exchange.notes == ["withheld a notice, notifications/message"]


@pytest.mark.parametrize(
    ("params", "passes"),
    [
        pytest.param({"uri": "note://public/1"}, True, id="readable"),
        pytest.param({"uri": "note://secret/1"}, False, id="not readable"),
        pytest.param({}, False, id="no URI"),
        pytest.param({"uri": 1}, False, id="no text"),
    ],
)
def test_notice_of_a_resource_reaches_only_who_may_read_it(lookout, params, passes):
    assert (lookout.look()(notice("notifications/resources/updated", **params)) is not None) is passes


# -- tasks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [
        pytest.param({"task": {"taskId": "t-1", "status": "working"}}, id="2025-11-25"),
        pytest.param({"resultType": "task", "taskId": "t-1"}, id="extension"),
    ],
)
def test_task_belongs_to_who_was_given_it(lookout, result):
    lookout.look()(answer(**result))
    ids = [who.id for who in (lookout.call().access.principal, BOB)]
    assert [lookout.services.handles.is_of("task", "mcp", "t-1", i) for i in ids] == [True, False]


def test_task_that_is_somebody_elses_is_not_given_out_again(lookout):
    lookout.look()(answer(task={"taskId": "t-1"}))
    with pytest.raises(Refusal) as refused:
        lookout.look(lookout.call(who=BOB))(answer(task={"taskId": "t-1"}))
    assert refused.value.kind is RefusalKind.WITHHELD


def test_list_of_tasks_holds_ones_own(lookout):
    lookout.look()(answer(task={"taskId": "t-1"}))
    listed = answer(tasks=[{"taskId": "t-0"}, {"taskId": "t-1"}, "odd"], nextCursor="n")
    assert lookout.look(lookout.call("tasks/list"))(listed) == answer(tasks=[{"taskId": "t-1"}], nextCursor="n")


@pytest.mark.parametrize("method", ["notifications/tasks/status", "notifications/tasks"])
def test_notice_of_a_task_reaches_its_owner_alone(lookout, method):
    lookout.look()(answer(task={"taskId": "t-1"}))
    assert lookout.look()(notice(method, taskId="t-1")) is not None
    assert lookout.look(lookout.call(who=BOB))(notice(method, taskId="t-1")) is None


def test_keys_that_a_task_asks_for_are_remembered(lookout):
    lookout.look()(answer(resultType="task", taskId="t-1"))
    asks = {"name": {"method": "elicitation/create"}}
    polled = answer(resultType="complete", taskId="t-1", status="input_required", inputRequests=asks)
    assert lookout.look(lookout.call("tasks/get", version=MODERN))(polled) is polled
    owner = lookout.call().access.principal.id
    assert lookout.services.questions.task_keys(owner, "mcp", "t-1") == {"name": "elicitation/create"}
    assert lookout.services.questions.task_keys(BOB.id, "mcp", "t-1") == {}


# -- states and places --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [pytest.param({"requestState": "opaque"}, id="given"), pytest.param({}, id="none")])
def test_state_goes_out_sealed_even_where_the_upstream_gave_none(lookout, given):
    call = lookout.call(version=MODERN, arguments={"n": 1})
    asks = {"k": {"method": "elicitation/create"}}
    shown = lookout.look(call)(answer(resultType="input_required", inputRequests=asks, **given))
    text = shown["result"]["requestState"]
    assert text.startswith("hp1.")
    opened = states.open_state(lookout.services.seals, call.access.principal, "mcp", text)
    assert opened is not None
    assert (opened.state, opened.keys) == (given.get("requestState"), {"k": "elicitation/create"})
    assert opened.call == states.call_digest(call.intent)


def test_state_that_is_no_text_is_withheld(lookout):
    with pytest.raises(Refusal):
        lookout.look(lookout.call(version=MODERN))(answer(resultType="input_required", requestState={"a": 1}))


def test_member_of_a_legacy_result_that_is_called_like_a_state_is_left_alone(lookout):
    said = answer(content=[], requestState="mine")
    assert lookout.look()(said) is said


def test_event_id_goes_out_sealed_with_the_duties_of_the_stream(lookout):
    guard = GuardAnswer(RuleRef("p", "r", "f:1"), ("evil",))
    call = lookout.call(session="s1")
    look = lookout.look(call, masks=("credentials",), guards=(guard,))
    (event,) = Parser().feed(look.encode(Event(data="{}", id="e-7")))
    assert event.id is not None
    assert "e-7" not in event.id
    place = states.open_place(lookout.services.seals, call.access.principal, "mcp", "s1", event.id)
    assert place == states.Place("e-7", {1: "tools/call"}, ("credentials",), (guard,))


def test_empty_event_id_stays_empty_and_none_stays_none(lookout):
    look = lookout.look()
    assert look.encode(Event(data="{}", id="")) == b"id: \ndata: {}\n\n"
    assert look.encode(Event(data="{}")) == b"data: {}\n\n"


# -- guards -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(Event(data='{"a":["x",{"b":"say \\u0065vil"}]}'), id="escaped in a value"),
        pytest.param(Event(data='{"evil":1}'), id="a name"),
        pytest.param(Event(type="other", data="evil"), id="plain text"),
        pytest.param(Event(type="evil"), id="type"),
        pytest.param(Event(comments=("evil",)), id="comment"),
        pytest.param(Event(data='{"blob":"ZXZpbA=="}'), id="blob"),
    ],
)
def test_event_in_which_a_guard_matches_does_not_pass(lookout, event):
    look = lookout.look(guards=(GuardAnswer(RuleRef("p", "r"), ("evil",)),))
    with pytest.raises(Refusal, match="the answer matched a guard"):
        look.encode(event)
    assert look.encode(Event(data='{"a":"good"}')) == b'data: {"a":"good"}\n\n'


# -- never ---------------------------------------------------------------------------------------------------------


def test_look_never_changes_what_it_is_given(lookout):
    said = answer(tools=[{"name": "drop"}, {"name": "t"}], ttlMs=5, cacheScope="public", nextCursor="n")
    before = copy.deepcopy(said)
    shown = lookout.look(lookout.call("tools/list", version=MODERN))(said)
    assert said == before
    assert shown != said


def test_question_is_masked_as_the_rule_that_allows_it_demands(tmp_path):
    lookout = Lookout(tmp_path, TOOLS, f"{ELICIT}, mask: [personal-data]")
    shown = lookout.look()(question("elicitation/create", message="ask ann@example.com"))
    assert "ann@example.com" not in str(shown)
    assert shown["params"]["message"].startswith("ask ")


def test_version_of_a_session_is_learned_from_the_answer(lookout):
    call = lookout.call("initialize")
    lookout.services.handles.began(
        "session", "mcp", "s1", call.access.principal.id, lambda: {"capabilities": {"a": {}}}
    )
    lookout.look(call, begun_session="s1")(answer(protocolVersion=LEGACY, capabilities={}))
    assert lookout.services.handles.session_facts("mcp", "s1") == ({"a": {}}, LEGACY)


def test_tool_of_a_list_is_no_tool_of_content(lookout):
    said = answer(content=[], tools=[{"name": "drop"}])
    assert lookout.look(lookout.call(resource=McpTool("t")))(said) is said
