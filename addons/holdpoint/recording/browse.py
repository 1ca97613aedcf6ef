"""Reading recordings: events, sessions, and what happened in each. Proves nothing: that is what `verify` is for."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from mitmproxy.flow import Flow
from mitmproxy.io import FlowReader

from holdpoint.domain.audit import AuditStage
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.recording.chain import EVENT, LineError, read_line
from holdpoint.recording.json_text import read
from holdpoint.recording.segments import read_lines, segment_numbers, segment_path

_OUTCOMES = {
    AuditStage.HELD.value: "held",
    AuditStage.FORWARDED.value: "forwarded",
    AuditStage.REFUSED.value: "refused",
    AuditStage.ANSWERED.value: "answered",
    AuditStage.FAILED.value: "failed",
    AuditStage.ENDED.value: "ended",
    AuditStage.WITHHELD.value: "withheld",
    AuditStage.OUTCOME_UNKNOWN.value: "unknown",
    AuditStage.PANIC.value: "failed",
}


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event of the log and its place in the chain."""

    seq: int
    hash: str
    event: JsonObject

    def text(self, name: str) -> str:
        """Return a field of the event that is text. Empty where it is not."""
        return as_text(self.event.get(name))

    @property
    def at(self) -> float:
        """Unix seconds."""
        at = self.event.get("at")
        return float(at) if isinstance(at, int | float) else 0.0


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """One request of a session, and how it ended."""

    id: str
    at: float
    action: str
    resource: str
    outcome: str
    """`forwarded` while no end is known."""
    rules: tuple[str, ...] = ()
    refusal: str = ""
    """What the caller was told, where it was refused."""
    file: str = ""
    """Flow file, relative to the folder of recordings; empty where nothing is recorded."""
    offset: int = 0
    call: str = ""
    """Exchange of the tool call that it served, by a token that the gateway gave for it."""
    declined: str = ""
    """What the upstream said to an upgrade in place of switching."""
    requests: tuple[str, ...] = ()
    """Exchanges at clusters that served it, where it is a tool call."""
    approval: str = ""
    """Id of the approval request that it waited for or went out under."""
    masked: int = 0
    """Values that were masked in it."""
    upgrade: bool = False
    """Whether it was an upgraded connection: a terminal, a forwarded port."""


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """What one principal did on one target."""

    id: str
    principal: JsonObject
    target: str
    started: float
    ended: float
    """Time of the last event."""
    exchanges: tuple[RecordedExchange, ...] = field(default=())
    files: tuple[str, ...] = ()
    """Flow files, relative to the folder of recordings, oldest first."""


def events(folder: Path) -> Iterator[LoggedEvent]:
    """Yield every event, oldest first. Raises LineError on a line that is none, OSError."""
    for number in segment_numbers(folder):
        for raw in read_lines(segment_path(folder, number)):
            if not raw.ended:
                return
            line = read_line(raw.data)
            if line.kind == EVENT:
                yield LoggedEvent(line.seq, line.hash.hex(), as_object(read(line.body)))


def export(folder: Path, out: BinaryIO) -> int:
    """Write every event as a line of JSON, with `seq` and `hash`, and return how many. Raises LineError, OSError."""
    count = 0
    for logged in events(folder):
        value: JsonObject = {"seq": logged.seq, "hash": logged.hash, **logged.event}
        out.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        count += 1
    return count


