"""Delivers what the store holds: each notice at least once, with the same id, until it arrived or is given up."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from holdpoint.approvals.notify_http import AT_ONCE, TIMEOUT, SendFailed
from holdpoint.clock import Clock
from holdpoint.domain.notice import Notice, NoticeEvent
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.protocols.strict_json import dumps, loads
from holdpoint.store.protocol import NoticeRow, Store, StoreUnavailable
from holdpoint.tasks import spawn

logger = logging.getLogger(__name__)

DELAYS: Final = (5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0, 7_200.0, *(14_400.0,) * 5)
"""Seconds between two attempts, before jitter. After the last one it is given up: about a day."""
GIVE_UP: Final = 86_400.0
KEEP: Final = 30 * 86_400.0
LEASE: Final = 30.0
"""Seconds after which what was taken and not settled is anybody's again. Longer than an attempt may take."""
POLL: Final = 30.0
"""Seconds after which the store is asked without being told to: another gateway may have stored something and ended."""
SWEEP: Final = 3_600.0
PAUSE: Final = (1.0, 60.0)
"""Seconds for which a sink that fails is left alone: at first, and at most."""
MOST_IN_MEMORY: Final = 10_000
JITTER: Final = 0.2
URGENT: Final = frozenset({NoticeEvent.VIOLATION, NoticeEvent.BREAK_GLASS})


class Sender(Protocol):
    """One way to reach people."""

    async def send(self, notice_id: str, notice: Notice, now: float) -> None:
        """Send once. Raises SendFailed."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(slots=True)
class _Sink:
    sender: Sender
    under_way: int = 0
    failures: int = 0
    """In a row."""
    paused_until: float = 0.0
    """Steady clock."""
    gone: str = ""
    """Why it gets no more notices before the gateway starts again; empty: it does."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a notice ended: delivered, or given up."""

    row: NoticeRow
    notice: Notice | None


