"""What the stores have in common: every operation is a function of a connection, run by a writer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from holdpoint.clock import Clock
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, DryRun, Vote
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.suspension import Suspension
from holdpoint.ids import new_id
from holdpoint.store import (
    approval_rows,
    gateway_rows,
    grant_rows,
    handle_rows,
    notice_rows,
    other_rows,
    pin_rows,
    suspension_rows,
    use_rows,
)
from holdpoint.store.protocol import Change, HandleRecord, Key, NoticeRow, PinRow, RefusalRecord, Resolution, Spend
from holdpoint.store.rows import Connection
from holdpoint.store.wanted import Wanted
from holdpoint.store.writer import Reading, Writer


class SqlStore:
    """A `Store`, whatever database is behind it. The protocol says what each method does."""

    shared = False
    """Whether other gateways may use it too."""

    def __init__(self, clock: Clock, writer: Writer, reader: Writer | None = None) -> None:
        """`reader` serves long lists, so that nobody's write waits for them. Default: the writer does."""
        self._gateway = new_id("gtw")
        self._clock = clock
        self._writer = writer
        self._reader = reader or writer
        self._hear: list[Callable[[Change], None]] = []

    @property
    def gateway(self) -> str:
        """Who spends: this process, as long as it keeps its connection."""
        return self._gateway

    async def open(self) -> None:
        """Make it ready. Raises StoreUnavailable."""
        await self._writer.start()

    async def close(self) -> None:
        """Finish what is queued, and let go of everything."""
        await self._writer.stop()

    def listen(self, callback: Callable[[Change], None]) -> None:
        """Call back, in the event loop, when another gateway changed a row."""
        self._hear.append(callback)

    async def _run[T](self, work: Callable[[Connection], T]) -> T:
        return await self._writer.run(work)

    async def _read[T](self, work: Callable[[Connection], T]) -> T:
        reading: Callable[[Connection], T] = Reading(work)
        return await self._writer.run(reading)

    async def add_approval(self, request: ApprovalRequest, key: Key, session: str) -> None:
        """Store a new pending request."""
        await self._run(lambda c: approval_rows.add(c, request, key, session))

    async def approval(self, approval_id: str) -> ApprovalRequest | None:
        """Return one request."""
        return await self._read(lambda c: approval_rows.get(c, approval_id))

    async def approvals(
        self,
        *,
        states: frozenset[ApprovalState] | None = None,
        limit: int = 100,
        before: str = "",
        wanted: Wanted | None = None,
    ) -> tuple[ApprovalRequest, ...]:
        """Return requests, newest first."""
        which = wanted or Wanted(states)
        return await self._reader.run(lambda c: approval_rows.page(c, which, limit, before))

    async def pending(self) -> tuple[ApprovalRequest, ...]:
        """Return every pending request, oldest first."""
        return await self._reader.run(approval_rows.pending)

    async def add_vote(self, approval_id: str, vote: Vote, *, version: int | None = None) -> None:
        """Add a vote that resolves nothing."""
        await self._run(lambda c: approval_rows.add_vote(c, approval_id, vote, version))

    async def resolve(
        self,
        approval_id: str,
        resolution: Resolution,
        *,
        vote: Vote | None = None,
        grant: Grant | None = None,
        glass_by: str = "",
        version: int | None = None,
    ) -> None:
        """End a pending request."""
        await self._run(lambda c: approval_rows.resolve(c, approval_id, resolution, vote, grant, glass_by, version))

    async def replace_ask(
        self, approval_id: str, ask: Ask, deadline: float, *, read: str = "", version: int | None = None
    ) -> None:
        """Tighten a pending request."""
        await self._run(lambda c: approval_rows.replace_ask(c, approval_id, ask, deadline, read, version))

    async def set_dry_run(self, approval_id: str, dry_run: DryRun, *, read: str, version: int | None = None) -> None:
        """Note what a pending request would change."""
        await self._run(lambda c: approval_rows.set_dry_run(c, approval_id, dry_run, read, version))

    async def set_reason(self, approval_id: str, reason: str, *, read: str, version: int | None = None) -> None:
        """Note why a pending request is made."""
        await self._run(lambda c: approval_rows.set_reason(c, approval_id, reason, read, version))

    async def grant(self, grant_id: str) -> Grant | None:
        """Return one grant."""
        return await self._read(lambda c: grant_rows.get(c, grant_id))

    async def active_grants(self) -> tuple[Grant, ...]:
        """Return every active grant."""
        return await self._run(grant_rows.active)

    async def grants_for(self, key: Key, window: str = "") -> tuple[Grant, ...]:
        """Return the active grants of a key or window."""
        return await self._read(lambda c: grant_rows.active_for(c, key, window))

    async def spend(self, grant_id: str, *, wire: str, exchange: str, at: float) -> Grant:
        """Take an active grant for one dispatch."""
        return await self._run(lambda c: grant_rows.spend(c, grant_id, wire, exchange, at, self.gateway))

    async def release(self, grant_id: str, exchange: str) -> Grant:
        """Undo a spend of which nothing was sent."""
        return await self._run(lambda c: grant_rows.release(c, grant_id, exchange))

    async def settle(
        self, grant_id: str, exchange: str, state: Literal[GrantState.ANSWERED, GrantState.UNKNOWN], at: float
    ) -> Grant:
        """Note the outcome of a spend."""
        return await self._run(lambda c: grant_rows.settle(c, grant_id, exchange, state, at))

    async def end_grant(
        self,
        grant_id: str,
        state: Literal[GrantState.VOID, GrantState.REVOKED, GrantState.EXPIRED],
        *,
        why: str = "",
        at: float = 0.0,
    ) -> Grant:
        """End an active grant."""
        return await self._run(lambda c: grant_rows.end(c, grant_id, state, why, at))

    async def open_spends(self) -> tuple[Spend, ...]:
        """Return every spend whose outcome is not known yet."""
        return await self._run(grant_rows.open_spends)

    async def last_spend(self, key: Key) -> Spend | None:
        """Return the newest dispatch of the same request."""
        return await self._read(lambda c: grant_rows.last_spend(c, key))

    async def add_refusal(self, record: RefusalRecord) -> None:
        """Store why something was refused."""
        now = self._clock.now()
        await self._run(lambda c: other_rows.add_refusal(c, record, now))

    def submit_refusal(self, record: RefusalRecord) -> bool:
        """Store why something was refused, without waiting. Returns False where the store is closed or overrun."""
        now = self._clock.now()
        return self._writer.submit(lambda c: other_rows.add_refusal(c, record, now))

    async def refusal(self, refusal_id: str) -> RefusalRecord | None:
        """Return one refusal."""
        return await self._run(lambda c: other_rows.refusal(c, refusal_id))

    async def set_note(self, name: str, value: str) -> None:
        """Store a small fact."""
        now = self._clock.now()
        await self._run(lambda c: other_rows.set_note(c, name, value, now))

    async def note(self, name: str) -> str | None:
        """Return a small fact."""
        return await self._run(lambda c: other_rows.note(c, name))

    async def put_pins(self, target: str, tool: str, rows: Sequence[PinRow]) -> None:
        """Replace everything that is known of one tool."""
        await self._run(lambda c: pin_rows.put(c, target, tool, rows))

    def submit_pins(self, target: str, tool: str, rows: Sequence[PinRow]) -> bool:
        """Do the same without waiting. Returns False where the store is closed or overrun."""
        return self._writer.submit(lambda c: pin_rows.put(c, target, tool, rows))

    async def pins(self) -> tuple[PinRow, ...]:
        """Return what is known of every tool."""
        return await self._run(pin_rows.everything)

    async def spend_round(self, round_id: str, until: float) -> None:
        """Use up one round of a held call."""
        now = self._clock.now()
        await self._run(lambda c: other_rows.spend_round(c, round_id, until, now))

    def submit_handle(self, record: HandleRecord) -> bool:
        """Store a handle, without waiting."""
        return self._writer.submit(lambda c: handle_rows.put(c, record))

    def submit_handle_end(self, digests: tuple[bytes, ...]) -> bool:
        """Forget handles, without waiting."""
        return self._writer.submit(lambda c: handle_rows.delete(c, digests))

    async def handles(self, unused_since: float) -> tuple[HandleRecord, ...]:
        """Return the handles that are not too old."""
        return await self._run(lambda c: handle_rows.load(c, unused_since))

    async def forget(self, before: float) -> int:
        """Delete what ended before that time."""
        return await self._run(lambda c: approval_rows.forget(c, before))

    async def review_glass(self, approval_id: str, vote: Vote) -> None:
        """Note that a broken glass was looked at."""
        await self._run(lambda c: approval_rows.review_glass(c, approval_id, vote))

    async def broken_glass(self, person: str) -> str:
        """Return what this person opened so and nobody reviewed yet."""
        return await self._run(lambda c: approval_rows.broken_glass(c, person))

    async def grants(
        self,
        *,
        states: frozenset[GrantState] | None = None,
        principal: str = "",
        person: str = "",
        limit: int = 100,
        before: str = "",
    ) -> tuple[Grant, ...]:
        """Return grants, newest first."""
        return await self._run(lambda c: grant_rows.page(c, states, principal, person, limit, before))

    async def complete(self) -> int:
        """Fill in what requests of earlier versions lack."""
        return await self._run(approval_rows.complete)

    async def add_notices(self, rows: Sequence[NoticeRow]) -> int:
        """Store notices."""
        return await self._run(lambda c: notice_rows.add(c, rows))

    async def claim_notices(self, sink: str, *, now: float, until: float, limit: int) -> tuple[NoticeRow, ...]:
        """Take what is due for a sink."""
        return await self._run(lambda c: notice_rows.claim(c, sink, now, until, limit))

    async def settle_notice(self, row: NoticeRow) -> bool:
        """Note how an attempt ended."""
        return await self._run(lambda c: notice_rows.settle(c, row))

    async def retry_notice(self, notice_id: str, *, now: float) -> bool:
        """Let a dead notice be tried from the start."""
        return await self._run(lambda c: notice_rows.again(c, notice_id, now))

    async def sweep_notices(self, *, now: float, give_up: float, keep: float) -> tuple[NoticeRow, ...]:
        """Give up old ones, forget older ones."""
        return await self._run(lambda c: notice_rows.sweep(c, now, give_up=give_up, keep=keep))

    async def notices_due(self) -> Mapping[str, float]:
        """Return, by sink, when the first is due."""
        return await self._run(notice_rows.next_due)

    async def count_notices(self) -> Mapping[str, int]:
        """Return how many there are, by state."""
        return await self._run(notice_rows.count)

    async def notices(self, *, state: str = "", limit: int = 100) -> tuple[NoticeRow, ...]:
        """Return notices, newest first."""
        return await self._run(lambda c: notice_rows.page(c, state, limit))

    async def notices_delivered(self, kind: str) -> Mapping[str, frozenset[str]]:
        """Return which sinks got the notices of pending requests."""
        return await self._run(lambda c: notice_rows.reached(c, kind))

    async def put_suspension(self, suspension: Suspension) -> None:
        """Store who is suspended."""
        await self._run(lambda c: suspension_rows.put(c, suspension))

    async def delete_suspension(self, suspension: Suspension) -> bool:
        """Delete one as it was read."""
        return await self._run(lambda c: suspension_rows.delete(c, suspension))

    async def suspensions(self) -> tuple[Suspension, ...]:
        """Return everybody who is suspended."""
        return await self._run(suspension_rows.everything)

    async def grant_uses(self, grants: Sequence[str]) -> Mapping[str, int]:
        """Return how often grants were used."""
        return await self._run(lambda c: use_rows.count(c, grants))

    async def pending_versions(self) -> dict[str, int]:
        """Return every pending request with its version."""
        return await self._reader.run(gateway_rows.pending_versions)

    async def active_grant_ids(self) -> frozenset[str]:
        """Return the ids of every active grant."""
        return await self._reader.run(gateway_rows.active_grant_ids)

    async def take_over(self) -> tuple[Spend, ...]:
        """Make the open spends of gateways that are gone this one's own."""
        return await self._run(lambda c: gateway_rows.take_over(c, self._gone(c), self.gateway))

    def _gone(self, connection: Connection) -> frozenset[str]:
        """Return which gateways that have open spends are gone. Runs in the writer's thread."""
        return gateway_rows.spending(connection) - {self.gateway}
