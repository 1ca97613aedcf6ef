"""Frozen domain types as JSON and back, equal.

Strict on the way back: an unknown key, a missing one that has no default, or a value of another type is an error,
because what is dispatched later is what this gives back.
"""

import dataclasses
import types
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Literal, TypeAliasType, Union, cast, get_args, get_origin, get_type_hints

from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue
from holdpoint.protocols.strict_json import dumps, loads

MAX_BYTES = 64 << 20
MAX_DEPTH = 256
MAX_NODES = 5_000_000
_TAG = "$type"
_SCALARS = frozenset({str, int, float, bool, types.NoneType})


class Unreadable(ValueError):  # noqa: N818  # said of the value, not of the program
    """A stored value that is not what this version wrote."""


def encode(value: object) -> JsonValue:
    """Turn a domain value into JSON. Raises TypeError on a type that has no place here."""
    match value:
        case StrEnum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case frozenset():
            members = cast("frozenset[str]", value)
            return [*sorted(members)]
        case tuple() | list():
            return [encode(v) for v in cast("tuple[object, ...] | list[object]", value)]
        case Mapping():
            return {k: encode(v) for k, v in cast("Mapping[str, object]", value).items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields: JsonObject = {_TAG: type(value).__name__}
            fields.update({f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)})
            return fields
        case _:
            raise TypeError(f"a value of type `{type(value).__name__}` cannot be stored")


def to_text(value: object) -> str:
    """Turn a domain value into JSON text. Raises ValueError on what JSON has no word for, TypeError as `encode`."""
    return dumps(encode(value)).decode("utf-8", "strict")


def from_text[T](kind: type[T], text: str) -> T:
    """Read what `to_text` wrote. Raises Unreadable."""
    try:
        value = loads(text.encode("utf-8", "strict"), max_bytes=MAX_BYTES, max_depth=MAX_DEPTH, max_nodes=MAX_NODES)
    except ValueError as error:
        raise Unreadable(f"stored {kind.__name__} is not JSON: {error}") from error
    return decode(kind, value)


def json_from_text(text: str) -> JsonValue:
    """Read plain JSON that `to_text` wrote. Raises Unreadable."""
    try:
        return loads(text.encode("utf-8", "strict"), max_bytes=MAX_BYTES, max_depth=MAX_DEPTH, max_nodes=MAX_NODES)
    except ValueError as error:
        raise Unreadable(f"stored value is not JSON: {error}") from error


def decode[T](kind: type[T], value: JsonValue) -> T:
    """Turn the JSON of a dataclass back into it. Raises Unreadable."""
    return cast("T", _decode(kind, value, kind.__name__))


def _decode(hint: object, value: JsonValue, where: str) -> object:
    if hint is JsonValue or hint is JsonMapping or hint is JsonObject:
        if hint is not JsonValue and not isinstance(value, dict):
            raise Unreadable(f"{where}: expected an object")
        return value
    if isinstance(hint, TypeAliasType):
        return _decode(hint.__value__, value, where)
    if get_origin(hint) is not None:
        return _generic(hint, value, where)
    if not isinstance(hint, type):
        raise Unreadable(f"{where}: cannot be read as {hint}")
    kind = cast("type[object]", hint)
    if kind in _SCALARS:
        return _scalar(kind, value, where)
    if issubclass(kind, StrEnum):
        return _enum(kind, value, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    raise Unreadable(f"{where}: cannot be read as {hint}")


def _scalar(hint: type, value: JsonValue, where: str) -> object:
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint and not (hint is types.NoneType and value is None):
        raise Unreadable(f"{where}: expected {hint.__name__}")
    return value


def _enum(hint: type[StrEnum], value: JsonValue, where: str) -> object:
    try:
        return hint(str(value))
    except ValueError:
        raise Unreadable(f"{where}: `{value}` is no {hint.__name__}") from None


def _generic(hint: object, value: JsonValue, where: str) -> object:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise Unreadable(f"{where}: unexpected value")
        return value
    if origin is Union or origin is types.UnionType:
        return _union(arguments, value, where)
    if origin is frozenset or origin is tuple:
        return _sequence(hint, value, where)
    if origin is Mapping and isinstance(value, dict):
        return {k: _decode(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    raise Unreadable(f"{where}: cannot be read as {hint}")


def _sequence(hint: object, value: JsonValue, where: str) -> object:
    origin, arguments = get_origin(hint), get_args(hint)
    if not isinstance(value, list):
        raise Unreadable(f"{where}: expected a list")
    if origin is frozenset:
        return frozenset(_decode(arguments[0], v, where) for v in value)
    if arguments[-1] is Ellipsis:
        return tuple(_decode(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(arguments) != len(value):
        raise Unreadable(f"{where}: expected {len(arguments)} elements")
    return tuple(_decode(a, v, where) for a, v in zip(arguments, value, strict=True))


def _union(members: tuple[object, ...], value: JsonValue, where: str) -> object:
    if value is None and types.NoneType in members:
        return None
    if isinstance(value, dict):
        for member in members:
            if isinstance(member, type) and member.__name__ == value.get(_TAG):
                return _decode(member, value, where)
        raise Unreadable(f"{where}: unknown type `{value.get(_TAG)}`")
    for member in (str, bool, int, float):
        if member in members and (type(value) is member or (member is float and type(value) is int)):
            return _decode(member, value, where)
    raise Unreadable(f"{where}: no member of the union fits")


@cache
def _hints(kind: type) -> dict[str, object]:
    return dict(get_type_hints(kind))


def _dataclass(kind: type, value: JsonValue, where: str) -> object:
    if not isinstance(value, dict) or value.get(_TAG) != kind.__name__:
        raise Unreadable(f"{where}: expected {kind.__name__}")
    hints = _hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := value.keys() - fields.keys() - {_TAG}:
        raise Unreadable(f"{where}: unknown key `{min(unknown)}`")
    found: dict[str, object] = {}
    for name, field in fields.items():
        if name in value:
            found[name] = _decode(hints[name], value[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise Unreadable(f"{where}: key `{name}` is missing")
    return kind(**found)
