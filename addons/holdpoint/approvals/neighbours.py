"""Other gateways that share the store: what they change is taken over, and what they leave behind is reported.

Nothing here decides anything: the store's compare-and-swap does. What is missed here is found a few seconds later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from dataclasses import replace

from holdpoint.approvals.desk import Desk
from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.grants import Grants
from holdpoint.approvals.later import Later
from holdpoint.clock import Clock
from holdpoint.domain.decision import Scope
from holdpoint.domain.grant import GrantState
from holdpoint.store.protocol import Change, Spend, Store, StoreUnavailable
from holdpoint.tasks import spawn

logger = logging.getLogger(__name__)

LOOK_EVERY = 3.0
"""Seconds between two looks at the whole of what is pending: for changes that nobody heard of."""
_LEFT = "the gateway ended between dispatch and answer"
_AT_ONCE = 50  # changes that are taken over at the same time


class Neighbours:
    """One for each broker. Does its work in a task of its own."""

    def __init__(self, store: Store, clock: Clock, desk: Desk, grants: Grants, later: Later) -> None:
        self._store = store
        self._clock = clock
        self._desk = desk
        self._grants = grants
        self._later = later
        self._left: list[Spend] = []
        self._heard: set[Change] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        later.on_added = self._wake.set
        store.listen(self.hear)

    def hear(self, change: Change) -> None:
        """Take over a change soon."""
        if change.table in ("", "approvals", "grants"):
            self._heard.add(change)
            self._wake.set()

    def start(self) -> None:
        """Begin to take over what was heard, and to look."""
        self._task = spawn(self._run(), name="other gateways")

    async def close(self) -> None:
        """End, after what it does right now and one more attempt at what waits for the store."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        with suppress(StoreUnavailable):
            await self._later.retry()

    async def abandon(self) -> None:
        """Report every dispatch that a gateway which is gone left without an answer, then mark it so.

        Told first: a crash in between tells it twice rather than never. Raises StoreUnavailable.
        """
        self._left += await self._store.take_over()
        while self._left:
            spend = self._left[0]
            request, grant = await self._store.approval(spend.approval), await self._store.grant(spend.grant)
            if grant is not None and grant.scope is Scope.REQUEST:
                grant = replace(grant, state=GrantState.UNKNOWN)
            unknown = BrokerEventKind.OUTCOME_UNKNOWN
            await self._desk.emit(BrokerEvent(unknown, request, grant, exchange=spend.exchange, detail=_LEFT))
            await self._store.settle(spend.grant, spend.exchange, GrantState.UNKNOWN, self._clock.now())
            self._left.pop(0)

    async def look(self) -> None:
        """Compare all that is pending and granted with what is stored. Raises StoreUnavailable."""
        stored = await self._store.pending_versions()
        here = {i: e.request.version for i, e in self._desk.entries.items()}
        await self._all(self._desk.refresh(i) for i in stored.keys() | here.keys() if stored.get(i) != here.get(i))
        active = await self._store.active_grant_ids()
        await self._all(self._grants.refresh(i) for i in active ^ self._grants.known)
        await self.abandon()

    async def _take_over(self, changes: Iterable[Change]) -> None:
        ids = {(change.table, change.id) for change in changes}
        if ("", "") in ids:
            await self.look()
            return
        await self._all(self._grants.refresh(i) for table, i in ids if table == "grants")
        await self._all(self._desk.refresh(i) for table, i in ids if table == "approvals")

    async def _all(self, works: Iterable[Awaitable[None]]) -> None:
        waiting = list(works)
        failed: BaseException | None = None
        for start in range(0, len(waiting), _AT_ONCE):
            for result in await asyncio.gather(*waiting[start : start + _AT_ONCE], return_exceptions=True):
                failed = result if isinstance(result, BaseException) else failed
        if failed is not None:
            raise failed

    async def _run(self) -> None:
        look_at = self._clock.monotonic() + LOOK_EVERY
        while not self._closing:
            in_time = await self._woken(max(0.0, look_at - self._clock.monotonic()))
            heard, self._heard = self._heard, set()
            due = not in_time or self._clock.monotonic() >= look_at
            if due:
                look_at = self._clock.monotonic() + LOOK_EVERY
            try:
                await self._take_over(heard)
                await self._later.retry()
                if due and self._store.shared:
                    await self.look()
            except StoreUnavailable as error:
                logger.info("what other gateways did is not known right now: %s", error)
            except Exception:
                logger.exception("what another gateway changed could not be taken over")

    async def _woken(self, seconds: float) -> bool:
        """Wait until there is something to do. False: it is time to look."""
        looks = self._store.shared or len(self._later) > 0
        try:
            async with asyncio.timeout(seconds if looks else None):
                await self._wake.wait()
        except TimeoutError:
            return False
        finally:
            self._wake.clear()
        return True
