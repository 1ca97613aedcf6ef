"""What one principal was given is of no use to another, and nobody answers what nobody asked."""

import json
from dataclasses import replace
from typing import Any

import pytest
from mitmproxy.test import tflow, tutils
from tests.fakes.looking import BOB, LEGACY, MODERN, Lookout, answer, question
from tests.fakes.policies import ADA

from holdpoint.domain.access import Actor, McpMethod, McpServerRequest, Principal
from holdpoint.domain.decision import GuardAnswer, RuleRef
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.protocols import mcp
from holdpoint.protocols.call import Call
from holdpoint.protocols.sse import Event, Parser
from holdpoint.stages import states
from holdpoint.stages.binding import bind, unwrap

RULES = (
    "name: tools, effect: allow, match: {verbs: [tools/call], tools: [t]}",
    "name: ask, effect: allow, match: {server_requests: [elicitation/create]}",
    "name: tasks, effect: allow, match: {verbs: [tasks/get]}",
)
ADA_BY_AGENT = replace(ADA, actor=Actor("claude"))
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
}


@pytest.fixture
def lookout(tmp_path) -> Lookout:
    return Lookout(tmp_path, *RULES)


def message(method: str, /, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}


UNDERSCORED = "Last_Event_ID"


class Bound:
    """A request on its way through what binds it."""

    def __init__(self, lookout: Lookout, said: Any = None, *, who: Principal = ADA, **headers: str) -> None:
        fields = {name if name == UNDERSCORED else name.replace("_", "-"): value for name, value in headers.items()}
        method = "GET" if said is None else "POST"
        body = b"" if said is None else json.dumps(said).encode()
        if said is not None:
            fields = {"content-type": "application/json", "content-length": str(len(body)), **fields}
        request = tutils.treq(method=method.encode(), content=body, headers=())
        for name, value in fields.items():
            request.headers[name] = value
        self.flow = tflow.tflow(req=request)
        self.exchange = lookout.gateway.exchanges.begin(self.flow, "ex-1")
        self.exchange.target = lookout.target
        unwrap(lookout.gateway, self.flow, lookout.target, who)
        self.decoded = mcp.decode(
            method=method, headers=self.flow.request.headers.fields, body=self.flow.request.raw_content or b""
        )
        self.call: Call = bind(lookout.gateway, lookout.target, who, self.decoded, self.flow)


def modern(lookout: Lookout, said: dict[str, Any], *, who: Principal = ADA) -> Bound:
    named = {"mcp_name": said["params"]["name"]} if "name" in said["params"] else {}
    return Bound(lookout, said, who=who, mcp_protocol_version=MODERN, mcp_method=said["method"], **named)


def refused(kind: RefusalKind):
    return pytest.raises(Refusal, check=lambda error: error.kind is kind)


# -- sessions -----------------------------------------------------------------------------------------------------

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def test_session_serves_the_principal_who_was_given_it(lookout):
    facts = {"capabilities": {"roots": {}}, "version": LEGACY}
    lookout.services.handles.began("session", "mcp", "s1", ADA.id, lambda: facts)
    bound = Bound(lookout, PING, mcp_session_id="s1", mcp_protocol_version=LEGACY)
    assert bound.call.capabilities == {"roots": {}}
    with refused(RefusalKind.NOT_FOUND):
        Bound(lookout, PING, who=BOB, mcp_session_id="s1", mcp_protocol_version=LEGACY)


@pytest.mark.parametrize("said", [PING, [PING], {"jsonrpc": "2.0", "id": 9, "result": {}}, None])
def test_session_that_nobody_was_given_serves_nobody(lookout, said):
    with refused(RefusalKind.NOT_FOUND):
        Bound(lookout, said, mcp_session_id="made-up", mcp_protocol_version="2025-03-26")


# -- answers ------------------------------------------------------------------------------------------------------

ANSWER = {"jsonrpc": "2.0", "id": 7, "result": {"action": "accept"}}


