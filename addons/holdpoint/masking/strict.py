"""JSON in and out, faithfully: duplicate keys are refused, integers of any size and decimals keep every digit.

What is not seen cannot be masked: of two equal keys a decoder shows the last, while the bytes hold both.
"""

import json
import re
from decimal import Decimal
from typing import cast

import msgspec

from holdpoint.domain.values import JsonValue

_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_PLAIN = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_SPACED_KEY = re.compile(rb'"[ \t\r\n]+:')
_ESCAPED_COLON = re.compile(rb"\\u003[aA]")
_BLANK_COLON = (b" :", b"\n:", b"\t:", b"\r:")
_COLON = b'":'


class NotJson(ValueError):  # noqa: N818  # named after what happened
    """Not JSON, or JSON that two readers could read differently. The message holds nothing of the text."""


def loads(data: bytes, *, exact: bool = True) -> JsonValue:
    """Decode. With `exact`, numbers with a fraction or exponent become Decimal, and `dumps` writes them digit by digit.

    Such a value is for masking and `dumps` alone: elsewhere a JsonValue holds floats. Raises NotJson.
    """
    try:
        value = cast("JsonValue", (_EXACT if exact else _PLAIN).decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, ValueError):
        raise NotJson("not valid JSON") from None
    except RecursionError:
        raise NotJson("nested too deep") from None
    if isinstance(value, dict | list) and not _has_unique_keys(data, value):
        raise NotJson("an object has the same key twice")
    return value


def dumps(value: JsonValue) -> bytes:
    """Encode, compact. Raises ValueError on lone surrogates and NaN."""
    try:
        return _ENCODER.encode(value)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _has_unique_keys(data: bytes, value: JsonValue) -> bool:
    # INVARIANT: without escapes, every `"` delimits a string, so `":` is the end of a key or the start of a string.
    # Encoded again, a string that starts with a colon starts with one still, unless the colon was escaped before:
    # so the count is lower exactly where the decoder dropped a key.
    plain = _without_escapes(data)
    has_spaced = any(blank in data for blank in _BLANK_COLON) and _SPACED_KEY.search(data) is not None
    if not has_spaced and (b"\\" not in data or _ESCAPED_COLON.search(plain) is None):
        return plain.count(_COLON) == _without_escapes(dumps(value)).count(_COLON)
    return _all_pairs_unique(data)


def _without_escapes(data: bytes) -> bytes:
    return data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data


def _all_pairs_unique(data: bytes) -> bool:
    class Twice(Exception):  # noqa: N818  # a signal that never leaves this function
        pass

    def check(pairs: list[tuple[str, object]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            raise Twice

    try:
        json.JSONDecoder(object_pairs_hook=check).decode(data.decode("utf-8", "strict"))
    except (Twice, ValueError, RecursionError):
        return False
    return True
