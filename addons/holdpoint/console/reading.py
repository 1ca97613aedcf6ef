"""Read the gateway's JSON leniently: a page that shows what it can is better than none."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from holdpoint.console.text import Cut, cut
from holdpoint.domain.values import JsonObject, JsonValue, as_text

MINUTE, HOUR, DAY = 60, 3_600, 86_400
_KINDS: dict[type, str] = {str: "text", bool: "true or false", int: "number", float: "number", list: "list"}


@dataclass(frozen=True, slots=True)
class Row:
    """One named value, as text."""

    name: str
    kind: str
    """What JSON calls it: a reviewer must be able to tell the number 3 from the text "3"."""
    value: Cut


def rows(values: JsonObject) -> tuple[Row, ...]:
    """Return the values of an object, each as text."""
    return tuple(Row(name, kind_of(value), cut(readable(value))) for name, value in values.items())


def kind_of(value: JsonValue) -> str:
    """Return what JSON calls a value."""
    return "null" if value is None else _KINDS.get(type(value), "object")


def readable(value: JsonValue) -> str:
    """Return a value as a reviewer reads it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else pretty(value)


def pretty(value: JsonValue) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def line(value: JsonValue) -> str:
    """Return a name on one line, where it may come as text or as an object that has one."""
    if isinstance(value, dict):
        found = (as_text(value.get(key)) for key in ("text", "verb", "display", "name", "id"))
        return next(filter(None, found), json.dumps(value, ensure_ascii=False))
    return as_text(value)


def items(value: JsonValue) -> Iterable[JsonValue]:
    """Return the members of a list, and none of anything else."""
    return value if isinstance(value, list) else ()


def texts(value: JsonValue) -> tuple[str, ...]:
    """Return the texts of a list."""
    return tuple(text for item in items(value) if (text := as_text(item)))


def number(value: JsonValue) -> float:
    """Return a number, 0 for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def actor_of(actor: JsonValue) -> str:
    """Return the agent that acts, with the chain that it acts through."""
    if isinstance(actor, dict):
        return " via ".join((as_text(actor.get("subject")) or "unknown", *texts(actor.get("chain"))))
    return as_text(actor)


def duration(seconds: float) -> str:
    """Say a duration in its two largest units: `2 h 5 min`."""
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return _pair(whole // MINUTE, "min", whole % MINUTE, "s")
    if whole < DAY:
        return _pair(whole // HOUR, "h", whole % HOUR // MINUTE, "min")
    return _pair(whole // DAY, "d", whole % DAY // HOUR, "h")


def _pair(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large} {unit}" + (f" {small} {small_unit}" if small else "")
