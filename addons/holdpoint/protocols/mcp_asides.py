"""Bodies of MCP servers that answer nothing: failures, and what comes where no answer is owed.

They may be any text. What counts is whether some client would read a message in them: as JSON, however lax, or as an
event stream, which the TypeScript SDK takes every answer to a GET for, whatever its type.
"""

from collections.abc import Sequence

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import jsonrpc, strict_json
from holdpoint.protocols.call import Undecodable

_MARK = "\ufeff"
_MEMBERS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})

_OF_ERRORS = frozenset({"code", "message", "data"})


def said_aside(body: bytes) -> Sequence[JsonObject]:
    """Return the objects that a body is made of, none where it is a text.

    Raises Undecodable for what other readers could find more in.
    """
    if b"\0" in body or body.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _hidden("a text in another coding")
    text = body.decode("utf-8", "replace")
    bare = text.removeprefix(_MARK)
    if bare.lstrip()[:1] in {"{", "["}:
        value = strict_json.loads(bare.encode(), max_bytes=max(len(body), 1))
        return [_object(item) for item in value] if isinstance(value, list) else [_object(value)]
    if any(line.partition(":")[0] == "data" for line in bare.splitlines()):
        raise _hidden("an event in what is no event stream")
    return ()


def _object(value: JsonValue) -> JsonObject:
    if isinstance(value, list):
        raise _hidden("an array in an array")
    if not isinstance(value, dict):
        return {}
    if any(jsonrpc.is_lookalike(key, _MEMBERS) for key in value):
        raise _hidden("a member that looks like one of a message")
    error = value.get("error")
    if "jsonrpc" in value and isinstance(error, dict) and any(jsonrpc.is_lookalike(key, _OF_ERRORS) for key in error):
        raise _hidden("a member that looks like one of an error")
    return value


def _hidden(what: str) -> Undecodable:
    return Undecodable(f"{what} where no answer is owed", code=jsonrpc.INVALID_REQUEST)
