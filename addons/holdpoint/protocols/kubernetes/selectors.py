"""Label and field selectors, read as the API server reads them, and what one says about another.

Source: `labels.Parse` and `fields.ParseSelector` of k8s.io/apimachinery.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

type Operator = Literal["in", "notin", "exists", "absent", "gt", "lt"]

MAX_SELECTOR = 16 << 10
MAX_REQUIREMENTS = 512
"""Of label selectors: each rule that looks at one reads it anew."""
_TOKEN = re.compile(r"[ \t\r\n]*(?:(?P<sign>==|!=|=|!|\(|\)|,|>|<)|(?P<word>[^ \t\r\n=!(),><]+))")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_MAX_PREFIX = 253
_NUMBER = re.compile(r"[0-9]{1,18}")
_FIELD = re.compile(r"!=|==|=")


class BadSelector(ValueError):  # noqa: N818  # named after what it is, as Refusal
    """A text that is no selector. The API server would refuse it."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a selector asks of an object. All of a selector's must hold."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()


type Selector = tuple[Requirement, ...]
"""No requirements at all select everything."""


def parse_labels(text: str) -> Selector:
    """Read a label selector. Raises BadSelector."""
    if len(text) > MAX_SELECTOR or "\0" in text:
        # NOTE: the API server's reader stops at a NUL, and would see less than was written.
        raise BadSelector("no selector")
    tokens = list(_tokens(text))
    found: list[Requirement] = []
    while tokens:
        if len(found) == MAX_REQUIREMENTS:
            raise BadSelector("too many requirements")
        requirement, tokens = _requirement(tokens)
        found.append(requirement)
        if not tokens:
            break
        if tokens[0] != "," or len(tokens) == 1:
            raise BadSelector("requirements stand with a comma between")
        tokens = tokens[1:]
    return tuple(found)


def parse_fields(text: str) -> Selector:
    """Read a field selector, its terms in the server's order. Raises BadSelector."""
    if len(text) > MAX_SELECTOR:
        raise BadSelector("no selector")
    found: list[Requirement] = []
    for term in sorted(_terms(text), key=str.encode):
        operator = _FIELD.search(term)
        if operator is None:
            raise BadSelector("a field is compared by `=`, `==` or `!=`")
        value = _unescaped(term[operator.end() :])
        found.append(
            Requirement(term[: operator.start()], "notin" if operator[0] == "!=" else "in", frozenset({value}))
        )
    return tuple(found)


def exact_match(text: str, key: str) -> str | None:
    """Return the value that a field must have for an object to be selected, or None. Raises BadSelector."""
    return next((v for r in parse_fields(text) if (r.key, r.operator) == (key, "in") for v in r.values), None)


def implies(asked: Selector, wanted: Selector) -> bool:
    """Tell whether everything that `asked` selects is selected by `wanted` too. In doubt it is not."""
    return all(_Known.of(asked, w.key).has(w) for w in wanted)


