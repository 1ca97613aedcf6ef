"""Read the text of a condition: the names in it, and the calls whose argument can be wrong in itself.

Such arguments are patterns, times and time zones.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<string>
        [bB]?[rR][bB]?(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*"|'[^'\n]*')
      | [bB]?(?:\"\"\"(?:\\.|.)*?\"\"\"|'''(?:\\.|.)*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    )
  | (?P<name>[A-Za-z_]\w*)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
ZONED = (
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
)
"""Functions that take a time zone."""
# A newline before the closing bracket: the argument may end with a comment.
_PROBES = {
    "matches": "''.matches({}\n)",
    "timestamp": "timestamp({}\n)",
    "duration": "duration({}\n)",
    **{name: f"timestamp(0).{name}({{}}\n)" for name in ZONED},
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call to try: `probe` is a condition that fails as the call would, if its argument is a constant."""

    name: str
    probe: str
    line: int
    column: int


def names_in(source: str) -> frozenset[str] | None:
    """Return every name outside of strings and comments; None where the text cannot be told apart."""
    names: set[str] = set()
    for token in _TOKEN.finditer(source):
        if token["name"]:
            names.add(token["name"])
        elif token["mark"] and token["mark"] in "\"'`":
            return None
    return frozenset(names)


def members_read(source: str, roots: frozenset[str]) -> frozenset[str] | None:
    """Return the members that are read of some variables, where it reads nothing else of them: `args.x`, `has(args.y)`.

    None where it may read more: `size(args)`, `args[k]`, `args.exists(k, …)`, or text that cannot be told apart.
    """
    if names_in(source) is None:
        return None
    tokens = [t for t in _TOKEN.finditer(source) if t.lastgroup != "space"]
    found: set[str] = set()
    for position, token in enumerate(tokens):
        if token["name"] not in roots:
            continue
        dot, member, after = (*tokens[position + 1 : position + 4], None, None, None)[:3]
        if dot is None or dot["mark"] != "." or member is None or not member["name"]:
            return None
        if after is not None and after["mark"] == "(":
            return None
        found.add(member["name"])
    return frozenset(found)


def constant_calls(source: str) -> Iterator[Call]:
    """Yield the calls whose last argument is worth trying. Whether it is a constant, the engine tells."""
    tokens = [t for t in _TOKEN.finditer(source) if t.lastgroup != "space"]
    for position, token in enumerate(tokens):
        if token["name"] not in _PROBES or position + 1 >= len(tokens) or tokens[position + 1]["mark"] != "(":
            continue
        argument = _last_argument(tokens, position + 2)
        if argument is None:
            continue
        start, end = argument
        line = source.count("\n", 0, start) + 1
        column = start - (source.rfind("\n", 0, start) + 1) + 1
        yield Call(token["name"], _PROBES[token["name"]].format(source[start:end]), line, column)


def _last_argument(tokens: list[re.Match[str]], position: int) -> tuple[int, int] | None:
    # Return where the last argument starts and ends; None for no argument, or brackets that do not close.
    depth, first = 0, position
    for at in range(position, len(tokens)):
        mark = tokens[at]["mark"]
        if mark in ("(", "[", "{"):
            depth += 1
        elif mark == "," and depth == 0:
            first = at + 1
        elif mark in (")", "]", "}"):
            if depth == 0:
                return (tokens[first].start(), tokens[at - 1].end()) if at > first else None
            depth -= 1
    return None
