"""What auditors and admins may ask of recordings: which sessions there are, and what happened in one.

Every look is itself written down, before anything is shown: no record, no look. The log is read in a thread, within a
budget, one look at a time; the event loop never waits for it.
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import Handler
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.recording import timelines
from holdpoint.recording.browse import RecordedExchange
from holdpoint.recording.looking import Reading, Stop
from holdpoint.recording.timelines import Linked, Listed, Search, Timeline, Voted

if TYPE_CHECKING:
    from holdpoint.stages.services import Services

MAY_LOOK: Final = frozenset({"auditor", "admin"})
LONGEST: Final = 20.0
"""Seconds that one look may take."""
MOST_WAITING: Final = 8
_MOST_SESSIONS: Final = 200
_MOST_EXCHANGES: Final = 500
_MOST_WORD: Final = 500
_MOST_TEXT: Final = 300
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNKNOWN: Final = "there is no such recorded session"


class _Owner(Protocol):
    """What these methods need of the others."""

    @property
    def services(self) -> "Services": ...

    async def reviewer(self, params: JsonObject) -> Reviewer: ...


class SessionMethods:
    """The methods that begin with `sessions.`."""

    def __init__(self, owner: _Owner) -> None:
        self._owner = owner
        self._one = asyncio.Lock()
        self._waiting = 0

    def table(self) -> dict[str, Handler]:
        """Return every method by name."""
        return {"sessions.list": self._list, "sessions.show": self._show}

    async def _list(self, params: JsonObject) -> JsonValue:
        auditor = await self._auditor(params)
        before = as_text(params.get("before"))
        if before and _ID.fullmatch(before) is None:
            raise AdminError("bad_request", "`before` is the id of a session")
        search = Search(
            principal=_word(params, "principal"),
            target=_word(params, "target"),
            since=_time(params, "since"),
            until=_time(params, "until"),
            before=before,
        )
        limit = _count(params, "limit", default=50, most=_MOST_SESSIONS)
        wanted: JsonObject = {n: v for n in ("principal", "target", "since", "until", "before") if (v := params.get(n))}
        await self._write_down(auditor, {"what": "sessions", "search": wanted})
        page = await self._look(lambda folder, stop: timelines.find(folder, search, limit=limit, stop=stop))
        return {
            "sessions": [_listed(s) for s in page.sessions],
            "more": page.more,
            **_read(page.reading),
        }

    async def _show(self, params: JsonObject) -> JsonValue:
        auditor = await self._auditor(params)
        session, exchange = as_text(params.get("id")), as_text(params.get("exchange"))
        start = _count(params, "start", default=0, most=timelines.MOST_EXCHANGES)
        limit = _count(params, "limit", default=200, most=_MOST_EXCHANGES)
        if _ID.fullmatch(session or exchange) is None:
            raise AdminError("not_found", _UNKNOWN)
        seen: JsonObject = {"session": session} if session else {"exchange": exchange}
        await self._write_down(auditor, {"what": "session", **seen})

        def look(folder: Path, stop: Stop) -> Timeline:
            wanted = session or timelines.session_of(folder, exchange, stop=stop)
            return timelines.show(folder, wanted, start=start, limit=limit, mark=exchange, stop=stop)

        try:
            found = await self._look(look)
        except KeyError:
            raise AdminError("not_found", _UNKNOWN) from None
        return {"folder": str(self._owner.services.settings.recordings.folder), "start": start, **_timeline(found)}

    async def _auditor(self, params: JsonObject) -> Reviewer:
        reviewer = await self._owner.reviewer(params)
        # The same for what is there and what is not.
        if not reviewer.roles & MAY_LOOK:
            raise AdminError("not_allowed", "this needs the role `auditor` or `admin`")
        return reviewer

    async def _write_down(self, auditor: Reviewer, what: JsonObject) -> None:
        """Record who looks at what. Raises Refusal: then nothing is shown."""
        by: JsonObject = {"person": auditor.person, "issuer": auditor.issuer, "subject": auditor.subject}
        services = self._owner.services
        # INVARIANT: not under the session that is looked at, which would be another one afterwards.
        await services.append(AuditEvent(AuditStage.VIEWED, services.clock.now(), detail={**what, "by": by}))

    async def _look[T](self, work: Callable[[Path, Stop], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise AdminError("busy", "too many look at recordings at once: try again")
        self._waiting += 1
        try:
            async with self._one:
                return await self._in_thread(work)
        finally:
            self._waiting -= 1

    async def _in_thread[T](self, work: Callable[[Path, Stop], T]) -> T:
        services, left = self._owner.services, threading.Event()
        end = services.clock.monotonic() + LONGEST

        def stop() -> bool:
            time.sleep(0)  # the event loop runs before the next lines are read
            return left.is_set() or services.clock.monotonic() > end

        try:
            return await asyncio.to_thread(work, services.settings.recordings.folder, stop)
        except OSError as error:
            raise AdminError("unavailable", "the recordings cannot be read") from error
        finally:
            left.set()


def _timeline(found: Timeline) -> JsonObject:
    return {
        "session": _listed(found.session),
        "total": found.total,
        "place": found.place,
        "exchanges": [_exchange(e, found) for e in found.exchanges],
        "files": [*found.files],
        "terminals": found.terminals,
        **_read(found.reading),
    }


def _listed(session: Listed) -> JsonObject:
    who = session.principal
    shown: JsonObject = {n: as_text(who.get(n)) for n in ("id", "person", "name", "actor")}
    return {
        "id": session.id,
        "principal": shown,
        "target": session.target,
        "started": session.started,
        "ended": session.ended,
        "requests": session.requests,
        "refused": session.refused,
    }


def _exchange(exchange: RecordedExchange, found: Timeline) -> JsonObject:
    voted, call = found.approvals.get(exchange.approval), found.calls.get(exchange.call)
    return {
        **_brief(exchange),
        "rules": [*exchange.rules],
        "declined": _cut(exchange.declined),
        "masked": exchange.masked,
        "upgrade": exchange.upgrade,
        "approval": _approval(exchange.approval, voted) if exchange.approval else None,
        "requests": [_linked(each) for each in found.requests.get(exchange.id, ())],
        "call": _linked(call) if call else {"id": exchange.call} if exchange.call else None,
    }


def _brief(exchange: RecordedExchange) -> JsonObject:
    return {
        "id": exchange.id,
        "at": exchange.at,
        "action": _cut(exchange.action),
        "resource": _cut(exchange.resource),
        "outcome": exchange.outcome,
        "refusal": _cut(exchange.refusal),
    }


def _linked(linked: Linked) -> JsonObject:
    return {"session": linked.session, **_brief(linked.exchange)}


def _approval(name: str, voted: Voted | None) -> JsonObject:
    if voted is None:
        return {"id": name, "votes": [], "state": "", "resolution": ""}
    votes: list[JsonValue] = [
        {"person": person, "verdict": verdict, "at": at} for (person, verdict), at in voted.votes.items()
    ]
    return {"id": name, "votes": votes, "state": voted.state, "resolution": _cut(voted.resolution)}


def _read(reading: Reading) -> JsonObject:
    return {"whole": reading.whole, "broken": reading.broken}


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]} … (cut)"


def _word(params: JsonObject, name: str) -> str:
    word = as_text(params.get(name))
    if len(word) > _MOST_WORD:
        raise AdminError("bad_request", f"`{name}` is longer than {_MOST_WORD} characters")
    return word


def _time(params: JsonObject, name: str) -> float:
    value = params.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AdminError("bad_request", f"`{name}` is a time in Unix seconds")
    return float(value)


def _count(params: JsonObject, name: str, *, default: int, most: int) -> int:
    value = params.get(name)
    return min(value, most) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default
