"""Text that a reviewer sees as a parser does: checked before it is parsed."""

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
