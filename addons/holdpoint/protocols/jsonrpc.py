"""JSON-RPC 2.0 messages as MCP uses them: parameters and results are objects, ids are strings or integers."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols.call import Undecodable

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

_MEMBERS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_OF_ERRORS = frozenset({"code", "message", "data"})

type Id = str | int


@dataclass(frozen=True, slots=True)
class Request:
    """A message that is owed an answer."""

    id: Id
    method: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that is owed none."""

    method: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that worked out."""

    id: Id
    result: JsonObject


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An answer that did not. The id is None where the other side could not read it."""

    id: Id | None
    code: int
    message: str
    data: JsonValue = None


type Message = Request | Notification | Response | ErrorResponse


def parse(value: JsonValue, *, extra: Literal["refuse", "ignore"] = "refuse") -> Message:
    """Tell which message `value` is. Raises Undecodable where it is none, or could be taken for two.

    Unknown members are refused or ignored; one that differs from a known member only in case, or by a control
    character, is always refused: some decoders take it for the known one (CVE-2026-27896, GHSA-q382-vc8q-7jhj).
    """
    if not isinstance(value, dict):
        raise _invalid("an array is not a message" if isinstance(value, list) else "not a message")
    for key in value.keys() - _MEMBERS:
        if extra == "refuse" or is_lookalike(key, _MEMBERS):
            raise _invalid("a member of the message is unknown")
    if value.get("jsonrpc") != "2.0":
        raise _invalid("`jsonrpc` is not `2.0`")
    if "method" in value:
        return _asks(value)
    return _answers(value)


def is_lookalike(key: str, known: frozenset[str]) -> bool:
    """Tell whether a lax decoder could take `key` for one of `known`, though it is none of them."""
    if key in known:
        return False
    return "".join(c for c in key if c.isprintable() and not c.isspace()).casefold() in _folded(known)


@lru_cache(maxsize=64)
def _folded(known: frozenset[str]) -> frozenset[str]:
    return frozenset(key.casefold() for key in known)


def _asks(value: JsonObject) -> Request | Notification:
    if "result" in value or "error" in value:
        raise _invalid("the message is both a request and a response")
    method = value["method"]
    if not isinstance(method, str) or not is_plain_name(method):
        raise _invalid("`method` is not a name of visible ASCII characters")
    params = value.get("params", {})
    if not isinstance(params, dict):
        raise _invalid("`params` is not an object")
    if "id" not in value:
        return Notification(method, params)
    return Request(_id(value["id"]), method, params)


def _answers(value: JsonObject) -> Response | ErrorResponse:
    if "params" in value or ("result" in value) == ("error" in value):
        raise _invalid("the message is neither a request nor a response")
    if "id" not in value:
        raise _invalid("a response needs an `id`")
    if "result" in value:
        result = value["result"]
        if not isinstance(result, dict):
            raise _invalid("`result` is not an object")
        return Response(_id(value["id"]), result)
    error = value["error"]
    if not isinstance(error, dict):
        raise _invalid("`error` is not an object")
    if any(is_lookalike(key, _OF_ERRORS) for key in error):
        raise _invalid("a member of `error` looks like one that the protocol knows")
    code, message = error.get("code"), error.get("message")
    if not isinstance(code, int) or isinstance(code, bool) or not isinstance(message, str):
        raise _invalid("`error` lacks a code or a message")
    return ErrorResponse(None if value["id"] is None else _id(value["id"]), code, message, error.get("data"))


def _id(value: JsonValue) -> Id:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _invalid("`id` is neither a string nor an integer")


def id_key(value: Id) -> str:
    """Return what the laxest server tells ids apart by: as text (Python SDK 1.30), and integers as doubles."""
    if isinstance(value, str):
        return value
    try:
        return str(int(float(value)))
    except OverflowError:
        return ""


def is_plain_name(text: str) -> bool:
    """Tell whether `text` is 1 to 256 visible ASCII characters."""
    return 0 < len(text) <= 256 and text.isascii() and text.isprintable() and " " not in text  # noqa: PLR2004  # said above


def _invalid(message: str) -> Undecodable:
    return Undecodable(message, code=INVALID_REQUEST)
