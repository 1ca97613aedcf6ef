"""What makes two definitions of a tool the same one.

Field by field (MCP 2026-07-28, `Tool`; older versions have fewer):

- `name`, `title`, `description`, `inputSchema`, `outputSchema`: the model reads them.
- `annotations`: clients ask their user less where `readOnlyHint` says so.
- `execution`: decides whether a call becomes a task that goes on by itself.
- `icons`: a person knows a tool by its icon.
- `_meta`: extensions stand there, and some name what the client is to load and show.
- whatever else stands there: a later version may give it a meaning, or a client may show it to its model.

So everything counts, exactly as it was sent: not even blanks are folded. The one thing that does not count is the order
of keys, and of a list named `required`: JSON Schema 2020-12 (Validation, section 6.5.3) makes it a set, and servers
that build schemas from hash maps send it in another order each time.
"""

from dataclasses import dataclass
from typing import Final

from holdpoint.domain.canonical import canonical, digest
from holdpoint.domain.values import JsonObject, JsonValue, as_object

MOST_KEPT: Final = 64 << 10
"""Bytes of a definition that is kept to be shown. A larger one is pinned by its fingerprint alone."""
_LABELS: Final = frozenset({"name", "title", "icons", "_meta"})


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition of a tool."""

    fingerprint: str
    """`sha256:` and hexadecimal, over everything."""
    content: str
    """The same without what only labels it: equal where a tool was renamed. Empty where there is too little to tell."""
    text: str
    """Canonical JSON as the server sent it, or empty where it is larger than `MOST_KEPT`."""
    size: int
    """Bytes of the canonical JSON."""


def define(tool: JsonObject) -> Definition:
    """Fingerprint a tool as it stands in `tools/list`. Raises ValueError on what JSON has no word for."""
    exact = canonical(tool)
    text = exact.decode() if len(exact) <= MOST_KEPT else ""
    return Definition(digest(_unordered(tool)), _content(tool), text, len(exact))


def _content(tool: JsonObject) -> str:
    if not tool.get("description") and not as_object(as_object(tool.get("inputSchema")).get("properties")):
        return ""
    said: JsonObject = {key: value for key, value in tool.items() if key not in _LABELS}
    if isinstance(annotations := tool.get("annotations"), dict):
        said["annotations"] = {key: value for key, value in annotations.items() if key != "title"}
    return digest(_unordered(said))


def _unordered(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _names(item) if key == "required" else _unordered(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unordered(item) for item in value]
    return value


def _names(value: JsonValue) -> JsonValue:
    if isinstance(value, list) and (names := [n for n in value if isinstance(n, str)]) and len(names) == len(value):
        return [*sorted(names)]
    return _unordered(value)
