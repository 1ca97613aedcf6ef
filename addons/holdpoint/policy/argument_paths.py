"""Where in the arguments of a call a rule looks: `path`, `filter.user`, `items[*].price`, `labels["app.name"]`.

A caller chooses the shape of what it sends, and servers are lax readers: some take `Path` for `path`, a list of one for
its element, JSON in a string for what it holds, and `"5"` or `5.0` for `5`. So a rule that allows takes the shape that
is written down and no other, and a rule that restricts takes every shape that a server might.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from holdpoint.domain.values import JsonMapping, JsonValue
from holdpoint.policy.argument_values import Unreadable, folded, held_in

MAX_LENGTH = 500
MAX_STEPS = 16
MAX_VALUES = 100_000
"""Values that one path may lead to before it counts as unreadable."""

_STEP = re.compile(r"""\[\*\]|\[(?P<quoted>"[^"\\]+"|'[^'\\]+')\]|(?P<dot>\.)?(?P<key>[^.\[\]*"'\\\s]+)""")

EACH: Literal["*"] = "*"


@dataclass(frozen=True, slots=True)
class Key:
    """A member of an object."""

    name: str
    fold: str
    """As lax readers compare it."""


type Step = Key | Literal["*"]


@dataclass(frozen=True, slots=True)
class ArgumentPath:
    """A path, parsed."""

    text: str
    steps: tuple[Step, ...]


class BadPath(ValueError):  # noqa: N818  # named after what happened
    """Text that is no path."""


def parse_path(text: str) -> ArgumentPath:
    """Parse a path. Raises BadPath, which says what a path looks like."""
    advice = 'write `text`, `filter.user`, `items[*].price` or `labels["app.name"]`'
    if not text or len(text) > MAX_LENGTH or not text.isprintable():
        raise BadPath(f"a path has 1 to {MAX_LENGTH} printable characters: {advice}")
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        # The first step is a key, and only a key after another one takes a dot.
        if found is None or (found["key"] is not None and (found["dot"] is None) != (at == 0)):
            raise BadPath(f"`{text}` is no path: {advice}")
        if found["key"] == "$" and at == 0:
            raise BadPath(f"`{text}` starts with `$`; a path starts with an argument: {advice}")
        if (found["key"] or "").isdecimal():
            raise BadPath(f"`{found['key']}` is no step: `[*]` is each element of a list; quote a key of digits")
        name = found["key"] or (found["quoted"] or "")[1:-1]
        steps.append(Key(name, folded(name)) if name else EACH)
        at = found.end()
    if steps[0] == EACH:
        raise BadPath(f"`{text}` is no path, as arguments are an object: {advice}")
    if len(steps) > MAX_STEPS:
        raise BadPath(f"`{text}` has more than {MAX_STEPS} steps")
    return ArgumentPath(text, tuple(steps))


def exact_values(path: ArgumentPath, arguments: JsonMapping) -> list[JsonValue] | None:
    """Return the values at a path, if everything is there as it is written; None where anything is not.

    None too where a lax reader could find something else there: two keys that it cannot tell apart.
    """
    layer: list[JsonValue] = [dict(arguments)]
    for step in path.steps:
        below: list[JsonValue] = []
        for value in layer:
            if isinstance(step, Key):
                if not isinstance(value, dict) or step.name not in value:
                    return None
                if sum(folded(key) == step.fold for key in value) != 1:
                    return None
                below.append(value[step.name])
            elif isinstance(value, list) and value:
                below.extend(value)
            else:
                return None
        layer = below
    return layer


def possible_values(path: ArgumentPath, arguments: JsonMapping) -> Iterator[JsonValue]:
    """Yield every value that some server might take for the one at a path. Raises Unreadable: it may be anything."""
    layer: list[JsonValue] = [dict(arguments)]
    for step in path.steps:
        steps = (found for value in layer for found in _possible_step(step, value))
        layer = list(islice(steps, MAX_VALUES + 1))
        if len(layer) > MAX_VALUES:
            raise Unreadable
    yield from layer


def _possible_step(step: Step, value: JsonValue) -> Iterator[JsonValue]:
    match value:
        case str() if (held := held_in(value)) is not None:
            yield from _possible_step(step, held)
        case list():
            yield from _possible_elements(step, value)
        case _ if isinstance(step, Key):
            if isinstance(value, dict):
                yield from (child for key, child in value.items() if folded(key) == step.fold)
        case _:
            yield value


def _possible_elements(step: Step, elements: list[JsonValue]) -> Iterator[JsonValue]:
    # A reader may look through lists of lists, and through a list where one value is expected.
    for element in elements:
        if not isinstance(step, Key):
            yield element
        if isinstance(step, Key) or isinstance(element, list):
            yield from _possible_step(step, element)


__all__ = ["ArgumentPath", "BadPath", "Unreadable", "exact_values", "parse_path", "possible_values"]
