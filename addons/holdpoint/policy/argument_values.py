"""How values of arguments are compared: as text, and by rules that restrict in every spelling a server may read."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from holdpoint.domain.values import JsonMapping, JsonValue
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable

MAX_DEPTH = 64
_MAX_HELD = 1 << 20
"""Bytes of JSON in a string that are looked into."""
_NUMBER = re.compile(r"[+-]?(\d[\d_]*(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_TRUE = frozenset({"true", "yes", "on", "t", "y", "1"})
_FALSE = frozenset({"false", "no", "off", "f", "n", "0"})
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_SHORT = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Unreadable(Exception):  # noqa: N818  # an outcome, which counts for the stricter side
    """A value that a server may read in ways that cannot be told."""


def folded(key: str) -> str:
    """Return a key as lax readers compare it: without case, and without what nobody sees."""
    if key.isascii() and key.isprintable():
        return key.lower().replace(" ", "")
    return "".join(c for c in key if c.isprintable() and not c.isspace()).casefold()


def held_in(text: str) -> JsonValue | None:
    """Return the object or list that a string holds as JSON, which some servers read for it; None if it holds none.

    Raises Unreadable where the string starts like one, and readers may differ over it.
    """
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if start not in ("{", "["):
        return None
    try:
        return strict_json.loads(text.strip("\ufeff \t\r\n").encode(), max_bytes=_MAX_HELD, max_depth=MAX_DEPTH)
    except (Undecodable, UnicodeEncodeError):
        raise Unreadable from None


def json_text(value: JsonValue) -> str | None:
    """Return the text by which a value is compared: a string itself, JSON of what is none; None for lists, objects."""
    if isinstance(value, str):
        return value
    return None if isinstance(value, (dict, list)) else json.dumps(value)


def spellings(value: JsonValue) -> Iterator[str]:
    """Yield every text that a server may read in a value: what is in lists and objects, and in JSON in strings, too."""
    waiting: list[tuple[JsonValue, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise Unreadable
        if isinstance(item, dict):
            waiting += [(child, depth + 1) for child in item.values()]
        elif isinstance(item, list):
            waiting += [(child, depth + 1) for child in item]
        else:
            yield from _of_scalar(item)
            if isinstance(item, str) and (held := _held_or_none(item)) is not None:
                waiting.append((held, depth + 1))


def _held_or_none(text: str) -> JsonValue | None:
    # At the end of a path a string is expected: one that merely starts with a bracket is no reason to doubt it.
    try:
        return held_in(text)
    except Unreadable:
        return None


def _of_scalar(value: str | float | bool | None) -> Iterator[str]:  # noqa: FBT001  # a JSON value, not a switch
    text = json_text(value) or ""
    yield text
    plain = text.strip()
    if plain != text:
        yield plain
    word = plain.lower()
    number = _number(plain)
    if number is not None and number != plain:
        yield number
    if word in _TRUE or number == "1":
        yield from ("true", "1")
    elif word in _FALSE or number == "0":
        yield from ("false", "0")


def _number(text: str) -> str | None:
    """Return the shortest way to write a number: `5` for `5.0`, `+5`, `05` and `5e0`; None for what is none."""
    if not text or text[0] not in "+-.0123456789" or not _NUMBER.fullmatch(text):
        return None
    try:
        number = Decimal(text.replace("_", ""))
    except InvalidOperation:
        return None
    if number == 0:
        return "0"
    if number == number.to_integral_value() and number.adjusted() < 40:  # noqa: PLR2004  # digits worth writing out
        return str(int(number))
    return format(number.normalize(), "f") if abs(number.adjusted()) < 40 else str(number.normalize())  # noqa: PLR2004


def strings(arguments: JsonMapping) -> Iterator[str]:
    r"""Yield every key and every value below, in all the spellings under which a pattern must find it.

    JSON in a string is text as it stands, and once more with its escapes read, so that `\u0072m` is `rm`.
    """
    waiting: list[JsonValue] = [dict(arguments)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            for key, child in item.items():
                yield from _readings(key)
                waiting.append(child)
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str):
            yield from _readings(item)
        else:
            yield json.dumps(item)


def _readings(text: str) -> Iterator[str]:
    yield text
    for _ in range(3):
        if "\\" not in text:
            return
        plain = _ESCAPE.sub(_unescape, text)
        if plain == text:
            return
        text = plain
        yield text


def _unescape(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else _SHORT[found[2]]
