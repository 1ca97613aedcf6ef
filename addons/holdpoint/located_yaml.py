"""YAML in which every value knows its file, line and column, and every mapping is read to the last key.

Duplicate keys, unknown tags, anchors and aliases are refused: a policy must read to its reviewer as it reads to us.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonValue

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Located:
    """A value of a YAML file and where it stands."""

    node: Node
    file: Path

    @property
    def where(self) -> str:
        """`file:line:column`, counted from one."""
        mark = self.node.start_mark
        return f"{self.file}:{mark.line + 1}:{mark.column + 1}"

    @property
    def line(self) -> int:
        """Line, counted from one."""
        return int(self.node.start_mark.line) + 1

    @property
    def is_block_text(self) -> bool:
        """Whether this is a `|` or `>` scalar, whose text starts on the next line."""
        return isinstance(self.node, ScalarNode) and self.node.style in ("|", ">")

    def error(self, message: str) -> ConfigError:
        """Make an error that names this place."""
        return ConfigError(message, where=self.where)

    @property
    def is_mapping(self) -> bool:
        """Whether this is a mapping."""
        return isinstance(self.node, MappingNode)

    @property
    def is_sequence(self) -> bool:
        """Whether this is a list."""
        return isinstance(self.node, SequenceNode)

    @property
    def is_null(self) -> bool:
        """Whether this is `null`, `~` or nothing at all."""
        return self.node.tag == _TAG + "null"

    def items(self) -> Iterator[tuple[str, "Located", "Located"]]:
        """Yield key text, key and value of a mapping. Raises ConfigError if it is none, or on a duplicate key."""
        if not isinstance(self.node, MappingNode):
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
        if not isinstance(self.node, SequenceNode):
            raise self.error("expected a list")
        return [Located(n, self.file) for n in self.node.value]

    def text(self) -> str:
        """Return a string. Raises ConfigError on anything else, numbers and booleans that lack quotes included."""
        if not isinstance(self.node, ScalarNode) or self.node.tag != _TAG + "str":
            raise self.error("expected text (put quotes around it if it looks like a number or a boolean)")
        return str(self.node.value)

    def integer(self, *, low: int | None = None, high: int | None = None) -> int:
        """Return an integer within bounds. Raises ConfigError."""
        if not isinstance(self.node, ScalarNode) or self.node.tag != _TAG + "int":
            raise self.error("expected a whole number")
        try:
            number = int(str(self.node.value).replace("_", ""), 10)
        except ValueError:
            raise self.error("expected a whole number in decimal digits") from None
        if (low is not None and number < low) or (high is not None and number > high):
            raise self.error(f"expected a whole number from {low} to {high}")
        return number

    def boolean(self) -> bool:
        """Return true or false. Raises ConfigError."""
        if not isinstance(self.node, ScalarNode) or self.node.tag != _TAG + "bool":
            raise self.error("expected `true` or `false`")
        return str(self.node.value).lower() == "true"

    def choice(self, *values: str) -> str:
        """Return a string that is one of `values`. Raises ConfigError."""
        text = self.text()
        if text not in values:
            raise self.error(f"`{text}` is none of {', '.join(f'`{v}`' for v in values)}")
        return text

    def texts(self) -> tuple[str, ...]:
        """Return a list of strings. Raises ConfigError."""
        return tuple(e.text() for e in self.elements())

    def duration(self) -> float:
        """Return seconds from `30s`, `10m`, `12h`, `7d`. Raises ConfigError."""
        text = self.text()
        units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
        number = text.rstrip("smhd")
        unit = text[len(number) :]
        if unit not in units or not number.isascii() or not number.isdecimal():
            raise self.error(f"`{text}` is no duration; write `30s`, `10m`, `12h` or `7d`")
        return int(number) * units[unit]

    def size(self) -> int:
        """Return bytes from `512KiB`, `8MiB`, `1GiB` or `100B`. Raises ConfigError."""
        text = self.text()
        for unit, factor in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)):
            number = text.removesuffix(unit)
            if number != text and number.isascii() and number.isdecimal():
                return int(number) * factor
        raise self.error(f"`{text}` is no size; write `100B`, `512KiB`, `8MiB` or `1GiB`")

    def json(self, depth: int = 0) -> JsonValue:
        """Return the value as JSON. Raises ConfigError on what JSON has no word for."""
        if depth > MAX_DEPTH:
            raise self.error("nested too deep")
        node = self.node
        if isinstance(node, MappingNode):
            return {name: value.json(depth + 1) for name, _, value in self.items()}
        if isinstance(node, SequenceNode):
            return [e.json(depth + 1) for e in self.elements()]
        match (node.tag or "").removeprefix(_TAG):
            case "str":
                return self.text()
            case "int":
                return self.integer()
            case "bool":
                return self.boolean()
            case "null":
                return None
            case "float":
                return float(str(node.value))
            case tag:
                raise self.error(f"a value of type `{tag}` is not allowed here")


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
        raw = file.read_bytes()
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
    yaml = YAML(typ="safe", pure=True)
    try:
        nodes = [n for n in yaml.compose_all(text) if n is not None]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise ConfigError(f"not valid YAML: {error.problem or error.context}", where=where) from error
    except YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=str(file)) from error
    except RecursionError:
        raise ConfigError("nested too deep", where=str(file)) from None
    for node in nodes:
        _refuse_aliases(node, file, set(), 0)
    return [Located(node, file) for node in nodes]


def _refuse_aliases(node: Node, file: Path, seen: set[int], depth: int) -> None:
    here = Located(node, file)
    if depth > MAX_DEPTH:
        raise here.error("nested too deep")
    if id(node) in seen:
        raise here.error("anchors and aliases are not allowed: write the value out")
    seen.add(id(node))
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                raise Located(key, file).error("merge keys are not allowed: write the values out")
            _refuse_aliases(key, file, seen, depth + 1)
            _refuse_aliases(value, file, seen, depth + 1)
    elif isinstance(node, SequenceNode):
        for value in node.value:
            _refuse_aliases(value, file, seen, depth + 1)
