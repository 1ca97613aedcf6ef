"""How an MCP message reads: what was decided, which tool, with which arguments, and what came back."""

import json
import unicodedata
from collections.abc import Iterator
from typing import Literal

from mitmproxy.contentviews import Contentview, Metadata

from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.protocols import sse
from holdpoint.recording.annotation import KEY, comment
from holdpoint.recording.json_text import json_safe, read

_PRIORITY = 3.0
"""Above mitmproxy's JSON view."""
_INDENT = "  "
_SHOWN = frozenset("\n\t")
_NAMES = {"tools/call": "tool", "prompts/get": "prompt"}


def visible(text: str) -> str:
    """Return text in which no character is invisible or turns the reading direction: it may come from an attacker."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c in _SHOWN or not unicodedata.category(c).startswith("C") else f"\\u{{{ord(c):x}}}" for c in text
    )


def _json(value: JsonValue) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.split("\n"))


def _field(name: str, value: JsonValue) -> str:
    if isinstance(value, dict | list) and value:
        return f"{name}:\n{_indented(_json(value))}"
    return f"{name}: {value if isinstance(value, str) else _json(value)}"


def _messages(data: bytes) -> list[JsonObject]:
    """Return the JSON-RPC messages of a body, plain or as events. Raises ValueError where there are none."""
    try:
        values = [read(data)]
    except ValueError:
        parser = sse.Parser()
        values = [read(e.data.encode()) for e in [*parser.feed(data), *parser.end()] if e.data]
    flat = [m for v in values for m in (v if isinstance(v, list) else [v])]
    messages = [m for m in flat if isinstance(m, dict) and "jsonrpc" in m]
    if not messages or len(messages) != len(flat):
        raise ValueError("not JSON-RPC")
    return messages


def _request(message: JsonObject) -> Iterator[str]:
    method = as_text(message.get("method"))
    params = as_object(message.get("params"))
    yield _field("method", method)
    if "id" in message:
        yield _field("id", message["id"])
    if name := _NAMES.get(method):
        yield _field(name, as_text(params.get("name")))
        yield _field("arguments", params.get("arguments") or {})
        params = {k: v for k, v in params.items() if k not in ("name", "arguments")}
    if params:
        yield _field("params", params)


def _part(part: JsonValue) -> str:
    """Return a part of a tool's result: text as text, JSON in text as JSON, anything else as it is."""
    match part:
        case {"type": "text", "text": str(text)}:
            try:
                value = read(text.encode())
            except ValueError:
                return text
            return _json(value) if isinstance(value, dict | list) else text
        case _:
            return _json(part)


def _answer(message: JsonObject) -> Iterator[str]:
    yield _field("answer to", message.get("id"))
    if "error" in message:
        yield _field("error", message["error"])
        return
    result = message.get("result")
    if not isinstance(result, dict) or not isinstance(content := result.get("content"), list):
        yield _field("result", result)
        return
    if result.get("isError"):
        yield "tool failed: true"
    yield "content:"
    yield from (_indented(_part(p)) for p in content)
    if rest := {k: v for k, v in result.items() if k not in ("content", "isError")}:
        yield _field("result", rest)


def _decision(metadata: JsonObject) -> Iterator[str]:
    if not metadata:
        return
    yield f"# {comment(metadata)}"
    for name in ("exchange", "session", "target", "principal", "decision", "approval", "refusal"):
        if value := metadata.get(name):
            yield _field(name, value)


class McpContentview(Contentview):
    """MCP, with what the gateway decided."""

    @property
    def name(self) -> str:
        """The name in mitmproxy's list of views."""
        return "MCP"

    @property
    def syntax_highlight(self) -> Literal["yaml"]:
        """YAML, of which JSON is a part."""
        return "yaml"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Write a message out. Raises ValueError on what is no JSON-RPC."""
        blocks = [list(_request(m) if "method" in m else _answer(m)) for m in _messages(data)]
        decided = list(_decision(_recorded(metadata)))
        parts = [decided, *blocks] if decided else blocks
        return visible("\n---\n".join("\n".join(lines) for lines in parts) + "\n")

    def render_priority(self, data: bytes, metadata: Metadata) -> float:  # noqa: ARG002  # mitmproxy passes it
        """Take what is JSON-RPC, leave everything else."""
        if b'"jsonrpc"' not in data:
            return -1
        try:
            _messages(data)
        except ValueError:
            return -1
        return _PRIORITY


def _recorded(metadata: Metadata) -> JsonObject:
    return as_object(json_safe(metadata.flow.metadata.get(KEY))) if metadata.flow is not None else {}