def with_event(exchange: RecordedExchange, logged: LoggedEvent) -> RecordedExchange:
    """Return what is known of an exchange after one more event of it."""
    detail = as_object(logged.event.get("detail"))
    record = as_object(detail.get("record"))
    rules = as_object(logged.event.get("decision")).get("rules")
    offset = record.get("offset")
    requests, masked = detail.get("requests"), detail.get("masked")
    refusal = as_object(detail.get("refusal"))
    return replace(
        exchange,
        action=logged.text("action") or exchange.action,
        resource=logged.text("resource") or exchange.resource,
        outcome=_OUTCOMES.get(logged.text("stage"), exchange.outcome),
        rules=tuple(str(r) for r in rules) if isinstance(rules, list) else exchange.rules,
        refusal=as_text(refusal.get("public")) or exchange.refusal,
        file=as_text(record.get("file")) or exchange.file,
        offset=offset if isinstance(offset, int) else exchange.offset,
        call=as_text(detail.get("call")) or exchange.call,
        declined=as_text(detail.get("declined")) or exchange.declined,
        requests=tuple(str(r) for r in requests) if isinstance(requests, list) else exchange.requests,
        approval=as_text(detail.get("approval")) or as_text(refusal.get("approval")) or exchange.approval,
        masked=masked if isinstance(masked, int) else exchange.masked,
        upgrade=exchange.upgrade or bool(as_object(detail.get("tunnel"))),
    )


class _Gathered:
    def __init__(self, first: LoggedEvent) -> None:
        self.first = first
        self.last = first.at
        self.exchanges: dict[str, RecordedExchange] = {}
        self.files: dict[str, None] = {}

    def see(self, logged: LoggedEvent) -> None:
        self.last = max(self.last, logged.at)
        if not (name := logged.text("exchange")):
            return
        known = self.exchanges.get(name) or RecordedExchange(name, logged.at, "", "", "")
        known = self.exchanges[name] = with_event(known, logged)
        if known.file:
            self.files[known.file] = None

    def session(self, name: str) -> RecordedSession:
        return RecordedSession(
            id=name,
            principal=as_object(self.first.event.get("principal")),
            target=self.first.text("target"),
            started=self.first.at,
            ended=self.last,
            exchanges=tuple(self.exchanges.values()),
            files=tuple(self.files),
        )


def _gather(logged: Iterable[LoggedEvent]) -> dict[str, _Gathered]:
    found: dict[str, _Gathered] = {}
    for each in logged:
        if name := each.text("session"):
            found.setdefault(name, _Gathered(each)).see(each)
    return found


def list_sessions(
    folder: Path, *, principal: str = "", target: str = "", since: float = 0.0
) -> tuple[RecordedSession, ...]:
    """Return the recorded sessions, newest first. Raises LineError, OSError.

    `principal` is looked for in id, person and name; `since` (Unix seconds) leaves out what ended before.
    """
    sessions = [g.session(name) for name, g in _gather(events(folder)).items()]
    kept = [
        s
        for s in sessions
        if s.ended >= since
        and (not target or s.target == target)
        and (not principal or principal in (as_text(s.principal.get(k)) for k in ("id", "person", "name")))
    ]
    return tuple(sorted(kept, key=lambda s: s.started, reverse=True))


def show_session(folder: Path, session: str) -> RecordedSession:
    """Return one session. Raises KeyError where there is none of that id, LineError, OSError."""
    return _gather(e for e in events(folder) if e.text("session") == session)[session].session(session)


def linked(folder: Path, wanted: str) -> tuple[RecordedExchange, ...]:
    """Return the exchange `wanted` and those that it is linked with: its tool call first, or the requests of it.

    Empty where nothing is known of it. Raises LineError, OSError.
    """
    found: dict[str, RecordedExchange] = {}
    for logged in events(folder):
        if name := logged.text("exchange"):
            found[name] = with_event(found.get(name) or RecordedExchange(name, logged.at, "", "", ""), logged)
    one = found.get(wanted)
    if one is None:
        return ()
    first = (found[one.call],) if one.call in found else ()
    return (*first, one, *(e for e in found.values() if e.call == wanted))


def session_flows(folder: Path, session: RecordedSession) -> Iterator[Flow]:
    """Yield the recorded flows of a session. Raises OSError, mitmproxy's FlowReadException."""
    for name in session.files:
        with (folder / name).open("rb") as file:
            yield from FlowReader(file).stream()


__all__ = [
    "LineError",
    "LoggedEvent",
    "RecordedExchange",
    "RecordedSession",
    "events",
    "export",
    "linked",
    "list_sessions",
    "session_flows",
    "show_session",
    "with_event",
]
