"""The pin file: which definitions of a target's tools are approved, kept under version control and reviewed there."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdpoint.domain.values import JsonObject, as_text
from holdpoint.located_yaml import Located, load
from holdpoint.visible_text import spelled_out

API_VERSION: Final = "holdpoint/v1"
KIND: Final = "ToolPins"
_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}")
_ROOT: Final = frozenset({"apiVersion", "kind", "target", "tools"})
_LONGEST_DESCRIPTION: Final = 16_000


@dataclass(frozen=True, slots=True)
class FilePin:
    """What the file says of one tool."""

    fingerprints: frozenset[str]
    description: str | None = None
    """Where it stands there, the definition must have exactly this one: what a reviewer reads is what is pinned."""


@dataclass(frozen=True, slots=True)
class PinFile:
    """A pin file, checked."""

    file: Path
    target: str
    tools: dict[str, FilePin] = field(default_factory=dict[str, FilePin])


def read_pin_file(file: Path, target: str) -> PinFile:
    """Read and check a pin file of that target. Raises ConfigError with file, line and column."""
    fields = load(file).fields(required=_ROOT)
    if fields["apiVersion"].text() != API_VERSION:
        raise fields["apiVersion"].error(f"this version reads `{API_VERSION}`")
    if fields["kind"].text() != KIND:
        raise fields["kind"].error(f"expected `{KIND}`")
    if (named := fields["target"].text()) != target:
        raise fields["target"].error(f"these are the pins of target `{named}`, not of `{target}`")
    return PinFile(file, target, {name: _pin(value) for name, _, value in fields["tools"].items()})


def _pin(value: Located) -> FilePin:
    fields = value.fields(required=frozenset({"fingerprint"}), optional=frozenset({"also", "description"}))
    also, description = fields.get("also"), fields.get("description")
    found = [_fingerprint(v) for v in (fields["fingerprint"], *(also.elements() if also else ()))]
    return FilePin(frozenset(found), description.text() if description else None)


def _fingerprint(value: Located) -> str:
    text = value.text()
    if not _FINGERPRINT.fullmatch(text):
        raise value.error("expected `sha256:` and 64 hexadecimal digits: `holdpoint pins show` prints them")
    return text


def write_entry(name: str, fingerprints: Iterable[str], definition: JsonObject | None) -> str:
    """Return the lines of one tool, indented as they stand under `tools:`."""
    first, *more = fingerprints
    told = f"  {_quoted(name)}:\n    fingerprint: {_quoted(first)}\n"
    if more:
        told += f"    also: [{', '.join(map(_quoted, more))}]\n"
    description = as_text((definition or {}).get("description"))
    # More than one definition has more than one description.
    if description and not more and len(description) <= _LONGEST_DESCRIPTION:
        told += f"    description: {_quoted(description)}\n"
    return told


def write_pin_file(target: str, entries: Iterable[str]) -> str:
    """Return the text of a whole pin file."""
    head = (
        f"# The approved definitions of the tools of `{target}`. Written by `holdpoint pins export`.\n"
        f"apiVersion: {API_VERSION}\nkind: {KIND}\ntarget: {_quoted(target)}\n"
    )
    body = "".join(entries)
    return f"{head}tools:\n{body}" if body else f"{head}tools: {{}}\n"


def _quoted(text: str) -> str:
    """Return a double-quoted YAML scalar in which nothing is hidden (YAML 1.2, section 5.7)."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    if character.isprintable() and spelled_out(character) == character and ord(character) != 0xFE0F:  # noqa: PLR2004  # a selector
        return character
    return f"\\U{ord(character):08X}"
