"""Handles that a server gave to one principal are of no use to another, and nobody answers what nobody asked."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mitmproxy import http

from holdpoint.domain.access import Action, McpMethod, McpServerRequest, Principal, Protocol
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonValue
from holdpoint.protocols.call import Call
from holdpoint.seals import SealBroken
from holdpoint.settings import Target
from holdpoint.stages import states
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.task_duties import duties_of, take_up

_LAST_EVENT = "last-event-id"
_SESSION = "mcp-session-id"
_QUESTIONS = ("elicitation/create", "roots/list", "sampling/createMessage")
"""All that a server may ask in `inputRequests`."""
_BATCH = "batch"
_PING = "ping"
_RESPONSE = "response"
"""The gateway's own word for an answer that a client posts."""


def unwrap(gateway: Gateway, flow: http.HTTPFlow, target: Target, principal: Principal) -> None:
    """Restore in a request what the upstream had given out: before decoding, which is of what will be sent.

    Raises Refusal for what was given to somebody else.
    """
    if target.protocol is not Protocol.MCP:
        return
    headers = flow.request.headers
    if _LAST_EVENT in headers:
        _restore_place(gateway, flow, target, principal)
    body = flow.request.raw_content
    if body and (text := states.brought(body)) is not None and "content-encoding" not in headers:
        try:
            opened = states.open_state(gateway.services.seals, principal, target.name, text)
        except SealBroken as broken:
            # Refused once the call is known, as any other wrong state is: who brings it learns nothing of it.
            gateway.exchanges.of(flow).notes.append(f"request state {broken}")
            return
        if opened is not None:
            gateway.exchanges.of(flow).opened = opened
            flow.request.content = states.restored(body, opened.state)


def _restore_place(gateway: Gateway, flow: http.HTTPFlow, target: Target, principal: Principal) -> None:
    headers = flow.request.headers
    if flow.request.method != "GET":
        # Resumption is by GET; whatever an upstream makes of it elsewhere, nothing was asked there.
        del headers[_LAST_EVENT]
        return
    session = headers.get(_SESSION, "")
    try:
        # Given more than once it is joined by commas, which are in no seal.
        place = states.open_place(gateway.services.seals, principal, target.name, session, headers[_LAST_EVENT])
    except SealBroken as broken:
        raise Refusal(RefusalKind.NOT_FOUND, "no such event", detail=f"event id {broken}") from None
    exchange = gateway.exchanges.of(flow)
    headers[_LAST_EVENT] = place.id
    # What the stream carries was asked for under these duties, and is shown under no fewer.
    exchange.resumed, exchange.guards = place, place.guards
    known = set(gateway.services.policies.every_mask)
    exchange.masks = place.masks if known.issuperset(place.masks) else tuple(sorted(known))


def bind(gateway: Gateway, target: Target, principal: Principal, call: Call, flow: http.HTTPFlow) -> Call:
    """Return a call whose handles are the caller's own, with what the gateway knows of it. Raises Refusal."""
    if target.protocol is not Protocol.MCP:
        return call
    services, exchange = gateway.services, gateway.exchanges.of(flow)
    if call.last_event_id and exchange.resumed is None:
        raise Refusal(RefusalKind.NOT_FOUND, "no such event", detail="an event id that was not restored")
    if call.session:
        if not services.handles.is_of("session", target.name, call.session, principal.id):
            raise Refusal(RefusalKind.NOT_FOUND, "no such session", detail="unknown, or another principal began it")
        if call.request_id is not None and not call.capabilities:
            capabilities, _ = services.handles.session_facts(target.name, call.session)
            call = replace(call, capabilities=capabilities) if capabilities else call
    if call.action.verb == _BATCH:
        call = replace(call, members=tuple(_bound(gateway, target, principal, m, None) for m in call.members))
        tasks = [m.task for m in call.members if m.task]
    else:
        call = _bound(gateway, target, principal, call, exchange.opened)
        # What a stream tells of, it is held to notice by notice.
        tasks = [call.task] if call.task else []
    if tasks:
        take_up(exchange, duties_of(services.handles, target.name, tasks, services.policies.every_mask))
    return call


def _bound(
    gateway: Gateway, target: Target, principal: Principal, call: Call, opened: states.OpenedState | None
) -> Call:
    if call.action.verb == _RESPONSE:
        return _answer(gateway, target, principal, call)
    _check_tasks(gateway, target, principal, call)
    keys = _check_state(call, opened)
    if not call.input_responses:
        return call
    if keys is None:
        keys = gateway.services.questions.task_keys(principal.id, target.name, call.task) if call.task else {}
    answers = (answer for key, value in call.input_responses.items() for answer in _given(call, value, keys.get(key)))
    # Decided with the call that carries them: all of it may pass, or none.
    return replace(call, members=(*call.members, *answers))


def _answer(gateway: Gateway, target: Target, principal: Principal, call: Call) -> Call:
    method = gateway.services.questions.answered(principal.id, target.name, call.session, call.answers)
    if method is None:
        raise Refusal(RefusalKind.BAD_REQUEST, "no such question: nobody asked, or it was answered before")
    if method == _PING:
        # Asked of no rule, as the question was not: whoever may ask a server whether it is there may say the same.
        return replace(call, action=Action(Protocol.MCP, _PING), resource=McpMethod())
    return replace(call, resource=McpServerRequest(method))


def _check_tasks(gateway: Gateway, target: Target, principal: Principal, call: Call) -> None:
    handles, verb = gateway.services.handles, call.action.verb
    if call.task:
        # A client may have tasks of its own, which it names in notifications.
        is_mine = (
            not handles.is_of_another("task", target.name, call.task, principal.id)
            if verb.startswith("notifications/")
            else handles.is_of("task", target.name, call.task, principal.id)
        )
        if not is_mine:
            raise Refusal(RefusalKind.NOT_FOUND, "no such task", detail="unknown, or another principal's")
    for member in call.members:
        # What a stream will tell of, one by one.
        _check_tasks(gateway, target, principal, member)


def _check_state(call: Call, opened: states.OpenedState | None) -> Mapping[str, str] | None:
    """Return the keys that the call may answer; None where it brought no state. Raises Refusal."""
    if opened is None:
        if call.request_state:
            raise states.wrong_state(
                call.request_id, call.protocol_version, "not sealed by this gateway, for this purpose"
            )
        return None
    if call.request_state != (opened.state or ""):
        raise states.wrong_state(call.request_id, call.protocol_version, "brought where it does not belong")
    if states.call_digest(call.intent) != opened.call:
        raise states.wrong_state(call.request_id, call.protocol_version, "given for another call")
    return opened.keys


def _given(call: Call, value: JsonValue, method: str | None) -> Iterator[Call]:
    """Return the answer to a question; to each there is, where it is not known which, or whether one was asked.

    Servers may take answers that they did not ask for, and SHOULD ignore what they do not know (2026-07-28, mrtr).
    """
    for about in _QUESTIONS if method is None else (method,):
        yield Call(
            action=Action(Protocol.MCP, _RESPONSE),
            resource=McpServerRequest(about),
            arguments={"result": value},
            intent={"method": _RESPONSE, "params": {"result": value}},
            unverified=call.unverified,
            protocol_version=call.protocol_version,
        )
