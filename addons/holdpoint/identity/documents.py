"""JSON from outside: token segments, key sets, discovery documents, token answers."""

import json
from typing import Any, NoReturn

from holdpoint.domain.values import JsonObject, JsonValue


class BadDocument(ValueError):  # noqa: N818  # named after what it is
    """What came is not the JSON object that was expected. The message is for the operator, and quotes no content."""


MAX_DEPTH = 16


def parse_object(data: bytes) -> JsonObject:
    """Read one JSON object (RFC 8259, I-JSON). Raises BadDocument.

    Duplicate keys, NaN, infinities, bad UTF-8, lone surrogates and deep nesting are refused: two parsers must not read
    two different tokens from the same bytes.
    """
    try:
        text = data.decode("utf-8", "strict")
        value: JsonValue = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, BadDocument) else "not valid JSON"
        raise BadDocument(reason) from None
    if not isinstance(value, dict):
        raise BadDocument("not a JSON object")
    _check(value, 0)
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadDocument("duplicate key")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise BadDocument("not a JSON number")


def _check(value: JsonValue, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadDocument("nested too deep")
    match value:
        case dict():
            for key, inner in value.items():
                _check(key, depth)
                _check(inner, depth + 1)
        case list():
            for inner in value:
                _check(inner, depth + 1)
        case str():
            if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise BadDocument("lone surrogate")
        case float():
            if value in (float("inf"), float("-inf")):
                raise BadDocument("number out of range")
        case _:
            pass


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_refuse_constant)
