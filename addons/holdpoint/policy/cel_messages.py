"""Say what is wrong with a condition in the words of who wrote it: the engine's own speak of overloads and tokens."""

import re
from collections.abc import Collection
from difflib import get_close_matches

from holdpoint.policy.cel_literals import ZONED
from holdpoint.policy.patterns import regex_advice

_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'(?: \(in container ''\))?")
_TOKEN = re.compile(r"Syntax error: token recognition error at: '(.*)'$", re.DOTALL)
_INPUT = re.compile(r"Syntax error: (?:mismatched|extraneous) input '(.*?)' expecting", re.DOTALL)
_MISSING = re.compile(r"Syntax error: missing '(.*?)' at")
_REGEX = re.compile(r"invalid regular expression: (.*)", re.DOTALL)
_TYPE_NAMES = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}
_WORDS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!", "True": "true", "False": "false"}
FUNCTIONS = frozenset(
    {
        "all",
        "bool",
        "bytes",
        "contains",
        "double",
        "duration",
        "dyn",
        "endsWith",
        "exists",
        "exists_one",
        "filter",
        *ZONED,
        "has",
        "int",
        "map",
        "matches",
        "size",
        "startsWith",
        "string",
        "timestamp",
        "type",
        "uint",
    }
)


def explain(message: str, known: Collection[str], elsewhere: str) -> str:
    """Return the engine's message in plain words, with what to do.

    `known` are the variables that there are. `elsewhere` names the protocols that have the undeclared one, if any.
    """
    if found := _UNDECLARED.search(message):
        return f"undeclared reference to `{found[1]}`{_hint(found[1], known, elsewhere)}"
    if found := _OVERLOAD.search(message):
        return _overload(found[1], found[2])
    if found := _TOKEN.search(message):
        return _token(found[1])
    if found := _MISSING.search(message):
        return f"syntax error: `{found[1]}` is missing"
    if found := _INPUT.search(message):
        return _input(found[1])
    if "invalid int literal" in message or "invalid uint literal" in message:
        return "a whole number beyond 64 bits"
    return message


def explain_call(name: str, detail: str) -> str:
    """Say why a call with a constant argument can never work."""
    found = _REGEX.search(detail)
    return f"`{name}` cannot work: " + (f"invalid regular expression: {regex_advice(found[1])}" if found else detail)


def undeclared(message: str) -> str:
    """Return the name that is not declared, or nothing."""
    found = _UNDECLARED.search(message)
    return found[1] if found else ""


def _hint(name: str, known: Collection[str], elsewhere: str) -> str:
    if elsewhere:
        return elsewhere
    fields = sorted(v for v in known if v.startswith(f"{name}."))
    if fields:
        return f"; name a field of it: {', '.join(f'`{f}`' for f in fields)}"
    if name in FUNCTIONS:
        return " with these arguments; the function takes others"
    head, dot, tail = name.rpartition(".")
    tails = [v.rpartition(".")[2] for v in known if v.rpartition(".")[0] == head]
    close = get_close_matches(tail, tails, n=1)
    if close:
        return f"; did you mean `{head}{dot}{close[0]}`?"
    if not dot and (close := get_close_matches(name, FUNCTIONS, n=1)):
        return f"; did you mean `{close[0]}`?"
    roots = {v.partition(".")[0] for v in known}
    root = name.partition(".")[0]
    close = [] if root in roots else get_close_matches(root, sorted(roots), n=1)
    return f"; did you mean `{close[0]}`?" if close else f"; there are {', '.join(f'`{r}`' for r in sorted(roots))}"


def _overload(function: str, types: str) -> str:
    operator = function.strip("_@")
    for long, short in _TYPE_NAMES.items():
        types = types.replace(long, short)
    name = {"?_:": "? :", "in": "in"}.get(operator, operator)
    text = f"`{name}` cannot be used on `({types})`"
    if operator == "in":
        return f"{text}: what follows `in` is a list or a map; for text write `contains`"
    if operator == "contains" and types.startswith("list"):
        return f'{text}: a list is asked with `in`, as in `"x" in list`'
    if operator == "?_:":
        return f"{text}: what comes first is a truth value, and both answers have one type"
    return text


def _token(text: str) -> str:
    if text.startswith("="):
        return "syntax error at `=`: write `==` to compare"
    if text[:1] in "\"'":
        return 'syntax error: a string is not closed, or holds an escape that CEL does not have; patterns go in r"…"'
    if text[:1] in "&|":
        return f"syntax error at `{text[:1]}`: write it twice"
    return f"syntax error: `{text[:20].strip()}` is not part of CEL"


def _input(text: str) -> str:
    if text == "<EOF>":
        return "syntax error: the condition ends too early; a bracket, a quote or an operand is missing"
    if text in _WORDS:
        return f"syntax error at `{text}`: write `{_WORDS[text]}`"
    return f"syntax error at `{text[:20]}`: something is missing before it, such as `&&` or `||`"
