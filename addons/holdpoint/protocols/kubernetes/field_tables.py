"""Which number stands for which field in a protobuf body of the Kubernetes API, and what JSON makes of the field.

The tables are the text files in `fields/`, one for each package of the API, written by scripts/kube-fields. A file
is read when an object of its package comes first, and a message of it is worked out when it is met first. Their
lines:

    version apps/v1              what `apiVersion` says of the kinds in this file
    kind Deployment              a message that can be a body (`type`: cannot; `list`: JSON shows its list)
    2 spec ?DeploymentSpec       number, JSON name, flags and type (name `.`: JSON shows its fields in its parent)

Flags: `*` may be absent (a Go pointer), `[]` repeated, `{}` a map with text as keys, `?` JSON leaves out what is
empty (`omitempty`), `!` also an empty structure (`omitzero`). A type with a slash is of another package.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "fields"
_LINE = re.compile(r"(\d+) (\S+) ([!?]*)(\[\]|\{\})?(\*?)(\S+)")
NUMBERS = frozenset({"bool", "int32", "int64"})
_SCALARS = NUMBERS | {"string", "bytes"}
_PLAIN = _SCALARS | {"time", "microtime", "duration", "quantity", "intorstring", "raw"}

EVERYWHERE = frozenset(
    {"CreateOptions", "DeleteOptions", "GetOptions", "ListOptions", "PatchOptions", "UpdateOptions"},
)
"""Kinds of meta/v1 that are registered under every API version (apimachinery, `AddToGroupVersion`)."""

UNVERSIONED = frozenset({"Status", "APIVersions", "APIGroup", "APIGroupList", "APIResourceList"})
"""Kinds of meta/v1 that go under `v1`."""


class Form(Enum):
    """How often a field may stand in a message."""

    ONE = auto()
    LIST = auto()
    MAP = auto()
    INLINE = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    number: int
    name: str
    """As JSON has it; `.` where JSON has none."""
    type: str
    """`string`, `bool`, `int32`, `int64`, `bytes`, one of those that JSON has a form of its own for, or `message`."""
    form: Form
    shape: "Shape | None"
    """What a field of type `message` holds; of a map, the pair of key and value."""
    drops_empty: bool
    """JSON leaves out an empty value although the body has it."""
    shows_absent: bool
    """JSON shows the field although the body lacks it."""
    is_pointer: bool


@dataclass(slots=True, eq=False)
class Shape:
    """One message: its fields by the tags that they have on the wire (protobuf encoding, "message structure")."""

    name: str
    """As `core.v1/PodSpec`."""
    is_kind: bool
    is_list: bool
    lines: tuple[str, ...]
    _fields: tuple[Field, ...] | None = None
    _by_tag: dict[int, Field] = field(default_factory=dict[int, Field])
    _shown: tuple[Field, ...] | None = None

    @property
    def fields(self) -> tuple[Field, ...]:
        """Every field, in the order of their numbers."""
        if self._fields is None:
            self._fields = tuple(_field(line, self.name) for line in self.lines)
        return self._fields

    @property
    def by_tag(self) -> Mapping[int, Field]:
        """Fields by number and wire type, which are one number on the wire."""
        if not self._by_tag and self.lines:
            for each in self.fields:
                if each.type in NUMBERS:
                    self._by_tag[each.number << 3] = each
                if each.type not in NUMBERS or each.form is Form.LIST:
                    self._by_tag[each.number << 3 | 2] = each
        return self._by_tag

    @property
    def shown(self) -> tuple[Field, ...]:
        """Fields that JSON has even of an empty message."""
        if self._shown is None:
            self._shown = tuple(each for each in self.fields if each.shows_absent)
        return self._shown


def find(api_version: str, kind: str) -> Shape | None:
    """Return the shape of a body of this kind, or None where the tables lack it."""
    if kind in EVERYWHERE or (kind in UNVERSIONED and api_version == "v1"):
        return message(f"meta.v1/{kind}")
    package = versions().get(api_version)
    if package is None:
        return None
    shape = _package(package).get(kind)
    return shape if shape is not None and shape.is_kind else None


def message(name: str) -> Shape:
    """Return the shape of a message by its whole name. Raises KeyError where there is none."""
    package, _, bare = name.partition("/")
    return _package(package)[bare]


@cache
def versions() -> Mapping[str, str]:
    """Return the API versions that have tables, with the names of those."""
    lines = (_FOLDER / "index.txt").read_text(encoding="ascii").splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


@cache
def _package(package: str) -> Mapping[str, Shape]:
    text = (_FOLDER / f"{package}.txt").read_text(encoding="ascii")
    made: dict[str, Shape] = {}
    for block in text.split("\n\n")[1:]:
        head, *lines = block.strip().splitlines()
        word, name = head.split(" ")
        made[name] = Shape(f"{package}/{name}", word == "kind", word == "list", tuple(lines))
    return made


def kinds(package: str) -> tuple[str, ...]:
    """Return the kinds that a table knows, in its order."""
    return tuple(name for name, shape in _package(package).items() if shape.is_kind)


def _field(line: str, owner: str) -> Field:
    found = _LINE.fullmatch(line)
    if not found:
        raise ValueError(f"not a line of a field table: `{line}`")
    number, name, flags, mark, pointer, kind = found.groups()
    whole = kind if kind in _PLAIN or "/" in kind else f"{owner.partition('/')[0]}/{kind}"
    form = {"[]": Form.LIST, "{}": Form.MAP, None: Form.INLINE if name == "." else Form.ONE}[mark]
    shape = None if kind in _PLAIN else message(whole)
    if form is Form.MAP:
        shape = own(f"{owner}.{name}", "1 key string", f"2 value {whole}")
    # Go calls a structure never empty, whatever is in it, except for `omitzero`.
    can_be_empty = form is not Form.ONE or kind in _SCALARS or bool(pointer)
    omitted = ("?" if can_be_empty else "!") in flags
    return Field(
        number=int(number),
        name=name,
        type=kind if kind in _PLAIN else "message",
        form=form,
        shape=shape,
        drops_empty=omitted and form is Form.ONE and not pointer,
        shows_absent=form is Form.INLINE or not omitted,
        is_pointer=bool(pointer),
    )


def own(name: str, *lines: str) -> Shape:
    """Return a shape that no table holds."""
    return Shape(name, is_kind=False, is_list=False, lines=lines)