def test_answer_is_about_the_question_it_answers_and_only_the_first_counts(lookout):
    lookout.look()(question("elicitation/create", 7))
    bound = Bound(lookout, ANSWER, mcp_protocol_version=LEGACY)
    assert (bound.call.action.verb, bound.call.resource) == ("response", McpServerRequest("elicitation/create"))
    with refused(RefusalKind.BAD_REQUEST):
        Bound(lookout, ANSWER, mcp_protocol_version=LEGACY)


@pytest.mark.parametrize("said", [ANSWER, [ANSWER], {**ANSWER, "id": "7"}, {**ANSWER, "id": 8}])
def test_answer_to_what_nobody_asked_is_refused(lookout, said):
    if said == {**ANSWER, "id": "7"}:
        lookout.look()(question("elicitation/create", 7))
    with refused(RefusalKind.BAD_REQUEST):
        Bound(lookout, said, mcp_protocol_version="2025-03-26")


def test_question_to_one_principal_is_not_answered_by_another(lookout):
    lookout.look()(question("elicitation/create", 7))
    with refused(RefusalKind.BAD_REQUEST):
        Bound(lookout, ANSWER, who=BOB, mcp_protocol_version=LEGACY)
    assert Bound(lookout, ANSWER, mcp_protocol_version=LEGACY).call.answers == 7


def test_answer_to_a_ping_goes_by_the_rules_for_a_ping(lookout):
    lookout.look()(question("ping", 7))
    bound = Bound(lookout, ANSWER, mcp_protocol_version=LEGACY)
    assert (bound.call.action.verb, bound.call.resource) == ("ping", McpMethod())


def test_each_answer_of_a_batch_needs_its_question(lookout):
    lookout.look()(question("elicitation/create", 7))
    bound = Bound(lookout, [PING, ANSWER], mcp_protocol_version="2025-03-26")
    assert [m.resource for m in bound.call.members] == [McpMethod(), McpServerRequest("elicitation/create")]
    with refused(RefusalKind.BAD_REQUEST):
        Bound(lookout, [PING, ANSWER], mcp_protocol_version="2025-03-26")


# -- tasks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["tasks/get", "tasks/cancel"])
def test_task_serves_its_owner_alone(lookout, verb):
    said = message(verb, taskId="t-1")
    with refused(RefusalKind.NOT_FOUND):
        modern(lookout, said)
    lookout.look()(answer(resultType="task", taskId="t-1"))
    assert modern(lookout, said).call.task == "t-1"
    with refused(RefusalKind.NOT_FOUND):
        modern(lookout, said, who=BOB)


def test_stream_tells_of_ones_own_tasks_alone(lookout):
    lookout.look()(answer(resultType="task", taskId="t-1"))
    mine = message("subscriptions/listen", notifications={"taskIds": ["t-1"]})
    assert modern(lookout, mine).call.members[0].task == "t-1"
    for said, who in ((mine, BOB), (message("subscriptions/listen", notifications={"taskIds": ["t-1", "t-2"]}), ADA)):
        with refused(RefusalKind.NOT_FOUND):
            modern(lookout, said, who=who)


def test_answers_to_a_task_are_to_what_it_asked(lookout):
    lookout.look()(answer(resultType="task", taskId="t-1"))
    asks = {"name": {"method": "elicitation/create"}}
    lookout.look(lookout.call("tasks/get", version=MODERN))(answer(taskId="t-1", inputRequests=asks))
    given = message("tasks/update", taskId="t-1", inputResponses={"name": {"action": "decline"}})
    (member,) = modern(lookout, given).call.members
    assert (member.action.verb, member.resource) == ("response", McpServerRequest("elicitation/create"))
    assert member.arguments == {"result": {"action": "decline"}}
    other = message("tasks/update", taskId="t-1", inputResponses={"other": {}})
    assert [m.resource for m in modern(lookout, other).call.members] == EVERY_QUESTION


