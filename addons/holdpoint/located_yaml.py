"""YAML in which every value knows its file, line and column, and every mapping is read to the last key.

Duplicate keys, unknown tags, directives, anchors, aliases and invisible characters are refused: a policy must read to
its reviewer as it reads to us.
"""

import contextlib
import math
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonValue
from holdpoint.visible_text import refuse_invisible

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_DIGITS = 15
"""Digits of a duration or size: far beyond any use, and far below what Python refuses to convert."""
_TAG = "tag:yaml.org,2002:"
_MAP, _SEQ = _TAG + "map", _TAG + "seq"
_TAGS = frozenset(_TAG + t for t in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp"))
"""`timestamp` is what an unquoted date resolves to: refused where it is read, with better advice."""


@dataclass(frozen=True, slots=True)
class Located:
    """A value of a YAML file and where it stands."""

    node: Any
    """A node of ruamel, whose own types say too little: what is taken from it is converted at once."""
    file: Path

    @property
    def where(self) -> str:
        """`file:line:column`, counted from one."""
        return f"{self.file}:{self.line}:{int(self.node.start_mark.column) + 1}"

    @property
    def line(self) -> int:
        """Line, counted from one."""
        return int(self.node.start_mark.line) + 1

    @property
    def is_block_text(self) -> bool:
        """Whether this is a `|` or `>` scalar, whose text starts on the next line."""
        return self._is(ScalarNode) and self.node.style in ("|", ">")

    @property
    def tag(self) -> str:
        """The YAML tag, written or resolved."""
        return str(self.node.tag or "")

    def _is(self, kind: type[Node]) -> bool:
        return isinstance(self.node, kind)

    def error(self, message: str) -> ConfigError:
        """Make an error that names this place."""
        return ConfigError(message, where=self.where)

    @property
    def is_mapping(self) -> bool:
        """Whether this is a mapping."""
        return self._is(MappingNode)

    @property
    def is_sequence(self) -> bool:
        """Whether this is a list."""
        return self._is(SequenceNode)

    @property
    def is_null(self) -> bool:
        """Whether this is `null`, `~` or nothing at all."""
        return self.tag == _TAG + "null"

    def items(self) -> Iterator[tuple[str, "Located", "Located"]]:
        """Yield key text, key and value of a mapping. Raises ConfigError if it is none, or on a duplicate key."""
        if not self.is_mapping:
            raise self.error("expected a mapping")
        seen: set[str] = set()
        for key_node, value_node in self.node.value:
            key = Located(key_node, self.file)
            name = key.text()
            if name in seen:
                raise key.error(f"duplicate key `{name}`")
            seen.add(name)
            yield name, key, Located(value_node, self.file)

    def fields(self, *, required: frozenset[str] = frozenset(), optional: frozenset[str] = frozenset()) -> "Fields":
        """Read a mapping whose keys are known. Raises ConfigError on an unknown or missing key."""
        found: dict[str, Located] = {}
        for name, key, value in self.items():
            if name not in required | optional:
                known = ", ".join(f"`{k}`" for k in sorted(required | optional))
                raise key.error(f"unknown key `{name}`; known here: {known}")
            found[name] = value
        for name in sorted(required - found.keys()):
            raise self.error(f"key `{name}` is missing")
        return Fields(self, found)

    def elements(self) -> list["Located"]:
        """Return the values of a list. Raises ConfigError if it is none."""
        if not self.is_sequence:
            raise self.error("expected a list: write `[…]`, even around a single value")
        return [Located(n, self.file) for n in self.node.value]

    def text(self) -> str:
        """Return a string. Raises ConfigError on anything else, numbers and booleans that lack quotes included."""
        if not self._is(ScalarNode) or self.tag != _TAG + "str":
            raise self.error("expected text (put quotes around it if it looks like a number or a boolean)")
        text = str(self.node.value)
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise self.error("a surrogate is no character: write the character itself")
        return text

    def integer(self, *, low: int | None = None, high: int | None = None) -> int:
        """Return an integer within bounds. Raises ConfigError."""
        if not self._is(ScalarNode) or self.tag != _TAG + "int":
            raise self.error("expected a whole number")
        try:
            number = int(str(self.node.value).replace("_", ""), 10)
        except ValueError:
            raise self.error("expected a whole number in decimal digits") from None
        if low is not None and number < low:
            raise self.error(f"expected a whole number of at least {low}")
        if high is not None and number > high:
            raise self.error(f"expected a whole number of at most {high}")
        return number

    def boolean(self) -> bool:
        """Return true or false. Raises ConfigError."""
        if not self._is(ScalarNode) or self.tag != _TAG + "bool":
            raise self.error("expected `true` or `false`")
        if (text := str(self.node.value).lower()) not in ("true", "false"):
            raise self.error("expected `true` or `false`")
        return text == "true"

    def choice(self, *values: str) -> str:
        """Return a string that is one of `values`. Raises ConfigError."""
        if (text := self.text()) not in values:
            raise self.error(f"`{text}` is none of {', '.join(f'`{v}`' for v in values)}")
        return text

    def texts(self) -> tuple[str, ...]:
        """Return a list of strings. Raises ConfigError."""
        return tuple(e.text() for e in self.elements())

    def duration(self) -> float:
        """Return seconds from `30s`, `10m`, `12h`, `7d`. Raises ConfigError."""
        # A bare number gets the same answer as one in quotes.
        text = str(self.node.value) if self.tag in (_TAG + "int", _TAG + "float") else self.text()
        units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
        unit = text[len(number := text.rstrip("smhd")) :]
        if unit not in units or not _is_count(number):
            hint = f"`{text}s`" if _is_count(text) else "`30s`, `10m`, `12h` or `7d`"
            raise self.error(f"`{text}` is no duration; write {hint}")
        return int(number) * units[unit]

    def size(self) -> int:
        """Return bytes from `512KiB`, `8MiB`, `1GiB` or `100B`. Raises ConfigError."""
        text = self.text()
        for unit, factor in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)):
            number = text.removesuffix(unit)
            if number != text and _is_count(number):
                return int(number) * factor
        raise self.error(f"`{text}` is no size; write `100B`, `512KiB`, `8MiB` or `1GiB`")

    def json(self, depth: int = 0) -> JsonValue:
        """Return the value as JSON. Raises ConfigError on what JSON has no word for."""
        if depth > MAX_DEPTH:
            raise self.error("nested too deep")
        if self.is_mapping:
            return {name: value.json(depth + 1) for name, _, value in self.items()}
        if self.is_sequence:
            return [e.json(depth + 1) for e in self.elements()]
        match self.tag.removeprefix(_TAG):
            case "str":
                return self.text()
            case "int":
                return self.integer()
            case "bool":
                return self.boolean()
            case "null":
                return None
            case "float":
                return self.number()
            case tag:
                raise self.error(f"a value of type `{tag}` is not allowed here")

    def number(self) -> float:
        """Return a finite number, whole or not. Raises ConfigError."""
        with contextlib.suppress(ValueError):
            if math.isfinite(number := float(str(self.node.value))):
                return number
        raise self.error("expected a finite number in decimal digits")


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS


