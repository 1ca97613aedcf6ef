"""Whole JSON bodies of MCP as events, for a caller to whom a stream was begun before there was an answer."""

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import sse, strict_json

_LARGE = 1 << 20
"""Bytes from which one object is taken for a message by its name alone. It was looked at before."""


def body_events(body: bytes, *, request_id: str | int | None) -> bytes:
    """Return the messages of an answer's body, one event each; empty where it holds none."""
    if len(body) > _LARGE and body.lstrip()[:1] == b"{" and b'"jsonrpc"' in body:
        return _event(body.decode("utf-8", "replace"))
    try:
        value = strict_json.loads(body, max_bytes=max(len(body), 1))
    except ValueError:
        return b""
    messages = value if isinstance(value, list) else [value]
    if not messages or not all(_is_message(m) for m in messages):
        return b""
    return b"".join(_event(strict_json.dumps(_named(m, request_id)).decode()) for m in messages)


def _event(data: str) -> bytes:
    return sse.encode(sse.for_every_reader(sse.Event(type="message", data=data)))


def _is_message(value: JsonValue) -> bool:
    return isinstance(value, dict) and value.get("jsonrpc") == "2.0"


def _named(message: JsonValue, request_id: str | int | None) -> JsonValue:
    """Name the request in an error that names none: its caller can no longer tell by the HTTP answer it stood in."""
    if not isinstance(message, dict) or "error" not in message or message.get("id") is not None:
        return message
    named: JsonObject = {**message, "id": request_id}
    return named
