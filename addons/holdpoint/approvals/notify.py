"""Tells people: makes notices of what happens, for every sink that wants them, and sees to it that they are delivered.

Nothing here is waited for by a request, and nothing that fails here fails one.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.notify_counts import Counts, Happened
from holdpoint.approvals.notify_later import Later, stands
from holdpoint.approvals.notify_outbox import GIVE_UP, POLL, Ended, Outbox, Sender, to_body
from holdpoint.approvals.notify_texts import Link, of_ended, of_event, of_pending, of_request
from holdpoint.clock import Clock
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Glass
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.canonical import digest
from holdpoint.domain.notice import Audience, Notice, NoticeEvent, plain
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.ids import new_id
from holdpoint.settings import Sink
from holdpoint.store.protocol import NoticeRow, Store, StoreUnavailable
from holdpoint.tasks import spawn

logger = logging.getLogger(__name__)

RETRY = 5.0
"""Seconds before a store that failed is asked again."""
LOOK = 5.0
"""Seconds between two looks at whether records can be written."""
LOOK_BACK = 500
"""Requests that are looked at after a start: what ended between its end and the notice of it."""


class Notifier:
    """One per gateway. Without sinks it does nothing at all."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        senders: Mapping[str, Sender],
        store: Store,
        clock: Clock,
        *,
        link: Link,
        audit: Callable[[AuditEvent], object],
        healthy: Callable[[], bool] = lambda: True,
    ) -> None:
        """`audit` must not raise. `healthy` tells whether records can be written."""
        self._sinks = {sink.name: sink for sink in sinks}
        self._store = store
        self._clock = clock
        self._link = link
        self._audit = audit
        self._healthy = healthy
        self._was_healthy = True
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._counts = Counts()
        self._later = Later()
        self._delivered: dict[str, frozenset[str]] = {}
        self._ask_at = 0.0
        self._on_reached: Callable[[], None] = lambda: None
        self._wanted = frozenset(event for sink in sinks for event in sink.events)
        self.outbox = Outbox(store, clock, senders, self._ended, wake=self._wake.set)

    # What happened

    def on_event(self, event: BrokerEvent) -> None:
        """Tell what the broker told."""
        request = event.request
        if request is not None and event.kind is BrokerEventKind.HELD and NoticeEvent.REMINDER in self._wanted:
            self._later.note(request, self._clock.now())
        if request is not None and event.kind is BrokerEventKind.RESOLVED:
            self._delivered.pop(request.id, None)
            self._later.forget(request.id)
            if request.glass is Glass.BROKEN:
                self._later.note(request, self._clock.now())
        if self._sinks:
            self._tell(of_event(event, self._clock.now(), self._link))

    def wants(self, event: NoticeEvent) -> bool:
        """Tell whether anybody wants to hear of this: what nobody does need not be put together."""
        return event in self._wanted

    def count(self, what: Happened) -> None:
        """Tell of a denial or a violation, together with others of its kind."""
        if what.event not in self._wanted:
            return
        told = self._counts.add(what, now=self._clock.now(), steady=self._clock.monotonic())
        self._tell((told,) if told is not None else ())
        self._wake.set()

    def suspended(self, who: str, by: str) -> None:
        """Tell that somebody is turned away from now on."""
        data: JsonObject = {"who": plain(who), "by": [plain(by)] if by else []}
        self._tell((Notice(NoticeEvent.SUSPENDED, self._clock.now(), plain(who), data, once=new_id("sus")),))

    # Who was reached

    def reached(self, request: ApprovalRequest) -> bool:
        """Tell whether somebody who could object was told of a request; where nobody is to be told, True."""
        sinks = {s.name for s in self._sinks.values() if _asks_reviewers(s, request.ask.access.target)}
        return not sinks or bool(sinks & self._delivered.get(request.id, frozenset()))

    def on_reached(self, heard: Callable[[], None]) -> None:
        """Have this called when a notice of a held request reached reviewers."""
        self._on_reached = heard

    def listed(self) -> list[JsonValue]:
        """Return every sink, and what keeps it from being reached."""
        sinks: list[JsonValue] = []
        for sink in self._sinks.values():
            shown: JsonObject = {"name": sink.name, "kind": sink.kind, "for": sink.audience.value}
            sinks.append({**shown, "events": [*sorted(sink.events)], "problem": self.outbox.status(sink.name)})
        return sinks

    def look(self) -> None:
        """Look at the store now: somebody else changed something there."""
        self.outbox.put(())

    # Life

    async def start(self) -> None:
        """Offer again what a kill may have kept from being told, then deliver. Raises StoreUnavailable."""
        if not self._sinks:
            return
        await self._offer_again()
        self._task = spawn(self._run(), name="notices")

    async def close(self) -> None:
        """Store what is not delivered yet."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        self._tell(self._counts.all(now=self._clock.now()))
        await self.outbox.close()

    async def test(self, name: str) -> str:
        """Send a harmless notice to a sink, past the store. Returns why it did not arrive, or "". Raises KeyError."""
        sink, now = self._sinks[name], self._clock.now()
        data: JsonObject = {"link": ""}
        notice = Notice(NoticeEvent.TEST, now, new_id("tst"), data)
        return await self.outbox.try_now(name, _row(sink, notice, now))

    async def turn(self) -> float:
        """Do what is to be done now. Returns the seconds until there is more. Raises StoreUnavailable."""
        now, steady = self._clock.now(), self._clock.monotonic()
        self._look_at_health()
        self._tell(self._counts.due(now=now, steady=steady))
        for at, approval, event in self._later.due(now):
            request = await self._store.approval(approval)
            if request is not None and stands(event, request):
                self._tell((of_request(event, request, now, self._link, once=str(int(at))),))
            else:
                self._later.forget(approval)
        if self.outbox.lost:
            self.outbox.lost = False
            await self._offer_again()
        if steady >= self._ask_at:
            self._ask_at = steady + POLL
            await self._hear_of_others()
        wait = await self.outbox.turn()
        waits = [wait, LOOK]
        if (until := self._counts.next) is not None:
            waits.append(until - self._clock.monotonic())
        if (until := self._later.next) is not None:
            waits.append(until - self._clock.now())
        return max(0.0, min(waits))

    async def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                wait = await self.turn()
            except StoreUnavailable as error:
                logger.warning("notices wait, the store does not answer: %s", error)
                wait = RETRY
            except Exception:
                logger.exception("notices could not be handled, trying again")
                wait = RETRY
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def _look_at_health(self) -> None:
        healthy = self._healthy()
        if self._was_healthy and not healthy:
            self.count(Happened(NoticeEvent.VIOLATION, what="records cannot be written: nothing passes"))
        self._was_healthy = healthy

    async def _offer_again(self) -> None:
        """Offer everything that is to be told of how requests stand. What was told before has its id, and stays so."""
        now = self._clock.now()
        since = {name: await self._since(name, now) for name in self._sinks}
        for request in await self._store.pending():
            if NoticeEvent.REMINDER in self._wanted:
                self._later.note(request, now)
            self._tell(of_pending(request, request.created_at, self._link))
        for request in await self._store.approvals(limit=LOOK_BACK):
            if request.state is ApprovalState.PENDING or request.resolved_at is None:
                continue
            if request.glass is Glass.BROKEN:
                self._later.forget(request.id)
                self._later.note(request, now)
            at = request.resolved_at
            if at < now - GIVE_UP:
                continue
            self._tell(of_ended(request, at, self._link), only={name for name, first in since.items() if first <= at})

    async def _hear_of_others(self) -> None:
        """Learn which held requests were told of, by this gateway before its start or by another one."""
        found = dict(await self._store.notices_delivered(NoticeEvent.HELD.value))
        is_news = found.keys() - self._delivered.keys()
        self._delivered = found
        if is_news:
            self._on_reached()

    async def _since(self, sink: str, now: float) -> float:
        """Return when a sink was first here: what ended before is not told to it."""
        name = f"notices since: {sink}"
        known = await self._store.note(name)
        with suppress(ValueError):
            if known is not None:
                return float(known)
        await self._store.set_note(name, str(now))
        return now

    # Who is told

    def _tell(self, notices: Iterable[Notice], *, only: set[str] | None = None, but: str = "") -> None:
        now = self._clock.now()
        rows = [
            _row(sink, notice, now)
            for notice in notices
            for sink in self._sinks.values()
            if sink.name != but and (only is None or sink.name in only) and wants(sink, notice)
        ]
        if rows:
            self.outbox.put(rows)

    def _ended(self, ended: Ended) -> None:
        row, notice = ended.row, ended.notice
        is_delivered = row.state == "delivered"
        detail: JsonObject = {
            "notice": row.id,
            "sink": row.sink,
            "event": row.kind,
            "outcome": "delivered" if is_delivered else "given up",
            "attempts": row.attempts,
        }
        if row.approval:
            detail["approval"] = row.approval
        if row.error:
            detail["why"] = row.error
        target = notice.target if notice else ""
        self._audit(AuditEvent(AuditStage.NOTIFIED, self._clock.now(), target=target, detail=detail))
        if is_delivered and row.kind == NoticeEvent.HELD and row.approval:
            self._delivered[row.approval] = self._delivered.get(row.approval, frozenset()) | {row.sink}
            self._on_reached()
        if not is_delivered and row.kind not in (NoticeEvent.VIOLATION, NoticeEvent.DENIED):
            what = f"notices to sink `{row.sink}` are given up: {row.error}"
            told = self._counts.add(
                Happened(NoticeEvent.VIOLATION, what=what), now=self._clock.now(), steady=self._clock.monotonic()
            )
            self._tell((told,) if told is not None else (), but=row.sink)


def wants(sink: Sink, notice: Notice) -> bool:
    """Tell whether a sink is told of something."""
    if notice.event not in sink.events or (sink.targets and notice.target not in sink.targets):
        return False
    # Who is told that glass was broken need not be told that the request is approved.
    is_told = (
        notice.event is NoticeEvent.RESOLVED and notice.data.get("glass") and NoticeEvent.BREAK_GLASS in sink.events
    )
    return not is_told


def _asks_reviewers(sink: Sink, target: str) -> bool:
    is_asked = sink.audience is Audience.REVIEWERS and NoticeEvent.HELD in sink.events
    return is_asked and (not sink.targets or target in sink.targets)


def _row(sink: Sink, notice: Notice, now: float) -> NoticeRow:
    # INVARIANT: the same thing has the same id for the same sink, by whichever gateway and after every start.
    named = digest([sink.name, notice.event.value, notice.subject, notice.once]).removeprefix("sha256:")
    return NoticeRow(
        id=f"ntc-{named[:32]}",
        sink=sink.name,
        kind=notice.event.value,
        approval=notice.approval,
        body=to_body(notice),
        created_at=now,
        due_at=now,
    )
