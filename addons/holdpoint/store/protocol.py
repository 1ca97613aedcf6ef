"""What a store can do. Each method is one transaction: durable when it returns, without effect when it raises.

Compare-and-swap is in the store, so that the answer stays right when several gateways share one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from holdpoint.domain.access import PinState
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, DryRun, Vote
from holdpoint.domain.decision import Scope
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.refusal import GatewayFault
from holdpoint.domain.suspension import Suspension
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.store.wanted import Wanted


class StoreUnavailable(GatewayFault):
    """Nothing was stored. The message tells the operator what to do."""


class StaleWrite(Exception):  # noqa: N818  # says what happened: somebody else was first
    """The row is no longer in the state that the change starts from. `found` is that state, or empty."""

    def __init__(self, message: str, *, found: str = "") -> None:
        super().__init__(message)
        self.found = found


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two requests the same one to a reviewer: who, by which agent, where, what."""

    principal: str
    """`Principal.id`."""
    actor: str
    """The agent that acts for the principal, or empty."""
    target: str
    intent: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """How an approval request ends."""

    state: ApprovalState
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Spend:
    """One dispatch under a grant."""

    grant: str
    approval: str
    exchange: str
    wire: str
    at: float
    state: GrantState
    """`spent`, `answered` or `unknown`."""
    scope: Scope = Scope.REQUEST


@dataclass(frozen=True, slots=True)
class RefusalRecord:
    """Why something was turned away. Never holds a token or a body."""

    id: str
    at: float
    kind: str
    public: str
    detail: str = ""
    exchange: str = ""
    principal: str = ""
    target: str = ""
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PinRow:
    """One definition of a tool that was approved, or seen and not approved yet."""

    target: str
    tool: str
    fingerprint: str
    content: str
    definition: str
    size: int
    state: PinState
    why: str
    other: str
    sight: int
    duplicate: int
    first_at: float
    approved_by: str
    approved_at: float | None


@dataclass(frozen=True, slots=True)
class HandleRecord:
    """Whose a session or task of an upstream is."""

    digest: bytes
    """SHA-256 of kind, target and id."""
    kind: Literal["session", "task"]
    principal: str
    """`Principal.id`."""
    facts: JsonObject = field(default_factory=dict[str, JsonValue])
    created_at: float = 0.0
    used_at: float = 0.0
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """A row that another gateway wrote. What it holds now, the store says."""

    table: str
    """`approvals`, `grants`, `suspensions`, `notices`; empty: any of them, since changes may have been missed."""
    id: str


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """What one sink is to be told."""

    id: str
    """The same for the same thing told to the same sink, whoever stores it."""
    sink: str
    kind: str
    approval: str
    """Id of the approval request that it is about, or empty."""
    body: str
    created_at: float
    due_at: float
    """Unix seconds: not before. While somebody delivers it, when somebody else may."""
    attempts: int = 0
    """How often it was taken to be delivered."""
    state: str = "due"
    """`due`, `delivered` or `dead`."""
    error: str = ""