@dataclass(frozen=True, slots=True)
class Fields:
    """The values of a mapping whose keys were checked."""

    owner: Located
    values: dict[str, Located]

    def __getitem__(self, name: str) -> Located:
        return self.values[name]

    def get(self, name: str) -> Located | None:
        """Return the value, or None where the key is absent."""
        return self.values.get(name)


def load(file: Path) -> Located:
    """Read a file that holds exactly one YAML document. Raises ConfigError with file, line and column."""
    documents = load_all(file)
    if len(documents) != 1:
        raise ConfigError(f"expected one document, found {len(documents)}", where=str(file))
    return documents[0]


def load_all(file: Path) -> list[Located]:
    """Read every YAML document of a file. Raises ConfigError with file, line and column."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigError("not a file", where=str(file))
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(file)) from error
    return parse_all(raw, file)


def parse_all(raw: bytes, file: Path) -> list[Located]:
    """Parse every YAML document of `raw`; `file` is for messages. Raises ConfigError."""
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES} bytes", where=str(file))
    try:
        text = raw.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 at byte {error.start}", where=str(file)) from error
    refuse_invisible(text, file)
    documents = _compose(text, file)
    for document in documents:
        _refuse_unreadable(document, set(), 0)
    return documents


def _compose(text: str, file: Path) -> list[Located]:
    parser: Any = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            # Every anchor is refused below, the reused ones too.
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            return [Located(node, file) for node in parser.compose_all(text) if node is not None]
    except MarkedYAMLError as caught:
        error: Any = caught
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise ConfigError(f"not valid YAML: {error.problem or error.context}", where=where) from caught
    except YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=str(file)) from error
    except (ValueError, OverflowError) as error:
        raise ConfigError("not valid YAML: an escape stands for no character", where=str(file)) from error
    except RecursionError:
        raise ConfigError("nested too deep", where=str(file)) from None


def _refuse_unreadable(value: Located, seen: set[int], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise value.error("nested too deep")
    if value.node.anchor or id(value.node) in seen:
        raise value.error("anchors and aliases are not allowed: write the value out")
    seen.add(id(value.node))
    if value.tag == _TAG + "merge":
        raise value.error("merge keys are not allowed: write the values out")
    if value.tag not in _TAGS or (value.is_mapping, value.is_sequence) != (value.tag == _MAP, value.tag == _SEQ):
        raise value.error(f"tag `{value.tag.removeprefix(_TAG)}` is not allowed here")
    for child in _children(value):
        _refuse_unreadable(child, seen, depth + 1)


def _children(value: Located) -> Iterator[Located]:
    if value.is_mapping:
        for pair in value.node.value:
            yield Located(pair[0], value.file)
            yield Located(pair[1], value.file)
    elif value.is_sequence:
        yield from value.elements()
