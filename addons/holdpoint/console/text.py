"""Text that a requester wrote, made safe to read.

Escaping stops markup; it does not stop a text that looks like another one. Here every character that is invisible, that
moves its neighbours (UTS 55, "Trojan Source") or that borrows another script's shape (UTS 39) becomes something seen.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import groupby

INVISIBLE = frozenset(
    {
        0x034F,  # combining grapheme joiner
        0x115F,
        0x1160,
        0x3164,
        0xFFA0,  # Hangul fillers: letters by category, blank on screen
        0x17B4,
        0x17B5,  # Khmer inherent vowels
        0x2800,  # blank Braille pattern
        *range(0x180B, 0x1810),  # Mongolian variation selectors and vowel separator
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),  # variation selectors
    }
)
HIDING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""General categories with no glyph of their own: controls, formats, surrogates, private use, unassigned, separators."""
MARKS = frozenset({"Mn", "Me"})
MOST_MARKS = 2
"""Combining marks in a row that a living orthography needs; more of them climb over the neighbouring lines."""
STYLED = frozenset({"FULLWIDTH", "MATHEMATICAL"})
LOOKALIKE = STYLED | {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"}
"""Scripts with letters that pass for Latin ones, by the first word of the character's name."""
SHOWN_LINES = 24
SHOWN_CHARACTERS = 1_200
_CHUNK: re.Pattern[str] = re.compile(r"[ \n\t]+|[^ \n\t]+")


class Kind(StrEnum):
    """How a piece of text is shown."""

    PLAIN = "plain"
    HIDDEN = "hidden"
    """Written out as `⟦U+202E⟧`."""
    FOREIGN = "foreign"
    """As it is, but marked: a letter of another script inside a Latin word."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters of one kind."""

    kind: Kind
    text: str
    title: str = ""
    """What the character is, in the words of the Unicode standard."""

    @property
    def code(self) -> str:
        """The character written out, of whichever kind it is."""
        return self.text if self.kind is Kind.HIDDEN else "".join(map(_code, self.text))


@dataclass(frozen=True, slots=True)
class Cut:
    """A long text in two parts, so that nobody takes the first for the whole."""

    head: str
    rest: str
    """Empty where nothing was cut."""
    total: int
    """Characters of both."""


def pieces(text: str, *, lines: bool = False, identifier: bool = False) -> list[Piece]:
    """Split a text into what is shown as it is, what is written out and what is marked.

    With `lines`, newlines and tabs are layout. With `identifier`, every letter of a look-alike script is marked, not
    only one inside a Latin word: names of tools, targets and objects are hardly ever written in those.
    """
    found: list[Piece] = []
    split = _split(text, lines=lines, identifier=identifier)
    for kind, group in groupby(split, key=lambda item: item[1]):
        if kind is Kind.PLAIN:
            found.append(Piece(kind, "".join(part for part, _ in group)))
        else:
            found += [_named(character, kind) for character, _ in group]
    return found


def reveal(text: str, *, lines: bool = False) -> str:
    """Return the text with every hidden character written out: the plain text form of `pieces`."""
    return "".join(piece.text for piece in pieces(text, lines=lines))


def cut(text: str, *, lines: int = SHOWN_LINES, characters: int = SHOWN_CHARACTERS) -> Cut:
    """Cut a text after so many lines or characters, whichever comes first."""
    end = min(len(text), characters)
    position = -1
    for _ in range(lines):
        position = text.find("\n", position + 1, end)
        if position < 0:
            break
    else:
        end = position + 1
    return Cut(text[:end], text[end:], len(text))


def _split(text: str, *, lines: bool, identifier: bool) -> Iterator[tuple[str, Kind]]:
    for chunk in _CHUNK.findall(text):
        if (chunk.isascii() and chunk.isprintable()) or (lines and not chunk.strip(" \n\t")):
            yield chunk, Kind.PLAIN
            continue
        kinds = _kinds(chunk, lines=lines)
        for is_word, run in groupby(kinds, key=_is_word):
            items = list(run)
            yield from (_word(items, identifier=identifier) if is_word else items)


def _kinds(text: str, *, lines: bool) -> list[tuple[str, Kind]]:
    found: list[tuple[str, Kind]] = []
    marks = 0
    for index, character in enumerate(text):
        category = "Po" if " " <= character <= "~" else unicodedata.category(character)
        is_mark = category in MARKS
        marks = marks + 1 if is_mark else 0
        layout = lines and character in "\n\t"
        # A mark at the very start would sit on whatever the page printed before it.
        stray = is_mark and (marks > MOST_MARKS or marks == index + 1)
        spaced = category == "Zs" and character != " "
        hidden = stray or spaced or category in HIDING or ord(character) in INVISIBLE
        found.append((character, Kind.HIDDEN if hidden and not layout else Kind.PLAIN))
    return found


def _is_word(item: tuple[str, Kind]) -> bool:
    character, kind = item
    return kind is Kind.PLAIN and (character.isalnum() or unicodedata.category(character) in MARKS)


def _word(items: list[tuple[str, Kind]], *, identifier: bool) -> list[tuple[str, Kind]]:
    """Mark the borrowed letters of a word that mixes scripts."""
    scripts = [_script(character) for character, _ in items]
    borrowed = LOOKALIKE if identifier or "LATIN" in scripts else STYLED
    return [
        (character, Kind.FOREIGN if script in borrowed else kind)
        for (character, kind), script in zip(items, scripts, strict=True)
    ]


@lru_cache(maxsize=4_096)
def _script(character: str) -> str:
    return unicodedata.name(character, "").split(" ", 1)[0]


@lru_cache(maxsize=4_096)
def _named(character: str, kind: Kind) -> Piece:
    title = f"U+{ord(character):04X} {unicodedata.name(character, 'a character without a name')}"
    return Piece(kind, _code(character) if kind is Kind.HIDDEN else character, title)


def _code(character: str) -> str:
    return f"\u27e6U+{ord(character):04X}\u27e7"
