"""JSON in and out, faithfully: duplicate keys are refused, integers of any size and decimals keep every digit.

What is not seen cannot be masked: of two equal keys a decoder shows the last, while the bytes hold both.
"""

from decimal import Decimal
from typing import cast

import msgspec

from holdpoint.domain.values import JsonValue

_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_PLAIN = msgspec.json.Decoder()
_RAW = msgspec.json.Decoder(msgspec.Raw)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


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
    # INVARIANT: apart from escaped ones, quotes delimit strings: a document has two for each key and each text.
    # Encoded again it has as many, unless the decoder dropped a key. (To look at every pair costs five times as much.)
    if isinstance(value, dict | list) and _quotes(data) != _quotes(_again(value)):
        raise NotJson("an object has the same key twice")
    return value


def check(data: bytes) -> None:
    """Read through a text without keeping anything of it: many times as fast as `loads`. Raises NotJson.

    Of two equal keys it says nothing: for what was looked at as it stands, both of them.
    """
    try:
        _RAW.decode(data)
        if not data.isascii():
            data.decode("utf-8", "strict")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise NotJson("not valid JSON") from None
    except RecursionError:
        raise NotJson("nested too deep") from None


def _again(value: JsonValue) -> bytes:
    try:
        return dumps(value)
    except ValueError:
        raise NotJson("nested too deep") from None


def dumps(value: JsonValue) -> bytes:
    """Encode, compact. Raises ValueError on lone surrogates and deep nesting."""
    try:
        return _ENCODER.encode(value)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _quotes(data: bytes) -> int:
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return data.count(b'"')
