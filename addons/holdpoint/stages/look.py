"""What an MCP server says, message by message: looked at before it is masked, and withheld where it may not pass.

docs/reference/mcp-answers.md says what is changed, and why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.protocols import jsonrpc, mcp_answers, mcp_asides, mcp_lists, mcp_version, sse
from holdpoint.protocols.mcp_answers import Question, ServerMessage, server_message
from holdpoint.protocols.mcp_refusals import refusal_message
from holdpoint.settings import Target
from holdpoint.stages import states
from holdpoint.stages.asking import Asking
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.guarding import Plain
from holdpoint.stages.handles import ForeignHandle
from holdpoint.stages.task_duties import note_task
from holdpoint.telemetry.ended import TOOL_ERROR

_CACHED = frozenset({*mcp_lists.KINDS, "resources/read", "server/discover"})
"""Verbs whose results say how they may be cached (2026-07-28)."""
_LISTEN = "subscriptions/listen"
_MESSAGES = frozenset({"", "message"})
"""Types of events whose data clients take for messages."""
_ENDPOINT = "endpoint"
"""Type of the event by which servers of 2024-11-05 say where messages are to be posted."""
_UNASKED = "withheld an answer to something that was not asked, or was answered before"


class Look(Plain):
    """Looks at everything an MCP server says in one exchange. Never changes what it is given; may run in a thread."""

    def __init__(self, gateway: Gateway, exchange: Exchange, target: Target, call: Decoded) -> None:
        super().__init__(exchange.guards)
        self._services = gateway.services
        self._exchange = exchange
        self._target = target
        self._call = call
        self._asking = Asking(gateway.services, exchange, target, call.access)
        self._owed = _owed(exchange, call)
        self._is_modern = call.protocol_version in mcp_version.MODERN

    def __call__(self, value: JsonValue) -> JsonValue | None:
        """Return a message, or a batch of them, as it may pass on, before masking. None withholds it.

        Raises Undecodable for what is no message, and Refusal where the exchange has to end.
        """
        if not isinstance(value, list):
            return self._message(value)
        shown = [self._message(v) for v in value]
        if all(s is v for s, v in zip(shown, value, strict=True)):
            return value
        return [s for s in shown if s is not None] or None

    def whole(self, value: JsonValue) -> JsonValue:
        """Return the message of a whole body as it may pass on. Raises as a call, and Refusal where nothing is left."""
        shown = self(value)
        if shown is None:
            raise Refusal(RefusalKind.WITHHELD, "the upstream answered something else than it was asked")
        return shown

    @property
    def is_read_by_line(self) -> bool:
        """Whether a client may take each line of the answer for a message."""
        return self._call.access.action.verb == _LISTEN

    @property
    def owes(self) -> bool:
        """Whether an answer is still owed."""
        return bool(self._owed)

    def aside(self, body: bytes) -> None:
        """Look at a body that answers nothing: its status says that it failed, or nothing was asked. Raises Refusal.

        It may be anything but an answer or a question, in whatever way a client could read one. The id of an error
        counts for nothing: servers give errors of this kind ids of their own. Raises Undecodable, too.
        """
        for message in mcp_asides.said_aside(body):
            self._exchange.answer_error = _code_of(message) or self._exchange.answer_error
            if "jsonrpc" in message and ("method" in message or "result" in message):
                raise Refusal(RefusalKind.WITHHELD, "the upstream answered something else than it was asked")
            if as_object(message.get("error")).get("code") == mcp_answers.URL_ELICITATION_REQUIRED:
                why, _ = self._asking.denied(server_message(message).questions, message)
                if why is not None:
                    raise Refusal(RefusalKind.DENIED, why)

    def encode(self, event: sse.Event) -> bytes:
        """Write an event that was masked, with an id that only this caller can come back with. Raises Refusal."""
        self._check_type(event)
        # An empty id is none: it makes clients forget the last.
        event = replace(event, id=self._place(event.id)) if event.id else event
        return super().encode(sse.for_every_reader(event))

    def _check_type(self, event: sse.Event) -> None:
        """Refuse an event that clients take for a message, or for a way elsewhere, and that is no message."""
        is_message = event.type in _MESSAGES and (event.data or "").lstrip()[:1] not in "{["
        if is_message and event.data:
            raise Refusal(RefusalKind.WITHHELD, "the upstream sent an event that is no message")
        if event.type == _ENDPOINT:
            raise Refusal(RefusalKind.WITHHELD, "the upstream sent the caller elsewhere")

    def _place(self, event_id: str) -> str:
        place = states.Place(event_id, dict(self._owed), self._exchange.masks, self._guards)
        access = self._call.access
        return states.seal_place(self._services.seals, access.principal, access.target, self._call.session, place)

    def _message(self, value: JsonValue) -> JsonValue | None:
        said = server_message(value)
        match said.message:
            case jsonrpc.Response(request_id, result):
                return self._response(value, said, request_id, result)
            case jsonrpc.ErrorResponse(request_id):
                return self._error(value, said, request_id)
            case jsonrpc.Notification():
                return self._notice(value, said, said.message)
            case jsonrpc.Request():
                return self._request(value, said, said.message)

    # -- answers --------------------------------------------------------------------------------------------------

    def _response(
        self, value: JsonValue, said: ServerMessage, request_id: jsonrpc.Id, result: JsonObject
    ) -> JsonValue | None:
        verb = self._owed.pop(request_id, None)
        if verb is None:
            self._asking.note(_UNASKED)
            return None
        if result.get("isError") is True:
            self._exchange.answer_error = TOOL_ERROR
        if said.questions:
            why, value = self._asking.denied(said.questions, value)
            if why is not None:
                return self._told(request_id, why)
            result = as_object(as_object(value).get("result"))
        shown = self._result(verb, result, said.questions)
        return value if shown is result else {**as_object(value), "result": shown}

    def _error(self, value: JsonValue, said: ServerMessage, request_id: jsonrpc.Id | None) -> JsonValue | None:
        if request_id is None:
            # The server could not read whose answer this is; no caller can take it for another's.
            passes = bool(self._owed) and not said.questions
        else:
            passes = self._owed.pop(request_id, None) is not None
        if not passes:
            self._asking.note(_UNASKED)
            return None
        self._exchange.answer_error = _code_of(value)
        why, value = self._asking.denied(said.questions, value)
        return value if why is None else self._told(request_id, why)

    def _told(self, request_id: jsonrpc.Id | None, why: str) -> JsonObject:
        return refusal_message(
            Refusal(RefusalKind.DENIED, why),
            refusal_id=self._exchange.id,
            request_id=request_id,
            protocol_version=self._call.protocol_version,
            verb="",
        )

    def _result(self, verb: str, result: JsonObject, questions: Sequence[Question]) -> JsonObject:
        if "task" in result or "resultType" in result:
            self._note_tasks(result)
        if verb == "tools/call" and not questions and "requestState" not in result:
            return result
        shown = self._lists(verb, result)
        if verb == "initialize":
            self._note_version(result)
        elif verb == "server/discover":
            shown = mcp_lists.with_our_versions(shown)
        if self._is_modern and verb in _CACHED:
            shown = self._cached(verb, shown, has_changed=shown is not result)
        return self._with_state(verb, shown, questions)

    def _note_tasks(self, result: JsonObject) -> None:
        access = self._call.access
        for task in mcp_answers.tasks_created(result):
            try:
                note_task(self._services.handles, self._exchange, access.target, access.principal.id, task)
            except ForeignHandle as error:
                raise reused(error) from None

    def _note_version(self, result: JsonObject) -> None:
        if self._exchange.begun_session:
            facts: JsonObject = {"version": as_text(result.get("protocolVersion"))}
            self._services.handles.learned("session", self._target.name, self._exchange.begun_session, facts)

    def _lists(self, verb: str, result: JsonObject) -> JsonObject:
        shown = result
        for kind in mcp_lists.lists_in(verb, result):
            if kind.member == "tools":
                self._saw_tools(result)
            kept, hidden = mcp_lists.filtered(shown, kind, partial(self._asking.shows, kind.verb))
            if hidden and self._asking.observes:
                self._asking.note(f"would hide {hidden} of {kind.member}")
            elif hidden:
                self._asking.note(f"hid {hidden} of {kind.member}")
                shown = kept
        if verb == "tasks/list" and isinstance(listed := result.get("tasks"), list):
            mine = [task for task in listed if self._is_mine(as_object(task).get("taskId"))]
            if len(mine) < len(listed):
                shown = {**shown, "tasks": mine}
            shown = as_object(self._asking.as_tasks([as_text(as_object(task).get("taskId")) for task in mine], shown))
        return shown

    def _saw_tools(self, result: JsonObject) -> None:
        listed = result.get("tools")
        tools = [t for t in listed if isinstance(t, dict)] if isinstance(listed, list) else []
        access = self._call.access
        self._services.pins.saw_tools(
            self._target.name,
            tools,
            # Pages belong together that one principal asks for in one session, or without any.
            listing=f"{len(access.principal.id)}:{access.principal.id}{self._call.session}",
            first=access.arguments.get("cursor") is None,
            complete=result.get("nextCursor") is None,
            exchange=self._exchange.id,
        )

    def _cached(self, verb: str, result: JsonObject, *, has_changed: bool) -> JsonObject:
        if result.get("resultType", "complete") != "complete":
            return result  # it asks for input, and is not cached
        if verb in mcp_lists.KINDS:
            return mcp_lists.for_one_caller(result, ttl_ms=round(self._target.lists_ttl * 1000))
        if verb == "resources/read" or has_changed or self._exchange.masks:
            return mcp_lists.for_one_caller(result)
        return result

    def _with_state(self, verb: str, result: JsonObject, questions: Sequence[Question]) -> JsonObject:
        if verb == "tasks/get":
            self._remember_task(result, questions)
            return result
        if not questions and ("requestState" not in result or not self._is_modern):
            return result
        state = result.get("requestState")
        if state is not None and not isinstance(state, str):
            raise Refusal(RefusalKind.WITHHELD, "the upstream gave a state that is no text")
        access, services = self._call.access, self._services
        sealed = states.seal_state(
            services.seals,
            access.principal,
            access.target,
            intent=self._call.intent,
            questions=questions,
            # An empty one says nothing, and could not be told from none.
            state=state or None,
            now=services.clock.now(),
        )
        return {**result, "requestState": sealed}

    # -- what the server says of its own accord -------------------------------------------------------------------

    def _notice(self, value: JsonValue, said: ServerMessage, notice: jsonrpc.Notification) -> JsonValue | None:
        is_of_task = notice.method in mcp_answers.TASK_NOTICES
        if is_of_task and not self._is_mine(notice.params.get("taskId")):
            self._asking.note("withheld a notice of a task that is not the caller's")
            return None
        passes, value = self._asking.lets_notice(notice, value)
        if not passes:
            return None
        why, value = self._asking.denied(said.questions, value)
        if why is None and is_of_task:
            self._remember_task(notice.params, said.questions)
            value = self._asking.as_tasks([as_text(notice.params.get("taskId"))], value)
        return value if why is None else None

    def _request(self, value: JsonValue, said: ServerMessage, request: jsonrpc.Request) -> JsonValue | None:
        why, value = self._asking.denied(said.questions, value)
        if why is not None:
            if self._owed:
                # The server waits for an answer that will never come, and its caller would wait with it.
                raise Refusal(RefusalKind.DENIED, why)
            return None
        access = self._call.access
        self._services.questions.asked(
            access.principal.id, access.target, self._call.session, request.id, request.method
        )
        return value

    def _remember_task(self, holder: JsonObject, questions: Sequence[Question]) -> None:
        access, task = self._call.access, holder.get("taskId")
        if isinstance(task, str):
            for question in questions:
                self._services.questions.task_asked(
                    access.principal.id, access.target, task, question.key or "", question.method
                )

    def _is_mine(self, task: JsonValue) -> bool:
        access = self._call.access
        return isinstance(task, str) and self._services.handles.is_of("task", access.target, task, access.principal.id)


def reused(error: ForeignHandle) -> Refusal:
    """Return the refusal of an answer that gives one handle to two callers."""
    return Refusal(RefusalKind.WITHHELD, "the upstream gave out what it had given to another caller", detail=str(error))


def _code_of(value: JsonValue) -> str:
    code = as_object(as_object(value).get("error")).get("code")
    return str(code) if isinstance(code, int) else ""


def _owed(exchange: Exchange, call: Decoded) -> dict[jsonrpc.Id, str]:
    """Return the ids that an answer may bear, with what was asked under each."""
    resumed: Mapping[jsonrpc.Id, str] = exchange.resumed.owed if exchange.resumed else {}
    if call.request_id is not None:
        return {call.request_id: call.access.action.verb}
    if not call.batch_ids:
        return dict(resumed)
    asked = [call.access.members[n].action.verb for n in call.batch_at]
    return dict(zip(call.batch_ids, asked, strict=True))
