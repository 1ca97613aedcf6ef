"""Who is suspended, in memory: asked for every request, kept in the store, ended by the gateway's clock."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol

from holdpoint.clock import Clock
from holdpoint.domain.access import Principal
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.suspension import Suspension, names_of, names_of_reviewer, words_of
from holdpoint.store.protocol import Change, StoreUnavailable
from holdpoint.tasks import spawn

logger = logging.getLogger(__name__)

LOOK_AGAIN: Final = 15.0
"""Seconds after which the wall clock is read again while somebody is suspended for a time: it may have been set."""

LOOK_EVERY: Final = 1.0
"""Seconds after which a store that others write is read again: not every change of theirs is told."""

type Told = Callable[[Suspension], Awaitable[None]]


async def _nobody(_suspension: Suspension) -> None:
    return


class SuspensionStore(Protocol):
    """Where suspensions outlive the process."""

    async def put_suspension(self, suspension: Suspension) -> None:
        """Store one, in place of what was stored under that name."""
        ...

    async def delete_suspension(self, suspension: Suspension) -> bool:
        """Delete one as it was read. Returns False where it is gone, or was replaced."""
        ...

    async def suspensions(self) -> tuple[Suspension, ...]:
        """Return all of them."""
        ...


class Suspensions:
    """All of them. One for each gateway."""

    def __init__(self, store: SuspensionStore, clock: Clock, *, look_every: float = 0.0) -> None:
        """`look_every`: seconds after which the store is read again for what others wrote; 0: nobody else writes."""
        self._store = store
        self._clock = clock
        self._every = look_every
        self._all: dict[str, Suspension] = {}
        self._by_word: Mapping[str, tuple[Suspension, ...]] = {}
        self._unstored: dict[str, Suspension] = {}
        """What counts here and is not in the store yet, or could not be stored."""
        self._lock = asyncio.Lock()
        self.on_begun: Told = _nobody
        """Called for one that another gateway made, once it counts here."""
        self.on_over: Told = _nobody
        """Called for one whose time is over, by the one gateway that found out first."""
        self._wake = asyncio.Event()
        self._closing = False
        self._timer: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._all)

    def load(self, stored: tuple[Suspension, ...]) -> None:
        """Take over what is in the store."""
        self._keep({s.who: s for s in stored})

    def start(self) -> None:
        """Start the timer."""
        self._timer = self._timer or spawn(self._run(), name="ends of suspensions")

    async def close(self) -> None:
        """Stop the timer."""
        self._closing = True
        self._wake.set()
        if self._timer is not None:
            await self._timer
            self._timer = None

    def of(self, principal: Principal) -> Suspension | None:
        """Return what turns a caller away, or None."""
        return self._first(names_of(principal)) if self._by_word else None

    def of_reviewer(self, reviewer: Reviewer) -> Suspension | None:
        """Return what turns somebody away who logged in to review, or None."""
        return self._first(names_of_reviewer(reviewer)) if self._by_word else None

    def refuse(self, principal: Principal) -> None:
        """Refuse a caller who is suspended. Raises Refusal."""
        if self._by_word and (found := self.of(principal)) is not None:
            raise found.refusal()

    def listed(self) -> tuple[Suspension, ...]:
        """Return those in force, the oldest first."""
        now = self._clock.now()
        return tuple(sorted((s for s in self._all.values() if not s.is_over(now)), key=lambda s: (s.at, s.who)))

    def named(self, who: str) -> tuple[Suspension, ...]:
        """Return those in force that may be meant by this name, in whatever spelling they were made."""
        words = words_of(who)
        return tuple(s for s in self.listed() if words & s.words)

    async def add(self, suspension: Suspension) -> None:
        """Suspend. It counts at once, and also where this raises StoreUnavailable: then a restart would forget it."""
        self._unstored[suspension.who] = suspension
        self._keep({**self._all, suspension.who: suspension})
        self._wake.set()
        async with self._lock:
            await self._store.put_suspension(suspension)
            if self._unstored.get(suspension.who) == suspension:
                del self._unstored[suspension.who]

    async def remove(self, suspension: Suspension) -> bool:
        """End one. Returns False where it is gone already. Raises StoreUnavailable: then it still counts."""
        async with self._lock:
            was_there = await self._store.delete_suspension(suspension)
            if self._all.get(suspension.who) == suspension:
                was_there = self._unstored.pop(suspension.who, None) is not None or was_there
                self._keep({who: s for who, s in self._all.items() if who != suspension.who})
        return was_there

    def heard(self, change: Change) -> None:
        """Read the store again where another gateway changed it. On the event loop."""
        if change.table in ("", "suspensions") and not self._closing:
            spawn(self.refresh(), name="read suspensions")

    async def refresh(self) -> None:
        """Read the store again: what another gateway began or ended counts here, too. Raises StoreUnavailable."""
        await self._read()
        self._wake.set()

    async def _read(self) -> None:
        async with self._lock:
            stored = {s.who: s for s in await self._store.suspensions()} | self._unstored
            begun = [s for s in stored.values() if self._all.get(s.who) != s]
            self._keep(stored)
        for suspension in begun:
            await self.on_begun(suspension)

    async def tick(self) -> None:
        """End those whose time is over. Raises StoreUnavailable after trying all."""
        failure: StoreUnavailable | None = None
        now = self._clock.now()
        for suspension in [s for s in self._all.values() if s.is_over(now)]:
            try:
                if await self.remove(suspension):
                    await self.on_over(suspension)
            except StoreUnavailable as error:
                failure = error
        if failure is not None:
            raise failure

    def _first(self, names: frozenset[str]) -> Suspension | None:
        now = self._clock.now()
        found = [s for name in names for s in self._by_word.get(name, ()) if not s.is_over(now)]
        return min(found, key=lambda s: (s.at, s.who), default=None)

    def _keep(self, every: dict[str, Suspension]) -> None:
        by_word: dict[str, tuple[Suspension, ...]] = {}
        for suspension in every.values():
            for word in suspension.words:
                by_word[word] = (*by_word.get(word, ()), suspension)
        self._all, self._by_word = every, by_word

    def _pause(self) -> float | None:
        ends = [s.until for s in self._all.values() if s.until]
        pause = min(max(0.0, min(ends) - self._clock.now()), LOOK_AGAIN) if ends else None
        if not self._every:
            return pause
        return self._every if pause is None else min(pause, self._every)

    async def _run(self) -> None:
        least = 0.0
        while not self._closing:
            pause = self._pause()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if pause is None else max(least, pause)):
                    await self._wake.wait()
            self._wake.clear()
            least = 0.0
            try:
                await self.tick()
                if self._every and not self._closing:
                    await self._read()  # without waking the one who reads
            except Exception as error:  # noqa: BLE001  # the timer must outlive a full disk
                logger.error("suspensions could not be read or ended in the store, trying again: %s", error)  # noqa: TRY400  # says what to do
                least = 1.0
