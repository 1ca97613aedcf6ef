"""Grants: found by the same request, spent at most once, ended by time, drift or policy."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from holdpoint.approvals.again import Decide, why_revoked
from holdpoint.approvals.checks import still_opens
from holdpoint.approvals.errors import GrantSpent, GrantVoid
from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.later import Later
from holdpoint.approvals.terms import suffices
from holdpoint.approvals.windows import Asked
from holdpoint.clock import Clock
from holdpoint.domain.approval import Glass
from holdpoint.domain.decision import RequireApproval, Scope
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.refusal import GatewayFault
from holdpoint.store.protocol import Key, StaleWrite, Store, StoreUnavailable
from holdpoint.tasks import spawn, uninterrupted

logger = logging.getLogger(__name__)

type Outcome = Literal[GrantState.ANSWERED, GrantState.UNKNOWN]
type Ending = Literal[GrantState.VOID, GrantState.REVOKED, GrantState.EXPIRED]
_ENDED = {GrantState.VOID, GrantState.REVOKED, GrantState.EXPIRED}
_TAKEN = {GrantState.SPENT, GrantState.ANSWERED, GrantState.UNKNOWN}


class Grants:
    """What the broker does with grants. The store decides; the steady clock says when they end."""

    def __init__(
        self, store: Store, clock: Clock, emit: Callable[[BrokerEvent], Awaitable[None]], later: Later
    ) -> None:
        self._store = store
        self._clock = clock
        self._emit = emit
        self._later = later
        self._ends: dict[str, float] = {}

    async def start(self) -> None:
        """Load what is active, with its end moved to the steady clock."""
        for grant in await self._store.active_grants():
            self.adopt(grant)

    def adopt(self, grant: Grant) -> None:
        """Note when a grant ends. A wall clock that was set back cannot make it longer than it was meant to be."""
        left = min(grant.expires_at - self._clock.now(), grant.expires_at - grant.created_at)
        self._ends.setdefault(grant.id, self._clock.monotonic() + left)

    @property
    def known(self) -> frozenset[str]:
        """Ids of the grants that are active, as far as this gateway knows."""
        return frozenset(self._ends)

    @property
    def next_end(self) -> float | None:
        """Steady clock: when the first grant ends."""
        return min(self._ends.values(), default=None)

    async def find(self, key: Key, session: str, terms: Sequence[RequireApproval], window: str = "") -> Grant | None:
        """Return a grant that clears this request. One given under looser terms than these is revoked.

        One that clears it only by its window has to be given under every rule that holds the request.
        """
        for grant in await self._store.grants_for(key, window):
            if grant.scope is Scope.SESSION and (not session or grant.session != session):
                continue
            if self._is_over(grant):
                await self.end(grant.id, GrantState.EXPIRED, "its time is over")
            elif grant.intent != key.intent:
                # Another request: what holds this one alone says nothing of that one.
                if await self._meets(grant, terms, every_rule=True):
                    return grant
            elif not await self._meets(grant, terms):
                await self.end(grant.id, GrantState.REVOKED, "policy asks for more than it was given under")
            else:
                return grant
        return None

    async def spend(
        self,
        grant_id: str,
        *,
        wire: str,
        exchange: str,
        terms: Sequence[RequireApproval] = (),
        asked: Asked | None = None,
    ) -> Grant:
        """Take a grant for one dispatch. Raises GrantSpent or GrantVoid: then nothing may be sent.

        `asked` is the request that will be sent: the grant has to clear that one, by its intent or by its window.
        A caller that is cancelled while it waits has not got the grant, and so has sent nothing: it is given back.
        """
        work = asyncio.ensure_future(self._spend(grant_id, wire, exchange, terms, asked))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            spawn(self._give_back(work, exchange), name="give a grant back")
            raise
        except StoreUnavailable:
            # It may be spent all the same, and nothing is sent.
            self._later.add("give a grant back", lambda: self._release(grant_id, exchange))
            raise

    async def release(self, grant_id: str, exchange: str) -> Grant:
        """Give a spent grant back. Only where not one byte of the request went upstream. Raises GrantSpent.

        A store that is away is told when it is back.
        """
        try:
            return await self._release(grant_id, exchange)
        except StoreUnavailable:
            self._later.add("give a grant back", lambda: self._release(grant_id, exchange))
            raise

    async def settle(self, grant_id: str, state: Outcome, *, exchange: str = "") -> Grant:
        """Note the outcome of a spend; again the same is harmless. Raises GatewayFault on a spend that is not open.

        A store that is away is told when it is back.
        """
        try:
            return await uninterrupted(self._settle(grant_id, state, exchange))
        except StoreUnavailable:
            self._later.add("settle a grant", lambda: self._settle(grant_id, state, exchange))
            raise

    async def _release(self, grant_id: str, exchange: str) -> Grant:
        try:
            released = await uninterrupted(self._store.release(grant_id, exchange))
        except StaleWrite as error:
            raise GrantSpent(str(error)) from None
        if released.state is GrantState.ACTIVE:
            self.adopt(released)
        return released

    async def end(self, grant_id: str, state: Ending, reason: str) -> Grant | None:
        """End an active grant. Returns None where it is not active."""
        try:
            grant = await self._store.end_grant(grant_id, state, why=reason, at=self._clock.now())
        except StaleWrite:
            await self.refresh(grant_id)
            return None
        self._ends.pop(grant_id, None)
        request = await self._store.approval(grant.approval)
        await self._emit(BrokerEvent(BrokerEventKind.GRANT_ENDED, request=request, grant=grant, detail=reason))
        return grant

    async def refresh(self, grant_id: str) -> None:
        """Take over what another gateway did to a grant: what is open under one that ended must be closed here, too."""
        grant = await self._store.grant(grant_id)
        if grant is not None and grant.state is GrantState.ACTIVE:
            self.adopt(grant)
            return
        known = self._ends.pop(grant_id, None) is not None
        if not known or grant is None or grant.state not in _ENDED:
            return
        request = await self._store.approval(grant.approval)
        ended = BrokerEvent(BrokerEventKind.GRANT_ENDED, request, grant, detail=grant.ended_why, elsewhere=True)
        await self._emit(ended)

    async def tick(self) -> None:
        """End what is over."""
        now = self._clock.monotonic()
        over = [i for i, at in self._ends.items() if at <= now]
        await asyncio.gather(*(self.end(i, GrantState.EXPIRED, "its time is over") for i in over))

    async def redecide(self, decide: Decide) -> tuple[Grant, ...]:
        """Revoke what policy would no longer give, or not under the terms it was given under."""
        revoked: list[Grant] = []
        for grant in await self._store.active_grants():
            reason = why_revoked(decide, await self._store.approval(grant.approval))
            ended = await self.end(grant.id, GrantState.REVOKED, reason) if reason else None
            if ended is not None:
                revoked.append(ended)
        return tuple(revoked)

    async def _spend(
        self, grant_id: str, wire: str, exchange: str, terms: Sequence[RequireApproval], asked: Asked | None
    ) -> Grant:
        grant = await self._store.grant(grant_id)
        if grant is None:
            raise GrantVoid(f"grant `{grant_id}` does not exist")
        approval = await self._store.approval(grant.approval) if asked is not None else None
        if asked is not None and (approval is None or not asked.is_of(grant, approval)):
            raise GrantVoid(f"grant `{grant_id}` was given for another request")
        is_by_window = asked is not None and asked.key.intent != grant.intent
        if grant.state is GrantState.ACTIVE:
            if self._is_over(grant):
                await self.end(grant_id, GrantState.EXPIRED, "its time is over")
            elif is_by_window:
                if not await self._meets(grant, terms, every_rule=True):
                    raise GrantVoid("policy asks for more of this request than the window was given under")
            elif not await self._meets(grant, terms):
                await self.end(grant_id, GrantState.REVOKED, "policy asks for more than it was given under")
        try:
            return await self._store.spend(grant_id, wire=wire, exchange=exchange, at=self._clock.now())
        except StaleWrite as error:
            if error.found in _TAKEN:
                raise GrantSpent(str(error)) from None
            raise GrantVoid(str(error)) from None

    async def _give_back(self, work: "asyncio.Future[Grant]", exchange: str) -> None:
        try:
            grant = await work
        except Exception:  # noqa: BLE001  # it was not spent, and nobody waits for the reason
            return
        await self.release(grant.id, exchange)

    async def _settle(self, grant_id: str, state: Outcome, exchange: str) -> Grant:
        if not exchange:
            grant = await self._store.grant(grant_id)
            if grant is None or grant.scope is not Scope.REQUEST:
                raise GatewayFault(f"grant `{grant_id}` can be settled only with the exchange that spent it")
            exchange = grant.exchange
        try:
            grant = await self._store.settle(grant_id, exchange, state, self._clock.now())
        except StaleWrite as error:
            raise GatewayFault(f"exchange `{exchange}` cannot be settled as {state}: {error}") from None
        if state is GrantState.UNKNOWN:
            request = await self._store.approval(grant.approval)
            event = BrokerEvent(BrokerEventKind.OUTCOME_UNKNOWN, request=request, grant=grant, exchange=exchange)
            await self._emit(event)
        return grant

    def _is_over(self, grant: Grant) -> bool:
        self.adopt(grant)
        return self._clock.monotonic() >= self._ends[grant.id]

    async def _meets(self, grant: Grant, terms: Sequence[RequireApproval], *, every_rule: bool = False) -> bool:
        if not terms:
            return not every_rule
        approval = await self._store.approval(grant.approval)
        if approval is None or not still_opens(approval, terms):
            return False
        given = {str(t.rule) for t in approval.ask.terms}
        known = not every_rule or given >= {str(t.rule) for t in terms}
        return known and suffices(approval.ask.terms, terms, glass=approval.glass is not Glass.NONE)
