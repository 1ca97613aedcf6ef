"""What is pending, and how it ends. The broker guards every call here against being cancelled half way.

Several gateways may share the store: every change starts from a version of the request, and where another was faster it
is decided again by what is stored.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from holdpoint.approvals.entry import Entry
from holdpoint.approvals.errors import AlreadyResolved, Behind, NotAllowed, NotFound
from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.grants import Grants
from holdpoint.approvals.making import make_grant
from holdpoint.approvals.terms import key_of, merged, timeout
from holdpoint.approvals.windows import narrowed
from holdpoint.clock import Clock
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, DryRun, Glass, Quorum, Vote, preview_digest
from holdpoint.ids import new_id
from holdpoint.store.protocol import Key, Resolution, StaleWrite, Store, StoreUnavailable

logger = logging.getLogger(__name__)

_NO_ANSWER = "nobody answered before the deadline"
_DOUBT = 1.0
"""Seconds after which a store that failed is asked how a request stands."""
_TRIES = 50
"""How often a change is decided again because another gateway was faster."""


def _always(_: ApprovalRequest) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about deciding."""

    reachable: Callable[[], bool]
    """Whether reviewers can see and object right now."""
    told: Callable[[ApprovalRequest], bool] = _always
    """Whether they were told of this very request."""
    confirm: bool = False
    """Whether, where two persons are needed, each proves the decision by a login of its own."""


