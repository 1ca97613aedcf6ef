"""Which version of MCP a message speaks, and whether headers and body tell the same story."""

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import jsonrpc
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.headers import HEADER_MISMATCH, Index

LEGACY = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
SUPPORTED = (*LEGACY, *MODERN)
DEFAULT = "2025-03-26"
"""What a message without `MCP-Protocol-Version` speaks (2025-06-18, transports)."""
WITH_BATCHES = "2025-03-26"
"""The one version in which an array of messages is a message."""

UNSUPPORTED_VERSION = -32022

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"


def header_version(index: Index) -> str | None:
    """Return what `MCP-Protocol-Version` says, or None where it is absent. Raises Undecodable if nobody speaks that."""
    header = index.get(b"mcp-protocol-version")
    if header is not None and header not in SUPPORTED:
        # The error exists in versions without a handshake; what others a server has, `initialize` says.
        supported: list[JsonValue] = list(MODERN)
        data: JsonObject = {"supported": supported, "requested": header[:64]}
        raise Undecodable("unsupported protocol version", code=UNSUPPORTED_VERSION, data=data)
    return header


def agree(header: str | None, message: jsonrpc.Message) -> str:
    """Return the version that header and body agree on. Raises Undecodable where they do not.

    Servers find the version in the header or in the body, each in its own way: a message that says different things in
    the two would be read by other rules than the gateway's.
    """
    meta = _meta(message)
    if header in MODERN:
        _check_modern(header, message, meta)
    elif VERSION in meta and meta[VERSION] != header:
        raise mismatch("`MCP-Protocol-Version` and `_meta` name different versions")
    return header or _asked_for(message)


def of_session(index: Index) -> str:
    """Return the version of a GET or DELETE. Raises Undecodable: 2026-07-28 has neither."""
    header = header_version(index)
    if header in MODERN:
        raise Undecodable("this HTTP method is not part of the protocol version", status=405, allow="POST")
    if index.get(b"mcp-method") is not None or index.get(b"mcp-name") is not None:
        raise mismatch("`Mcp-Method` and `Mcp-Name` do not belong on this HTTP method")
    return header or DEFAULT


def is_legacy(version: str) -> bool:
    """Tell whether `version` is one of those with sessions. An unknown version is not."""
    return version in LEGACY


def mismatch(message: str) -> Undecodable:
    """Return the error for headers that are missing, or at odds with the body (2026-07-28, server validation)."""
    return Undecodable(message, code=HEADER_MISMATCH)


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
        raise mismatch("`MCP-Protocol-Version` and `_meta` name different versions")


def _asked_for(message: jsonrpc.Message) -> str:
    """Return what an `initialize` without a header asks for, where it is a version with sessions."""
    if isinstance(message, jsonrpc.Request) and message.method == "initialize":
        version = message.params.get("protocolVersion")
        if isinstance(version, str) and version in LEGACY:
            return version
    return DEFAULT
