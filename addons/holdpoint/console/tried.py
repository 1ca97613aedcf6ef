"""What the pages show of a dry run: what would change, what hangs on it, and what went wrong with it."""

import json
import re
from dataclasses import dataclass

from holdpoint.console.reading import items, kind_of, number, pretty, readable, texts
from holdpoint.console.text import Cut, cut
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text

MOST_CHANGES = 200
"""Changed fields that a page holds; the plain text has all of them."""
MOST_NAMES = 50
_STEPS: re.Pattern[str] = re.compile(r"(?<=[a-zA-Z\]]\.)|(?<=[a-zA-Z])(?=\[)")
OPS = {"add": "added", "remove": "removed", "change": "changed"}


@dataclass(frozen=True, slots=True)
class Value:
    """One side of a changed field."""

    kind: str
    text: Cut


@dataclass(frozen=True, slots=True)
class Change:
    """One field that would be another one."""

    path: str
    op: str
    """`add`, `remove` or `change`."""
    before: Value | None
    after: Value | None

    @property
    def word(self) -> str:
        """What happens to the field, in a word."""
        return OPS[self.op]

    @property
    def steps(self) -> list[str]:
        """The path in pieces between which a line may end."""
        return _STEPS.split(self.path)


@dataclass(frozen=True, slots=True)
class Hang:
    """One thing that hangs on what would change."""

    what: str
    text: str


@dataclass(frozen=True, slots=True)
class TriedView:
    """A dry run."""

    state: str
    """`none`, `pending`, `ready` or `failed`; anything else counts as none."""
    why: str
    at: float
    verb: str
    changes: tuple[Change, ...]
    """At most MOST_CHANGES."""
    total: int
    """How many fields would change, in all."""
    tally: str
    """`2 changed, 1 added`."""
    has_diff: bool
    """Whether it was compared at all: no change is an answer too."""
    object: Cut | None
    """What would be deleted."""
    matched: int
    more: bool
    """Whether more than `matched` match."""
    names: tuple[str, ...]
    hangs: tuple[Hang, ...]
    warnings: tuple[str, ...]
    error: str
    """The API server's own no."""

    @property
    def is_ready(self) -> bool:
        """Whether it was tried."""
        return self.state == "ready"


def tried_view(wire: JsonValue) -> TriedView:
    """Read `dry_run` of the wire form. What is missing counts as no dry run."""
    found = as_object(wire)
    shown = as_object(found.get("shown"))
    state = as_text(found.get("state"))
    diff = [as_object(item) for item in items(shown.get("diff"))]
    counts = as_object(shown.get("counts"))
    live = shown.get("object")
    return TriedView(
        state=state if state in {"pending", "ready", "failed"} else "none",
        why=as_text(found.get("why")),
        at=number(found.get("at")),
        verb=as_text(shown.get("verb")),
        changes=tuple(_change(item) for item in diff[:MOST_CHANGES]),
        total=len(diff),
        tally=_tally([_op(item) for item in diff]),
        has_diff=isinstance(shown.get("diff"), list),
        object=cut(readable(live)) if live is not None else None,
        matched=int(number(counts.get("matched"))) if counts else -1,
        more=counts.get("more") is True,
        names=texts(counts.get("names"))[:MOST_NAMES],
        hangs=tuple(_hang(as_object(item)) for item in items(shown.get("hangs_on_it"))),
        warnings=texts(shown.get("warnings")),
        error=as_text(shown.get("error")),
    )


def _change(item: JsonObject) -> Change:
    op = _op(item)
    before = None if op == "add" or "before" not in item else _value(item["before"])
    after = None if op == "remove" or "after" not in item else _value(item["after"])
    return Change(as_text(item.get("path")), op, before, after)


def _op(item: JsonObject) -> str:
    op = as_text(item.get("op"))
    return op if op in OPS else "change"


def _value(value: JsonValue) -> Value:
    """Return a side as it is read: text of one line in quotes, so that "3" is not 3 and a blank at its end shows."""
    if isinstance(value, str):
        text = value if "\n" in value else json.dumps(value, ensure_ascii=False)
    else:
        text = pretty(value)
    return Value(kind_of(value), cut(text))


def _hang(item: JsonObject) -> Hang:
    return Hang(as_text(item.get("what")), as_text(item.get("text")))


def _tally(ops: list[str]) -> str:
    counted = ((ops.count(op), word) for op, word in (("change", "changed"), ("add", "added"), ("remove", "removed")))
    return ", ".join(f"{count:,} {word}" for count, word in counted if count)
