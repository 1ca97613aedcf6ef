"""Characters that a person does not see and a model reads, and where they are honest.

Sources: Unicode 16, UTR 36 (security), UTS 51 (emoji sequences), UAX 31 section 2.3 (joiners in scripts).
What an honest text needs does not count: a joiner or selector within an emoji, a joiner within Arabic or Indic script,
a direction mark in a text that has letters of both directions, a zero-width space in scripts written without blanks.
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What is hidden, or how."""

    ZERO_WIDTH = "zero-width characters"
    BIDI = "characters that reorder text"
    TAGS = "tag characters"
    SELECTORS = "variation selectors"
    SOFT_HYPHEN = "soft hyphens"
    PRIVATE = "private-use characters"
    CONTROL = "control characters"
    ESCAPE = "terminal escape sequences"
    MARKUP = "markup that a client hides"
    PROMPT = "markup that a model takes for its own"
    DATA = "embedded data"
    BLANKS = "blanks that push text out of view"
    DISGUISE = "letters of another script"
    LOOKALIKE = "a name that looks like another tool's"
    DEEP = "more than was looked at"


_CANDIDATE = re.compile(r"[^\n\t -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u05ff\u0620-\u06dc\u3041-\u30ff\u4e00-\u9fff]")
"""Everything but the plainest letters, so that most texts are done at the speed of a search."""
_JOINERS: Final = "\u200c\u200d"
_SCRIPTS_WITH_JOINERS: Final = frozenset(
    {"ARABIC", "SYRIAC", "MONGOLIAN", "NKO", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL"}
    | {"TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "KHMER", "MYANMAR", "TIBETAN"}
)
_SCRIPTS_WITHOUT_BLANKS: Final = frozenset({"THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})
_FLAGS: Final = frozenset({"gbeng", "gbsct", "gbwls"})
"""The three flags that are made of tags (UTS 51, RGI_Emoji_Tag_Sequence)."""
_BLACK_FLAG, _CANCEL = "\U0001f3f4", "\U000e007f"
_BLANK_LETTERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_DIRECTION_MARKS: Final = frozenset("\u200e\u200f\u061c")
_DIRECTING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_PLAIN_SIGNS: Final = frozenset("\u00a9\u00ae\u203c\u2049\u2122\u2139\u3030\u303d")


def invisible(text: str) -> Iterator[tuple[Kind, int]]:
    """Yield every hidden character of a text: its kind, and where it stands."""
    marked = any(mark in text for mark in _DIRECTION_MARKS)
    allowed = _DIRECTION_MARKS if marked and _has_both_directions(text) else frozenset[str]()
    for found in _CANDIDATE.finditer(text):
        kind = _kind(text, found.start()) if found.group() not in allowed else None
        if kind is not None:
            yield kind, found.start()


def tag_message(text: str) -> str:
    """Return what the tag characters of a text spell, as a model would read it."""
    return "".join(chr(ord(c) - 0xE0000) for c in text if 0xE0020 <= ord(c) <= 0xE007E)  # noqa: PLR2004  # their block


def _kind(text: str, at: int) -> Kind | None:
    character = text[at]
    code = ord(character)
    if 0xE0000 <= code <= 0xE007F:  # noqa: PLR2004  # the block Tags
        return None if _in_flag(text, at) else Kind.TAGS
    if 0xFE00 <= code <= 0xFE0F or 0x180B <= code <= 0x180F or 0xE0100 <= code <= 0xE0FFF:  # noqa: PLR2004  # their blocks
        return None if _selects(text, at) else Kind.SELECTORS
    if character in _DIRECTING or character in _DIRECTION_MARKS:
        return Kind.BIDI
    if character == "\u00ad":
        return Kind.SOFT_HYPHEN
    if character in _BLANK_LETTERS:
        return Kind.ZERO_WIDTH
    return _by_category(text, at)


def _by_category(text: str, at: int) -> Kind | None:
    character = text[at]
    match unicodedata.category(character):
        case "Cf":
            return None if _joins(text, at) else Kind.ZERO_WIDTH
        case "Co":
            return Kind.PRIVATE
        case "Cc":
            if character == "\r":
                return None if text[at + 1 : at + 2] == "\n" else Kind.CONTROL
            return Kind.ESCAPE if character in "\x1b\x9b" else Kind.CONTROL
        case "Cn":
            code = ord(character)
            # Noncharacters. What is merely unassigned may be an emoji that this Python does not know yet.
            return Kind.PRIVATE if 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE else None  # noqa: PLR2004  # their block
        case _:
            return None


def _joins(text: str, at: int) -> bool:
    """Tell whether a zero-width character has an honest reason to stand where it does."""
    before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    if not before or not after:
        return False
    if text[at] == "\u200d" and _is_pictograph(_base(text, at)) and _is_pictograph(after):
        return True
    if text[at] in _JOINERS:
        return _script(before) in _SCRIPTS_WITH_JOINERS and _script(before) == _script(after)
    return text[at] == "\u200b" and {_script(before), _script(after)} <= _SCRIPTS_WITHOUT_BLANKS


def _base(text: str, at: int) -> str:
    """Return the sign before a joiner, past its skin tone and selector."""
    before = at - 1
    while before > 0 and (text[before] == "\ufe0f" or "\U0001f3fb" <= text[before] <= "\U0001f3ff"):
        before -= 1
    return text[before]


def _selects(text: str, at: int) -> bool:
    """Tell whether a variation selector picks the text or emoji form of a sign that has both (UTS 51)."""
    before = text[at - 1] if at else ""
    if text[at] not in "\ufe0e\ufe0f" or not before:
        return False
    if before in "#*0123456789":
        return text[at + 1 : at + 2] == "\u20e3"
    return _is_pictograph(before)


def _in_flag(text: str, at: int) -> bool:
    start = text.rfind(_BLACK_FLAG, max(0, at - 6), at)
    end = text.find(_CANCEL, at, at + 6)
    return start >= 0 and end >= 0 and tag_message(text[start + 1 : end]) in _FLAGS and end - start == 6  # noqa: PLR2004  # flag, five tags, end


def _is_pictograph(character: str) -> bool:
    code = ord(character)
    in_blocks = 0x2190 <= code <= 0x2BFF or 0x1F000 <= code <= 0x1FAFF or 0x3297 <= code <= 0x3299  # noqa: PLR2004  # their blocks
    return in_blocks or character in _PLAIN_SIGNS


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _has_both_directions(text: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in text if c not in _DIRECTION_MARKS)
