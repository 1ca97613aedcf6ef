"""What the stores have in common: every operation is a function of a connection, run by a writer."""

from collections.abc import Callable, Sequence
from typing import Literal

from holdpoint.clock import Clock
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, Vote
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.ids import new_id
from holdpoint.store import approval_rows, gateway_rows, grant_rows, handle_rows, other_rows, pin_rows
from holdpoint.store.protocol import Change, HandleRecord, Key, PinRow, RefusalRecord, Resolution, Spend
from holdpoint.store.rows import Connection
from holdpoint.store.writer import Writer


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

    async def add_approval(self, request: ApprovalRequest, key: Key, session: str) -> None:
        """Store a new pending request."""
        await self._run(lambda c: approval_rows.add(c, request, key, session))

    async def approval(self, approval_id: str) -> ApprovalRequest | None:
        """Return one request."""
        return await self._run(lambda c: approval_rows.get(c, approval_id))

    async def approvals(
        self, *, states: frozenset[ApprovalState] | None = None, limit: int = 100, before: str = ""
    ) -> tuple[ApprovalRequest, ...]:
        """Return requests, newest first."""
        return await self._reader.run(lambda c: approval_rows.page(c, states, limit, before))

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

    async def pending(self) -> tuple[ApprovalRequest, ...]:
        """Return every pending request, oldest first."""
        return await self._reader.run(approval_rows.pending)

    async def add_vote(self, approval_id: str, vote: Vote) -> None:
        """Add a vote that resolves nothing."""
        await self._run(lambda c: approval_rows.add_vote(c, approval_id, vote))

    async def resolve(
        self, approval_id: str, resolution: Resolution, *, vote: Vote | None = None, grant: Grant | None = None
    ) -> None:
        """End a pending request."""
        await self._run(lambda c: approval_rows.resolve(c, approval_id, resolution, vote, grant))

    async def replace_ask(self, approval_id: str, ask: Ask, deadline: float) -> None:
        """Tighten a pending request."""
        await self._run(lambda c: approval_rows.replace_ask(c, approval_id, ask, deadline))

    async def grant(self, grant_id: str) -> Grant | None:
        """Return one grant."""
        return await self._run(lambda c: grant_rows.get(c, grant_id))

    async def active_grants(self) -> tuple[Grant, ...]:
        """Return every active grant."""
        return await self._run(grant_rows.active)

    async def grants_for(self, key: Key) -> tuple[Grant, ...]:
        """Return the active grants of a key."""
        return await self._run(lambda c: grant_rows.active_for(c, key))

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
        self, grant_id: str, state: Literal[GrantState.VOID, GrantState.REVOKED, GrantState.EXPIRED]
    ) -> Grant:
        """End an active grant."""
        return await self._run(lambda c: grant_rows.end(c, grant_id, state))

    async def open_spends(self) -> tuple[Spend, ...]:
        """Return every spend whose outcome is not known yet."""
        return await self._run(grant_rows.open_spends)

    async def last_spend(self, key: Key) -> Spend | None:
        """Return the newest dispatch of the same request."""
        return await self._run(lambda c: grant_rows.last_spend(c, key))

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
