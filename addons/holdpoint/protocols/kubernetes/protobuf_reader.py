"""Reads a protobuf body of the Kubernetes API by the tables; protobuf.py says what is read and what is refused."""

import re
from base64 import b64encode
from dataclasses import dataclass

from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes import field_tables
from holdpoint.protocols.kubernetes.field_tables import NUMBERS, Field, Form, Shape
from holdpoint.protocols.kubernetes.protobuf_values import BLANK, RAW, SHAPES, SPECIAL
from holdpoint.protocols.kubernetes.protobuf_wire import broken, length, number_of, scalar, skip, varint

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

_MORE = 0x80
_ONE = Form.ONE
_METADATA = 1
_RAW = 2
_ENCODING = 3
_TYPE = 4
_ITEMS = "."
_MAX_UNKNOWN = 20
_TIMES = frozenset({"time", "microtime"})
_API_VERSION = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[a-z0-9]{1,63}", re.ASCII)
_KIND = re.compile(r"[A-Za-z0-9]{1,63}", re.ASCII)
_ENVELOPE = field_tables.own(
    "runtime/Unknown", "1 typeMeta *bytes", "2 raw *bytes", "3 contentEncoding *bytes", "4 contentType *bytes"
)
_TYPE_META = field_tables.own("runtime/TypeMeta", "1 apiVersion *string", "2 kind *string")
_OBJECT = field_tables.own("an unknown kind", "1 metadata *bytes")


@dataclass(slots=True)
class _Opened:
    """A message that is being read."""

    end: int
    depth: int
    made: JsonObject
    seen: set[int]
    """Numbers of the fields that may stand once, and stood."""


