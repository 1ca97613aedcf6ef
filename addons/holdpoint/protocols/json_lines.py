"""JSON documents one after another in a body that need not end.

Some MCP servers answer `subscriptions/listen` with `application/json` of this kind (the conformance suite's TypeScript
server, and its reader takes a line for a message). Where a document ends is told by its brackets, not by line breaks.
"""

import re

from holdpoint.protocols.sse import MAX_EVENT_BYTES, Event, TooLarge, one_line

_SPACE = b" \t\r\n"
_LINES = str.maketrans("\r\n", "  ")
_OUTSIDE = re.compile(rb'["\[\]{}]')
_INSIDE = re.compile(rb'["\\]')


class NotDocuments(ValueError):  # noqa: N818  # named after what happened
    """What came is neither an object nor an array, or the end cut one short."""


class Parser:
    """Turns chunks into events whose data is one document each; the same however the bytes are cut."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._pieces: list[bytes] = []
        """Of a document that has not ended."""
        self._size = 0
        self._depth = 0
        self._in_text = False
        self._escaped = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the documents that `chunk` completes. Raises TooLarge, NotDocuments and UnicodeDecodeError."""
        found: list[Event] = []
        start, at, size = 0, 0, len(chunk)
        while at < size:
            if self._depth == 0:
                start = at = size - len(chunk[at:].lstrip(_SPACE))
                if at == size:
                    break
                if chunk[at] not in b"{[":
                    raise NotDocuments("expected an object or an array")
            at = self._advance(chunk, at)
            if self._depth == 0:
                found.append(self._ended(chunk[start:at]))
                start = at
        if self._depth:
            self._keep(chunk[start:])
        return found

    def end(self) -> list[Event]:
        """Finish. Always empty. Raises NotDocuments where the end cut a document short."""
        if self._depth:
            raise NotDocuments("the end cut a document short")
        return []

    def _advance(self, chunk: bytes, at: int) -> int:
        """Return where the document ends, or the chunk."""
        if self._escaped:
            self._escaped = False
            at += 1
        while True:
            found = (_INSIDE if self._in_text else _OUTSIDE).search(chunk, at)
            if found is None:
                return len(chunk)
            at = found.end()
            match found[0]:
                case b"\\":
                    self._escaped = at == len(chunk)
                    at += 1
                case b'"':
                    self._in_text = not self._in_text
                case b"{" | b"[":
                    self._depth += 1
                case _:
                    self._depth -= 1
            if self._depth == 0:
                return at

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._limit:
            raise TooLarge(f"a message is larger than {self._limit} bytes")

    def _ended(self, last: bytes) -> Event:
        self._keep(last)
        document = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return Event(data=document.decode("utf-8", "strict"))


def encode(event: Event) -> bytes:
    """Write a document on one line: to who reads line by line, one within it would be a document of its own.

    Strict JSON has line breaks between its tokens alone.
    """
    return one_line(event.data.translate(_LINES)).encode() + b"\n" if event.data else b""
