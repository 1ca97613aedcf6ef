"""One pending request in memory: its deadline on the steady clock, its waiters, and how long reviewers were silent."""

import asyncio
from dataclasses import dataclass, field, replace

from holdpoint.approvals.checks import blocked, counting
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Quorum, Vote, quorums
from holdpoint.store.protocol import Key


@dataclass(slots=True, eq=False)
class Entry:
    """Mutable; every change of `request` happens under `lock` and after the store has it."""

    request: ApprovalRequest
    key: Key
    due: float
    """Steady clock: unanswered by then means denied."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    waiters: int = 0
    silent_since: float | None = None
    """Steady clock: since when reviewers could have objected. None while they cannot be reached."""
    look_at: float | None = None
    """Steady clock: when silence is next looked at."""
    doubt_at: float | None = None
    """Steady clock: when to ask the store how it stands, because it failed in between and may have kept a change."""

    @property
    def is_pending(self) -> bool:
        """Whether it can still be decided."""
        return self.request.state is ApprovalState.PENDING

    @property
    def next_look(self) -> float:
        """Steady clock: when there is something to do."""
        return min(at for at in (self.due, self.look_at, self.doubt_at) if at is not None)

    def snapshot(self) -> ApprovalRequest:
        """Return the request with the number of callers on the line."""
        return replace(self.request, waiters=self.waiters)

    def listen(self, now: float, *, reachable: bool) -> None:
        """Note whether reviewers can object right now, and when to look again."""
        patience = [t.auto_approve_after for t in self.request.ask.terms if t.auto_approve_after is not None]
        if not patience:
            self.silent_since = self.look_at = None
            return
        if not reachable or blocked(self.request):
            self.silent_since = None
        elif self.silent_since is None:
            self.silent_since = now
        since = now if self.silent_since is None else self.silent_since
        self.look_at = min((since + p for p in patience if since + p > now), default=now + max(1.0, min(patience)))

    def heard(self, now: float, *, reachable: bool) -> None:
        """Count silence anew: what reviewers read is another thing than before."""
        self.silent_since = None
        self.listen(now, reachable=reachable)

    def counted(self, votes: tuple[Vote, ...], *, confirm: bool) -> tuple[Quorum, ...]:
        """Return how far each term is met by those of these votes that count."""
        return quorums(counting(replace(self.request, votes=votes), confirm=confirm))

    def is_cleared(self, votes: tuple[Vote, ...], now: float, *, reachable: bool, confirm: bool) -> bool:
        """Tell whether every term is met, by votes or by a silence that the term takes for consent."""
        if blocked(self.request):
            return False
        counted = self.counted(votes, confirm=confirm)
        return bool(counted) and all(q.met or (reachable and self._consents(q, now)) for q in counted)

    def _consents(self, quorum: Quorum, now: float) -> bool:
        term = quorum.term
        if term.auto_approve_after is None or self.silent_since is None:
            return False
        # INVARIANT: silence counts only where somebody could have objected.
        somebody = all(c.required >= 1 and c.reviewers for c in term.clauses)
        return somebody and now - self.silent_since >= term.auto_approve_after
