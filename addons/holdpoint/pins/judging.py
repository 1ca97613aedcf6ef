"""What to think of a definition that was not seen before. Pure."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from holdpoint.domain.access import PinState
from holdpoint.domain.values import JsonValue
from holdpoint.pins.fingerprint import Definition
from holdpoint.pins.hidden import Finding
from holdpoint.pins.lookalikes import skeleton
from holdpoint.pins.pin_file import FilePin
from holdpoint.pins.records import Kept, Record
from holdpoint.visible_text import spelled_out

FIRST_SIGHT: Final = "first sight"
PIN_FILE: Final = "pin file"
_NOT_THERE = "not in the pin file"
_NOT_THAT = "not the definition in the pin file"
_OTHER_WORDS = "the pin file has another description for it"


@dataclass(frozen=True, slots=True)
class Item:
    """A tool on a page of a listing."""

    name: str
    definition: Definition
    findings: tuple[Finding, ...]
    description: JsonValue


@dataclass(frozen=True, slots=True)
class Around:
    """What else is known when one definition is judged."""

    file: Mapping[str, FilePin] | None
    """What the pin file says; None where the first sight counts."""
    names: Mapping[str, AbstractSet[str]]
    """Every name that is known or on this page, by skeleton."""
    contents: Mapping[str, Sequence[str]]
    """Approved tools by the content of their definitions."""
    listed: Mapping[str, AbstractSet[str]]
    """What this listing has shown so far."""


def judge(item: Item, record: Record | None, around: Around, *, repeats: bool, sight: int, at: float) -> Kept:
    """Say what a definition is that this tool was not seen with before. `repeats`: it is not the only one listed."""
    kept = Kept(item.definition, PinState.UNKNOWN, sight=sight, first_at=at)
    if around.file is not None:
        return _by_file(item, kept, around.file.get(item.name), at)
    if item.findings:
        return replace(kept, state=PinState.HIDDEN, why=told(item.findings))
    if record is not None and record.approved:
        return replace(kept, state=PinState.CHANGED, why="not the definition that was approved")
    if record is not None:
        return replace(kept, why="nobody approved a tool of this name")
    if double := min(around.names.get(skeleton(item.name), frozenset[str]()) - {item.name}, default=""):
        return replace(kept, state=PinState.HIDDEN, why=f"looks like `{spelled_out(double)}`", other=double)
    if repeats:
        return replace(kept, why="listed more than once at first sight")
    if origin := next((t for t in around.contents.get(item.definition.content, ()) if t not in around.listed), ""):
        why = f"has the content of `{spelled_out(origin)}`, which is not listed"
        return replace(kept, state=PinState.RENAMED, why=why, other=origin)
    return replace(kept, state=PinState.PINNED, approved_by=FIRST_SIGHT, approved_at=at)


def _by_file(item: Item, kept: Kept, pin: FilePin | None, at: float) -> Kept:
    if pin is not None and item.definition.fingerprint in pin.fingerprints:
        if pin.description in (None, item.description):
            return replace(kept, state=PinState.PINNED, approved_by=PIN_FILE, approved_at=at)
        return replace(kept, state=PinState.CHANGED, why=_OTHER_WORDS)
    if item.findings:
        return replace(kept, state=PinState.HIDDEN, why=told(item.findings))
    state, why = (PinState.UNKNOWN, _NOT_THERE) if pin is None else (PinState.CHANGED, _NOT_THAT)
    return replace(kept, state=state, why=why)


def rejudge(record: Record, file: Mapping[str, FilePin]) -> Record:
    """Judge what is remembered of a tool by the pin file alone."""
    pin = file.get(record.tool)
    newest = record.newest
    kept: list[Kept] = []
    for k in record.kept:
        if pin is not None and k.definition.fingerprint in pin.fingerprints:
            fits = pin.description is None or not k.definition.text or pin.description == k.parsed().get("description")
            made = replace(k, state=PinState.PINNED, why="", approved_by=PIN_FILE)
            kept.append(made if fits else replace(k, state=PinState.CHANGED, why=_OTHER_WORDS))
        elif not k.is_approved:
            kept.append(k)
        elif k is newest:
            # Approved otherwise, before the file decided.
            state, why = (PinState.UNKNOWN, _NOT_THERE) if pin is None else (PinState.CHANGED, _NOT_THAT)
            kept.append(replace(k, state=state, why=why, approved_by="", approved_at=None))
    if kept and kept[-1].is_approved:
        # What is shown now is what the file says: with that, its author has spoken on all that was seen before.
        kept = [k for k in kept if k.is_approved]
    return Record(record.tool, tuple(kept), record.duplicate)


def told(findings: Sequence[Finding]) -> str:
    """Return findings in a few words."""
    first = findings[0]
    more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
    return f"{first.kind.value} in `{first.path}`{more}"
