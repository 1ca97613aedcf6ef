"""One message of a client, without its batch: which action it is, on what."""

from holdpoint.domain.access import Action, McpMethod, McpResource, McpServerRequest, McpTool, Protocol
from holdpoint.domain.values import JsonMapping, JsonObject, as_object
from holdpoint.protocols import jsonrpc, mcp_mirrors, mcp_params, mcp_version
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.headers import Index
from holdpoint.protocols.mcp_methods import OURS, RESPONSE, About, Method, is_sent_by_clients, method_of
from holdpoint.protocols.mcp_mirrors import Mirrors

_VOLATILE = frozenset({"progressToken", "traceparent", "tracestate", "baggage"})
"""Members of `_meta` that differ between retries and decide nothing. Every other member is part of the intent."""

_MAX_SESSION_ID = 4096
_NO_RESPONSES: JsonMapping = {}


def asked(
    message: jsonrpc.Request | jsonrpc.Notification, index: Index, header: str | None, version: str, mirrors: Mirrors
) -> Call:
    """Return what a request or notification asks. Raises Undecodable."""
    verb, params = message.method, message.params
    is_notification = isinstance(message, jsonrpc.Notification)
    is_modern = version in mcp_version.MODERN
    if is_notification != verb.startswith("notifications/"):
        raise Undecodable("notifications, and nothing else, go without an `id`", code=jsonrpc.INVALID_REQUEST)
    method = method_of(verb)
    if verb in OURS or not is_sent_by_clients(method, version, is_certain=header is not None):
        raise _not_found(method, is_modern=is_modern)
    meta = mcp_params.check_keys(params)
    resource, arguments, task = mcp_params.named(method, params)
    state, responses = "", _NO_RESPONSES
    if "requestState" in params or "inputResponses" in params:
        state, responses = mcp_params.rounds(method, params, is_modern=is_modern)
    if isinstance(resource, McpTool) and (known := mirrors(resource.name)):
        mcp_mirrors.check_arguments(index.params, arguments, known, required=is_modern)
    return Call(
        action=Action(Protocol.MCP, verb),
        resource=resource,
        arguments=arguments,
        intent=_intent(verb, params, meta, index),
        unverified=_unverified(params, meta, version),
        request_id=None if isinstance(message, jsonrpc.Notification) else message.id,
        protocol_version=version,
        session="" if is_modern else session_id(index),
        is_notification=is_notification,
        is_write=method.writes,
        accepts_sse=index.accepts_sse(),
        progress_token=_progress_token(meta),
        trace=_trace(meta),
        capabilities=_capabilities(verb, params, meta, is_modern=is_modern),
        task=task,
        request_state=state,
        input_responses=responses,
        last_event_id="" if is_modern else index.get(b"last-event-id") or "",
        members=_told(params, version) if method.about is About.FILTER else (),
    )


def answered(message: jsonrpc.Response | jsonrpc.ErrorResponse, index: Index, version: str) -> Call:
    """Return what a response to the server says. Raises Undecodable.

    Which question it answers, and so the method that it is decided under, only who kept the questions can tell.
    """
    arguments: JsonObject
    if isinstance(message, jsonrpc.Response):
        arguments = {"result": message.result}
    elif message.id is None:
        raise Undecodable("a response needs the `id` of what it answers", code=jsonrpc.INVALID_REQUEST)
    else:
        arguments = {"error": {"code": message.code, "message": message.message, "data": message.data}}
    session = session_id(index)
    return Call(
        action=Action(Protocol.MCP, RESPONSE),
        resource=McpServerRequest(""),
        arguments=arguments,
        # Which question of the server this answers decides what happens, so here id and session do count.
        intent={"method": RESPONSE, "id": message.id, "session": session, "params": arguments},
        unverified={"protocol_version": version},
        protocol_version=version,
        session=session,
        accepts_sse=index.accepts_sse(),
        last_event_id=index.get(b"last-event-id") or "",
        answers=message.id,
    )


def session_id(index: Index) -> str:
    """Return `Mcp-Session-Id`, unverified. Raises Undecodable where it is not one."""
    session = index.get(b"mcp-session-id") or ""
    if " " in session or "\t" in session or len(session) > _MAX_SESSION_ID:
        raise Undecodable("`Mcp-Session-Id` has blanks or is too long")
    return session


def _not_found(method: Method, *, is_modern: bool) -> Undecodable:
    """Return the error for a method that no client sends in this version.

    2026-07-28 has 404 for it. Before, 404 would tell the client that its session is gone.
    """
    why = "only a server sends this" if method.by_server and not method.by_client else "no such method"
    message = f"{why} in this protocol version"
    return Undecodable(message, code=jsonrpc.METHOD_NOT_FOUND, status=404 if is_modern else 400)


def _told(params: JsonObject, version: str) -> tuple[Call, ...]:
    """Return what a stream will tell of, as the messages that would ask for it one by one."""
    uris, tasks = mcp_params.listened(params)
    said = {"protocol_version": version}
    subscribe, get = Action(Protocol.MCP, "resources/subscribe"), Action(Protocol.MCP, "tasks/get")
    return (
        *(Call(subscribe, McpResource(uri), {"uri": uri}, None, said, protocol_version=version) for uri in uris),
        *(Call(get, McpMethod(), {"taskId": t}, None, said, protocol_version=version, task=t) for t in tasks),
    )


def _capabilities(verb: str, params: JsonObject, meta: JsonObject, *, is_modern: bool) -> JsonObject:
    if is_modern:
        return as_object(meta.get(mcp_version.CAPABILITIES))
    return as_object(params.get("capabilities")) if verb == "initialize" else {}


def _intent(verb: str, params: JsonObject, meta: JsonObject, index: Index) -> JsonObject:
    said: JsonObject = {**params}
    said.pop("_meta", None)
    if meta and not meta.keys() <= _VOLATILE:
        said["_meta"] = {key: value for key, value in meta.items() if key not in _VOLATILE}
    intent: JsonObject = {"method": verb, "params": said}
    if headers := index.intent():
        intent["headers"] = headers
    return intent


def _unverified(params: JsonObject, meta: JsonObject, version: str) -> dict[str, str]:
    said = {"protocol_version": version}
    if info := as_object(meta.get(mcp_version.CLIENT_INFO) or params.get("clientInfo")):
        if isinstance(name := info.get("name"), str):
            said["client"] = name
        if isinstance(client_version := info.get("version"), str):
            said["client_version"] = client_version
    return said


def _trace(meta: JsonObject) -> tuple[str, str]:
    parent, state = meta.get("traceparent"), meta.get("tracestate")
    return (parent, state if isinstance(state, str) else "") if isinstance(parent, str) else ("", "")


def _progress_token(meta: JsonObject) -> str | int | None:
    token = meta.get("progressToken")
    return token if isinstance(token, (str, int)) and not isinstance(token, bool) else None
