"""Writes protobuf bodies of the Kubernetes API, by the tables of the gateway and by hand."""

from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

from holdpoint.protocols.kubernetes import field_tables
from holdpoint.protocols.kubernetes.field_tables import NUMBERS, Field, Form, Shape

MAGIC = b"k8s\x00"


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def held(field: int, value: bytes | str) -> bytes:
    """A field with a length: text, bytes, a message."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def body(api_version: str, kind: str, message: bytes, *, after: bytes = held(3, "") + held(4, "")) -> bytes:
    return MAGIC + held(1, held(1, api_version) + held(2, kind)) + held(2, message) + after


def encode(made: dict[str, Any]) -> bytes:
    """The body of an object as JSON has it."""
    shape = field_tables.find(made["apiVersion"], made["kind"])
    assert shape is not None
    return body(made["apiVersion"], made["kind"], message(shape, made))


def message(shape: Shape, made: dict[str, Any]) -> bytes:
    out = b""
    for field in shape.fields:
        if field.form is Form.INLINE:
            assert field.shape
            out += held(field.number, message(field.shape, made))
        elif (value := made.get(field.name)) is None:
            continue
        elif field.form is Form.LIST:
            out += b"".join(_one(field, each) for each in value)
        elif field.form is Form.MAP:
            assert field.shape
            out += b"".join(held(field.number, message(field.shape, {"key": k, "value": v})) for k, v in value.items())
        else:
            out += _one(field, value)
    return out


def _one(field: Field, value: Any) -> bytes:
    if field.type in NUMBERS:
        return number(field.number, int(value))
    return held(field.number, _held(field, value))


def _held(field: Field, value: Any) -> bytes:
    match field.type:
        case "string":
            return str(value).encode()
        case "bytes":
            return b64decode(value)
        case "quantity":
            return held(1, value)
        case "intorstring":
            return number(1, 0) + number(2, value) if isinstance(value, int) else number(1, 1) + held(3, value)
        case "time":
            return number(1, int(datetime.fromisoformat(value).astimezone(UTC).timestamp()))
        case "message":
            assert field.shape
            return message(field.shape, {".": value} if field.shape.is_list else value)
        case other:
            raise NotImplementedError(other)
