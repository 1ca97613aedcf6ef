"""What comes back from an MCP server, in a JSON body or in a stream's events: which message it is, what it asks for."""

from collections.abc import Iterator
from dataclasses import dataclass

from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.protocols import jsonrpc
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.mcp_methods import ASKED_OF_CLIENTS

URL_ELICITATION_REQUIRED = -32042
ELICITATION = "elicitation/create"
RELATED_TASK = "io.modelcontextprotocol/related-task"
TASK_NOTICES = frozenset({"notifications/tasks", "notifications/tasks/status"})
"""How a server tells what became of a task (2026-07-28 extension, 2025-11-25)."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that the client is to perform for the server."""

    method: str
    """`sampling/createMessage`, `elicitation/create`, `roots/list`, …"""
    params: JsonObject
    key: str | None = None
    """Its key in `inputRequests` (2026-07-28)."""


@dataclass(frozen=True, slots=True)
class ServerMessage:
    """One message from the server."""

    message: jsonrpc.Message
    questions: tuple[Question, ...] = ()
    """What it asks of the client.

    A request of the server's own (legacy), what `inputRequests` of a result or notification holds (2026-07-28), or the
    elicitations that error -32042 demands (2025-11-25).
    """

    @property
    def asks(self) -> tuple[str, ...]:
        """Methods that the client is to perform."""
        return tuple(q.method for q in self.questions)


def server_message(value: JsonValue) -> ServerMessage:
    """Classify. Raises Undecodable where `value` is no message, could be two, or hides what it asks for."""
    message = jsonrpc.parse(value, extra="ignore")
    match message:
        case jsonrpc.Response():
            return ServerMessage(message, _asked_by(message.result))
        case jsonrpc.Notification():
            # A question to which no answer is wanted is one all the same.
            itself = (Question(message.method, message.params),) if message.method in ASKED_OF_CLIENTS else ()
            return ServerMessage(message, (*itself, *_asked_by(message.params)))
        case jsonrpc.Request():
            return ServerMessage(message, (Question(message.method, message.params),))
        case jsonrpc.ErrorResponse():
            return ServerMessage(message, _elicitations(message))


def _asked_by(holder: JsonObject) -> tuple[Question, ...]:
    """Return what a result or a notification's parameters ask for; a finished task holds a result in its own."""
    for key in holder:
        if len(key) >= _SHORTEST and jsonrpc.is_lookalike(key, _STATES):
            raise Undecodable("a member looks like one that asks for input", code=jsonrpc.INVALID_REQUEST)
    inner = holder.get("result")
    if "inputRequests" not in holder and not isinstance(inner, dict):
        return ()
    return (*_input_requests(holder), *(_asked_by(inner) if isinstance(inner, dict) else ()))


_STATES = frozenset({"inputRequests", "requestState"})
_SHORTEST = min(map(len, _STATES))


def _input_requests(holder: JsonObject) -> Iterator[Question]:
    value = holder.get("inputRequests")
    if value is None:
        return
    if not isinstance(value, dict):
        raise Undecodable("`inputRequests` is not an object", code=jsonrpc.INVALID_REQUEST)
    for key, wanted in value.items():
        method = wanted.get("method") if isinstance(wanted, dict) else None
        if not isinstance(method, str) or not jsonrpc.is_plain_name(method):
            raise Undecodable("an input request has no method", code=jsonrpc.INVALID_REQUEST)
        yield Question(method, as_object(as_object(wanted).get("params")), key)


def _elicitations(error: jsonrpc.ErrorResponse) -> tuple[Question, ...]:
    if error.code != URL_ELICITATION_REQUIRED:
        return ()
    data = as_object(error.data)
    listed = data.get("elicitations")
    found = [e for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []
    # Whatever it says, a client that meets this code may open something.
    return tuple(Question(ELICITATION, e) for e in found) or (Question(ELICITATION, data),)


def tasks_created(result: JsonObject) -> tuple[str, ...]:
    """Return the ids of tasks that a result hands out.

    `task.taskId` is CreateTaskResult of 2025-11-25, a `resultType` of `task` that of the extension for 2026-07-28.
    """
    ids = (
        as_object(result.get("task")).get("taskId"),
        result.get("taskId") if result.get("resultType") == "task" else None,
    )
    return tuple(i for i in ids if isinstance(i, str))
