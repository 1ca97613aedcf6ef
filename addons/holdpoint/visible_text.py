"""Text that a reviewer sees as a parser does: checked before it is parsed, spelled out before it is shown."""

import re
import unicodedata
from pathlib import Path

from holdpoint.domain.refusal import ConfigError

_INVISIBLE = frozenset("\r\u0085\u00ad\u061c\u180e\u2060\ufeff") | frozenset(
    chr(c) for first, last in ((0x200B, 0x200F), (0x2028, 0x202E), (0x2066, 0x2069)) for c in range(first, last + 1)
)
"""Characters that a reviewer does not see: zero-width ones, those that turn the direction of text (UTR 36), and line
breaks that not every editor shows."""


def refuse_invisible(text: str, file: Path) -> None:
    """Refuse invisible characters, odd line breaks and YAML directives. Raises ConfigError with the place."""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.startswith("%"):
            raise ConfigError("directives are not allowed: start with a key", where=f"{file}:{number}:1")
        for column, character in enumerate("" if line.isascii() and "\r" not in line else line, start=1):
            if character in _INVISIBLE:
                where = f"{file}:{number}:{column}"
                raise ConfigError(f"invisible character U+{ord(character):04X} is not allowed", where=where)


def spelled_out(text: str, *, keep: str = "") -> str:
    """Return text in which every character that moves the cursor, hides or reorders is written `<U+200B>`.

    `keep` names control characters that stay (a line break). Long runs of blanks and line breaks are counted.
    """
    if text.isascii() and text.isprintable() and " " * 16 not in text:
        return text
    shown = "".join(c if c in keep or (c.isprintable() and not _is_hidden(c)) else f"<U+{ord(c):04X}>" for c in text)
    shown = _RUN.sub(lambda run: f"<{len(run[0])} blanks>", shown)
    return _LINES.sub(lambda run: f"\n<{len(run[0]) - 1} empty lines>\n", shown)


_RUN = re.compile(r" {16,}")
_LINES = re.compile(r"\n{5,}")
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def _is_hidden(character: str) -> bool:
    code = ord(character)
    is_selector = 0xFE00 <= code <= 0xFE0E or 0x180B <= code <= 0x180F or 0xE0000 <= code <= 0xE0FFF  # noqa: PLR2004  # blocks of Unicode
    return is_selector or character in _BLANK_LETTERS or unicodedata.category(character) in ("Cf", "Cc", "Co", "Cs")