class Store(Protocol):
    """Approvals, grants, pins and what explains a refusal. Every method may raise StoreUnavailable."""

    async def add_approval(self, request: ApprovalRequest, key: Key, session: str) -> None:
        """Store a new pending request. Raises StaleWrite where one with that key and session is pending."""
        ...

    async def approval(self, approval_id: str) -> ApprovalRequest | None:
        """Return one request. The arguments of one that can no longer be dispatched are gone."""
        ...

    async def approvals(
        self,
        *,
        states: frozenset[ApprovalState] | None = None,
        limit: int = 100,
        before: str = "",
        wanted: Wanted | None = None,
    ) -> tuple[ApprovalRequest, ...]:
        """Return requests, newest first, older than the one with id `before`: without arguments and large previews.

        `wanted` in place of `states` says more.
        """
        ...

    async def pending(self) -> tuple[ApprovalRequest, ...]:
        """Return every pending request, oldest first."""
        ...

    # Of the next five, each makes the version of the request one greater. With `version`, StaleWrite is raised also
    # where the request is pending at another one: `found` is `pending` then.

    async def add_vote(self, approval_id: str, vote: Vote, *, version: int | None = None) -> None:
        """Add a vote that resolves nothing. Raises StaleWrite unless pending."""
        ...

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
        """End a pending request, with the last vote and the grant it made. Raises StaleWrite unless pending.

        `glass_by` is the person who broke the glass: where another that he broke waits for its review, StaleWrite is
        raised with `found` `broken`.
        """
        ...

    async def replace_ask(
        self, approval_id: str, ask: Ask, deadline: float, *, read: str = "", version: int | None = None
    ) -> None:
        """Tighten a pending request; `read` is the digest of what reviewers read. Raises StaleWrite unless pending."""
        ...

    async def set_dry_run(self, approval_id: str, dry_run: DryRun, *, read: str, version: int | None = None) -> None:
        """Note what a pending request would change. Raises StaleWrite unless pending."""
        ...

    async def set_reason(self, approval_id: str, reason: str, *, read: str, version: int | None = None) -> None:
        """Note why a pending request is made. Raises StaleWrite unless pending."""
        ...

    async def grant(self, grant_id: str) -> Grant | None:
        """Return one grant."""
        ...

    async def active_grants(self) -> tuple[Grant, ...]:
        """Return every active grant, oldest first."""
        ...

    async def grants_for(self, key: Key, window: str = "") -> tuple[Grant, ...]:
        """Return the active grants of a key, and those of its principal whose window has that digest, newest first."""
        ...

    async def spend(self, grant_id: str, *, wire: str, exchange: str, at: float) -> Grant:
        """Take an active grant for one dispatch. Raises StaleWrite unless active, or if the exchange has spent it."""
        ...

    async def release(self, grant_id: str, exchange: str) -> Grant:
        """Undo a spend of which nothing was sent. Raises StaleWrite where there is no such open spend."""
        ...

    async def settle(
        self, grant_id: str, exchange: str, state: Literal[GrantState.ANSWERED, GrantState.UNKNOWN], at: float
    ) -> Grant:
        """Note the outcome of a spend, once or again. Raises StaleWrite where there is none, or another outcome."""
        ...

    async def end_grant(
        self,
        grant_id: str,
        state: Literal[GrantState.VOID, GrantState.REVOKED, GrantState.EXPIRED],
        *,
        why: str = "",
        at: float = 0.0,
    ) -> Grant:
        """End an active grant. Raises StaleWrite unless active."""
        ...

    async def open_spends(self) -> tuple[Spend, ...]:
        """Return every spend whose outcome is not known yet, oldest first."""
        ...

    async def last_spend(self, key: Key) -> Spend | None:
        """Return the newest dispatch of the same request."""
        ...

    async def add_refusal(self, record: RefusalRecord) -> None:
        """Store why something was refused. Old ones are dropped."""
        ...

    async def refusal(self, refusal_id: str) -> RefusalRecord | None:
        """Return one refusal."""
        ...

    async def set_note(self, name: str, value: str) -> None:
        """Store a small fact."""
        ...

    async def note(self, name: str) -> str | None:
        """Return a small fact."""
        ...

    async def put_pins(self, target: str, tool: str, rows: Sequence[PinRow]) -> None:
        """Replace everything that is known of one tool. No rows: it is forgotten."""
        ...

    async def pins(self) -> tuple[PinRow, ...]:
        """Return what is known of every tool, those of one together, the oldest sight first."""
        ...

    async def spend_round(self, round_id: str, until: float) -> None:
        """Use up one round of a held call, good until that time (Unix seconds). Raises StaleWrite where it was."""
        ...

    def submit_handle(self, record: HandleRecord) -> bool:
        """Store a handle or what became of it, without waiting. Returns False where the store is closed or overrun."""
        ...

    def submit_handle_end(self, digests: tuple[bytes, ...]) -> bool:
        """Forget handles, without waiting. Returns False where the store is closed or overrun."""
        ...

    async def handles(self, unused_since: float) -> tuple[HandleRecord, ...]:
        """Return every handle that was used since that time (Unix seconds), longest unused first; drop the others."""
        ...

    async def forget(self, before: float) -> int:
        """Delete requests that ended before that time (Unix seconds) and whose grants ended. Returns how many."""
        ...

    async def review_glass(self, approval_id: str, vote: Vote) -> None:
        """Note that what was opened by breaking the glass was looked at. Raises StaleWrite unless it waits for that."""
        ...

    async def broken_glass(self, person: str) -> str:
        """Return the id of what this person opened so and nobody reviewed yet, or an empty string."""
        ...

    async def grants(
        self,
        *,
        states: frozenset[GrantState] | None = None,
        principal: str = "",
        person: str = "",
        limit: int = 100,
        before: str = "",
    ) -> tuple[Grant, ...]:
        """Return grants, newest first, older than the one with id `before`; of one principal, or of one requester."""
        ...

    async def complete(self) -> int:
        """Fill in what requests of earlier versions lack to be listed and searched. Returns how many."""
        ...

    async def add_notices(self, rows: Sequence[NoticeRow]) -> int:
        """Store notices. One that is there stays as it is; too many for a sink are dead. Returns how many are new."""
        ...

    async def claim_notices(self, sink: str, *, now: float, until: float, limit: int) -> tuple[NoticeRow, ...]:
        """Take what is due for a sink, oldest first. Until that time (Unix seconds) nobody else gets it."""
        ...

    async def settle_notice(self, row: NoticeRow) -> bool:
        """Note how an attempt ended: `state`, `due_at`, `error`. False where it was claimed anew or settled since."""
        ...

    async def retry_notice(self, notice_id: str, *, now: float) -> bool:
        """Let a dead notice be tried from the start. False where it is not dead."""
        ...

    async def sweep_notices(self, *, now: float, give_up: float, keep: float) -> tuple[NoticeRow, ...]:
        """Give up those older than `give_up` seconds, forget those older than `keep`. Returns those given up."""
        ...

    async def notices_due(self) -> Mapping[str, float]:
        """Return, by sink, when the first of its notices is due (Unix seconds)."""
        ...

    async def count_notices(self) -> Mapping[str, int]:
        """Return how many notices there are, by state."""
        ...

    async def notices(self, *, state: str = "", limit: int = 100) -> tuple[NoticeRow, ...]:
        """Return notices in a state (empty: in every one), newest first."""
        ...

    async def notices_delivered(self, kind: str) -> Mapping[str, frozenset[str]]:
        """Return, by pending approval request, the sinks that got its notice of that kind."""
        ...

    async def put_suspension(self, suspension: Suspension) -> None:
        """Store who is suspended, in place of what was stored under that name."""
        ...

    async def delete_suspension(self, suspension: Suspension) -> bool:
        """Delete one as it was read. Returns False where it is gone, or was replaced by another of the same name."""
        ...

    async def suspensions(self) -> tuple[Suspension, ...]:
        """Return everybody who is suspended, the oldest first; also those whose time is over."""
        ...

    async def grant_uses(self, grants: Sequence[str]) -> Mapping[str, int]:
        """Return, by grant, for how many dispatches it was taken that were not given back; without it: for none."""
        ...

    @property
    def shared(self) -> bool:
        """Whether other gateways may use it too."""
        ...

    def listen(self, callback: Callable[[Change], None]) -> None:
        """Call back, in the event loop, when another gateway changed a row. Some changes are never told."""
        ...

    async def pending_versions(self) -> dict[str, int]:
        """Return every pending request with its version: what to compare to see what was not told."""
        ...

    async def active_grant_ids(self) -> frozenset[str]:
        """Return the ids of every active grant."""
        ...

    async def take_over(self) -> tuple[Spend, ...]:
        """Make the open spends of gateways that are gone this one's own, and return them, oldest first.

        A dispatch under way at a gateway that lives is never among them; one that cannot be seen to live for a while
        counts as gone.
        """
        ...
