"""The pins of every target: in memory while the gateway runs, in the store beside it, in the audit whatever happens."""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from holdpoint.clock import Clock
from holdpoint.domain.access import PinState
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.pins.book import Change, PinBook
from holdpoint.pins.fingerprint import Definition
from holdpoint.pins.pin_file import PinFile, read_pin_file, write_entry, write_pin_file
from holdpoint.pins.records import Kept, PinRefused, Record
from holdpoint.recording.audit import AuditLog
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.settings import PinMode, Settings
from holdpoint.store.protocol import PinRow
from holdpoint.store.sql import SqlStore
from holdpoint.visible_text import spelled_out

logger = logging.getLogger(__name__)

_MOST_IN_AN_EVENT: Final = 200


class ToolPins:
    """Pins of all targets. Call `load` first."""

    def __init__(self, settings: Settings, store: SqlStore, audit: AuditLog, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._audit = audit
        self._clock = clock
        # Until `load` nothing is known; a target with a pin file then lets no tool pass.
        self._books = {
            target.name: PinBook({} if target.pins.mode is PinMode.FILE else None)
            for target in settings.targets
            if target.pins.mode is not PinMode.OFF
        }
        self._lock = threading.Lock()
        self._unstored: set[tuple[str, str]] = set()

    def load(self, rows: Iterable[PinRow]) -> None:
        """Take in what was stored. Raises ConfigError on a bad pin file."""
        files = self.read_files()
        stored: dict[str, dict[str, list[PinRow]]] = {}
        for row in rows:
            stored.setdefault(row.target, {}).setdefault(row.tool, []).append(row)
        for name in self._books:
            records = [_record(tool, rows) for tool, rows in stored.get(name, {}).items()]
            file = files.get(name)
            self._books[name] = PinBook(file.tools if file else None, records)

    def read_files(self) -> dict[str, PinFile]:
        """Read the pin file of every target that has one. Raises ConfigError. Blocks."""
        named = {t.name: t.pins.file for t in self._settings.targets if t.pins.mode is PinMode.FILE}
        return {name: read_pin_file(file, name) for name, file in named.items() if file is not None}

    def use_files(self, files: Mapping[str, PinFile]) -> None:
        """Let other pin files decide, at once."""
        for name, file in files.items():
            self._books[name].use_file(file.tools)

    # What the stages ask

    def state(self, target: str, tool: str) -> PinState:
        """Return how a tool stands."""
        book = self._books.get(target)
        return book.state(tool) if book is not None else PinState.NONE

    def mark(self, target: str, tool: str) -> tuple[str, ...]:
        """Return what waits for an operator: an approval of a call holds for exactly this. Empty: nothing."""
        book = self._books.get(target)
        record = book.record(tool) if book is not None else None
        return record.mark if record is not None else ()

    def known(self, target: str, tool: str) -> tuple[str, ...]:
        """Return the fingerprint of every definition of a tool that is remembered, approved or not."""
        record = self.record(target, tool)
        return tuple(sorted(k.definition.fingerprint for k in record.kept)) if record is not None else ()

    def mirrors(self, target: str, tool: str) -> Mapping[str, str]:
        """Return, by header in lower case (`mcp-param-region`), the argument that it repeats, as a JSON Pointer."""
        book = self._books.get(target)
        return book.mirrors(tool) if book is not None else {}

    def definition(self, target: str, tool: str) -> JsonObject:
        """Return the definition that the server gave last, empty where it is not known or was not kept."""
        record = self.record(target, tool)
        newest = record.newest if record else None
        return newest.parsed() if newest else {}

    def record(self, target: str, tool: str) -> Record | None:
        """Return everything that is known of a tool."""
        book = self._books.get(target)
        return book.record(tool) if book is not None else None

    def saw_tools(
        self, target: str, tools: Sequence[JsonValue], *, listing: str, first: bool, complete: bool, exchange: str = ""
    ) -> Mapping[str, PinState]:
        """Take in one page of what a server says of its tools, before anybody is shown it. Returns their states.

        `listing` names who pages through it (principal, session): pages of one name are put together, from one that is
        `first` (asked for without a cursor) to one that is `complete` (no `nextCursor`). Any thread may call this.
        """
        book = self._books.get(target)
        if book is None:
            return {}
        seen = book.saw(tools, listing=listing, first=first, complete=complete, at=self._clock.now())
        with self._lock:
            self._unstored.update((target, record.tool) for record in seen.records)
        if seen.changes:
            self._write_down(target, seen.changes, exchange)
        self._store_all()
        return seen.states

    # What operators ask

    def targets(self) -> tuple[str, ...]:
        """Return the targets whose tools are pinned."""
        return tuple(self._books)

    def records(self, target: str) -> tuple[Record, ...]:
        """Return everything that is known of a target's tools. Raises PinRefused."""
        return self._book(target).records()

    async def approve(
        self, target: str, tool: str, fingerprint: str, *, by: JsonObject, name: str, also: bool
    ) -> Record:
        """Approve one definition, durably and on the record.

        Raises PinRefused, StoreUnavailable, RecorderUnavailable.
        """
        book = self._book(target)
        at = self._clock.now()
        made = book.approval(tool, fingerprint, by=name, at=at, also=also)
        old = book.record(tool)
        detail: JsonObject = {
            "tool": tool,
            "fingerprint": fingerprint,
            "before": [k.definition.fingerprint for k in old.approved] if old else [],
            "was": book.state(tool).value,
            "also": also,
            "by": by,
        }
        # The record first, then the store, then what decides: no approval counts that nobody could find again.
        await self._audit.append(AuditEvent(AuditStage.PIN_APPROVED, at, target=target, detail=detail))
        await self._store.put_pins(target, tool, _rows(target, made))
        made = book.approve(tool, fingerprint, by=name, at=at, also=also)
        # The server may have shown yet another definition in between.
        with self._lock:
            self._unstored.add((target, tool))
        self._store_all()
        return made

    async def forget(self, target: str, tool: str, *, by: JsonObject) -> None:
        """Forget one tool. Raises as `approve`."""
        book = self._book(target)
        if book.record(tool) is None:
            raise PinRefused("not_found", "nothing is known of a tool of this name")
        detail: JsonObject = {"tool": tool, "was": book.state(tool).value, "by": by}
        await self._audit.append(AuditEvent(AuditStage.PIN_FORGOTTEN, self._clock.now(), target=target, detail=detail))
        await self._store.put_pins(target, tool, ())
        book.forget(tool)

    def export(self, target: str) -> str:
        """Return a pin file of everything that is approved. Raises PinRefused."""
        return write_pin_file(target, (entry(r, r.approved) for r in self.records(target) if r.approved))

    def _book(self, target: str) -> PinBook:
        book = self._books.get(target)
        if book is None:
            raise PinRefused("not_found", f"there is no target `{spelled_out(target)}` whose tools are pinned")
        return book

    # Within

    def _store_all(self) -> None:
        with self._lock:
            for target, tool in tuple(self._unstored):
                record = self.record(target, tool)
                if not self._store.submit_pins(target, tool, _rows(target, record) if record else ()):
                    logger.error("pins of target `%s` are not stored yet: the store is closed or overrun", target)
                    return
                self._unstored.discard((target, tool))

    def _write_down(self, target: str, changes: Sequence[Change], exchange: str) -> None:
        pinned = [c for c in changes if c.state is PinState.PINNED]
        others = [c for c in changes if c.state is not PinState.PINNED]
        for change in others:
            logger.warning(
                "target `%s`: tool `%s` is %s: %s", target, spelled_out(change.tool), change.state, change.why
            )
        for stage, found in ((AuditStage.PINNED, pinned), (AuditStage.PIN_CHANGED, others)):
            for start in range(0, len(found), _MOST_IN_AN_EVENT):
                detail: JsonObject = {"tools": [_told(c) for c in found[start : start + _MOST_IN_AN_EVENT]]}
                event = AuditEvent(stage, self._clock.now(), exchange=exchange, target=target, detail=detail)
                try:
                    self._audit.submit(event)
                except RecorderUnavailable as error:
                    logger.error("`%s` of target `%s` was not written: %s", stage.value, target, error)  # noqa: TRY400  # its own words


def entry(record: Record, kept: Sequence[Kept]) -> str:
    """Return the lines of a pin file for some definitions of a tool, the one seen last first."""
    newest_first = kept[::-1]
    return write_entry(record.tool, [k.definition.fingerprint for k in newest_first], newest_first[0].parsed())


def _told(change: Change) -> JsonObject:
    told: JsonObject = {"tool": change.tool, "state": change.state.value, "fingerprint": change.fingerprint}
    if change.why:
        told["why"] = change.why
    if change.before:
        told["approved"] = [*change.before]
    return told


def _rows(target: str, record: Record) -> list[PinRow]:
    return [
        PinRow(
            target=target,
            tool=record.tool,
            fingerprint=k.definition.fingerprint,
            content=k.definition.content,
            definition=k.definition.text,
            size=k.definition.size,
            state=k.state,
            why=k.why,
            other=k.other,
            sight=k.sight,
            duplicate=record.duplicate,
            first_at=k.first_at,
            approved_by=k.approved_by,
            approved_at=k.approved_at,
        )
        for k in record.kept
    ]


def _record(tool: str, rows: Sequence[PinRow]) -> Record:
    kept = tuple(
        Kept(
            definition=Definition(row.fingerprint, row.content, row.definition, row.size),
            state=row.state,
            why=row.why,
            other=row.other,
            sight=row.sight,
            first_at=row.first_at,
            approved_by=row.approved_by,
            approved_at=row.approved_at,
        )
        for row in rows
    )
    return Record(tool, kept, max(row.duplicate for row in rows))
