"""What differs between two definitions, leaf by leaf, and how a person reads it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

from holdpoint.domain.canonical import canonical
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.pins.hidden import join
from holdpoint.visible_text import spelled_out

MOST_LINES: Final = 400
TOO_LARGE: Final = "a definition is too large to be kept: only fingerprints can be compared"
_MOST_WORDS: Final = 2_000
_LONGEST: Final = 4_000
_WORD: Final = re.compile(r"\s+|[^\W_]+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf that differs."""

    path: str
    what: Literal["added", "removed", "changed"]
    before: JsonValue = None
    after: JsonValue = None


def diff(before: JsonObject, after: JsonObject) -> tuple[Change, ...]:
    """Return every difference, by path. Lists of plain values are compared as sets first, then by order."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    changes: list[Change] = []
    for place in sorted(old.keys() | new.keys()):
        path, _ = place
        if place not in new:
            changes.append(Change(path, "removed", before=old[place]))
        elif place not in old:
            changes.append(Change(path, "added", after=new[place]))
        elif canonical(old[place]) != canonical(new[place]):
            changes += _changed(path, old[place], new[place])
    return tuple(changes)


type _Place = tuple[str, tuple[str, ...]]
"""A path as it is shown, and its steps: two keys that are shown alike are not the same."""


def _leaves(value: JsonValue) -> Iterator[tuple[_Place, JsonValue]]:
    stack: list[tuple[_Place, JsonValue]] = [(("", ()), value)]
    while stack:
        (here, steps), found = stack.pop()
        if isinstance(found, dict) and found:
            stack += (((join(here, key), (*steps, f".{key}")), item) for key, item in found.items())
        elif isinstance(found, list) and any(isinstance(item, dict | list) for item in found):
            stack += (((f"{here}[{i}]", (*steps, f"[{i}")), item) for i, item in enumerate(found))
        elif here:
            yield (here, steps), found


def _changed(path: str, before: JsonValue, after: JsonValue) -> Iterator[Change]:
    if not isinstance(before, list) or not isinstance(after, list):
        yield Change(path, "changed", before, after)
        return
    gone = [item for item in before if item not in after]
    come = [item for item in after if item not in before]
    yield from (Change(f"{path}[]", "removed", before=item) for item in gone)
    yield from (Change(f"{path}[]", "added", after=item) for item in come)
    if not gone and not come:
        yield Change(f"{path} (order)", "changed", before, after)


def lines(changes: Sequence[Change], most: int = MOST_LINES) -> list[str]:
    """Return a diff for a terminal or a page: what is hidden is spelled out, nothing can move the cursor.

    Of more than `most` lines the last says that there are more.
    """
    told: list[str] = []
    for change in changes:
        match change.what:
            case "added":
                told += _headed(f"+ {change.path}", _value(change.after))
            case "removed":
                told += _headed(f"- {change.path}", _value(change.before))
            case "changed":
                told += _headed(f"~ {change.path}", _both(change.before, change.after))
        if len(told) > most:
            return [*told[:most], f"… and more: {len(changes)} differences in all"]
    return told


def _headed(head: str, text: str) -> list[str]:
    first, *more = text.split("\n")
    if not more and len(head) + len(first) < 100:  # noqa: PLR2004  # one line
        return [f"{head}: {first}"]
    return [f"{head}:", *(f"    {line}" for line in (first, *more))]


def _value(value: JsonValue) -> str:
    if isinstance(value, str):
        return f'"{beginning(value)}"'
    return beginning(canonical(value).decode(), keep="")


def beginning(text: str, *, keep: str = "\n") -> str:
    """Return a text, spelled out; of a long one its beginning, and that there is more."""
    shown = spelled_out(text[:_LONGEST], keep=keep)
    return shown if len(text) <= _LONGEST else f"{shown}… ({len(text)} characters)"


def _both(before: JsonValue, after: JsonValue) -> str:
    if isinstance(before, str) and isinstance(after, str):
        told = words(before, after)
        if told:
            return told
    return f"{_value(before)}\n→ {_value(after)}"


def words(before: str, after: str) -> str:
    """Return two texts as one, with `[-gone-]` and `{+come+}`. Empty: too long, or too little in common.

    What did not change is shortened where it is long.
    """
    old, new = _WORD.findall(before), _WORD.findall(after)
    if len(old) > _MOST_WORDS or len(new) > _MOST_WORDS:
        return ""
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.quick_ratio() < 0.2:  # noqa: PLR2004  # two texts that share a few blanks read better one after the other
        return ""
    told = ""
    for what, a, b, c, d in matcher.get_opcodes():
        gone, come = "".join(old[a:b]), "".join(new[c:d])
        if what == "equal":
            told += _shortened(spelled_out(gone, keep="\n"))
        else:
            told += f"[-{spelled_out(gone, keep=chr(10))}-]" if gone else ""
            told += f"{{+{spelled_out(come, keep=chr(10))}+}}" if come else ""
    return told


def _shortened(text: str) -> str:
    return text if len(text) <= 240 else f"{text[:120]} […] {text[-100:]}"  # noqa: PLR2004  # a line and a half each
