"""JSON that every parser reads the same way (RFC 8259, with the choices of RFC 7493 made for it).

The gateway forwards the caller's bytes and decides on the parsed value: what parsers may read differently is refused.
msgspec does the parsing. It refuses NaN, infinities, overflow, bad UTF-8, a BOM, lone surrogates and trailing data by
itself, and keeps integers of any size; duplicate keys it drops in silence, so they are found here.
"""

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols.call import Undecodable

PARSE_ERROR = -32700
MAX_BYTES = 8 << 20
MAX_DEPTH = 64
MAX_NODES = 500_000

_MANY_DIGITS = re.compile(rb"[0-9][0-9.]{15}")
"""Shorter numbers have one double each, and no two of them the same one."""
_BITS = 1023

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def loads(
    data: bytes,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    max_nodes: int = MAX_NODES,
    exact: bool = False,
    int64: bool = False,
) -> JsonValue:
    """Parse one JSON value. Raises Undecodable, which never quotes the data.

    `exact` also refuses a fraction with more digits than a double has: readers that keep decimals read another number.
    `int64` with it refuses such a whole number beyond 64 bits, which Go reads as a double.
    `max_depth` counts nested arrays and objects; `max_nodes` counts values, and is checked before any is built.
    """
    if len(data) > max_bytes:
        raise Undecodable(f"larger than {max_bytes} bytes", status=413)
    opens = data.count(b"{") + data.count(b"[")
    if data.count(b",") + opens >= max_nodes and _nodes(data) > max_nodes:
        raise Undecodable(f"JSON has more than {max_nodes} values", status=413)
    try:
        value: JsonValue = _decode(data)
        # Raw bytes that hold more openings than the limit may still nest less deeply.
        if opens > max_depth and _is_deeper(value, max_depth):
            raise _broken(f"nested deeper than {max_depth}")
        if _has_duplicates(data, value):
            raise _broken("an object has the same key twice")
        if exact and _MANY_DIGITS.search(data):
            (_EXACT_INT64 if int64 else _EXACT).decode(data.decode())
    except RecursionError:
        raise _broken(f"nested deeper than {max_depth}") from None
    except UnicodeError:
        raise _broken("not UTF-8") from None
    except msgspec.DecodeError:
        raise _broken("not valid JSON, or a number out of range") from None
    return value


def dumps(value: JsonValue) -> bytes:
    """Return compact UTF-8 JSON, integers with every digit. Raises ValueError on NaN, infinities, lone surrogates."""
    data = _encode(value)
    # msgspec writes NaN and infinities as `null`.
    if b"null" in data and _has_unwritable(value):
        raise ValueError("JSON has no NaN and no infinity")
    return data


def _broken(message: str) -> Undecodable:
    return Undecodable(f"invalid JSON: {message}", code=PARSE_ERROR)


def _has_duplicates(data: bytes, value: JsonValue) -> bool:
    r"""Tell whether parsing dropped a pair.

    INVARIANT: `data` is valid JSON and `value` its parsed form. Each quote byte in `data` delimits a string or is of
    the escape `\"`, and `value` written out again has as many of them; a dropped pair takes its key's two along.
    Only `\u0022` would add one, so where it occurs the slow way decides.
    """
    if rb"\u0022" not in data:
        return data.count(b'"') != _encode(value).count(b'"')
    try:
        _SLOW.decode(data.decode())
    except _DuplicateKeyError:
        return True
    return False


class _DuplicateKeyError(Exception):
    pass


def _no_duplicates(pairs: Sequence[tuple[str, JsonValue]]) -> JsonObject:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _DuplicateKeyError
    return made


_SLOW = json.JSONDecoder(object_pairs_hook=_no_duplicates)


def _exact(text: str) -> float:
    """Return the double, if its shortest form or the one of 17 digits (C's `%.17g`) is what stands there."""
    double = float(text)
    if repr(double) == text:
        return double
    given = Decimal(text)
    if given not in (Decimal(repr(double)), Decimal(f"{double:.17g}")):
        raise _broken("a number has more digits than every reader keeps")
    return double


def _exact_whole(text: str) -> int:
    """Return a whole number that Go keeps, which has it as an `int64`, and rounds what is larger to a double."""
    value = int(text)
    # A double is less than 2 to the power of 1024, and its conversion of more an error.
    if not -(1 << 63) <= value < 1 << 63 and (value.bit_length() > _BITS or int(float(value)) != value):
        raise _broken("a number has more digits than every reader keeps")
    return value


_EXACT = json.JSONDecoder(parse_float=_exact)
_EXACT_INT64 = json.JSONDecoder(parse_float=_exact, parse_int=_exact_whole)


def _is_deeper(value: JsonValue, limit: int) -> bool:
    level: list[JsonValue] = [value]
    for _ in range(limit):
        below: list[JsonValue] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(v for v in item.values() if isinstance(v, (dict, list)))
            elif isinstance(item, list):
                below.extend(v for v in item if isinstance(v, (dict, list)))
        if not below:
            return False
        level = below
    return True


def _nodes(data: bytes) -> int:
    """Bound the number of values by commas and openings outside strings. Past an error in the JSON it may be wrong."""
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    return 1 + sum(part.count(b",") + part.count(b"{") + part.count(b"[") for part in bare)


def _has_unwritable(value: JsonValue) -> bool:
    stack: list[JsonValue] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, float) and not math.isfinite(item):
            return True
    return False
