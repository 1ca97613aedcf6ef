"""MCP over streamable HTTP: from a request to a Call. Versions 2025-03-26, 2025-06-18, 2025-11-25 and 2026-07-28.

What is decided on is the body; headers that mirror it must agree. The whole table: docs/reference/mcp-decoding.md.
"""

from holdpoint.domain.access import Action, McpMethod, McpPrompt, McpResource, McpTool, Protocol, Resource
from holdpoint.domain.values import JsonObject, as_object
from holdpoint.protocols import jsonrpc, mcp_version, strict_json
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.headers import Headers, Index
from holdpoint.protocols.mcp_answers import ServerMessage, server_message
from holdpoint.protocols.mcp_refusals import refusal, refusal_event, undecodable
from holdpoint.protocols.mcp_uri import is_ambiguous

__all__ = ["READS", "ServerMessage", "decode", "refusal", "refusal_event", "server_message", "undecodable"]

LISTEN = "session/listen"
DELETE = "session/delete"
RESPONSE = "response"
_OURS = frozenset({LISTEN, DELETE, RESPONSE})

READS = frozenset(
    {
        "completion/complete",
        "initialize",
        "notifications/initialized",
        "notifications/progress",
        "notifications/roots/list_changed",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "server/discover",
        LISTEN,
        "subscriptions/listen",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "tools/list",
    }
)
"""Verbs that change nothing. Every other verb counts as a write."""

_VOLATILE = frozenset({"progressToken", "traceparent", "tracestate", "baggage"})
"""Members of `_meta` that differ between retries and decide nothing. Every other member is part of the intent."""

_PARAMS = frozenset({"_meta", "arguments", "cursor", "inputResponses", "name", "requestState", "task", "taskId", "uri"})
"""Parameters that decide what a call does; nothing else may look like one of them."""

_PEEK_BYTES = 64 << 10
_MAX_SESSION_ID = 4096

_BY_URI = frozenset({"resources/read", "resources/subscribe", "resources/unsubscribe"})


def decode(*, method: str, headers: Headers, body: bytes, max_bytes: int = strict_json.MAX_BYTES) -> Call:
    """Return what an HTTP request asks of an MCP server. Raises Undecodable, and nothing else."""
    try:
        return _decode(method, Index(headers), body, max_bytes)
    except Undecodable as error:
        if method == "POST" and len(body) <= _PEEK_BYTES:
            error.request_id = _peek_id(body)
        error.protocol_version = _claimed_version(headers)
        raise


def _decode(method: str, index: Index, body: bytes, max_bytes: int) -> Call:
    match method:
        case "POST":
            return _post(index, body, max_bytes)
        case "GET" | "DELETE":
            return _session(method, index, body)
        case _:
            raise Undecodable("this HTTP method is not accepted here", status=405, allow="GET, POST, DELETE")


def _post(index: Index, body: bytes, max_bytes: int) -> Call:
    index.require_json_body()
    message = jsonrpc.parse(strict_json.loads(body, max_bytes=max_bytes, exact=True))
    version = mcp_version.agree(index, message)
    match message:
        case jsonrpc.Request() | jsonrpc.Notification():
            return _asked(message, index, version)
        case jsonrpc.Response() | jsonrpc.ErrorResponse():
            return _answered(message, index, version)


def _peek_id(body: bytes) -> str | int | None:
    """Return the id of a refused message, where it is a request beyond doubt: clients match the refusal by it."""
    try:
        message = jsonrpc.parse(strict_json.loads(body))
    except Undecodable:
        return None
    return message.id if isinstance(message, jsonrpc.Request) else None


def _claimed_version(headers: Headers) -> str:
    """Return the version that a refused message claims, for the form of the refusal only."""
    for name, value in headers:
        if name.lower() == b"mcp-protocol-version" and value.decode("latin-1") in mcp_version.SUPPORTED:
            return value.decode("latin-1")
    return ""


def _asked(message: jsonrpc.Request | jsonrpc.Notification, index: Index, version: str) -> Call:
    verb, params = message.method, message.params
    is_notification = isinstance(message, jsonrpc.Notification)
    if is_notification != verb.startswith("notifications/"):
        raise Undecodable("notifications, and nothing else, go without an `id`", code=jsonrpc.INVALID_REQUEST)
    if verb in _OURS:
        raise Undecodable("no such method", code=jsonrpc.METHOD_NOT_FOUND, status=404)
    _check_keys(params)
    meta = params.get("_meta", {})
    if not isinstance(meta, dict):
        raise _invalid("`_meta` is not an object")
    resource, arguments = _resource(verb, params)
    return Call(
        action=Action(Protocol.MCP, verb),
        resource=resource,
        arguments=arguments,
        intent=_intent(verb, params, meta, index),
        unverified=_unverified(params, meta, version),
        request_id=None if isinstance(message, jsonrpc.Notification) else message.id,
        protocol_version=version,
        session=_session_id(index),
        is_notification=is_notification,
        is_write=verb not in READS,
        accepts_sse=index.accepts_sse(),
        progress_token=_progress_token(meta),
        trace=_trace(meta),
    )


