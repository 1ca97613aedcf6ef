"""RE2 with types. Patterns are matched on UTF-8 bytes, in time linear in the text, whatever the pattern.

`re2.Set` is never trusted alone: when its automaton runs out of memory it reports no match at all. One alternation of
all patterns falls back to a slower engine instead, so that is what decides whether a text is looked at more closely.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

_MEMORY = 32 << 20
"""Bytes that one automaton may use before RE2 falls back to its slower engine."""


class BadPattern(ValueError):  # noqa: N818  # named after what happened
    """RE2 does not take this pattern."""


class Match(Protocol):
    """Where a pattern matched."""

    def start(self, group: int = 0) -> int:
        """Return the offset of the first byte; -1 where the group took no part."""
        ...

    def end(self, group: int = 0) -> int:
        """Return the offset after the last byte; -1 where the group took no part."""
        ...


class Regex(Protocol):
    """A compiled pattern."""

    @property
    def groupindex(self) -> Mapping[bytes, int]:
        """Named groups and their numbers."""
        ...

    def search(self, text: bytes, pos: int | None = None) -> Match | None:
        """Find the first match at or after `pos`."""
        ...

    def fullmatch(self, text: bytes) -> Match | None:
        """Match the whole text."""
        ...

    def finditer(self, text: bytes) -> Iterator[Match]:
        """Find matches that do not overlap, from left to right."""
        ...


# The package ships no types. What is used of it is described above, and cast once, here.
_re2: Any = import_module("re2")


def _options(*, captures: bool = True) -> object:
    options = _re2.Options()
    options.never_capture = not captures
    options.max_mem = _MEMORY
    options.log_errors = False
    return cast("object", options)


def compile_regex(pattern: str) -> Regex:
    """Compile a pattern. Raises BadPattern with RE2's own words."""
    return _compile(pattern)


def any_of(patterns: Sequence[str]) -> Regex | None:
    """Compile one pattern that matches where any of these does, without groups; None if there are none."""
    if not patterns:
        return None
    # A pattern with a group costs three times as much to locate: RE2 then leaves its automaton.
    return _compile("|".join(f"(?:{_unnamed(p)})" for p in patterns), captures=False)


def _compile(pattern: str, *, captures: bool = True) -> Regex:
    try:
        return cast("Regex", _re2.compile(pattern.encode("utf-8", "strict"), _options(captures=captures)))
    except UnicodeEncodeError:
        raise BadPattern("not valid Unicode") from None
    except _re2.error as error:
        text = error.args[0] if error.args else error
        raise BadPattern(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)) from None


class Chooser:
    """Tells which of several patterns may match a text; all of them where it cannot tell."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._all = tuple(range(len(patterns)))
        self._set: Any = _re2.Set.SearchSet(_options())
        for pattern in patterns:
            self._set.Add(pattern.encode())
        self._set.Compile()

    def choose(self, text: bytes) -> Sequence[int]:
        """Return the indexes of patterns to try."""
        # NOTE: an empty answer also means that the automaton ran out of memory: try everything then.
        return cast("Sequence[int] | None", self._set.Match(text)) or self._all


_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|(\(\?P?<\w+>)|.", re.DOTALL)
_ANCHOR = {"^", "$", "\\A", "\\z", "\\Z", "\\Q"}


def _unnamed(pattern: str) -> str:
    return "".join("(?:" if m.group(1) else m.group() for m in _TOKEN.finditer(pattern))


def has_anchor(pattern: str) -> bool:
    r"""Whether a pattern asks for the start or end of a text or line, or quotes with `\Q`, which hides it."""
    return any(m.group() in _ANCHOR for m in _TOKEN.finditer(pattern))


def literal(text: str) -> str:
    """Return a pattern that matches exactly this text."""
    return "".join(c if c.isalnum() or c == "_" else f"\\x{{{ord(c):x}}}" for c in text)