# -- states -------------------------------------------------------------------------------------------------------

EVERY_QUESTION = [McpServerRequest(m) for m in ("elicitation/create", "roots/list", "sampling/createMessage")]
ASKED = {"k": {"method": "elicitation/create"}}


def round_of(lookout: Lookout, arguments: dict[str, Any], **given: Any) -> str:
    """Have the upstream ask for a round of a call; return the state that the caller gets."""
    first = modern(lookout, message("tools/call", name="t", arguments=arguments))
    call = lookout.call(version=MODERN, intent=first.call.intent)
    shown = lookout.look(call)(answer(resultType="input_required", inputRequests=ASKED, **given))
    return shown["result"]["requestState"]


def again(arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return message("tools/call", name="t", arguments=arguments, **more)


@pytest.mark.parametrize("state", ["plain", 'quotes " and \\ and é and \u2028', "hp1.AAAA", "x" * 5000])
def test_upstream_gets_its_own_state_back(lookout, state):
    sealed = round_of(lookout, {"n": 1}, requestState=state)
    bound = modern(lookout, again({"n": 1}, requestState=sealed, inputResponses={"k": {"action": "accept"}}))
    assert json.loads(bound.flow.request.content)["params"]["requestState"] == state
    assert bound.flow.request.headers["content-length"] == str(len(bound.flow.request.content))
    (member,) = bound.call.members
    assert member.resource == McpServerRequest("elicitation/create")
    assert bound.exchange.opened is not None
    assert bound.exchange.opened.text == sealed


@pytest.mark.parametrize("first", [True, False])
def test_upstream_that_gave_no_state_gets_none(lookout, first):
    sealed = round_of(lookout, {"n": 1})
    responses = {"inputResponses": {"k": {}}}
    more = {"requestState": sealed, **responses} if first else {**responses, "requestState": sealed}
    bound = modern(lookout, again({"n": 1}, **more))
    assert json.loads(bound.flow.request.content)["params"] == again({"n": 1}, **responses)["params"]


def test_every_other_byte_stays(lookout):
    sealed = round_of(lookout, {"n": 1}, requestState="s")
    said = again({"n": 1}, requestState=sealed)
    spaced = json.dumps(said, indent=3)
    restored = states.restored(spaced.encode(), "s")
    assert restored == spaced.replace(f'"requestState": "{sealed}"', '"requestState":"s"').encode()


@pytest.mark.parametrize(
    ("change", "who"),
    [
        pytest.param({}, BOB, id="another principal"),
        pytest.param({}, ADA_BY_AGENT, id="the same by an agent"),
        pytest.param({"arguments": {"n": 2}}, ADA, id="another call"),
        pytest.param({"requestState": "opaque"}, ADA, id="the upstream's own"),
        pytest.param({"requestState": "hp1." + "A" * 80}, ADA, id="forged"),
    ],
)
def test_state_that_is_not_for_this_call_of_this_caller_is_refused(lookout, change, who):
    sealed = round_of(lookout, {"n": 1}, requestState="opaque")
    said = again({"n": 1}, requestState=sealed)
    said["params"] |= change
    with refused(RefusalKind.NOT_FOUND):
        modern(lookout, said, who=who)


def test_state_expires(lookout):
    said = again({"n": 1}, requestState=round_of(lookout, {"n": 1}, requestState="opaque"))
    lookout.clock.advance(states.STATE_FOR)
    with refused(RefusalKind.NOT_FOUND):
        modern(lookout, said)


def test_seal_of_another_purpose_is_no_state(lookout):
    sealed = lookout.services.seals.seal({"state": "x"}, purpose="hold", expires_at=lookout.clock.now() + 9)
    with refused(RefusalKind.NOT_FOUND):
        modern(lookout, again({"n": 1}, requestState=sealed))


def test_state_among_the_arguments_is_refused(lookout):
    sealed = round_of(lookout, {"n": 1}, requestState="opaque")
    with refused(RefusalKind.NOT_FOUND):
        modern(lookout, again({"n": 1, "requestState": sealed}))


def test_answer_to_what_was_not_asked_needs_leave_for_an_answer_to_anything(lookout):
    beside = again({"n": 1}, inputResponses={"k": {}, "other": {}}, requestState=round_of(lookout, {"n": 1}))
    asked = McpServerRequest("elicitation/create")
    assert [m.resource for m in modern(lookout, beside).call.members] == [asked, *EVERY_QUESTION]
    without = again({"n": 1}, inputResponses={"k": {}})
    assert [m.resource for m in modern(lookout, without).call.members] == EVERY_QUESTION


# -- places in streams --------------------------------------------------------------------------------------------


def place_of(lookout: Lookout, **of_exchange: Any) -> str:
    call = lookout.call(session="s1")
    (event,) = Parser().feed(lookout.look(call, **of_exchange).encode(Event(data="{}", id="e-7")))
    return event.id or ""


@pytest.fixture
def sessions(lookout) -> Lookout:
    lookout.services.handles.began("session", "mcp", "s1", ADA.id)
    lookout.services.handles.began("session", "mcp", "s2", ADA.id)
    lookout.services.handles.began("session", "mcp", "b1", BOB.id)
    return lookout


def test_stream_goes_on_under_the_duties_it_began_with(sessions):
    guard = GuardAnswer(RuleRef("p", "r", "f:1"), ("evil",))
    given = place_of(sessions, masks=("credentials",), guards=(guard,))
    bound = Bound(sessions, last_event_id=given, mcp_session_id="s1", accept="text/event-stream")
    assert bound.flow.request.headers["last-event-id"] == "e-7"
    assert bound.call.last_event_id == "e-7"
    assert bound.exchange.masks == ("credentials",)
    assert bound.exchange.guards == (guard,)
    assert bound.exchange.resumed == states.Place("e-7", {1: "tools/call"}, ("credentials",), (guard,))


def test_stream_whose_mask_is_gone_goes_on_under_every_mask(sessions):
    given = place_of(sessions, masks=("gone",))
    bound = Bound(sessions, last_event_id=given, mcp_session_id="s1", accept="text/event-stream")
    assert bound.exchange.masks == ("credentials", "personal-data")


@pytest.mark.parametrize(
    ("session", "who", "change"),
    [
        pytest.param("b1", BOB, "", id="another principal"),
        pytest.param("s2", ADA, "", id="another session"),
        pytest.param("s1", ADA_BY_AGENT, "", id="the same by an agent"),
        pytest.param("s1", ADA, "e-7", id="the upstream's own id"),
        pytest.param("s1", ADA, "hp1." + "B" * 90, id="forged"),
    ],
)
def test_place_that_is_not_this_callers_is_refused(sessions, session, who, change):
    given = change or place_of(sessions)
    with refused(RefusalKind.NOT_FOUND):
        Bound(sessions, who=who, last_event_id=given, mcp_session_id=session, accept="text/event-stream")


def test_place_given_twice_is_refused(sessions):
    given = place_of(sessions)
    with refused(RefusalKind.NOT_FOUND):
        Bound(sessions, last_event_id=f"{given}, {given}", mcp_session_id="s1", accept="text/event-stream")


def test_place_in_a_header_that_only_some_servers_take_for_the_same_is_refused(sessions):
    with refused(RefusalKind.NOT_FOUND):
        Bound(sessions, mcp_session_id="s1", accept="text/event-stream", **{UNDERSCORED: "e-7"})


def test_place_on_a_post_never_reaches_the_upstream(sessions):
    bound = Bound(sessions, PING, last_event_id="e-7", mcp_session_id="s1", mcp_protocol_version=LEGACY)
    assert "last-event-id" not in bound.flow.request.headers
