"""Answers of a Kubernetes API server, masked while they arrive: events of a watch, elements of a list, lines of a log.

Each object passes whole, as it was understood: what a client decodes is what was decoded here, written anew. Nothing
depends on how the bytes were cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import msgspec

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.masking.kubernetes import Shape
from holdpoint.masking.lines import LineMasker
from holdpoint.masking.masker import Masker
from holdpoint.masking.strict import NotJson, dumps, loads
from holdpoint.masking.strict import check as check_json
from holdpoint.masking.strings import Unmaskable
from holdpoint.masking.walk import is_secret
from holdpoint.protocols.kubernetes import lists, watch

EVENT_TYPES: Final = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"})
_EVENT: Final = frozenset({"type", "object"})
_OF_LISTS: Final = frozenset({"kind", "apiVersion", "metadata", "columnDefinitions"})
_COST: Final = 100
"""What an object costs beside its text, in bytes of text."""

type Check = Callable[[bytes], None]
"""Looks for what no answer may hold, in what would pass. Raises Refusal."""


class Reader[P](Protocol):
    """Masks one stream."""

    @property
    def count(self) -> int:
        """How many values were masked so far."""
        ...

    def parse(self, chunk: bytes) -> Sequence[P]:
        """Return what `chunk` completes, none of it looked at."""
        ...

    def end(self) -> Sequence[P]:
        """Return what the end completes. Raises where the end cut something short."""
        ...

    def cost(self, pieces: Sequence[P]) -> int:
        """Return how much work it is to show them, in bytes of text."""
        ...

    def show(self, pieces: Sequence[P]) -> bytes:
        """Return what may pass of them, in order. May run in a thread."""
        ...


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    object: msgspec.Raw


_ENVELOPE: Final = msgspec.json.Decoder(_Event)
_TABLE: Final = b'"rows"'
"""What every Table has. In a text that is clean nothing is written by another name."""


def _is_plain(piece: bytes) -> bool:
    """Tell whether a clean text is an event, well-formed, and not of a Table, whose columns may be masked by name."""
    if _TABLE in piece:
        return False
    try:
        check_json(piece)
        event = _ENVELOPE.decode(piece)
    except (NotJson, msgspec.DecodeError):
        return False
    return event.type in EVENT_TYPES


class WatchReader:
    """The events of a watch, one on a line."""

    def __init__(self, masker: Masker, shape: Shape, check: Check, limit: int) -> None:
        self._masker = masker
        self._shape = shape
        self._check = check
        self._splitter = watch.Splitter(limit)
        self.count = 0

    def parse(self, chunk: bytes) -> list[bytes]:
        """Return the events that `chunk` completes."""
        return self._splitter.feed(chunk)

    def end(self) -> list[bytes]:
        """Return none. Raises NotEvents."""
        return self._splitter.end()

    def cost(self, pieces: Sequence[bytes]) -> int:
        """Return how much work it is to show them."""
        return sum(map(len, pieces)) + _COST * len(pieces)

    def show(self, pieces: Sequence[bytes]) -> bytes:
        """Return the events, masked."""
        shown: list[bytes] = []
        closely = self._masker.unclean(pieces, self._shape)
        for index, piece in enumerate(pieces):
            if index not in closely and _is_plain(piece):
                self._check(piece)
                shown += (piece, b"\n")
                continue
            event = loads(piece)
            if not isinstance(event, dict) or event.keys() != _EVENT or as_text(event["type"]) not in EVENT_TYPES:
                raise watch.NotEvents("expected an event of a watch")
            self._note_columns(event["object"])
            masked = self._masker.kubernetes(event["object"], self._shape, in_place=True)
            self.count += masked.count
            event["object"] = masked.value
            written = dumps(event)
            self._check(written)
            shown += (written, b"\n")
        return b"".join(shown)

    def _note_columns(self, found: JsonValue) -> None:
        """Remember the columns of a Table: the API server says them in the first event alone."""
        columns = found.get("columnDefinitions") if isinstance(found, dict) else None
        if isinstance(columns, list):
            self._shape = replace(self._shape, columns=_names(columns))


class ListReader:
    """A list or Table, element by element."""

    def __init__(self, masker: Masker, shape: Shape, check: Check, limit: int) -> None:
        self._masker = masker
        self._shape = shape
        self._check = check
        self._splitter = lists.Splitter(limit)
        self._kind: JsonValue = None
        self._has_columns = False
        self.count = 0

    def parse(self, chunk: bytes) -> list[lists.Piece]:
        """Return the pieces that `chunk` completes."""
        return self._splitter.feed(chunk)

    def end(self) -> list[lists.Piece]:
        """Return none. Raises NotList."""
        return self._splitter.end()

    def cost(self, pieces: Sequence[lists.Piece]) -> int:
        """Return how much work it is to show them."""
        return sum(_COST + len(p.value) for p in pieces if not isinstance(p, lists.Raw))

    def show(self, pieces: Sequence[lists.Piece]) -> bytes:
        """Return the pieces, masked."""
        shown: list[bytes] = []
        # Elements that came together are masked together: to look at many strings at once is twice as fast.
        waiting: list[lists.Element] = []
        for piece in pieces:
            if isinstance(piece, lists.Element):
                waiting.append(piece)
                continue
            if waiting and piece == _COMMA:
                continue  # written with the elements
            if waiting:
                shown.append(self._elements(waiting))
                waiting = []
            shown.append(piece.data if isinstance(piece, lists.Raw) else self._member(piece))
        if waiting:
            shown.append(self._elements(waiting))
            if pieces[-1] == _COMMA:
                shown.append(b",")
        return b"".join(shown)

    def _elements(self, elements: Sequence[lists.Element]) -> bytes:
        of = elements[0].of
        if self._masker.is_empty:
            raw = b",".join([e.value for e in elements])
            self._check(b"[" + raw + b"]")
            return raw
        if of == "rows" and not self._has_columns:
            raise lists.NotList("rows come before their columns")
        texts = [e.value for e in elements]
        # What is clean passes as it came; it is read through all the same, for nothing that is no JSON may.
        closely = self._masker.unclean(texts, self._shape)
        for index, text in enumerate(texts):
            if index not in closely:
                check_json(text)
        self._mask(of, texts, sorted(closely))
        written = b",".join(texts)
        self._check(b"[" + written + b"]")
        return written

    def _mask(self, of: str, texts: list[bytes], indexes: Sequence[int]) -> None:
        """Mask some of the elements, in their places."""
        if not indexes:
            return
        values: list[JsonValue] = [loads(texts[index]) for index in indexes]
        holder: JsonObject = {of: values} if self._kind is None else {"kind": self._kind, of: values}
        self.count += self._masker.kubernetes(holder, self._shape, in_place=True).count
        for index, value in zip(indexes, values, strict=True):
            texts[index] = dumps(value)

    def _member(self, piece: lists.Member) -> bytes:
        value = loads(piece.value)
        if piece.name == "kind":
            self._kind = value
            if is_secret({"kind": value}):
                self._shape = replace(self._shape, is_secret=True)
        elif piece.name == "columnDefinitions":
            self._has_columns = True
            self._shape = replace(self._shape, columns=_names(value))
        # What a list has no place for may be an object of another kind, taken apart: it is held to be a Secret.
        shape = replace(self._shape, is_secret=True)
        if piece.name not in _OF_LISTS:
            found = self._masker.kubernetes(value, shape, in_place=True)
            value, self.count = found.value, self.count + found.count
        holder: JsonObject = {piece.name: value}
        self.count += self._masker.kubernetes(holder, shape, in_place=True).count
        written = dumps(holder)
        self._check(written)
        return written[1:-1]


_COMMA: Final = lists.Raw(b",")


class LogReader:
    """The lines of a log, as they are written by whatever runs in a container."""

    def __init__(self, masker: Masker, check: Check) -> None:
        self._lines = LineMasker(masker)
        self._check = check

    @property
    def count(self) -> int:
        """How many values were masked so far."""
        return self._lines.count

    def parse(self, chunk: bytes) -> Sequence[bytes]:
        """Return the lines that `chunk` completes."""
        return self._lines.feed(chunk)

    def end(self) -> Sequence[bytes]:
        """Return the line that has no end."""
        return self._lines.end()

    def cost(self, pieces: Sequence[bytes]) -> int:
        """Return how much work it is to show them."""
        return sum(map(len, pieces)) + _COST * len(pieces)

    def show(self, pieces: Sequence[bytes]) -> bytes:
        """Return the lines, masked."""
        shown = self._lines.show(pieces)
        self._check(shown)
        return shown


def whole(masker: Masker, value: JsonValue, shape: Shape) -> tuple[JsonValue, int]:
    """Mask the document of an answer that was read whole, in place. Raises Refusal where it cannot be looked into."""
    try:
        masked = masker.kubernetes(value, shape, in_place=True)
    except Unmaskable as error:
        raise withheld(str(error)) from None
    return masked.value, masked.count


def is_clean(masker: Masker, body: bytes, shape: Shape) -> bool:
    """Tell whether a document of an answer may pass as it is: nothing in it is masked. False where it is not plain."""
    if _TABLE in body or masker.unclean([body], shape):
        return False
    try:
        check_json(body)
    except NotJson:
        return False
    return True


def withheld(detail: str) -> Refusal:
    """Return the refusal of an answer that cannot be looked into."""
    return Refusal(RefusalKind.WITHHELD, "the answer could not be inspected and is withheld", detail=detail)


def _names(columns: JsonValue) -> tuple[str, ...]:
    found = columns if isinstance(columns, list) else []
    return tuple(as_text(c.get("name")) if isinstance(c, dict) else "" for c in found)