def excludes(asked: Selector, wanted: Selector) -> bool:
    """Tell whether nothing that `asked` selects is selected by `wanted`. In doubt something is."""
    return any(_Known.of(asked, w.key).lacks(w) for w in wanted)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a selector says of one key."""

    values: frozenset[str] | None
    """All that the value can be; None: it may have any, or none."""
    never: frozenset[str]
    is_there: bool
    is_absent: bool
    above: int | None
    below: int | None

    @classmethod
    def of(cls, selector: Selector, key: str) -> "_Known":
        about = [r for r in selector if r.key == key]
        never = frozenset[str]().union(*(r.values for r in about if r.operator == "notin"))
        sets = [r.values for r in about if r.operator == "in"]
        values = sets[0].intersection(*sets) - never if sets else None
        return cls(
            values,
            never,
            is_there=any(r.operator in ("in", "exists", "gt", "lt") for r in about),
            is_absent=any(r.operator == "absent" for r in about),
            above=max((_number(r) for r in about if r.operator == "gt"), default=None),
            below=min((_number(r) for r in about if r.operator == "lt"), default=None),
        )

    def has(self, wanted: Requirement) -> bool:
        """Tell whether the key is surely as wanted."""
        match wanted.operator:
            case "in":
                return self.values is not None and self.values <= wanted.values
            case "notin":
                outside = self.values is not None and self.values.isdisjoint(wanted.values)
                return outside or self.is_absent or wanted.values <= self.never
            case "exists":
                return self.is_there
            case "absent":
                return self.is_absent
            case "gt" | "lt":
                bound = self.above if wanted.operator == "gt" else self.below
                limit = _number(wanted)
                is_within = bound is not None and (bound >= limit if wanted.operator == "gt" else bound <= limit)
                return is_within or (self.values is not None and all(_passes(v, wanted) for v in self.values))

    def lacks(self, wanted: Requirement) -> bool:
        """Tell whether the key is surely not as wanted."""
        match wanted.operator:
            case "in":
                outside = self.values is not None and self.values.isdisjoint(wanted.values)
                return outside or self.is_absent or wanted.values <= self.never
            case "notin":
                return self.values is not None and self.values <= wanted.values
            case "exists":
                return self.is_absent
            case "absent":
                return self.is_there
            case "gt" | "lt":
                return self.is_absent or (self.values is not None and not any(_passes(v, wanted) for v in self.values))


def _number(requirement: Requirement) -> int:
    return int(next(iter(requirement.values)))


def _passes(value: str, wanted: Requirement) -> bool:
    if not _NUMBER.fullmatch(value):
        return False
    limit = _number(wanted)
    return int(value) > limit if wanted.operator == "gt" else int(value) < limit


def _tokens(text: str) -> Iterator[str]:
    at, text = 0, text.rstrip(" \t\r\n")
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise BadSelector("no selector")
        yield found["sign"] or found["word"]
        at = found.end()


def _is_word(token: str) -> bool:
    return token[0] not in "=!(),><"


def _requirement(tokens: list[str]) -> tuple[Requirement, list[str]]:
    is_absent = tokens[0] == "!"
    rest = tokens[1:] if is_absent else tokens
    if not rest or not _is_word(rest[0]) or not _is_key(rest[0]):
        raise BadSelector("a requirement starts with a key")
    key, rest = rest[0], rest[1:]
    if not rest or rest[0] == ",":
        return Requirement(key, "absent" if is_absent else "exists"), rest
    # NOTE: `!key = x` is read as `key = x` by the API server: whoever wrote it meant something else.
    if is_absent:
        raise BadSelector("`!` stands before a key that stands alone")
    sign, rest = rest[0], rest[1:]
    if sign in ("in", "notin"):
        values, rest = _values(rest)
        return Requirement(key, "in" if sign == "in" else "notin", _checked(values)), rest
    value = rest[0] if rest and _is_word(rest[0]) else ""
    if rest and not value and rest[0] != ",":
        raise BadSelector("a value is expected")
    rest, operators = rest[1:] if value else rest, {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}
    operator = operators.get(sign)
    if operator is None:
        raise BadSelector("no operator")
    if operator in ("gt", "lt") and not _NUMBER.fullmatch(value):
        raise BadSelector("`>` and `<` compare numbers")
    return Requirement(key, _operator(operator), _checked([value])), rest


def _operator(text: str) -> Operator:
    match text:
        case "in" | "notin" | "gt" | "lt":
            return text
        case _:
            raise BadSelector("no operator")


def _values(tokens: list[str]) -> tuple[list[str], list[str]]:
    if ")" not in tokens or tokens[0] != "(":
        raise BadSelector("values stand in brackets")
    end = tokens.index(")")
    found: list[str] = []
    expects_value = True
    for word in tokens[1:end]:
        if word == ",":
            if expects_value:
                found.append("")
            expects_value = True
        elif _is_word(word) and expects_value:
            found.append(word)
            expects_value = False
        else:
            raise BadSelector("values stand with commas between")
    return [*found, *([""] if expects_value else [])], tokens[end + 1 :]


def _checked(values: Iterable[str]) -> frozenset[str]:
    found = frozenset(values)
    if any(v and not _NAME.fullmatch(v) for v in found):
        raise BadSelector("no value of a label")
    return found


def _is_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    if slash and (len(prefix) > _MAX_PREFIX or not _PREFIX.fullmatch(prefix)):
        return False
    return _NAME.fullmatch(name) is not None


def _terms(text: str) -> Iterator[str]:
    term, is_escaped = "", False
    for character in text:
        if character == "," and not is_escaped:
            if term:
                yield term
            term = ""
            continue
        is_escaped = character == "\\" and not is_escaped
        term += character
    if term:
        yield term


def _unescaped(text: str) -> str:
    made, characters = "", iter(text)
    for character in characters:
        if character == "\\":
            after = next(characters, "")
            if after not in ("\\", ",", "="):
                raise BadSelector("no escape")
            made += after
        elif character in ",=":
            raise BadSelector("`,` and `=` are escaped by `\\` in values")
        else:
            made += character
    return made
