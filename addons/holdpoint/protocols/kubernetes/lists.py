"""A list of objects or a Table, taken apart while it arrives: one element in memory, and never the whole.

`{"kind": "PodList", "apiVersion": "v1", "metadata": {…}, "items": […]}`, or a Table with `columnDefinitions` and
`rows`. The members may come in any order, and there may be others. What is not a list is taken apart all the same: its
members come out one by one.
"""

import re
from dataclasses import dataclass
from typing import Final

from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.scanning import Scanner, is_whole
from holdpoint.protocols.sse import TooLarge

STREAMED: Final = frozenset({"items", "rows"})
"""Members whose elements come out one by one."""
_MAX_NAME: Final = 4_096
_MAX_MEMBERS: Final = 64
_MAX_START: Final = 64
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_SCALAR: Final = re.compile(rb"[-+.0-9A-Za-z]++")


class NotList(ValueError):  # noqa: N818  # named after what happened
    """What came is not one JSON object, is cut short, or has a member twice. The message holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Brackets and commas, to be written as they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the list itself, but for the elements. Its name and colon are still to be written."""

    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Element:
    """One element of `items` or `rows`."""

    of: str
    value: bytes


type Piece = Raw | Member | Element


class Splitter:
    """Turns chunks into pieces; the same ones however the bytes are cut."""

    def __init__(self, max_bytes: int) -> None:
        self._limit = max_bytes
        self._data = b""
        self._at = 0
        """Where the token begins that is read next."""
        self._scanned = 0
        """Where the scanner goes on, inside a value."""
        self._scanner = Scanner()
        self._names: set[str] = set()
        self._name = ""
        self._array = ""
        """Name of the member whose elements are read."""
        self._next = b""
        """What stands between an element and the next, by the last one."""
        self._step = self._start

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return the pieces that `chunk` completes. Raises NotList and TooLarge."""
        self._data = self._data[self._at :] + chunk
        self._scanned -= self._at
        self._at = 0
        found: list[Piece] = []
        while True:
            if not self._scanner.is_inside:
                space = _SPACE.match(self._data, self._at)
                self._at = space.end() if space else self._at
                if self._at == len(self._data):
                    break
            if not self._step(found):
                break
        if len(self._data) - self._at > self._limit:
            raise TooLarge(f"an object is larger than {self._limit} bytes")
        return found

    def end(self) -> list[Piece]:
        """Finish. Always empty. Raises NotList where the end cut it short."""
        if self._step != self._over:
            raise NotList("the end cut a list short")
        return []

    # Each step reads one token, or returns False where it is not all there.

    def _start(self, found: list[Piece]) -> bool:
        self._take(b"{", found)
        self._step = self._first_name
        return True

    def _first_name(self, found: list[Piece]) -> bool:
        if self._data[self._at : self._at + 1] == b"}":
            return self._close(found)
        return self._next_name(found)

    def _next_name(self, found: list[Piece]) -> bool:
        del found
        if self._data[self._at : self._at + 1] != b'"':
            raise NotList("a member has no name")
        raw = self._value()
        if (len(self._data) - self._at if raw is None else len(raw)) > _MAX_NAME:
            raise NotList("a member has a name that is too long")
        if raw is None:
            return False
        self._name = _name(raw)
        if self._name in self._names:
            raise NotList("a list has the same member twice")
        if len(self._names) == _MAX_MEMBERS:
            raise NotList("a list has too many members")
        self._names.add(self._name)
        self._step = self._colon
        return True

    def _colon(self, found: list[Piece]) -> bool:
        del found
        if self._data[self._at : self._at + 1] != b":":
            raise NotList("a member has no value")
        self._at += 1
        self._step = self._member
        return True

    def _member(self, found: list[Piece]) -> bool:
        if not self._scanner.is_inside and self._name in STREAMED and self._data[self._at : self._at + 1] == b"[":
            self._at += 1
            self._array = self._name
            found.append(Raw(b'"%s":[' % self._name.encode()))
            self._step = self._first_element
            return True
        value = self._value()
        if value is None:
            return False
        found.append(Member(self._name, value))
        self._step = self._after_member
        return True

    def _after_member(self, found: list[Piece]) -> bool:
        if self._data[self._at : self._at + 1] == b"}":
            return self._close(found)
        self._take(b",", found)
        self._step = self._next_name
        return True

    def _first_element(self, found: list[Piece]) -> bool:
        return self._end_array(found) if self._data[self._at : self._at + 1] == b"]" else self._element(found)

    def _element(self, found: list[Piece]) -> bool:
        value = self._like_the_last() or self._value()
        if value is None:
            return False
        self._next = b"}," + value[: value.find(b":", 0, _MAX_START) + 1] if value[:2] == b'{"' else b""
        found.append(Element(self._array, value))
        self._step = self._after_element
        return True

    def _after_element(self, found: list[Piece]) -> bool:
        if self._data[self._at : self._at + 1] == b"]":
            return self._end_array(found)
        self._take(b",", found)
        self._step = self._element
        return True

    def _end_array(self, found: list[Piece]) -> bool:
        self._take(b"]", found)
        self._step = self._after_member
        return True

    def _close(self, found: list[Piece]) -> bool:
        self._take(b"}", found)
        self._step = self._over
        return True

    def _over(self, found: list[Piece]) -> bool:
        del found
        raise NotList("a list is followed by more")

    def _take(self, token: bytes, found: list[Piece]) -> None:
        if self._data[self._at : self._at + 1] != token:
            raise NotList("not valid JSON")
        self._at += 1
        found.append(Raw(token))

    def _like_the_last(self) -> bytes | None:
        """Return the element at hand and go past it, where the next begins as this one does. None where it is unclear.

        It is a guess, and made sure of: what is one JSON value from its first bracket on ends with its last.
        """
        if not self._next or self._scanner.is_inside:
            return None
        end = self._data.find(self._next, self._at) + 1
        value = self._data[self._at : end]
        if value[:1] != b"{" or not is_whole(value):
            return None
        self._at = end
        return value

    def _value(self) -> bytes | None:
        """Return the value at hand and go past it. None where it is not all there."""
        start = self._at
        if self._scanner.is_inside or self._data[start : start + 1] in {b"{", b"[", b'"'}:
            end = self._scanner.advance(self._data, max(self._scanned, start))
            if self._scanner.is_inside:
                self._scanned = end
                return None
        else:
            scalar = _SCALAR.match(self._data, start)
            if scalar is None:
                raise NotList("not valid JSON")
            end = scalar.end()
            if end == len(self._data):
                return None  # it may go on
        self._at = end
        return self._data[start:end]


def _name(raw: bytes) -> str:
    try:
        name = strict_json.loads(raw)
    except Undecodable:
        name = None
    if not isinstance(name, str):
        raise NotList("a member has a name that is no text")
    return name
