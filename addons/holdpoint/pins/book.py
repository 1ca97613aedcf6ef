"""The pins of one target: what its server lists is compared with what was approved.

Trust is given to definitions, never to a server: a definition that nobody approved counts against its tool until an
operator looks at it, even where the server goes back to the approved one or shows different callers different ones.
A tool that a listing lacks is no change: servers may show each caller less.

`state` and the other readers need no lock: they read one reference. `saw` may run in any thread.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from holdpoint.domain.access import PinState
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.pins.fingerprint import define
from holdpoint.pins.hidden import Finding, find_hidden
from holdpoint.pins.invisible import Kind
from holdpoint.pins.judging import FIRST_SIGHT, Around, Item, judge, rejudge
from holdpoint.pins.lookalikes import skeleton
from holdpoint.pins.mirrors import mirrors
from holdpoint.pins.pin_file import FilePin
from holdpoint.pins.records import PinRefused, Record

MOST_TOOLS: Final = 2_000
"""Tools of one target that are remembered. Where a server lists more, those beyond are unknown."""
LONGEST_NAME: Final = 256
MOST_LISTINGS: Final = 500
"""Listings whose pages are put together at a time."""
MOST_LOOKED_AT: Final = 1 << 20
"""Bytes of one definition in which hidden text is looked for. A larger one is itself a finding."""
MOST_BYTES: Final = 16 << 20
"""Text of definitions that is kept for one target. Beyond, fingerprints alone are."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that became known of a tool, for the audit."""

    tool: str
    state: PinState
    """PINNED: pinned at first sight. Any other: seen, and not as approved."""
    fingerprint: str
    why: str = ""
    before: tuple[str, ...] = ()
    """Fingerprints that were approved until then."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at one page of a listing told."""

    states: Mapping[str, PinState] = field(default_factory=dict[str, PinState])
    """State of each tool on the page."""
    changes: tuple[Change, ...] = ()
    records: tuple[Record, ...] = ()
    """Records to be stored."""


