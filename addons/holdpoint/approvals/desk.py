"""What is pending, and how it ends. The broker guards every call here against being cancelled half way."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from holdpoint.approvals.again import why_denied
from holdpoint.approvals.entry import Entry, objection, said
from holdpoint.approvals.errors import AlreadyResolved, Changed, NotAllowed, NotFound, TooManyHeld
from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.grants import Grants
from holdpoint.approvals.terms import key_of, merged, reach, tightened, timeout
from holdpoint.clock import Clock
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, Verdict, Vote, quorums
from holdpoint.domain.decision import Decision, Deny, Permit, Scope
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.refusal import GatewayFault
from holdpoint.domain.values import JsonObject
from holdpoint.ids import new_id
from holdpoint.store.protocol import Key, Resolution, StaleWrite, Store

logger = logging.getLogger(__name__)

CLAIM_TIME = 60.0
"""Seconds for which a single request can be sent after its approval, at least: also one approved in the last second."""
TAKEN_BACK = "the requester took it back"
_NO_ANSWER = "nobody answered before the deadline"


class Desk:
    """Pending requests by id and by key. Each has a lock; the store's compare-and-swap is behind it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        emit: Callable[[BrokerEvent], Awaitable[None]],
        grants: Grants,
        reachable: Callable[[], bool],
        *,
        each: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._emit = emit
        self._grants = grants
        self._ask_reachable = reachable
        self._each = each
        self.entries: dict[str, Entry] = {}
        self._by_key: dict[tuple[Key, str], Entry] = {}
        self._creating: dict[tuple[Key, str], asyncio.Event] = {}

    @property
    def next_look(self) -> float | None:
        """Steady clock: when `tick` has something to do."""
        looks = [e.due if e.look_at is None else min(e.due, e.look_at) for e in self.entries.values()]
        return min(looks, default=None)

    def adopt(self, request: ApprovalRequest) -> Entry:
        """Take a pending request in, with its deadline moved to the steady clock."""
        now = self._clock.monotonic()
        # A wall clock that was set back over a restart cannot give more time than there was in all.
        left = min(request.deadline - self._clock.now(), request.deadline - request.created_at)
        entry = Entry(request, key_of(request.ask), due=now + left)
        entry.listen(now, reachable=self._reachable())
        self.entries[request.id] = entry
        self._by_key[entry.key, request.ask.session] = entry
        return entry

    async def request(self, ask: Ask) -> ApprovalRequest:
        """Fold into what is pending or approved, or hold anew. Raises TooManyHeld."""
        if reach(ask.terms, ask.session).scope is not Scope.SESSION:
            ask = replace(ask, session="")
        fold = (key_of(ask), ask.session)
        while True:
            if (entry := self._by_key.get(fold)) is not None:
                found = await self._fold(entry, ask)
            elif (creating := self._creating.get(fold)) is not None:
                await creating.wait()
                found = None
            else:
                created = self._creating[fold] = asyncio.Event()
                try:
                    found = await self._create(ask, fold[0])
                finally:
                    del self._creating[fold]
                    created.set()
            if found is not None:
                return found

    async def vote(self, approval_id: str, vote: Vote, expect: str | None) -> ApprovalRequest:
        """Count a vote. Raises NotFound, NotAllowed, AlreadyResolved."""
        entry = await self._entry(approval_id)
        async with entry.lock:
            await self._require_pending(entry)
            if expect is not None and expect != entry.request.ask.intent:
                raise Changed("this request is another one than you read")
            if reason := objection(entry.request, vote):
                raise NotAllowed(reason)
            if vote.verdict is Verdict.DENY:
                await self._finish(entry, ApprovalState.DENIED, said("denied", vote), vote)
                return entry.snapshot()
            votes = (*entry.request.votes, vote)
            if entry.is_cleared(votes, self._clock.monotonic(), reachable=self._reachable()):
                await self._finish(entry, ApprovalState.APPROVED, said("approved", vote), vote)
            elif quorums(replace(entry.request, votes=votes)) != quorums(entry.request):
                await self._count(entry, vote)
        return entry.snapshot()

    async def redecide(self, entry: Entry, decision: Decision) -> ApprovalRequest | None:
        """Apply what policy says now. Returns the request if that changed it."""
        async with entry.lock:
            if not entry.is_pending:
                return None
            match decision:
                case Deny() as deny:
                    await self._finish(entry, ApprovalState.WITHDRAWN, why_denied(deny))
                case Permit() as permit:
                    ask = entry.request.ask
                    terms = tightened(ask.terms, permit.approvals)
                    if terms == ask.terms:
                        return None
                    await self._tighten(entry, replace(ask, terms=terms, bundle=permit.bundle))
        return entry.snapshot()

    async def withdraw(self, approval_id: str) -> ApprovalRequest:
        """End a pending request that nobody waits for. Raises NotFound, AlreadyResolved."""
        async with (entry := await self._entry(approval_id)).lock:
            await self._require_pending(entry)
            if not entry.waiters:
                await self._finish(entry, ApprovalState.WITHDRAWN, TAKEN_BACK)
        return entry.snapshot()

    async def take_away(self, request: ApprovalRequest, reason: str) -> ApprovalRequest | None:
        """End a pending request whoever waits for it. None where it has ended. Raises StoreUnavailable."""
        async with (entry := self.entries.get(request.id) or self.adopt(request)).lock:
            if not entry.is_pending:
                return None
            try:
                await self._finish(entry, ApprovalState.WITHDRAWN, reason)
            except AlreadyResolved:
                return None
        return entry.snapshot()

    async def tick(self) -> None:
        """Expire what is overdue, approve where silence is consent. Raises StoreUnavailable after trying all."""
        now, reachable = self._clock.monotonic(), self._reachable()
        due: list[Entry] = []
        for entry in self.entries.values():
            if entry.look_at is not None and not reachable:
                entry.listen(now, reachable=False)
            if entry.due <= now or (entry.look_at is not None and entry.look_at <= now):
                due.append(entry)
        for result in await asyncio.gather(*(self._look(e) for e in due), return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, AlreadyResolved):
                raise result

    async def _look(self, entry: Entry) -> None:
        async with entry.lock:
            now, reachable = self._clock.monotonic(), self._reachable()
            if not entry.is_pending:
                return
            if entry.due <= now:
                await self._finish(entry, ApprovalState.EXPIRED, _NO_ANSWER)
            elif entry.is_cleared(entry.request.votes, now, reachable=reachable):
                await self._finish(entry, ApprovalState.APPROVED, "nobody objected in the time that the rule allows")
            else:
                entry.listen(now, reachable=reachable)

    async def _entry(self, approval_id: str) -> Entry:
        if (entry := self.entries.get(approval_id)) is not None:
            return entry
        stored = await self._store.approval(approval_id)
        if stored is None:
            raise NotFound(f"there is no approval request `{approval_id}`")
        if stored.state is not ApprovalState.PENDING:
            raise AlreadyResolved(stored)
        return self.entries.get(approval_id) or self.adopt(stored)

    async def _require_pending(self, entry: Entry) -> None:
        if entry.is_pending and entry.due <= self._clock.monotonic():
            await self._finish(entry, ApprovalState.EXPIRED, _NO_ANSWER)
        if not entry.is_pending:
            raise AlreadyResolved(entry.snapshot())

    async def _fold(self, entry: Entry, ask: Ask) -> ApprovalRequest | None:
        async with entry.lock:
            if entry.is_pending and entry.due <= self._clock.monotonic():
                await self._finish(entry, ApprovalState.EXPIRED, _NO_ANSWER)
            if not entry.is_pending:
                return None
            asked = merged(entry.request.ask, ask)
            if asked is not entry.request.ask:
                await self._tighten(entry, asked)
        await self._emit(BrokerEvent(BrokerEventKind.FOLDED, entry.snapshot(), exchange=ask.exchange))
        return entry.snapshot()

    async def _create(self, ask: Ask, key: Key) -> ApprovalRequest | None:
        grant = await self._grants.find(key, ask.session, ask.terms)
        approved = await self._store.approval(grant.approval) if grant else None
        if approved is not None:
            return approved
        if sum(e.key.principal == key.principal for e in self.entries.values()) >= self._each:
            raise TooManyHeld(f"`{key.principal}` has {self._each} requests pending")
        ask = replace(ask, preview=await self._with_history(ask.preview, key))
        now = self._clock.now()
        request = ApprovalRequest(new_id("apr"), ask, ApprovalState.PENDING, now, now + timeout(ask.terms))
        try:
            await self._store.add_approval(request, key, ask.session)
        except StaleWrite:
            # Stored, but not by this desk: a commit that was thought lost, or another gateway.
            others = [r for r in await self._store.pending() if r.id not in self.entries]
            if not others:
                raise GatewayFault("the same request is pending and cannot be found") from None
            for other in others:
                self.adopt(other)
            return None
        entry = self.adopt(request)
        await self._emit(BrokerEvent(BrokerEventKind.HELD, entry.snapshot()))
        return entry.snapshot()

    async def _with_history(self, preview: JsonObject, key: Key) -> JsonObject:
        last = await self._store.last_spend(key)
        if last is None or last.state is GrantState.ANSWERED:
            return preview
        outcome = "unknown" if last.state is GrantState.UNKNOWN else "still on its way"
        earlier: JsonObject = {
            "outcome": outcome,
            "approval": last.approval,
            "exchange": last.exchange,
            "sent_at": last.at,
            "text": f"the same request was sent before, and its outcome is {outcome}: it may have taken effect",
        }
        return {**preview, "earlier": earlier}

    async def _count(self, entry: Entry, vote: Vote) -> None:
        try:
            await self._store.add_vote(entry.request.id, vote)
        except StaleWrite:
            raise await self._lost(entry) from None
        entry.request = replace(entry.request, votes=(*entry.request.votes, vote))
        await self._emit(BrokerEvent(BrokerEventKind.VOTED, entry.snapshot(), vote=vote))

    async def _tighten(self, entry: Entry, ask: Ask) -> None:
        request = entry.request
        deadline = min(request.deadline, request.created_at + timeout(ask.terms))
        # INVARIANT: memory first. If the store fails, this process is already as strict as policy asks.
        entry.due -= request.deadline - deadline
        entry.request = replace(request, ask=ask, deadline=deadline)
        entry.listen(self._clock.monotonic(), reachable=self._reachable())
        try:
            await self._store.replace_ask(request.id, ask, deadline)
        except StaleWrite:
            raise await self._lost(entry) from None
        await self._emit(BrokerEvent(BrokerEventKind.TIGHTENED, entry.snapshot()))

    async def _finish(self, entry: Entry, state: ApprovalState, reason: str, vote: Vote | None = None) -> None:
        request, now = entry.request, self._clock.now()
        grant = self._grant(entry, now) if state is ApprovalState.APPROVED else None
        try:
            await self._store.resolve(request.id, Resolution(state, reason, now), vote=vote, grant=grant)
        except StaleWrite:
            raise await self._lost(entry) from None
        if grant is not None:
            self._grants.adopt(grant)
        votes = (*request.votes, vote) if vote else request.votes
        entry.request = replace(
            request, state=state, votes=votes, resolution=reason, resolved_at=now, grant=grant.id if grant else ""
        )
        self._drop(entry)
        await self._emit(BrokerEvent(BrokerEventKind.RESOLVED, entry.snapshot(), grant, vote))
        entry.done.set()

    async def _lost(self, entry: Entry) -> AlreadyResolved:
        """Take over what the store says where somebody else was first."""
        stored = await self._store.approval(entry.request.id)
        entry.request = stored or replace(entry.request, state=ApprovalState.WITHDRAWN, resolution="it was deleted")
        self._drop(entry)
        entry.done.set()
        return AlreadyResolved(entry.snapshot())

    def _grant(self, entry: Entry, now: float) -> Grant:
        request = entry.request
        carries = reach(request.ask.terms, request.ask.session)
        left = max(entry.due - self._clock.monotonic(), CLAIM_TIME)
        return Grant(
            id=new_id("grt"),
            approval=request.id,
            principal=entry.key.principal,
            target=entry.key.target,
            intent=entry.key.intent,
            scope=carries.scope,
            state=GrantState.ACTIVE,
            created_at=now,
            expires_at=now + (left if carries.scope is Scope.REQUEST else carries.duration),
            session=request.ask.session if carries.scope is Scope.SESSION else "",
        )

    def _drop(self, entry: Entry) -> None:
        self.entries.pop(entry.request.id, None)
        fold = (entry.key, entry.request.ask.session)
        if self._by_key.get(fold) is entry:
            del self._by_key[fold]

    def _reachable(self) -> bool:
        try:
            return self._ask_reachable()
        except Exception:
            logger.exception("whether reviewers can be reached is not known: silence does not count")
            return False
