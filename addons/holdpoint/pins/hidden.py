"""Text in a definition that a person does not see and a model reads, wherever in it: keys, names, enum values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.pins.invisible import Kind, invisible, tag_message
from holdpoint.pins.lookalikes import disguised
from holdpoint.pins.markup import embedded_data, hiding
from holdpoint.visible_text import spelled_out

MOST_FINDINGS: Final = 50
_LONGEST_TEXT: Final = 256 << 10
"""Characters of one text that are looked at. A longer one is itself a finding."""
_AROUND: Final = 24


@dataclass(frozen=True, slots=True)
class Finding:
    """Something hidden."""

    path: str
    """Where: `inputSchema.properties.to.description`; of a key `(key)` follows."""
    kind: Kind
    shown: str
    """The text around it, spelled out. Safe to show."""


def find_hidden(tool: JsonObject) -> tuple[Finding, ...]:
    """Look at every text of a definition. Empty: nothing is hidden."""
    found: list[Finding] = []
    for path, text, is_key, is_icon in _texts(tool):
        found += _in_text(path, text)
        if is_key or path == "name":
            found += _in_name(path, text)
        elif not is_icon:
            found += (Finding(path, kind, spelled_out(shown)) for kind, shown in embedded_data(text))
        if len(found) >= MOST_FINDINGS:
            return (*found[: MOST_FINDINGS - 1], Finding(path, Kind.DEEP, "too much was found to go on"))
    return tuple(found)


def _texts(tool: JsonObject) -> Iterator[tuple[str, str, bool, bool]]:
    """Yield path, text, whether it is a key, and whether it is of an icon. No recursion: depth is theirs."""
    stack: list[tuple[str, JsonValue, bool]] = [("", tool, False)]
    while stack:
        path, value, in_icons = stack.pop()
        if isinstance(value, str):
            yield path, value, False, in_icons
        elif isinstance(value, list):
            stack += ((f"{path}[{i}]", item, in_icons) for i, item in reversed(list(enumerate(value))))
        elif isinstance(value, dict):
            for key, item in reversed(value.items()):
                below = join(path, key)
                stack.append((below, item, in_icons or below == "icons"))
            for key in value:
                yield f"{join(path, key)} (key)", key, True, False


def join(path: str, key: str) -> str:
    """Return the path of a member."""
    is_plain = key.isascii() and key.replace("-", "_").replace("$", "_").isidentifier()
    # Escaped: else one key could be written like two.
    shown = key if is_plain else '"' + spelled_out(key.replace("\\", "\\\\").replace('"', '\\"')) + '"'
    return f"{path}.{shown}" if path else shown


def _in_text(path: str, text: str) -> Iterator[Finding]:
    if len(text) > _LONGEST_TEXT:
        yield Finding(path, Kind.DEEP, f"{len(text)} characters")
        text = text[:_LONGEST_TEXT]
    seen: dict[Kind, list[int]] = {}
    for kind, at in invisible(text):
        seen.setdefault(kind, []).append(at)
    for kind, places in seen.items():
        yield Finding(path, kind, _around(text, kind, places))
    for kind, shown in hiding(text):
        yield Finding(path, kind, spelled_out(shown, keep="\n"))


def _around(text: str, kind: Kind, places: list[int]) -> str:
    if kind is Kind.TAGS:
        return f"{len(places)} characters that spell `{tag_message(text)[:200]}`"
    first = places[0]
    # A selector beside an emoji is left alone by `spelled_out`; this one is what was found.
    shown = spelled_out(text[max(0, first - _AROUND) : first + _AROUND]).replace("\ufe0f", "<U+FE0F>")
    return shown if len(places) == 1 else f"{len(places)} of them, first in: {shown}"


def _in_name(path: str, text: str) -> Iterator[Finding]:
    if plain := disguised(text):
        points = " ".join(f"U+{ord(c):04X}" for c in text if not c.isascii())
        yield Finding(path, Kind.DISGUISE, f"`{spelled_out(text)}` ({points}) passes for `{plain}`")