class PinBook:
    """Pins of one target, in memory. `approved` is what the pin file says, or None where the first sight counts."""

    def __init__(self, approved: Mapping[str, FilePin] | None = None, records: Iterable[Record] = ()) -> None:
        self._lock = threading.Lock()
        self._file = approved
        self._records: dict[str, Record] = {}
        self._states: dict[str, PinState] = {}
        self._mirrors: dict[str, Mapping[str, str]] = {}
        self._listings: OrderedDict[str, dict[str, set[str]]] = OrderedDict()
        self._sight = 0
        self._bytes = 0
        for record in records:
            self._put(rejudge(record, approved) if approved is not None else record)
            self._sight = max(self._sight, record.sight, record.duplicate)
        self._full = len(self._records) >= MOST_TOOLS

    # What others ask

    def state(self, tool: str) -> PinState:
        """Return how the tool stands."""
        found = self._states.get(tool)
        if found is not None:
            return found
        if self._file is not None:
            return PinState.PINNED if tool in self._file else PinState.UNKNOWN
        return PinState.UNKNOWN if self._full or len(tool) > LONGEST_NAME else PinState.NONE

    def record(self, tool: str) -> Record | None:
        """Return what is known of a tool."""
        return self._records.get(tool)

    def records(self) -> tuple[Record, ...]:
        """Return everything that is known, by name."""
        return tuple(sorted(self._records.copy().values(), key=lambda r: r.tool))

    def mirrors(self, tool: str) -> Mapping[str, str]:
        """Return the headers that repeat arguments of the tool, by the definition that was seen last."""
        found = self._mirrors.get(tool)
        if found is None:
            record = self._records.get(tool)
            newest = record.newest if record else None
            found = self._mirrors[tool] = mirrors(newest.parsed()) if newest else {}
        return found

    # What the server says

    def saw(self, tools: Sequence[JsonValue], *, listing: str, first: bool, complete: bool, at: float) -> Seen:
        """Take in one page. `listing` joins the pages of one listing; `first` and `complete` are about its ends.

        What is not an object with a name is no tool, and is not looked at.
        """
        items = [item for tool in tools if isinstance(tool, dict) and (item := self._item(tool)) is not None]
        with self._lock:
            return self._take(items, listing, first=first, complete=complete, at=at)

    def _item(self, tool: JsonObject) -> Item | None:
        name = tool.get("name")
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            return None
        definition = define(tool)
        record = self._records.get(name)
        findings: tuple[Finding, ...] = ()
        if record is None or record.find(definition.fingerprint) is None:
            findings = find_hidden(tool)
            if definition.size > MOST_LOOKED_AT:
                findings = (Finding("", Kind.DEEP, f"{definition.size} bytes"), *findings)
        if self._bytes > MOST_BYTES:
            definition = replace(definition, text="")
        return Item(name, definition, findings, tool.get("description"))

    def _take(self, items: list[Item], listing: str, *, first: bool, complete: bool, at: float) -> Seen:
        self._sight += 1
        listed = self._listed(listing, first=first)
        counts = Counter(item.name for item in items)
        before = {name: frozenset(listed.get(name, ())) for name in counts}
        for item in items:
            listed.setdefault(item.name, set()).add(item.definition.fingerprint)
        around = self._around(counts.keys(), listed)
        changes: list[Change] = []
        touched: dict[str, Record] = {}
        for item in items:
            # A page that came twice, or a list that moved while it was paged, repeats a tool as it was.
            repeats = counts[item.name] > 1 or bool(before[item.name] - {item.definition.fingerprint})
            if item.name in self._records or len(self._records) < MOST_TOOLS:
                self._look(item, around, changes, touched, repeats=repeats, at=at)
            else:
                self._full = True
        if complete:
            self._listings.pop(listing, None)
        if self._file is None:
            self._find_copies(listed, changes, touched, at)
        return Seen({name: self.state(name) for name in counts}, tuple(changes), tuple(touched.values()))

    def _listed(self, listing: str, *, first: bool) -> dict[str, set[str]]:
        if first:
            self._listings.pop(listing, None)
        found = self._listings.setdefault(listing, {})
        self._listings.move_to_end(listing)
        while len(self._listings) > MOST_LISTINGS:
            self._listings.popitem(last=False)
        return found

    def _around(self, page: Iterable[str], listed: Mapping[str, set[str]]) -> Around:
        names: dict[str, set[str]] = {}
        contents: dict[str, list[str]] = {}
        unseen = [name for name in page if name not in self._records]
        if unseen:
            for name in (*self._records, *unseen):
                names.setdefault(skeleton(name), set()).add(name)
            for record in self._records.values():
                for content in {k.definition.content for k in record.approved} - {""}:
                    contents.setdefault(content, []).append(record.tool)
        return Around(self._file, names, contents, listed)

    def _look(
        self,
        item: Item,
        around: Around,
        changes: list[Change],
        touched: dict[str, Record],
        *,
        repeats: bool,
        at: float,
    ) -> None:
        record = self._records.get(item.name)
        old = record or Record(item.name)
        before = tuple(k.definition.fingerprint for k in old.approved)
        fingerprint = item.definition.fingerprint
        known = old.find(fingerprint)
        if known is not None:
            made = old.with_kept(replace(known, sight=self._sight))
        else:
            kept = judge(item, record, around, repeats=repeats, sight=self._sight, at=at)
            made = touched[item.name] = old.with_kept(kept)
            changes.append(Change(item.name, kept.state, fingerprint, kept.why, before))
        if repeats:
            made = replace(made, duplicate=self._sight)
            if not old.duplicate:
                touched[item.name] = made
                why = "the server lists more than one tool of this name"
                changes.append(Change(item.name, PinState.DUPLICATE, fingerprint, why, before))
        if item.name in touched:
            touched[item.name] = made
        self._put(made)

    def _find_copies(
        self, listed: Mapping[str, set[str]], changes: list[Change], touched: dict[str, Record], at: float
    ) -> None:
        """Pin what passed for a rename on an earlier page, where a later one lists both: it is a copy."""
        for name in listed:
            record = self._records.get(name)
            newest = record.newest if record else None
            if record is None or newest is None or newest.state is not PinState.RENAMED or newest.other not in listed:
                continue
            pinned = replace(newest, state=PinState.PINNED, why="", other="", approved_by=FIRST_SIGHT, approved_at=at)
            touched[name] = record.with_kept(pinned)
            self._put(touched[name])
            changes.append(Change(name, PinState.PINNED, newest.definition.fingerprint, "listed beside its original"))

    # What an operator says

    def approve(self, tool: str, fingerprint: str, *, by: str, at: float, also: bool = False) -> Record:
        """Approve one definition, by its fingerprint. Raises PinRefused; the book is changed at once."""
        with self._lock:
            made = self.approval(tool, fingerprint, by=by, at=at, also=also)
            self._put(made)
            return made

    def approval(self, tool: str, fingerprint: str, *, by: str, at: float, also: bool = False) -> Record:
        """Return what an approval would make of the record, without making it. Raises PinRefused."""
        if self._file is not None:
            raise PinRefused("by_file", "the pin file decides for this target: put it there, commit, and reload")
        record = self._records.get(tool)
        if record is None:
            raise PinRefused("not_found", "the server has not listed a tool of this name")
        return record.approve(fingerprint, by=by, at=at, also=also)

    def forget(self, tool: str) -> bool:
        """Forget a tool: the next time it is listed is the first. Returns whether it was known."""
        with self._lock:
            self._states.pop(tool, None)
            self._mirrors.pop(tool, None)
            known = self._records.pop(tool, None)
            self._bytes -= _size(known) if known else 0
            self._full = self._full and len(self._records) >= MOST_TOOLS
            return known is not None

    def use_file(self, approved: Mapping[str, FilePin]) -> None:
        """Let another pin file decide. What is being looked at meanwhile is judged by it, and not lost."""
        with self._lock:
            self._file = approved
            for record in self.records():
                self._put(rejudge(record, approved))

    # Within

    def _put(self, record: Record) -> None:
        old = self._records.get(record.tool)
        self._bytes += _size(record) - (_size(old) if old else 0)
        self._records[record.tool] = record
        self._mirrors.pop(record.tool, None)
        # INVARIANT: with a pin file, no tool is in the state NONE.
        is_open = record.state is PinState.NONE and self._file is not None
        self._states[record.tool] = PinState.UNKNOWN if is_open else record.state


def _size(record: Record) -> int:
    return sum(len(k.definition.text) for k in record.kept)
