"""What people, policy and time do to a pending request. The broker lets no call be cancelled half way."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from holdpoint.approvals.again import why_denied
from holdpoint.approvals.checks import (
    for_request,
    glass_objection,
    no_requester,
    objection,
    said,
    stranger,
)
from holdpoint.approvals.desk import Desk
from holdpoint.approvals.entry import Entry
from holdpoint.approvals.errors import AlreadyResolved, Changed, NotAllowed, NotFound
from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.making import glass_time
from holdpoint.approvals.terms import merged, tightened
from holdpoint.domain.approval import (
    ApprovalRequest,
    ApprovalState,
    Ask,
    DryRun,
    Glass,
    Reviewer,
    Verdict,
    Vote,
    preview_digest,
)
from holdpoint.domain.decision import Decision, Deny, Permit
from holdpoint.store.protocol import StaleWrite

TAKEN_BACK = "the requester took it back"


@dataclass(frozen=True, slots=True)
class Read:
    """What a person read before deciding. None where the caller cannot say."""

    intent: str | None = None
    preview: str | None = None

    def check(self, request: ApprovalRequest, *, preview: bool = True) -> None:
        """Raise Changed where the request is another one, or shows something else, by now."""
        if self.intent is not None and self.intent != request.ask.intent:
            raise Changed("this request is another one than you read")
        if preview and self.preview is not None and self.preview != preview_digest(request):
            raise Changed("the preview changed since you opened it")


class Deciding:
    """The ways in which a pending request changes and ends."""

    def __init__(self, desk: Desk, barred: Callable[[Reviewer], str]) -> None:
        """`barred` says why a person may do nothing at all right now, or returns an empty string."""
        self._desk = desk
        self._barred = barred

    async def vote(self, approval_id: str, vote: Vote, read: Read) -> ApprovalRequest:
        """Count a vote. Raises NotFound, NotAllowed, AlreadyResolved."""

        async def act(entry: Entry) -> None:
            read.check(entry.request, preview=vote.verdict is not Verdict.DENY)
            if reason := self._barred(vote.reviewer) or objection(
                entry.request, vote, confirm=self._desk.rules.confirm
            ):
                raise NotAllowed(reason)
            mine = replace(
                vote, reviewer=for_request(vote.reviewer, entry.request), preview=preview_digest(entry.request)
            )
            if vote.verdict is Verdict.DENY:
                await self._desk.finish(entry, ApprovalState.DENIED, said("denied", vote), mine)
                return
            votes = self._standing((*entry.request.votes, mine))
            if self._desk.is_cleared(entry, votes):
                await self._desk.finish(entry, ApprovalState.APPROVED, said("approved", vote), mine)
            elif self._desk.counted(entry, votes) != self._desk.counted(entry, self._standing(entry.request.votes)):
                await self._desk.count(entry, mine)

        return await self._desk.change(approval_id, act)

    def _standing(self, votes: tuple[Vote, ...]) -> tuple[Vote, ...]:
        """Return the votes of those who could give them now: nobody's yes outlives his right to say it."""
        return tuple(v for v in votes if v.verdict is not Verdict.APPROVE or not self._barred(v.reviewer))

    async def redecide(self, entry: Entry, decision: Decision) -> ApprovalRequest | None:
        """Apply what policy says now. Returns the request if that changed it."""
        changed: list[Entry] = []

        async def act(pending: Entry) -> None:
            match decision:
                case Deny() as deny:
                    await self._desk.finish(pending, ApprovalState.WITHDRAWN, why_denied(deny))
                    changed.append(pending)
                case Permit() as permit:
                    ask = pending.request.ask
                    terms = tightened(ask.terms, permit.approvals)
                    if terms != ask.terms:
                        await self._desk.tighten(pending, replace(ask, terms=terms, bundle=permit.bundle))
                        changed.append(pending)

        if not entry.is_pending:
            return None
        found = await self._desk.change(entry.request.id, act)
        return found if changed else None

    async def withdraw(self, approval_id: str) -> ApprovalRequest:
        """End a pending request that nobody waits for. Raises NotFound, AlreadyResolved."""

        async def act(entry: Entry) -> None:
            if not entry.waiters:
                await self._desk.finish(entry, ApprovalState.WITHDRAWN, TAKEN_BACK)

        return await self._desk.change(approval_id, act)

    async def take_away(self, approval_id: str, reason: str) -> ApprovalRequest | None:
        """End a pending request whoever waits for it. None where it has ended. Raises StoreUnavailable."""

        async def act(entry: Entry) -> None:
            await self._desk.finish(entry, ApprovalState.WITHDRAWN, reason)

        try:
            return await self._desk.change(approval_id, act)
        except (AlreadyResolved, NotFound):
            return None

    async def fold(self, entry: Entry, ask: Ask) -> ApprovalRequest | None:
        """Let a caller wait for what is pending, made stricter where he asks under stricter terms. None: it ended."""

        async def act(pending: Entry) -> None:
            asked = merged(pending.request.ask, ask)
            if asked is not pending.request.ask:
                await self._desk.tighten(pending, asked)
            if ask.reason and not pending.request.reason:
                await self._desk.say(pending, ask.reason)

        try:
            found = await self._desk.change(entry.request.id, act)
        except (AlreadyResolved, NotFound):
            return None
        also = f"the caller also said: {ask.reason}" if ask.reason not in ("", found.reason) else ""
        await self._desk.emit(BrokerEvent(BrokerEventKind.FOLDED, found, exchange=ask.exchange, detail=also))
        return entry.snapshot()

    async def tick(self) -> None:
        """Expire what is overdue, approve where silence is consent. Raises StoreUnavailable after trying all."""
        now = self._desk.clock.monotonic()
        due: list[Entry] = []
        for entry in self._desk.entries.values():
            if entry.look_at is not None and not self._desk.reachable(entry.request):
                entry.listen(now, reachable=False)
            if entry.next_look <= now:
                due.append(entry)
        for result in await asyncio.gather(*(self._look(e) for e in due), return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, AlreadyResolved):
                raise result

    async def _look(self, entry: Entry) -> None:
        async def act(pending: Entry) -> None:
            if self._desk.is_cleared(pending, self._standing(pending.request.votes)):
                await self._desk.finish(
                    pending, ApprovalState.APPROVED, "nobody objected in the time that the rule allows"
                )
            else:
                pending.listen(self._desk.clock.monotonic(), reachable=self._desk.reachable(pending.request))

        await self._desk.change(entry.request.id, act)

    async def withdraw_by(self, approval_id: str, reviewer: Reviewer) -> ApprovalRequest:
        """End a pending request for one who asked, whoever waits. Raises NotFound, NotAllowed, AlreadyResolved."""

        async def act(entry: Entry) -> None:
            if reason := no_requester(entry.request, reviewer):
                raise NotAllowed(reason)
            await self._desk.finish(entry, ApprovalState.WITHDRAWN, TAKEN_BACK)

        return await self._desk.change(approval_id, act)

    async def give_reason(self, approval_id: str, reviewer: Reviewer, reason: str) -> ApprovalRequest:
        """Note why, in the words of one who asked. Raises NotFound, NotAllowed, AlreadyResolved."""

        async def act(entry: Entry) -> None:
            if why := no_requester(entry.request, reviewer):
                raise NotAllowed(why)
            if not reason:
                raise NotAllowed("say why")
            if reason != entry.request.reason:
                await self._desk.say(entry, reason)

        return await self._desk.change(approval_id, act)

    async def note_dry_run(self, approval_id: str, dry_run: DryRun) -> ApprovalRequest:
        """Note what a pending request would change. Raises NotFound, AlreadyResolved."""

        async def act(entry: Entry) -> None:
            if dry_run != entry.request.dry_run:
                await self._desk.preview(entry, dry_run)

        return await self._desk.change(approval_id, act)

    async def break_glass(self, approval_id: str, vote: Vote, read: Read) -> ApprovalRequest:
        """Open a request for one who asked, without reviewers. Raises NotFound, NotAllowed, AlreadyResolved."""
        reviewer, reason = vote.reviewer, vote.comment

        async def act(entry: Entry) -> None:
            request = entry.request
            read.check(request)
            if why := self._barred(reviewer) or glass_objection(request, reviewer, reason):
                raise NotAllowed(why)
            mine = replace(vote, preview=preview_digest(request))
            await self._desk.finish(
                entry,
                ApprovalState.APPROVED,
                said("glass broken", vote),
                mine,
                glass_by=reviewer.person,
                glass_for=glass_time(request.ask.terms),
            )

        return await self._desk.change(approval_id, act)

    async def review_glass(self, approval_id: str, vote: Vote) -> ApprovalRequest:
        """Note that a reviewer looked at what was opened so. Raises NotFound, NotAllowed."""
        found = await self._desk.store.approval(approval_id)
        if found is None:
            raise NotFound(f"there is no approval request `{approval_id}`")
        if why := self._barred(vote.reviewer) or stranger(found, vote.reviewer):
            raise NotAllowed(why)
        if found.glass is Glass.NONE:
            raise NotAllowed("nobody broke the glass for this request")
        mine = replace(vote, reviewer=for_request(vote.reviewer, found), preview=preview_digest(found))
        try:
            await self._desk.store.review_glass(approval_id, mine)
        except StaleWrite:
            raise NotAllowed("somebody has reviewed this already") from None
        reviewed = await self._desk.store.approval(approval_id) or replace(found, glass=Glass.REVIEWED)
        await self._desk.emit(BrokerEvent(BrokerEventKind.GLASS_REVIEWED, reviewed, vote=mine))
        return reviewed