class Reader:
    """One body, and what of it was not known. Every method raises Undecodable, or UnicodeDecodeError."""

    def __init__(self, data: bytes, max_depth: int, max_nodes: int) -> None:
        self._data = data
        self._max_depth = max_depth
        self._max_nodes = max_nodes
        self._nodes = 0
        self.unknown: dict[str, None] = {}

    def envelope(self, at: int, end: int, depth: int) -> JsonObject:
        """Read magic, `runtime.Unknown` and the object in it."""
        data = self._data
        if data[at : min(end, at + len(MAGIC))] != MAGIC:
            raise broken("the body does not begin as one of Kubernetes does")
        parts = self._parts(_ENVELOPE, at + len(MAGIC), end)
        if self._bytes(parts, _ENCODING) or self._bytes(parts, _TYPE) not in (b"", CONTENT_TYPE.encode()):
            raise broken("the object in the body is in another encoding")
        named = self._message(_TYPE_META, *parts.get(_METADATA, (end, end)), depth)
        api_version, kind = as_text(named.get("apiVersion")), as_text(named.get("kind"))
        if not _API_VERSION.fullmatch(api_version) or not _KIND.fullmatch(kind):
            raise broken("the body does not say which apiVersion and kind it is")
        made: JsonObject = {"apiVersion": api_version, "kind": kind}
        start, stop = parts.get(_RAW, (end, end))
        shape = field_tables.find(api_version, kind)
        made |= self._stranger(made, start, stop, depth) if shape is None else self._message(shape, start, stop, depth)
        return made

    def _stranger(self, named: JsonObject, at: int, end: int, depth: int) -> JsonObject:
        """Read an object of a kind without a table: its first field, where that reads as metadata."""
        self._lacks(f"{named['apiVersion']} {named['kind']}")
        parts = self._parts(_OBJECT, at, end)
        if _METADATA not in parts:
            return {}
        apart = Reader(self._data, self._max_depth, self._max_nodes)
        shape = field_tables.message("meta.v1/ObjectMeta")
        try:
            metadata = apart._message(shape, *parts[_METADATA], depth + 1)
        except (Undecodable, UnicodeDecodeError):
            return {}
        return {} if apart.unknown else {"metadata": metadata}

    def _parts(self, shape: Shape, at: int, end: int) -> dict[int, tuple[int, int]]:
        """Return where the fields of a message stand whose values all have lengths."""
        parts: dict[int, tuple[int, int]] = {}
        while at < end:
            tag, at = varint(self._data, at, end)
            field = shape.by_tag.get(tag)
            if field is None:
                at = self._skip(shape, tag, at, end)
            elif field.number in parts:
                raise _twice()
            else:
                parts[field.number] = length(self._data, at, end)
                at = parts[field.number][1]
        return parts

    def _bytes(self, parts: dict[int, tuple[int, int]], number: int) -> bytes:
        start, stop = parts.get(number, (0, 0))
        return self._data[start:stop]

    def _message(self, shape: Shape, at: int, end: int, depth: int) -> JsonObject:
        if depth > self._max_depth:
            raise broken(f"nested deeper than {self._max_depth}")
        data, by_tag = self._data, shape.by_tag
        opened = _Opened(end, depth, {}, set())
        while at < end:
            tag = data[at]
            if tag < _MORE:
                at += 1
            else:
                tag, at = varint(data, at, end)
            field = by_tag.get(tag)
            if field is None:
                at = self._skip(shape, tag, at, end)
            elif field.form is _ONE:
                at = self._one(field, tag, at, opened)
            elif field.form is Form.LIST:
                at = self._list(field, tag, at, opened)
            elif field.form is Form.MAP:
                at = self._pair(field, at, opened)
            else:
                at = self._inline(field, at, opened)
        if shape.shown:
            self._show(shape, opened.made, opened.seen)
        self._count(1 + len(opened.made))
        return opened.made

    def _inline(self, field: Field, at: int, opened: "_Opened") -> int:
        if field.number in opened.seen:
            raise _twice()
        opened.seen.add(field.number)
        start, at = length(self._data, at, opened.end)
        opened.made |= self._message(_shape(field), start, at, opened.depth)
        return at

    def _one(self, field: Field, tag: int, at: int, opened: "_Opened") -> int:
        seen = opened.seen
        if field.number in seen:
            raise _twice()
        seen.add(field.number)
        data = self._data
        if tag & 7:
            start, at = length(data, at, opened.end)
            value = data[start:at].decode() if field.type == "string" else self._value(field, start, at, opened.depth)
        else:
            number, at = varint(data, at, opened.end)
            value = scalar(field.type, number)
        if value or not field.drops_empty:
            opened.made[field.name] = value
        return at

    def _list(self, field: Field, tag: int, at: int, opened: "_Opened") -> int:
        """Read one item of a list, or a run of packed numbers."""
        data = self._data
        items: list[JsonValue] = []
        if not tag & 7:
            number, at = varint(data, at, opened.end)
            items.append(scalar(field.type, number))
        else:
            start, at = length(data, at, opened.end)
            if field.type not in NUMBERS:
                items.append(self._value(field, start, at, opened.depth + 1))
            else:
                while start < at:
                    number, start = varint(data, start, at)
                    items.append(scalar(field.type, number))
        self._count(len(items))
        before = opened.made.get(field.name)
        if isinstance(before, list):
            before += items
        elif items:
            opened.made[field.name] = items
        return at

    def _pair(self, field: Field, at: int, opened: "_Opened") -> int:
        start, at = length(self._data, at, opened.end)
        pair = self._message(_shape(field), start, at, opened.depth + 1)
        key, value = as_text(pair["key"]), pair["value"]
        before = opened.made.get(field.name)
        pairs: JsonObject = before if isinstance(before, dict) else {}
        if key in pairs:
            raise broken("a map has the same key twice")
        pairs[key] = "" if value is None and field.type == "bytes" else value
        opened.made[field.name] = pairs
        return at

    def _value(self, field: Field, at: int, end: int, depth: int) -> JsonValue:
        """Read what stands in a field that has a length."""
        shape = field.shape
        if shape is not None:
            made = self._message(shape, at, end, depth + 1)
            return made[_ITEMS] if shape.is_list else made
        match field.type:
            case "string":
                return self._data[at:end].decode()
            case "bytes":
                return b64encode(self._data[at:end]).decode()
            case "raw":
                return self._raw(at, end, depth)
            case special:
                if at == end and special in _TIMES:
                    return None
                return SPECIAL[special](self._message(SHAPES[special], at, end, depth + 1))

    def _raw(self, at: int, end: int, depth: int) -> JsonValue:
        """Read a message that holds an object as JSON, or as a whole body of this encoding."""
        start, stop = self._parts(RAW, at, end).get(1, (end, end))
        if start == stop:
            return None
        if self._data.startswith(MAGIC, start, stop):
            return self.envelope(start, stop, depth + 1)
        held = self._data[start:stop]
        self._count(1 + held.count(b",") + held.count(b"{") + held.count(b"["))
        try:
            return strict_json.loads(held, max_bytes=len(held), max_depth=max(self._max_depth - depth, 1))
        except Undecodable as error:
            raise broken(f"a field that holds JSON: {error}") from None

    def _show(self, shape: Shape, made: JsonObject, seen: set[int]) -> None:
        """Add what JSON shows of fields that the body lacks."""
        for each in shape.shown:
            if each.form is Form.INLINE:
                if each.number not in seen:
                    made |= self._blank_message(_shape(each))
            elif each.name not in made:
                made[each.name] = self._blank(each)

    def _blank(self, field: Field) -> JsonValue:
        self._count(1)
        if field.form is not Form.ONE or field.is_pointer:
            return None
        if field.type == "message":
            shape = _shape(field)
            return None if shape.is_list else self._blank_message(shape)
        return BLANK[field.type]

    def _blank_message(self, shape: Shape) -> JsonObject:
        made: JsonObject = {}
        self._show(shape, made, set())
        return made

    def _skip(self, shape: Shape, tag: int, at: int, end: int) -> int:
        """Step over a field that the tables lack, and say so."""
        number = number_of(tag)
        if shape is not _OBJECT and any(field.number == number for field in shape.fields):
            raise broken("a field has another wire type than its own")
        at = skip(self._data, tag, at, end)
        # What is left out of a kind without a table goes without saying.
        if shape is not _OBJECT:
            self._lacks(f"{shape.name} field {number}")
        return at

    def _lacks(self, what: str) -> None:
        if len(self.unknown) < _MAX_UNKNOWN:
            self.unknown[what] = None

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > self._max_nodes:
            raise Undecodable(f"the object has more than {self._max_nodes} values", status=413)


def _shape(field: Field) -> Shape:
    if field.shape is None:
        raise KeyError(field.name)
    return field.shape


def _twice() -> Undecodable:
    return broken("a field that may stand once stands twice")
