"""Sessions and their timelines, out of a log of any size: in bounded time and memory, whatever stands in it.

`browse` reads all of a log, for whoever sits at the machine. This is for those who ask over the network: by page,
within a budget, and a broken line does not hide the others. Proves nothing: that is what `verify` is for.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from holdpoint.domain.audit import AuditStage
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.ids import made_at
from holdpoint.recording.browse import LoggedEvent, RecordedExchange, with_event
from holdpoint.recording.looking import BUDGET, Key, Reading, Scan, Stop, Who

MOST_SESSIONS: Final = 20_000
MOST_EXCHANGES: Final = 20_000
MOST_LINKED: Final = 500
_BEGINS: Final = {AuditStage.FORWARDED.value, AuditStage.REFUSED.value, AuditStage.REPLIED.value}
_SPOKE: Final = {s.value for s in (AuditStage.VOTED, AuditStage.RESOLVED, AuditStage.GLASS_BROKEN)}


@dataclass(frozen=True, slots=True)
class Search:
    """Which sessions. Empty: any."""

    principal: str = ""
    """Id, person or name, exactly."""
    target: str = ""
    since: float = 0.0
    """Unix seconds: not those that ended before."""
    until: float = 0.0
    """Unix seconds: not those that began then or later."""
    before: str = ""
    """Id: only older ones."""


@dataclass(slots=True)
class Listed:
    """A session, as lists show it."""

    id: str
    principal: JsonObject
    target: str
    started: float
    ended: float
    requests: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Sessions, newest first."""

    sessions: tuple[Listed, ...]
    more: bool
    reading: Reading


@dataclass(slots=True)
class Voted:
    """What became of an approval request."""

    votes: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """When (Unix seconds), by person and verdict."""
    state: str = ""
    resolution: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """An exchange of another session that belongs to one of this, and that session."""

    session: str
    exchange: RecordedExchange


@dataclass(slots=True)
class Timeline:
    """One page of what happened in a session."""

    session: Listed
    exchanges: tuple[RecordedExchange, ...]
    total: int
    files: tuple[str, ...]
    terminals: int
    place: int = 0
    """Number of the exchange that was asked for."""
    approvals: dict[str, Voted] = field(default_factory=dict[str, Voted])
    requests: dict[str, list[Linked]] = field(default_factory=dict[str, list[Linked]])
    """What served a tool call, by its exchange."""
    calls: dict[str, Linked] = field(default_factory=dict[str, Linked])
    """The tool call that a request served, by the call's exchange."""
    reading: Reading = field(default_factory=Reading)


def find(folder: Path, search: Search, *, limit: int, stop: Stop, budget: int = BUDGET) -> Page:
    """Return sessions, newest first (their ids sort by time). Raises OSError where the folder cannot be read.

    What came more than an hour after `search.until` is not counted. Blocks.
    """
    scan, found = Scan(folder, stop, budget), dict[str, Listed]()
    for number in scan.newest_first(search.since, search.until):
        for raw in scan.lines(number):
            key = scan.key(raw)
            if key is None or not key.session or not _fits(key, search):
                continue
            known = found.get(key.session)
            if known is None:
                if len(found) >= MOST_SESSIONS:
                    scan.reading.whole = False
                    continue
                began = made_at(key.session) or key.at
                known = Listed(key.session, _who(key.principal), key.target, min(began, key.at), key.at)
                found[key.session] = known
            _count(known, key)
    fitting = [s for s in found.values() if s.ended >= search.since and not 0 < search.until <= s.started]
    ordered = sorted(fitting, key=lambda s: s.id, reverse=True)
    ordered = [s for s in ordered if not search.before or s.id < search.before]
    return Page(tuple(ordered[:limit]), len(ordered) > limit, scan.reading)


def session_of(folder: Path, exchange: str, *, stop: Stop, budget: int = BUDGET) -> str:
    """Return the session in which an exchange was recorded, or an empty string. Raises OSError. Blocks."""
    scan, needle = Scan(folder, stop, budget), b'"exchange":"%b"' % exchange.encode()
    for number in scan.oldest_first(made_at(exchange)):
        for raw in scan.lines(number):
            if needle in raw and (key := scan.key(raw)) and key.exchange == exchange and key.session:
                return key.session
    return ""


