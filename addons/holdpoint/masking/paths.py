"""Field paths: a subset of JSONPath (RFC 9535), parsed here and walked as one automaton.

    path    = "$" 1*( ["."|".."] segment )
    segment = "." name | "." "*" | "[" ( "*" | index | quoted ) "]"  and each of them after ".."

Anything else (filters, slices, unions, negative indexes) is refused with its position: a mask that silently never
matches would be worse than none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from holdpoint.domain.mask import MaskAction
from holdpoint.masking.marks import stricter

MAX_LENGTH = 1_024
_NAME = re.compile(r"[^\W\d][\w-]*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", "'": "'", '"': '"'}


class BadPath(ValueError):  # noqa: N818  # named after what happened
    """Not a path of this subset. The message tells the position, counted from one."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path."""

    name: str | int | None
    """Member name, array index, or None for every child."""
    deep: bool = False
    """Whether any number of levels may lie before it (`..`)."""


def parse(path: str) -> tuple[Step, ...]:
    """Parse a path. Raises BadPath."""
    if len(path) > MAX_LENGTH:
        raise BadPath(f"longer than {MAX_LENGTH} characters")
    if not path.startswith("$"):
        raise BadPath("a path starts with `$`, at position 1")
    steps: list[Step] = []
    at = 1
    while at < len(path):
        step, at = _segment(path, at)
        steps.append(step)
    if not steps:
        raise BadPath("`$` alone is the whole document: name a field")
    return tuple(steps)


def _segment(path: str, at: int) -> tuple[Step, int]:
    deep = path.startswith("..", at)
    start = at
    if deep:
        at += 2
    elif path[at] == ".":
        at += 1
    if path.startswith("[", at) and (deep or at == start):
        name, at = _bracket(path, at + 1)
        return Step(name, deep), at
    if at == start:
        raise BadPath(f"expected `.`, `..` or `[` at position {at + 1}")
    if path.startswith("*", at):
        return Step(None, deep), at + 1
    if (match := _NAME.match(path, at)) is None:
        raise BadPath(f"expected a name, `*` or `[` at position {at + 1}; quote other names: `['a.b']`")
    return Step(match.group(), deep), match.end()


def _bracket(path: str, at: int) -> tuple[str | int | None, int]:
    name: str | int | None
    if path.startswith("*", at):
        name, end = None, at + 1
    elif path[at : at + 1] in {"'", '"'}:
        name, end = _quoted(path, at)
    elif match := _INDEX.match(path, at):
        name, end = int(match.group()), match.end()
    else:
        raise BadPath(f"expected `*`, an index or a quoted name at position {at + 1}; filters and slices are not known")
    if not path.startswith("]", end):
        raise BadPath(f"expected `]` at position {end + 1}")
    return name, end + 1


def _quoted(path: str, at: int) -> tuple[str, int]:
    quote = path[at]
    out: list[str] = []
    i = at + 1
    while i < len(path):
        c = path[i]
        if c == quote:
            return "".join(out), i + 1
        if c == "\\":
            c, i = _escape(path, i)
        else:
            i += 1
        out.append(c)
    raise BadPath(f"the quote at position {at + 1} is not closed")


def _escape(path: str, at: int) -> tuple[str, int]:
    kind = path[at + 1 : at + 2]
    if kind == "u":
        digits = path[at + 2 : at + 6]
        if re.fullmatch(r"[0-9A-Fa-f]{4}", digits) and not 0xD800 <= int(digits, 16) <= 0xDFFF:  # noqa: PLR2004  # surrogates
            return chr(int(digits, 16)), at + 6
    elif kind in _ESCAPES:
        return _ESCAPES[kind], at + 2
    raise BadPath(f"unknown escape at position {at + 1}")


type Places = frozenset[tuple[int, int]]
"""Where one is on each path: (index of the path, steps taken)."""


class Paths:
    """Several paths as one automaton. Its states are sets of places, made when first met."""

    def __init__(self, paths: Sequence[tuple[tuple[Step, ...], MaskAction]]) -> None:
        self._paths = tuple(paths)
        self.start: Places = frozenset((i, 0) for i in range(len(self._paths)))
        self.has_index = any(isinstance(s.name, int) for steps, _ in self._paths for s in steps)

    def advance(self, places: Places, name: str | int | None) -> tuple[Places, MaskAction | None]:
        """Go to a child: a member's name, an element's index, or None for an element whose index no path names."""
        found: set[tuple[int, int]] = set()
        action: MaskAction | None = None
        for path, taken in places:
            steps, does = self._paths[path]
            step = steps[taken]
            if step.deep:
                found.add((path, taken))
            if step.name is not None and step.name != name:
                continue
            if taken + 1 == len(steps):
                action = stricter(action, does)
            else:
                found.add((path, taken + 1))
        return frozenset(found), action
