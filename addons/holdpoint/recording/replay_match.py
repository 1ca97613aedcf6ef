"""Which recorded request a new one is like, although ids differ and what was masked is not known.

mitmproxy's own server replay compares bodies byte for byte, or not at all. A client that runs again numbers its
messages anew and sends real values where the recording has masks, so bytes never match; without bodies all MCP calls
are alike.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from mitmproxy import http

from holdpoint.domain.mask import MARK_PATTERN
from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.recording import secrets_in_text
from holdpoint.recording.json_text import read

# As masking and scrubbing write them; masking is a neighbour that this package does not import.
_MARK = re.compile(MARK_PATTERN)
_VARYING_PARAMS = frozenset({"_meta", "requestState"})
"""Progress tokens and traces; the server's own ticket, which is echoed and may be masked."""

type Key = str | int


@dataclass(frozen=True, slots=True)
class Ids:
    """What stands in the new request for what stood in the recorded one."""

    ids: Mapping[Key, Key]
    """JSON-RPC ids."""
    tokens: Mapping[Key, Key]
    """Progress tokens: often the id, but not by rule."""


def text_fits(recorded: str, given: str) -> bool:
    """Whether `given` could have been recorded as `recorded`: marks stand for anything."""
    if recorded == given:
        return True
    pieces = _MARK.split(recorded)
    if len(pieces) == 1:
        return False
    pattern = ".*".join(re.escape(p) for p in pieces)
    return re.fullmatch(pattern, given, re.DOTALL) is not None


def value_fits(recorded: JsonValue, given: JsonValue) -> bool:
    """Whether the JSON `given` could have been recorded as `recorded`."""
    match recorded, given:
        case str(), str():
            return text_fits(recorded, given)
        case str(), _:
            return _MARK.fullmatch(recorded) is not None
        case dict(), dict():
            return recorded.keys() == given.keys() and all(value_fits(v, given[k]) for k, v in recorded.items())
        case list(), list():
            return len(recorded) == len(given) and all(value_fits(a, b) for a, b in zip(recorded, given, strict=True))
        case _:
            return type(recorded) is type(given) and recorded == given


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as matching looks at it."""

    method: str
    path: str
    """Path and query, credentials out."""
    body: bytes
    messages: tuple[JsonObject, ...] = ()
    """The JSON-RPC messages of the body. Empty: it is none."""

    @property
    def is_mcp(self) -> bool:
        """Whether the body is JSON-RPC."""
        return bool(self.messages)

    @property
    def wants_answer(self) -> bool:
        """Whether a JSON-RPC request, and not a notification or an answer, is among the messages."""
        return any("method" in m and "id" in m for m in self.messages)


def _messages(body: bytes) -> tuple[JsonObject, ...]:
    try:
        value = read(body)
    except ValueError:
        return ()
    each = value if isinstance(value, list) else [value]
    found = tuple(as_object(m) for m in each)
    return found if found and all("jsonrpc" in m for m in found) else ()


def asked(request: http.Request) -> Asked:
    """Look at a request."""
    body = request.raw_content or b""
    return Asked(request.method, secrets_in_text.path(request.path), body, _messages(body))


def _bare(message: Mapping[str, JsonValue]) -> JsonObject:
    """Return a message without what differs each time."""
    bare = {k: v for k, v in message.items() if k != "id"}
    if isinstance(params := message.get("params"), dict):
        bare["params"] = {k: v for k, v in params.items() if k not in _VARYING_PARAMS}
    return bare


def _path_fits(recorded: str, given: str) -> bool:
    """Compare paths; the one that clients use may have a prefix that the upstream does not know, or the other way."""
    one, _, one_query = unquote(recorded).partition("?")
    other, _, other_query = unquote(given).partition("?")
    if not text_fits(one_query, other_query):
        return False
    return text_fits(one, other) or one.endswith(f"/{other.strip('/')}") or other.endswith(f"/{one.strip('/')}")


def _body_fits(recorded: bytes, given: bytes) -> bool:
    if recorded == given:
        return True
    try:
        return value_fits(read(recorded), read(given))
    except ValueError:
        return text_fits(recorded.decode("utf-8", "replace"), given.decode("utf-8", "replace"))


def fits(recorded: Asked, given: Asked) -> bool:
    """Whether the new request is the recorded one, made again."""
    if recorded.method != given.method or recorded.is_mcp != given.is_mcp:
        return False
    if recorded.is_mcp:
        # One session is one target, and an MCP target has one endpoint: the path says nothing.
        return len(recorded.messages) == len(given.messages) and all(
            value_fits(_bare(a), _bare(b)) for a, b in zip(recorded.messages, given.messages, strict=True)
        )
    return _path_fits(recorded.path, given.path) and _body_fits(recorded.body, given.body)


def _token(message: JsonObject) -> JsonValue:
    return as_object(as_object(message.get("params")).get("_meta")).get("progressToken")


def _pairs(old: Iterable[JsonValue], new: Iterable[JsonValue]) -> dict[Key, Key]:
    return {o: n for o, n in zip(old, new, strict=False) if isinstance(o, str | int) and isinstance(n, str | int)}


def ids(recorded: Asked, given: Asked) -> Ids:
    """Return what stands for the recorded ids and progress tokens in the new request."""
    return Ids(
        _pairs((m.get("id") for m in recorded.messages), (m.get("id") for m in given.messages)),
        _pairs(map(_token, recorded.messages), map(_token, given.messages)),
    )


def rewrite(message: JsonValue, known: Ids) -> JsonValue:
    """Return a recorded JSON-RPC message, or batch of them, addressed to the new caller."""
    if isinstance(message, list):
        return [rewrite(m, known) for m in message]
    if not isinstance(message, dict):
        return message
    changed = dict(message)
    if "method" not in message and isinstance(old := message.get("id"), str | int):
        changed["id"] = known.ids.get(old, old)
    params = message.get("params")
    if isinstance(params, dict) and isinstance(old := params.get("progressToken"), str | int):
        changed["params"] = {**params, "progressToken": known.tokens.get(old, old)}
    return changed