def show(
    folder: Path, session: str, *, start: int = 0, limit: int = 200, mark: str = "", stop: Stop, budget: int = BUDGET
) -> Timeline:
    """Return a page of one session: `limit` exchanges from the one with number `start` on. `mark`: an exchange of it.

    Raises KeyError where there is none of that id, OSError. Blocks.
    """
    scan = Scan(folder, stop, budget)
    seen, exchanges, files = _first_pass(scan, session)
    if seen is None:
        raise KeyError(session)
    every = list(exchanges.values())
    seen.requests, seen.refused = len(every), sum(1 for e in every if e.outcome == "refused")
    timeline = Timeline(
        seen,
        tuple(every[start : start + limit]),
        len(every),
        tuple(files),
        sum(1 for e in every if e.upgrade),
        place=next((number for number, e in enumerate(every) if e.id == mark), 0),
    )
    again = Scan(folder, stop, budget)
    _second_pass(again, timeline)
    whole, broken = scan.reading.whole and again.reading.whole, max(scan.reading.broken, again.reading.broken)
    timeline.reading = Reading(whole, broken)
    return timeline


def _first_pass(scan: "Scan", session: str) -> tuple[Listed | None, dict[str, RecordedExchange], dict[str, None]]:
    seen: Listed | None = None
    exchanges, files = dict[str, RecordedExchange](), dict[str, None]()
    needle = b'"session":"%b"' % session.encode()
    for number in scan.oldest_first(made_at(session)):
        for raw in scan.lines(number):
            if needle not in raw or (key := scan.key(raw)) is None or key.session != session:
                continue
            logged = scan.event(raw)
            if logged is None:
                continue
            if seen is None:
                principal = as_object(logged.event.get("principal"))
                seen = Listed(session, principal, key.target, logged.at, logged.at)
            seen.ended = max(seen.ended, logged.at)
            name = key.exchange
            if not name:
                continue
            known = exchanges.get(name) or RecordedExchange(name, logged.at, "", "", "")
            if name not in exchanges and len(exchanges) >= MOST_EXCHANGES:
                scan.reading.whole = False
                continue
            exchanges[name] = known = with_event(known, logged)
            if known.file:
                files[known.file] = None
    return seen, exchanges, files


def _second_pass(scan: "Scan", timeline: Timeline) -> None:
    """Look for what belongs to the exchanges of a page and stands under no session, or another."""
    own = timeline.session.id
    rows = {e.id: e for e in timeline.exchanges}
    approvals = {e.approval for e in rows.values() if e.approval}
    calls = {e.call for e in rows.values() if e.call}
    served: dict[str, Linked] = {}
    for number in scan.oldest_first(made_at(own)):
        for raw in scan.lines(number):
            key = scan.key(raw)
            if key is None or key.session == own:
                continue
            call, approval = _text(key.detail.call), _text(key.detail.approval)
            if key.exchange in rows and approval and not rows[key.exchange].approval:
                # Held: into no session yet.
                rows[key.exchange] = replace(rows[key.exchange], approval=approval)
                approvals.add(approval)
            spoke = approval in approvals and key.stage in _SPOKE
            mine = call in rows and bool(key.exchange) and (key.exchange in served or len(served) < MOST_LINKED)
            if not (spoke or mine or key.exchange in calls) or (logged := scan.event(raw)) is None:
                continue
            if spoke:
                _hear(timeline.approvals.setdefault(approval, Voted()), logged)
            if mine:
                _follow(served, key, logged)
            if key.exchange in calls:
                _follow(timeline.calls, key, logged)
    for linked in served.values():
        timeline.requests.setdefault(linked.exchange.call, []).append(linked)
    timeline.exchanges = tuple(rows.values())


def _follow(found: dict[str, Linked], key: Key, logged: LoggedEvent) -> None:
    known = found.get(key.exchange) or Linked("", RecordedExchange(key.exchange, logged.at, "", "", ""))
    found[key.exchange] = Linked(key.session or known.session, with_event(known.exchange, logged))


def _hear(voted: Voted, logged: LoggedEvent) -> None:
    detail = as_object(logged.event.get("detail"))
    vote = as_object(detail.get("vote"))
    if verdict := as_text(vote.get("verdict")):
        voted.votes.setdefault((as_text(vote.get("person")), verdict), logged.at)
    voted.state = as_text(detail.get("state")) or voted.state
    voted.resolution = as_text(detail.get("resolution")) or voted.resolution


def _fits(key: Key, search: Search) -> bool:
    if search.target and key.target != search.target:
        return False
    who = key.principal
    return not search.principal or search.principal in (who.id, who.person, who.name)


def _who(who: Who) -> JsonObject:
    return {"id": who.id or "", "person": who.person or "", "name": who.name or "", "actor": who.actor or ""}


def _count(known: Listed, key: Key) -> None:
    known.started, known.ended = min(known.started, key.at), max(known.ended, key.at)
    known.requests += key.stage in _BEGINS
    known.refused += key.stage == AuditStage.REFUSED.value


def _text(raw: msgspec.Raw) -> str:
    """Return what stands there, where it is text without anything to unfold; ids are."""
    data = bytes(raw)
    return data[1:-1].decode(errors="replace") if data[:1] == b'"' else ""
