"""JSON that this package wrote, or shows: read and written as plain values."""

import math
from typing import cast

import msgspec

from holdpoint.domain.values import JsonValue


def read(data: bytes) -> JsonValue:
    """Parse JSON. Raises ValueError. Not for requests that something is decided on: duplicate keys pass."""
    try:
        return cast("JsonValue", msgspec.json.decode(data))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def clean_text(text: str) -> str:
    """Return `text` with everything that UTF-8 cannot carry made visible."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def json_safe(value: object) -> JsonValue:
    """Return `value` as JSON can hold it: what is no JSON type becomes the name of its type."""
    if type(value) is str:  # most of what there is
        return clean_text(value)
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return clean_text(value)
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case dict():
            return {clean_text(str(k)): json_safe(v) for k, v in cast("dict[object, object]", value).items()}
        case list() | tuple():
            return [json_safe(v) for v in cast("list[object]", value)]
        case set() | frozenset():
            return sorted((json_safe(v) for v in cast("set[object]", value)), key=str)
        case _:
            return f"<{type(value).__name__}>"