class Desk:
    """Pending requests by id and by key. Each has a lock; the store's compare-and-swap is behind it."""

    def __init__(
        self, store: Store, clock: Clock, emit: Callable[[BrokerEvent], Awaitable[None]], grants: Grants, rules: Rules
    ) -> None:
        self.store = store
        self.clock = clock
        self.emit = emit
        self._grants = grants
        self.rules = rules
        self.entries: dict[str, Entry] = {}
        self._by_key: dict[tuple[Key, str], Entry] = {}

    @property
    def next_look(self) -> float | None:
        """Steady clock: when `tick` has something to do."""
        return min((e.next_look for e in self.entries.values()), default=None)

    def adopt(self, request: ApprovalRequest) -> Entry:
        """Take a pending request in, once, with its deadline moved to the steady clock."""
        if (known := self.entries.get(request.id)) is not None:
            return known
        now = self.clock.monotonic()
        # A wall clock that was set back over a restart cannot give more time than there was in all.
        left = min(request.deadline - self.clock.now(), request.deadline - request.created_at)
        entry = Entry(request, key_of(request.ask), due=now + left)
        entry.listen(now, reachable=self.reachable(request))
        self.entries[request.id] = entry
        self._by_key[entry.key, request.ask.session] = entry
        return entry

    def find(self, key: Key, session: str) -> Entry | None:
        """Return what is pending under a key and session."""
        return self._by_key.get((key, session))

    async def change(self, approval_id: str, act: Callable[[Entry], Awaitable[None]]) -> ApprovalRequest:
        """Do something to a pending request, alone; again where another gateway was faster.

        Raises NotFound, AlreadyResolved, and what `act` raises.
        """
        entry = await self._entry(approval_id)
        async with entry.lock:
            for _ in range(_TRIES):
                try:
                    await self._settle_doubt(entry)
                    await self._require_pending(entry)
                    await act(entry)
                except Behind:
                    continue
                except StoreUnavailable:
                    # It may have kept the change all the same: the answer can get lost on its way.
                    entry.doubt_at = self.clock.monotonic() + _DOUBT
                    raise
                return entry.snapshot()
        raise StoreUnavailable(f"request `{approval_id}` changes faster than it can be decided")

    async def refresh(self, approval_id: str) -> None:
        """Take over what another gateway stored."""
        entry = self.entries.get(approval_id)
        if entry is None:
            stored = await self.store.approval(approval_id)
            if stored is not None and stored.state is ApprovalState.PENDING and approval_id not in self.entries:
                adopted = self.adopt(stored)
                await self.emit(BrokerEvent(BrokerEventKind.CHANGED, adopted.snapshot(), elsewhere=True))
            return
        async with entry.lock:
            if entry.is_pending:
                await self.overtaken(entry, await self.store.approval(approval_id))

    async def _entry(self, approval_id: str) -> Entry:
        if (entry := self.entries.get(approval_id)) is not None:
            return entry
        stored = await self.store.approval(approval_id)
        if stored is None:
            raise NotFound(f"there is no approval request `{approval_id}`")
        if stored.state is not ApprovalState.PENDING:
            raise AlreadyResolved(stored)
        return self.entries.get(approval_id) or self.adopt(stored)

    async def _settle_doubt(self, entry: Entry) -> None:
        if entry.doubt_at is not None:
            await self.overtaken(entry, await self.store.approval(entry.request.id))
            entry.doubt_at = None

    async def _require_pending(self, entry: Entry) -> None:
        if entry.is_pending and entry.due <= self.clock.monotonic():
            await self.finish(entry, ApprovalState.EXPIRED, _NO_ANSWER)
        if not entry.is_pending:
            raise AlreadyResolved(entry.snapshot())

    async def count(self, entry: Entry, vote: Vote) -> None:
        """Add a vote that does not end it. Under its lock."""
        request = entry.request
        try:
            await self.store.add_vote(request.id, vote, version=request.version)
        except StaleWrite:
            raise await self._stale(entry) from None
        entry.request = replace(request, votes=(*request.votes, vote), version=request.version + 1)
        await self.emit(BrokerEvent(BrokerEventKind.VOTED, entry.snapshot(), vote=vote))

    async def tighten(self, entry: Entry, asked: Ask) -> None:
        """Let it ask for more. Under its lock."""
        request, ask = entry.request, narrowed(entry.request.ask, asked)
        deadline = min(request.deadline, request.created_at + timeout(ask.terms))
        # INVARIANT: memory first. If the store fails, this process is already as strict as policy asks.
        entry.due -= request.deadline - deadline
        entry.request = replace(request, ask=ask, deadline=deadline)
        entry.listen(self.clock.monotonic(), reachable=self.reachable(entry.request))
        read = preview_digest(entry.request)
        try:
            await self.store.replace_ask(request.id, ask, deadline, read=read, version=request.version)
        except StaleWrite:
            raise await self._stale(entry) from None
        entry.request = replace(entry.request, version=request.version + 1)
        await self.emit(BrokerEvent(BrokerEventKind.TIGHTENED, entry.snapshot()))

    async def say(self, entry: Entry, reason: str) -> None:
        """Note why a pending request is made. Under its lock."""
        said_so = replace(entry.request, reason=reason, version=entry.request.version + 1)
        read = preview_digest(said_so)
        try:
            await self.store.set_reason(said_so.id, reason, read=read, version=entry.request.version)
        except StaleWrite:
            raise await self._stale(entry) from None
        await self.show(entry, said_so, BrokerEventKind.REASONED)

    async def preview(self, entry: Entry, dry_run: DryRun) -> None:
        """Note what a pending request would change. Under its lock."""
        tried = replace(entry.request, dry_run=dry_run, version=entry.request.version + 1)
        read = preview_digest(tried)
        try:
            await self.store.set_dry_run(tried.id, dry_run, read=read, version=entry.request.version)
        except StaleWrite:
            raise await self._stale(entry) from None
        await self.show(entry, tried, BrokerEventKind.PREVIEWED)

    async def show(self, entry: Entry, request: ApprovalRequest, kind: BrokerEventKind) -> None:
        """Let reviewers read another thing than before. Under its lock, and after the store has it."""
        entry.request = request
        entry.heard(self.clock.monotonic(), reachable=self.reachable(entry.request))
        await self.emit(BrokerEvent(kind, entry.snapshot()))

    async def finish(  # all of one transaction
        self,
        entry: Entry,
        state: ApprovalState,
        reason: str,
        vote: Vote | None = None,
        *,
        glass_by: str = "",
        glass_for: float | None = None,
    ) -> None:
        """End a pending request, durably, and tell everybody. Under its lock."""
        request, now = entry.request, self.clock.now()
        left = entry.due - self.clock.monotonic()
        grant = (
            make_grant(request, entry.key, grant_id=new_id("grt"), now=now, left=left, glass=glass_for)
            if state is ApprovalState.APPROVED
            else None
        )
        resolution = Resolution(state, reason, now)
        try:
            await self.store.resolve(
                request.id, resolution, vote=vote, grant=grant, glass_by=glass_by, version=request.version
            )
        except StaleWrite as error:
            if error.found == Glass.BROKEN:
                raise NotAllowed(str(error)) from None
            raise await self._stale(entry) from None
        if grant is not None:
            self._grants.adopt(grant)
        entry.request = replace(
            request,
            state=state,
            votes=(*request.votes, vote) if vote else request.votes,
            resolution=reason,
            resolved_at=now,
            grant=grant.id if grant else "",
            glass=Glass.BROKEN if glass_by else Glass.NONE,
            version=request.version + 1,
        )
        self._drop(entry)
        if glass_by:
            await self.emit(BrokerEvent(BrokerEventKind.GLASS_BROKEN, entry.snapshot(), grant, vote))
        await self.emit(BrokerEvent(BrokerEventKind.RESOLVED, entry.snapshot(), grant, vote))
        entry.done.set()

    async def _stale(self, entry: Entry) -> AlreadyResolved | Behind:
        """Take over what the store says where somebody else was first."""
        await self.overtaken(entry, await self.store.approval(entry.request.id))
        return Behind() if entry.is_pending else AlreadyResolved(entry.snapshot())

    async def overtaken(self, entry: Entry, stored: ApprovalRequest | None) -> None:
        """Take over what was stored by another gateway. Under its lock."""
        mine = entry.request
        if stored is not None and stored.version == mine.version and stored.state is mine.state:
            return
        if stored is not None and stored.state is ApprovalState.PENDING:
            # Never looser than this process was already: its own change may be what the store could not keep.
            ask = narrowed(stored.ask, merged(stored.ask, mine.ask))
            deadline = min(stored.deadline, mine.deadline)
            entry.due -= mine.deadline - deadline
            entry.request = replace(stored, ask=ask, deadline=deadline)
            self.heard(entry, mine)
            await self.emit(BrokerEvent(BrokerEventKind.CHANGED, entry.snapshot(), elsewhere=True))
            return
        entry.request = stored or replace(mine, state=ApprovalState.WITHDRAWN, resolution="it was deleted")
        self._drop(entry)
        await self.emit(BrokerEvent(BrokerEventKind.RESOLVED, entry.snapshot(), elsewhere=True))
        entry.done.set()

    def heard(self, entry: Entry, before: ApprovalRequest) -> None:
        """Count silence anew where reviewers read another thing than before."""
        now, reachable = self.clock.monotonic(), self.reachable(entry.request)
        if preview_digest(before) != preview_digest(entry.request):
            entry.heard(now, reachable=reachable)
        else:
            entry.listen(now, reachable=reachable)

    def is_cleared(self, entry: Entry, votes: tuple[Vote, ...]) -> bool:
        """Tell whether these votes, or silence, meet every term now."""
        now, reachable = self.clock.monotonic(), self.reachable(entry.request)
        return entry.is_cleared(votes, now, reachable=reachable, confirm=self.rules.confirm)

    def counted(self, entry: Entry, votes: tuple[Vote, ...]) -> tuple[Quorum, ...]:
        """Return how far these votes meet each term."""
        return entry.counted(votes, confirm=self.rules.confirm)

    def _drop(self, entry: Entry) -> None:
        self.entries.pop(entry.request.id, None)
        fold = (entry.key, entry.request.ask.session)
        if self._by_key.get(fold) is entry:
            del self._by_key[fold]

    def look_again(self) -> None:
        """Begin to count the silence about requests of which reviewers were told only now."""
        now = self.clock.monotonic()
        for entry in self.entries.values():
            if entry.look_at is not None and entry.silent_since is None:
                entry.listen(now, reachable=self.reachable(entry.request))

    def reachable(self, request: ApprovalRequest) -> bool:
        """Tell whether reviewers know of a request and can object right now. An error counts as no."""
        try:
            return self.rules.reachable() and self.rules.told(request)
        except Exception:
            logger.exception("whether reviewers can be reached is not known: silence does not count")
            return False
