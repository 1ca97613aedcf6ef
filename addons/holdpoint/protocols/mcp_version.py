"""Which version of MCP a message speaks, and whether headers and body tell the same story."""

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import jsonrpc
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.headers import HEADER_MISMATCH, Index, sentinel

LEGACY = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
SUPPORTED = (*LEGACY, *MODERN)
DEFAULT = "2025-03-26"
"""What a message without `MCP-Protocol-Version` speaks (2025-06-18, transports)."""

UNSUPPORTED_VERSION = -32022

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"

_NAMED_BY = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Parameter that `Mcp-Name` repeats."""
_GONE = frozenset({"initialize", "logging/setLevel", "ping", "resources/subscribe", "resources/unsubscribe"})
"""Methods that 2026-07-28 no longer has."""
_NAME_OPTIONAL = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})


def agree(index: Index, message: jsonrpc.Message) -> str:
    """Return the version that headers and body agree on. Raises Undecodable where they do not.

    Servers find the version in the header or in the body, each in its own way: a message that says different things in
    the two would be read by other rules than the gateway's.
    """
    header = index.get(b"mcp-protocol-version")
    _refuse_unsupported(header)
    meta = _meta(message)
    if header in MODERN:
        _check_modern(header, message, meta)
    elif VERSION in meta and meta[VERSION] != header:
        raise _mismatch("`MCP-Protocol-Version` and `_meta` name different versions")
    _check_mirrors(index, message, required=header in MODERN)
    if header in MODERN and isinstance(message, jsonrpc.Request) and message.method in _GONE:
        raise Undecodable("no such method in this protocol version", code=jsonrpc.METHOD_NOT_FOUND, status=404)
    return header or _asked_for(message)


def of_session(index: Index) -> str:
    """Return the version of a GET or DELETE. Raises Undecodable: 2026-07-28 has neither."""
    header = index.get(b"mcp-protocol-version")
    _refuse_unsupported(header)
    if header in MODERN:
        raise Undecodable("this HTTP method is not part of the protocol version", status=405, allow="POST")
    if index.get(b"mcp-method") is not None or index.get(b"mcp-name") is not None:
        raise _mismatch("`Mcp-Method` and `Mcp-Name` do not belong on this HTTP method")
    return header or DEFAULT


def is_legacy(version: str) -> bool:
    """Tell whether `version` is one of those with sessions. An unknown version is not."""
    return version in LEGACY


def _refuse_unsupported(header: str | None) -> None:
    if header is not None and header not in SUPPORTED:
        supported: list[JsonValue] = list(SUPPORTED)
        data: JsonObject = {"supported": supported, "requested": header[:64]}
        raise Undecodable("unsupported protocol version", code=UNSUPPORTED_VERSION, data=data)


def _meta(message: jsonrpc.Message) -> JsonObject:
    match message:
        case jsonrpc.Request(_, _, params) | jsonrpc.Notification(_, params):
            meta = params.get("_meta")
            return meta if isinstance(meta, dict) else {}
        case _:
            return {}


def _check_modern(header: str, message: jsonrpc.Message, meta: JsonObject) -> None:
    match message:
        case jsonrpc.Request():
            if missing := [key for key in (VERSION, CAPABILITIES) if key not in meta]:
                raise Undecodable(f"`params._meta` lacks `{'` and `'.join(missing)}`", code=jsonrpc.INVALID_PARAMS)
            if not isinstance(meta[CAPABILITIES], dict):
                raise Undecodable(f"`{CAPABILITIES}` is not an object", code=jsonrpc.INVALID_PARAMS)
        case jsonrpc.Notification():
            pass
        case _:
            raise Undecodable("a client does not send responses in this version", code=jsonrpc.INVALID_REQUEST)
    if meta.get(VERSION, header) != header:
        raise _mismatch("`MCP-Protocol-Version` and `_meta` name different versions")


def _check_mirrors(index: Index, message: jsonrpc.Message, *, required: bool) -> None:
    method_header, name_header = index.get(b"mcp-method"), index.get(b"mcp-name")
    match message:
        case jsonrpc.Request(_, method, params):
            pass
        case jsonrpc.Notification(method, params):
            required = False
        case _:
            if method_header is not None or name_header is not None:
                raise _mismatch("`Mcp-Method` and `Mcp-Name` do not belong on a response")
            return
    if method_header is None:
        if required:
            raise _mismatch("`Mcp-Method` is missing")
    elif method_header != method:
        raise _mismatch("`Mcp-Method` and the body name different methods")
    key = _NAMED_BY.get(method)
    if name_header is None:
        if required and key is not None and method not in _NAME_OPTIONAL:
            raise _mismatch("`Mcp-Name` is missing")
    elif key is None or sentinel(name_header) != params.get(key):
        raise _mismatch("`Mcp-Name` and the body name different things")


def _asked_for(message: jsonrpc.Message) -> str:
    """Return what an `initialize` without a header asks for, where it is a version with sessions."""
    if isinstance(message, jsonrpc.Request) and message.method == "initialize":
        version = message.params.get("protocolVersion")
        if isinstance(version, str) and version in LEGACY:
            return version
    return DEFAULT


def _mismatch(message: str) -> Undecodable:
    return Undecodable(message, code=HEADER_MISMATCH)
