"""MCP over streamable HTTP: from a request to a Call. Versions 2025-03-26, 2025-06-18, 2025-11-25 and 2026-07-28.

What is decided on is the body; headers that mirror it must agree. The whole table: docs/reference/mcp-decoding.md.
"""

from collections.abc import Mapping

from holdpoint.domain.access import Action, McpMethod, Protocol
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import jsonrpc, mcp_batch, mcp_messages, mcp_mirrors, mcp_version, strict_json
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.headers import Headers, Index
from holdpoint.protocols.mcp_answers import ServerMessage, server_message
from holdpoint.protocols.mcp_methods import DELETE, LISTEN, READS, RESPONSE
from holdpoint.protocols.mcp_mirrors import Mirrors
from holdpoint.protocols.mcp_refusals import refusal, refusal_event, undecodable

__all__ = [
    "DELETE",
    "LISTEN",
    "READS",
    "RESPONSE",
    "Mirrors",
    "ServerMessage",
    "decode",
    "refusal",
    "refusal_event",
    "server_message",
    "undecodable",
]

_PEEK_BYTES = 64 << 10


def _no_mirrors(_tool: str) -> Mapping[str, str]:
    return {}


def decode(
    *,
    method: str,
    headers: Headers,
    body: bytes,
    max_bytes: int = strict_json.MAX_BYTES,
    mirrors: Mirrors = _no_mirrors,
) -> Call:
    """Return what an HTTP request asks of an MCP server. Raises Undecodable, and nothing else.

    `mirrors` tells which arguments of a tool are repeated in headers; without it those headers are not compared.
    """
    try:
        return _decode(method, Index(headers), body, max_bytes, mirrors)
    except Undecodable as error:
        if method == "POST" and not error.batch_ids and len(body) <= _PEEK_BYTES:
            error.request_id = _peek_id(body)
        error.protocol_version = _claimed_version(headers)
        raise


def _decode(method: str, index: Index, body: bytes, max_bytes: int, mirrors: Mirrors) -> Call:
    match method:
        case "POST":
            return _post(index, body, max_bytes, mirrors)
        case "GET" | "DELETE":
            return _session(method, index, body)
        case _:
            raise Undecodable("this HTTP method is not accepted here", status=405, allow="GET, POST, DELETE")


def _post(index: Index, body: bytes, max_bytes: int, mirrors: Mirrors) -> Call:
    index.require_json_body()
    value = strict_json.loads(body, max_bytes=max_bytes, exact=True)
    header = mcp_version.header_version(index)
    if isinstance(value, list):
        return mcp_batch.together(value, index, header, lambda one: _one(one, index, header, mirrors))
    return _one(value, index, header, mirrors)


def _one(value: JsonValue, index: Index, header: str | None, mirrors: Mirrors) -> Call:
    message = jsonrpc.parse(value)
    version = mcp_version.agree(header, message)
    mcp_mirrors.check(index, message, required=header in mcp_version.MODERN)
    match message:
        case jsonrpc.Request() | jsonrpc.Notification():
            return mcp_messages.asked(message, index, header, version, mirrors)
        case jsonrpc.Response() | jsonrpc.ErrorResponse():
            return mcp_messages.answered(message, index, version)


def _peek_id(body: bytes) -> str | int | None:
    """Return the id of a refused message, where it is a request beyond doubt: clients match the refusal by it."""
    try:
        message = jsonrpc.parse(strict_json.loads(body))
    except Undecodable:
        return None
    return message.id if isinstance(message, jsonrpc.Request) else None


def _claimed_version(headers: Headers) -> str:
    """Return the version that a refused message claims, for the form of the refusal only."""
    claimed = [value for name, value in headers if name.lower() == b"mcp-protocol-version"]
    if not claimed:
        return mcp_version.DEFAULT
    versions = (value.decode("latin-1") for value in claimed)
    return next((v for v in versions if v in mcp_version.SUPPORTED), "")


def _session(method: str, index: Index, body: bytes) -> Call:
    if body:
        raise Undecodable("a body is not accepted with this HTTP method")
    version = mcp_version.of_session(index)
    session = mcp_messages.session_id(index)
    verb = LISTEN if method == "GET" else DELETE
    last_event_id = index.get(b"last-event-id") or ""
    arguments: JsonObject = {"lastEventId": last_event_id} if verb == LISTEN and last_event_id else {}
    return Call(
        action=Action(Protocol.MCP, verb),
        resource=McpMethod(),
        arguments=arguments,
        intent={"method": verb, "session": session, "params": arguments},
        unverified={"protocol_version": version},
        protocol_version=version,
        session=session,
        is_write=verb not in READS,
        accepts_sse=index.accepts_sse(),
        last_event_id=last_event_id,
    )