class Outbox:
    """One per gateway. Not a task of its own: somebody calls `turn` when it asks for that."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        senders: Mapping[str, Sender],
        ended: Callable[[Ended], None],
        *,
        wake: Callable[[], None] = lambda: None,
        chance: Callable[[], float] = random.random,
        timeout: float = TIMEOUT,
    ) -> None:
        """Tell `ended` of each notice once, and `wake` when `turn` has something to do. `chance` returns 0 to 1."""
        self._store = store
        self._clock = clock
        self._sinks = {name: _Sink(sender) for name, sender in senders.items()}
        self._ended = ended
        self._wake = wake
        self._chance = chance
        self._timeout = timeout
        self._new: list[NoticeRow] = []
        self._told: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._look_at = 0.0
        self._sweep_at = 0.0
        self.lost = False
        """Whether something could not even be kept in memory: what is pending must be offered again."""
        self.waiting = (0, 0)
        """How many notices the store holds that are due, and that were given up, as it was last asked."""

    def put(self, rows: Iterable[NoticeRow]) -> None:
        """Take notices, to be stored with the next turn."""
        self._new += rows
        if (over := len(self._new) - MOST_IN_MEMORY) > 0:
            del self._new[:over]
            self.lost = True
            logger.error("%d notices were dropped: the store does not take them", over)
        self._look_at = 0.0
        self._wake()

    def status(self, sink: str) -> str:
        """Say what keeps a sink from being reached, or nothing."""
        found = self._sinks.get(sink)
        return (found.gone or found.problem) if found else ""

    async def turn(self) -> float:
        """Store what is new, begin to deliver what is due. Returns the seconds until there is more to do.

        Raises StoreUnavailable: nothing was lost, try again.
        """
        await self._flush()
        steady = self._clock.monotonic()
        if steady >= self._sweep_at:
            self._sweep_at = steady + SWEEP
            for row in await self._store.sweep_notices(now=self._clock.now(), give_up=GIVE_UP, keep=KEEP):
                self._report(row)
            self._look_at = 0.0
        if steady >= self._look_at:
            self._look_at = steady + await self._hand_out()
        return max(0.0, min(self._look_at, self._sweep_at) - self._clock.monotonic())

    async def idle(self) -> None:
        """Wait until nothing is being delivered."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Store what is new, give up waiting for what is under way: it is delivered after the next start."""
        try:
            await self._flush()
        except StoreUnavailable as error:
            logger.error("%d notices could not be stored: %s", len(self._new), error)  # noqa: TRY400  # its own words
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sink in self._sinks.values():
            await sink.sender.close()

    async def try_now(self, name: str, row: NoticeRow) -> str:
        """Send something once, past the store. Returns why it did not arrive, or nothing. Raises KeyError."""
        outcome = await self._attempt(self._sinks[name], row)
        return str(outcome) if outcome is not None else ""

    async def _flush(self) -> None:
        if not self._new:
            return
        taken, self._new = self._new, []
        try:
            await self._store.add_notices(taken)
        except BaseException:
            self._new = taken + self._new
            self._tell_directly(taken)
            raise
        self._told.difference_update(row.id for row in taken)

    def _tell_directly(self, rows: Iterable[NoticeRow]) -> None:
        """Send what is urgent once even where it cannot be stored: what is wrong may be the very disk."""
        for row in rows:
            sink = self._sinks.get(row.sink)
            if row.kind in URGENT and row.id not in self._told and sink is not None and not sink.gone:
                self._told.add(row.id)
                self._begin(sink, self._once(sink, row))

    async def _once(self, sink: _Sink, row: NoticeRow) -> None:
        if (failure := await self._attempt(sink, row)) is not None:
            logger.warning("sink `%s`: %s", row.sink, failure)

    async def _hand_out(self) -> float:
        due, now, steady = await self._store.notices_due(), self._clock.now(), self._clock.monotonic()
        wait = POLL
        for name, sink in self._sinks.items():
            at = due.get(name)
            free = (AT_ONCE if not sink.failures else 1) - sink.under_way
            if at is None or free <= 0:
                continue
            if sink.paused_until > steady and not sink.gone:
                wait = min(wait, sink.paused_until - steady)
            elif at > now:
                wait = min(wait, at - now)
            else:
                for row in await self._store.claim_notices(name, now=now, until=now + LEASE, limit=free):
                    self._begin(sink, self._deliver(sink, row))
        counts = await self._store.count_notices()
        self.waiting = counts.get("due", 0), counts.get("dead", 0)
        return wait

    def _begin(self, sink: _Sink, work: Awaitable[None]) -> None:
        sink.under_way += 1

        async def run() -> None:
            try:
                await work
            except StoreUnavailable as error:
                logger.warning("how a notice ended was not stored, it may be sent again: %s", error)
            finally:
                sink.under_way -= 1
                self._look_at = 0.0
                self._wake()

        task = spawn(run(), name="deliver a notice")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, sink: _Sink, row: NoticeRow) -> None:
        failure = SendFailed(sink.gone, is_gone=True) if sink.gone else await self._attempt(sink, row)
        settled = self._settled(row, failure)
        if not await self._store.settle_notice(settled):
            return  # it took so long that somebody else took it
        if settled.state != "due":
            self._report(settled)
        elif failure is not None:
            logger.warning("notice `%s` did not reach sink `%s`, trying again: %s", row.id, row.sink, failure)

    async def _attempt(self, sink: _Sink, row: NoticeRow) -> SendFailed | None:
        notice = from_body(row.body)
        if notice is None:
            return SendFailed("this version cannot read it", is_gone=False)
        try:
            async with asyncio.timeout(self._timeout):
                await sink.sender.send(row.id, notice, self._clock.now())
        except SendFailed as error:
            failure = error
        except TimeoutError:
            failure = SendFailed(f"no answer within {self._timeout:g} s")
        except Exception as error:
            logger.exception("sink `%s` failed", row.sink)
            failure = SendFailed(f"failed: {type(error).__name__}")
        else:
            sink.failures, sink.paused_until, sink.problem = 0, 0.0, ""
            return None
        sink.failures += 1
        sink.problem = str(failure)
        pause = max(min(PAUSE[0] * 2.0 ** min(sink.failures - 1, 10), PAUSE[1]), failure.retry_after)
        sink.paused_until = self._clock.monotonic() + pause
        if failure.is_gone and not sink.gone:
            sink.gone = str(failure)
            logger.error("sink `%s` gets no more notices until the gateway starts again: %s", row.sink, failure)
        return failure

    def _settled(self, row: NoticeRow, failure: SendFailed | None) -> NoticeRow:
        if failure is None:
            return replace(row, state="delivered", error="")
        now = self._clock.now()
        if failure.is_gone or row.attempts > len(DELAYS):
            return replace(row, state="dead", error=str(failure))
        jitter = 1.0 - JITTER + 2 * JITTER * self._chance()
        due = now + max(DELAYS[row.attempts - 1] * jitter, failure.retry_after)
        if due > row.created_at + GIVE_UP:
            return replace(row, state="dead", error=str(failure))
        return replace(row, due_at=due, error=str(failure))

    def _report(self, row: NoticeRow) -> None:
        if row.state == "dead":
            told = "notice `%s` (%s) to sink `%s` is given up after %d attempts: %s"
            logger.error(told, row.id, row.kind, row.sink, row.attempts, row.error)
        self._ended(Ended(row, from_body(row.body)))


def to_body(notice: Notice) -> str:
    """Write a notice for the store."""
    told: JsonObject = {
        "event": notice.event.value,
        "at": notice.at,
        "subject": notice.subject,
        "approval": notice.approval,
        "data": notice.data,
    }
    return dumps(told).decode()


def from_body(text: str) -> Notice | None:
    """Read what `to_body` wrote. None: another version did."""
    try:
        told = as_object(loads(text.encode()))
        event = NoticeEvent(as_text(told.get("event")))
    except ValueError:
        return None
    at = told.get("at")
    return Notice(
        event,
        float(at) if isinstance(at, int | float) else 0.0,
        as_text(told.get("subject")),
        as_object(told.get("data")),
        approval=as_text(told.get("approval")),
    )
