"""One pending request in memory: its deadline on the steady clock, its waiters, and how long reviewers were silent."""

import asyncio
from dataclasses import dataclass, field, replace

from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Quorum, Vote, is_requester, quorums
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

    @property
    def is_pending(self) -> bool:
        """Whether it can still be decided."""
        return self.request.state is ApprovalState.PENDING

    def snapshot(self) -> ApprovalRequest:
        """Return the request with the number of callers on the line."""
        return replace(self.request, waiters=self.waiters)

    def listen(self, now: float, *, reachable: bool) -> None:
        """Note whether reviewers can object right now, and when to look again."""
        patience = [t.auto_approve_after for t in self.request.ask.terms if t.auto_approve_after is not None]
        if not patience:
            self.silent_since = self.look_at = None
            return
        if not reachable:
            self.silent_since = None
        elif self.silent_since is None:
            self.silent_since = now
        since = now if self.silent_since is None else self.silent_since
        self.look_at = min((since + p for p in patience if since + p > now), default=now + max(1.0, min(patience)))

    def is_cleared(self, votes: tuple[Vote, ...], now: float, *, reachable: bool) -> bool:
        """Tell whether every term is met, by votes or by a silence that the term takes for consent."""
        counted = quorums(replace(self.request, votes=votes))
        return bool(counted) and all(q.met or (reachable and self._consents(q, now)) for q in counted)

    def _consents(self, quorum: Quorum, now: float) -> bool:
        term = quorum.term
        if term.auto_approve_after is None or self.silent_since is None:
            return False
        # INVARIANT: silence counts only where somebody could have objected.
        somebody = term.required >= 1 and term.reviewers and self.request.ask.access.principal.requesters
        return bool(somebody) and now - self.silent_since >= term.auto_approve_after


def objection(request: ApprovalRequest, vote: Vote) -> str:
    """Say why this reviewer may not decide this request, or return an empty string."""
    reviewer, access = vote.reviewer, request.ask.access
    if not access.principal.requesters:
        return "no person is known to stand behind the requester, so nobody may decide"
    if not reviewer.person:
        return "your login does not name a person"
    if is_requester(reviewer, access):
        return "you made this request, or answer for the one who made it"
    named = {f"group:{g}" for g in reviewer.groups} | {f"person:{reviewer.person}"}
    if not any(named & term.reviewers for term in request.ask.terms):
        rules = ", ".join(f"`{t.rule}`" for t in request.ask.terms)
        return f"you are not among the reviewers of {rules}"
    return ""


def said(what: str, vote: Vote) -> str:
    """Say who decided, and with which comment."""
    who = vote.reviewer.name or vote.reviewer.person
    return f"{what} by {who}: {vote.comment}" if vote.comment else f"{what} by {who}"
