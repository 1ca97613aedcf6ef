"""Batches: several messages in one array (JSON-RPC 2.0 section 6; MCP 2025-03-26 alone)."""

from collections.abc import Callable, Sequence

from holdpoint.domain.access import Action, McpMethod, Protocol
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import jsonrpc, mcp_mirrors, mcp_version
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.headers import Index
from holdpoint.protocols.mcp_messages import session_id
from holdpoint.protocols.mcp_methods import BATCH

MOST = 100
"""Messages of one batch. The specification names no limit; each is decided by itself."""


def together(values: Sequence[JsonValue], index: Index, header: str | None, one: Callable[[JsonValue], Call]) -> Call:
    """Return a batch as one call, with `one` for each of its messages. Raises Undecodable.

    Without a version header it is taken too: the session may speak 2025-03-26. Where it does not, its server refuses
    the array, or takes it: either way it gets the very messages that were decided.
    """
    if header not in (None, mcp_version.WITH_BATCHES):
        raise _refused("this protocol version has no batches: send one message")
    if not values:
        raise _refused("a batch without messages")
    if len(values) > MOST:
        raise _refused(f"a batch has at most {MOST} messages")
    mcp_mirrors.check_none(index)
    members = tuple(_members(values, one))
    intents: list[JsonValue] = [_bare(m.intent) for m in members]
    intent: JsonObject = {"batch": intents}
    if headers := index.intent():
        intent["headers"] = headers
    return Call(
        action=Action(Protocol.MCP, BATCH),
        resource=McpMethod(),
        arguments={},
        intent=intent,
        unverified={"protocol_version": mcp_version.WITH_BATCHES},
        protocol_version=mcp_version.WITH_BATCHES,
        session=session_id(index),
        # Nobody waits for what holds no request, so nobody could be told of a ticket.
        is_notification=all(m.request_id is None for m in members),
        is_write=any(m.is_write for m in members),
        accepts_sse=index.accepts_sse(),
        last_event_id=index.get(b"last-event-id") or "",
        members=members,
    )


def _members(values: Sequence[JsonValue], one: Callable[[JsonValue], Call]) -> list[Call]:
    members: list[Call] = []
    asked: set[str] = set()
    answered: set[str] = set()
    for value in values:
        try:
            call = one(value)
            if call.action.verb == "initialize":
                raise _refused("`initialize` does not travel in a batch")
            if call.request_id is not None:
                _note(call.request_id, asked)
            if call.answers is not None:
                _note(call.answers, answered)
        except Undecodable as error:
            error.request_id = _request_id(value)
            error.batch_ids = _request_ids(values)
            raise
        members.append(call)
    return members


def _note(request_id: jsonrpc.Id, known: set[str]) -> None:
    key = jsonrpc.id_key(request_id)
    if key in known:
        raise _refused("two messages of the batch have the same `id`")
    known.add(key)


def _request_id(value: JsonValue) -> jsonrpc.Id | None:
    """Return the id of a message that is a request beyond doubt."""
    try:
        message = jsonrpc.parse(value)
    except Undecodable:
        return None
    return message.id if isinstance(message, jsonrpc.Request) else None


def _request_ids(values: Sequence[JsonValue]) -> tuple[jsonrpc.Id, ...]:
    return tuple(dict.fromkeys(i for i in map(_request_id, values) if i is not None))


def _bare(intent: JsonValue) -> JsonValue:
    """Return an intent without headers: they are the batch's, and said once."""
    return {key: value for key, value in intent.items() if key != "headers"} if isinstance(intent, dict) else intent


def _refused(message: str) -> Undecodable:
    return Undecodable(message, code=jsonrpc.INVALID_REQUEST)
