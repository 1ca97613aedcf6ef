"""Where a JSON value ends, found at the speed of one regular expression and however its bytes are cut.

Nothing is checked but brackets and quotes: what is found must still be decoded, and a decoder takes it whole or not
at all. A prefix of a JSON text that is itself an array or an object is the value, for no value goes on after its last
bracket.
"""

import re
from typing import Final

import msgspec

_LEVELS: Final = 12
"""Levels of nesting that are passed over in one step. Most objects have fewer; deeper ones take more steps."""
_MORE: Final = rb"(?:[^\"\\]++|\\.)*+"


def _balanced(levels: int) -> bytes:
    """Return a pattern of whatever is balanced, nested at most so deep. Possessive: no byte is tried twice."""
    text = rb'[^"{}\[\]]++|"' + _MORE + rb'"'
    pattern = rb"(?:" + text + rb")*+"
    for _ in range(levels):
        pattern = rb"(?:" + text + rb"|[{\[]" + pattern + rb"[}\]])*+"
    return pattern


_READER: Final = msgspec.json.Decoder(msgspec.Raw)
_WHOLE: Final = re.compile(rb"[{\[]" + _balanced(_LEVELS) + rb'[}\]]|"' + _MORE + rb'"', re.DOTALL)
_BALANCED: Final = re.compile(_balanced(_LEVELS), re.DOTALL)
_INSIDE: Final = re.compile(_MORE, re.DOTALL)


def is_whole(data: bytes) -> bool:
    """Tell whether bytes that begin with a bracket are one JSON value from the first to the last."""
    try:
        _READER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return False
    return True


class Scanner:
    """Finds where one array, object or string ends, then where the next does."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_text = False
        self._escaped = False

    @property
    def is_inside(self) -> bool:
        """Whether a value has begun that has not ended."""
        return self._depth > 0 or self._in_text

    def advance(self, data: bytes, at: int) -> int:
        """Return where the value ends that begins at `at`, or goes on there; the end of `data` where it does not."""
        if not self.is_inside:
            if (whole := _WHOLE.match(data, at)) is not None:
                return whole.end()
            if data[at : at + 1] == b'"':
                self._in_text = True
            else:
                self._depth = 1
            at += 1
        while at < len(data):
            at = self._through_text(data, at) if self._in_text else self._through_brackets(data, at)
            if not self.is_inside:
                break
        return at

    def _through_text(self, data: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            at += 1
        found = _INSIDE.match(data, at)
        at = found.end() if found else at
        if at < len(data):
            if data[at] == 0x22:  # noqa: PLR2004  # a quote
                self._in_text = False
            else:
                self._escaped = True
            at += 1
        return at

    def _through_brackets(self, data: bytes, at: int) -> int:
        found = _BALANCED.match(data, at)
        at = found.end() if found else at
        if at < len(data):
            match data[at : at + 1]:
                case b'"':
                    self._in_text = True
                case b"{" | b"[":
                    self._depth += 1
                case _:
                    self._depth -= 1
            at += 1
        return at
