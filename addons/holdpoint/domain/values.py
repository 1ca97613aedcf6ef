"""JSON as Python types, and the checks that narrow it."""

from collections.abc import Mapping

type JsonScalar = bool | int | float | str | None
type JsonValue = JsonScalar | list[JsonValue] | dict[str, JsonValue]
type JsonObject = dict[str, JsonValue]
type JsonMapping = Mapping[str, JsonValue]


def as_object(value: JsonValue) -> JsonObject:
    """Return `value` if it is an object, an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def as_text(value: JsonValue) -> str:
    """Return `value` if it is a string, an empty one otherwise."""
    return value if isinstance(value, str) else ""