def _resource(verb: str, params: JsonObject) -> tuple[Resource, JsonObject]:
    match verb:
        case "tools/call":
            return McpTool(_named(params, "name")), _arguments(params)
        case "prompts/get":
            return McpPrompt(_named(params, "name")), _arguments(params)
        case _ if verb in _BY_URI:
            uri = _named(params, "uri")
            if is_ambiguous(uri):
                raise _invalid("`uri` can be read in more than one way")
            return McpResource(uri), _without_meta(params)
        case _:
            return McpMethod(), _without_meta(params)


def _named(params: JsonObject, key: str) -> str:
    value = params.get(key)
    if not isinstance(value, str) or not value or not value.isprintable() or value != value.strip():
        raise _invalid(f"`{key}` is not a name")
    return value


def _arguments(params: JsonObject) -> JsonObject:
    arguments = params.get("arguments", {})
    if not isinstance(arguments, dict):
        raise _invalid("`arguments` is not an object")
    # Servers that decode into structs may take `Name` for `name`; with both there, who knows which one counts.
    if len({_folded(key) for key in arguments}) != len(arguments):
        raise _invalid("two arguments differ only in case")
    return arguments


def _folded(key: str) -> str:
    return key.casefold() if key.isprintable() else "".join(c for c in key if c.isprintable()).casefold()


def _check_keys(params: JsonObject) -> None:
    for key in params.keys() - _PARAMS:
        if jsonrpc.is_lookalike(key, _PARAMS):
            raise _invalid("a parameter looks like one that the protocol knows")


def _without_meta(params: JsonObject) -> JsonObject:
    return {key: value for key, value in params.items() if key != "_meta"} if "_meta" in params else params


def _intent(verb: str, params: JsonObject, meta: JsonObject, index: Index) -> JsonObject:
    said: JsonObject = {key: value for key, value in params.items() if key != "_meta"}
    kept: JsonObject = {key: value for key, value in meta.items() if key not in _VOLATILE}
    if kept:
        said["_meta"] = kept
    intent: JsonObject = {"method": verb, "params": said}
    if headers := index.intent():
        intent["headers"] = headers
    return intent


def _unverified(params: JsonObject, meta: JsonObject, version: str) -> dict[str, str]:
    info = as_object(meta.get(mcp_version.CLIENT_INFO) or params.get("clientInfo"))
    said = {"client": info.get("name"), "client_version": info.get("version"), "protocol_version": version}
    return {key: value for key, value in said.items() if isinstance(value, str)}


def _trace(meta: JsonObject) -> tuple[str, str]:
    parent, state = meta.get("traceparent"), meta.get("tracestate")
    return (parent, state if isinstance(state, str) else "") if isinstance(parent, str) else ("", "")


def _progress_token(meta: JsonObject) -> str | int | None:
    token = meta.get("progressToken")
    return token if isinstance(token, (str, int)) and not isinstance(token, bool) else None


def _answered(message: jsonrpc.Response | jsonrpc.ErrorResponse, index: Index, version: str) -> Call:
    arguments: JsonObject
    if isinstance(message, jsonrpc.Response):
        arguments = {"result": message.result}
    else:
        arguments = {"error": {"code": message.code, "message": message.message, "data": message.data}}
    session = _session_id(index)
    return Call(
        action=Action(Protocol.MCP, RESPONSE),
        resource=McpMethod(),
        arguments=arguments,
        # Which question of the server this answers decides what happens, so here id and session do count.
        intent={"method": RESPONSE, "id": message.id, "session": session, "params": arguments},
        unverified={"protocol_version": version},
        protocol_version=version,
        session=session,
        accepts_sse=index.accepts_sse(),
    )


def _session(method: str, index: Index, body: bytes) -> Call:
    if body:
        raise Undecodable("a body is not accepted with this HTTP method")
    version = mcp_version.of_session(index)
    session = _session_id(index)
    verb = LISTEN if method == "GET" else DELETE
    arguments: JsonObject = {}
    if verb == LISTEN and (last := index.get(b"last-event-id")) is not None:
        arguments["lastEventId"] = last
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
    )


def _session_id(index: Index) -> str:
    session = index.get(b"mcp-session-id") or ""
    if " " in session or "\t" in session or len(session) > _MAX_SESSION_ID:
        raise Undecodable("`Mcp-Session-Id` has blanks or is too long")
    return session


def _invalid(message: str) -> Undecodable:
    return Undecodable(message, code=jsonrpc.INVALID_PARAMS)
