"""Holds requests for reviewers: pending → approved, denied, expired or withdrawn; an approval makes a grant.

Every change is durable before anybody hears of it, and runs to its end even where the caller is cancelled.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from holdpoint.approvals.acts import Acts
from holdpoint.approvals.again import Changes, Decide, decide_again, in_turns
from holdpoint.approvals.deadlines import Deadlines
from holdpoint.approvals.deciding import Deciding
from holdpoint.approvals.desk import Desk, Rules
from holdpoint.approvals.errors import AlreadyResolved
from holdpoint.approvals.events import BrokerEvent, EventSink
from holdpoint.approvals.grants import Ending, Grants, Outcome
from holdpoint.approvals.intake import Intake
from holdpoint.approvals.later import Later
from holdpoint.approvals.looks import Looks
from holdpoint.approvals.neighbours import Neighbours
from holdpoint.approvals.version import Version
from holdpoint.approvals.windows import Asked
from holdpoint.clock import Clock
from holdpoint.domain.access import Actor
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, DryRun, Reviewer
from holdpoint.domain.decision import RequireApproval
from holdpoint.domain.grant import Grant
from holdpoint.domain.refusal import GatewayFault
from holdpoint.store.protocol import Key, Store
from holdpoint.tasks import uninterrupted

logger = logging.getLogger(__name__)

KEEP = 90 * 86_400.0
"""Seconds for which ended requests can be looked up. The audit log keeps them for ever."""
PENDING_EACH = 100
"""Requests that one principal may have pending: one who loops must not bury what others wait for."""
NO_DRY_RUN = DryRun()


def _never() -> bool:
    return False


def _always(_: ApprovalRequest) -> bool:
    return True


def _nobody(_: Reviewer) -> str:
    return ""


class Broker(Acts, Looks):
    """One per gateway. The store must be open. Every method may raise StoreUnavailable: then nothing happened."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        events: EventSink,
        *,
        reachable: Callable[[], bool] = _never,
        told: Callable[[ApprovalRequest], bool] = _always,
        barred: Callable[[Reviewer], str] = _nobody,
        confirm: bool = False,
        keep: float = KEEP,
        each: int = PENDING_EACH,
    ) -> None:
        """`each` is how many requests one principal may have pending.

        `reachable` tells whether reviewers can see and object right now; silence counts only while it is True.
        `told` tells whether they were told of a request: silence counts from then on.
        `barred` says why a person may decide nothing at all right now (suspended), or returns an empty string.
        `confirm`: where two persons are needed, only votes count that an ID token for that very decision vouches for.
        """
        self.confirm = confirm
        self._store = store
        self._clock = clock
        self._sink = events
        self._keep = keep
        self._later = Later()
        self._grants = Grants(store, clock, self._emit, self._later)
        self._desk = Desk(store, clock, self._emit, self._grants, Rules(reachable, told, confirm))
        Acts.__init__(self, Deciding(self._desk, barred), clock)
        Looks.__init__(self, store, self._desk)
        self._intake = Intake(self._desk, self._deciding, self._grants, each=each)
        self._neighbours = Neighbours(store, clock, self._desk, self._grants, self._later)
        self._deadlines = Deadlines(clock, self._next, self.tick)
        # Starts at the time, so that a version from before a restart is never taken for this one's.
        self._version = Version(int(clock.now() * 1000))

    @property
    def version(self) -> int:
        """Grows with every change that a list or page would show."""
        return self._version.number

    @property
    def held(self) -> int:
        """How many requests are pending."""
        return len(self._desk.entries)

    async def start(self) -> None:
        """Report dispatches without an answer, reload what is pending, expire what is overdue, start the timer."""
        await self._neighbours.abandon()
        await self._grants.start()
        for request in await self._store.pending():
            self._desk.adopt(request)
        await self._store.complete()
        await self._store.forget(self._clock.now() - self._keep)
        await self.tick()
        self._deadlines.start()
        self._neighbours.start()

    async def close(self) -> None:
        """Stop the timer and let waiters go; what is pending stays so in the store."""
        await self._neighbours.close()
        await self._deadlines.close()
        for entry in self._desk.entries.values():
            entry.done.set()

    async def request(self, ask: Ask, *, dry_run: DryRun = NO_DRY_RUN) -> ApprovalRequest:
        """Hold a request, durably. The same one asked again gets the pending request, or the approved one it may spend.

        `dry_run` is how it begins: pending where one is being made. Raises TooManyHeld, and GatewayFault where `ask`
        has no terms.
        """
        if not ask.terms:
            raise GatewayFault("an approval was asked for without terms")
        return await uninterrupted(self._intake.request(ask, dry_run))

    async def wait(self, approval_id: str, *, timeout: float | None) -> ApprovalRequest:  # noqa: ASYNC109  # part of the answer
        """Return when the request has ended, after `timeout` seconds, or when the broker closes. Raises NotFound.

        Cancelling it ends this wait alone.
        """
        entry = self._desk.entries.get(approval_id)
        if entry is None:
            return await self.get(approval_id)
        entry.waiters += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await entry.done.wait()
        finally:
            entry.waiters -= 1
        return entry.snapshot()

    def note_told(self) -> None:
        """Count the silence about requests of which reviewers were told only now."""
        self._desk.look_again()
        self._deadlines.rouse()

    async def refresh(self, approval_id: str) -> None:
        """Take over what another gateway that shares the store did to a request, its votes or its grant."""
        await uninterrupted(self._desk.refresh(approval_id))
        stored = await self._store.approval(approval_id)
        if stored is not None and stored.grant:
            await uninterrupted(self._grants.refresh(stored.grant))

    async def find_grant(
        self,
        principal_id: str,
        target: str,
        intent: str,
        session: str,
        *,
        actor: Actor | None = None,
        terms: Sequence[RequireApproval] = (),
        window: str = "",
    ) -> Grant | None:
        """Return an unspent grant for this request by this principal and agent, given under no looser terms.

        `window` is `Ask.window`: one that was given for such requests, under every rule that holds this one, clears it.
        """
        key = Key(principal_id, actor.id if actor else "", target, intent)
        return await uninterrupted(self._grants.find(key, session, terms, window))

    async def spend(
        self,
        grant_id: str,
        *,
        wire: str,
        exchange: str,
        terms: Sequence[RequireApproval] = (),
        asked: Asked | None = None,
    ) -> Grant:
        """Take a grant for one dispatch, durably. Raises GrantSpent or GrantVoid: then nothing may be sent.

        `terms` are those in force now: a grant given under looser ones is void. `asked` is the request to be sent.
        """
        return await self._grants.spend(grant_id, wire=wire, exchange=exchange, terms=terms, asked=asked)

    async def release(self, grant_id: str, exchange: str) -> Grant:
        """Give a spent grant back, only where not one byte of the request went upstream. Raises GrantSpent."""
        return await self._grants.release(grant_id, exchange)

    async def settle(self, grant_id: str, state: Outcome, *, exchange: str = "") -> Grant:
        """Note the outcome of a spend. A window or session grant needs the exchange. Raises GatewayFault."""
        return await self._grants.settle(grant_id, state, exchange=exchange)

    async def end_grant(self, grant_id: str, state: Ending, reason: str) -> Grant | None:
        """End an active grant: `void` where its object has changed, `revoked` by a human. None: it was not active."""
        return await uninterrupted(self._grants.end(grant_id, state, reason))

    async def withdraw_where(self, test: Callable[[ApprovalRequest], bool], reason: str) -> tuple[ApprovalRequest, ...]:
        """End every pending request of which `test` is true, whoever waits for it; its callers are told. Returns them.

        Raises StoreUnavailable after trying all.
        """
        return await uninterrupted(self._withdraw_where(test, reason))

    async def granted_where(self, test: Callable[[ApprovalRequest], bool]) -> tuple[tuple[Grant, ApprovalRequest], ...]:
        """Return the active grants of whose approval `test` is true, the oldest first, each with that."""
        found: list[tuple[Grant, ApprovalRequest]] = []
        for grant in await self._store.active_grants():
            request = await self._store.approval(grant.approval)
            if request is not None and test(request):
                found.append((grant, request))
        return tuple(found)

    async def redecide(self, decide: Decide) -> Changes:
        """Ask policy again about all that is held and granted. What it says can only make them stricter."""
        return await uninterrupted(self._redecide(decide))

    async def tick(self) -> None:
        """Expire what is due, and count silence. Raises StoreUnavailable after trying everything."""
        results = await asyncio.gather(
            uninterrupted(self._deciding.tick()), uninterrupted(self._grants.tick()), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def wait_change(self, since: int, *, timeout: float | None) -> int:  # noqa: ASYNC109  # part of the answer
        """Return the version as soon as it is not `since`, or after `timeout` seconds."""
        return await self._version.wait(since, timeout=timeout)

    def _next(self) -> float | None:
        return min((d for d in (self._desk.next_look, self._grants.next_end) if d is not None), default=None)

    async def _withdraw_where(
        self, test: Callable[[ApprovalRequest], bool], reason: str
    ) -> tuple[ApprovalRequest, ...]:
        wanted = await self.pending_where(test)
        ended = await asyncio.gather(*(self._deciding.take_away(r.id, reason) for r in wanted), return_exceptions=True)
        for result in ended:
            if isinstance(result, BaseException):
                raise result
        return tuple(r for r in ended if isinstance(r, ApprovalRequest))

    async def _redecide(self, decide: Decide) -> Changes:
        changed: list[ApprovalRequest | None] = []
        failures: list[BaseException] = []
        for some in in_turns(list(self._desk.entries.values())):
            again = (self._deciding.redecide(e, decide_again(decide, e.request.ask.access)) for e in some)
            for result in await asyncio.gather(*again, return_exceptions=True):
                if not isinstance(result, BaseException):
                    changed.append(result)
                elif not isinstance(result, AlreadyResolved):
                    failures.append(result)
        revoked = await self._grants.redecide(decide)
        if failures:
            raise failures[0]
        held = [r for r in changed if r is not None]
        return Changes(
            withdrawn=tuple(r for r in held if r.state is not ApprovalState.PENDING),
            tightened=tuple(r for r in held if r.state is ApprovalState.PENDING),
            revoked=revoked,
        )

    async def _emit(self, event: BrokerEvent) -> None:
        self._version.grow()
        self._deadlines.rouse()
        try:
            result = self._sink(event)
            if inspect.isawaitable(result):
                await result
        except Exception:
            # What happened is durable in the store and cannot be undone here; a broken audit log stops new requests.
            logger.exception("event `%s` could not be told", event.kind)
