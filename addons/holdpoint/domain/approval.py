"""A request that waits for a human, and the human's answer."""

from dataclasses import dataclass, field
from enum import StrEnum

from holdpoint.domain.access import AccessRequest
from holdpoint.domain.decision import RequireApproval
from holdpoint.domain.values import JsonObject


class ApprovalState(StrEnum):
    """Where an approval request stands. Every state but `pending` is final."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """Policy became stricter while it was pending, or the requester took it back."""


class Verdict(StrEnum):
    """What one reviewer says."""

    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person whose login was verified by the gateway itself."""

    issuer: str
    subject: str
    person: str
    groups: frozenset[str]
    name: str = ""
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Vote:
    """One reviewer's decision on one approval request."""

    reviewer: Reviewer
    verdict: Verdict
    comment: str
    at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is put before the reviewers. Built by the approval stage, immutable."""

    access: AccessRequest
    terms: tuple[RequireApproval, ...]
    intent: str
    """Digest of what the reviewer reads, `sha256:` and hexadecimal."""
    preview: JsonObject
    """What the reviewer reads, masked: canonical arguments and what is known of the target. Safe to store and show."""
    bundle: str
    """Hash of the policies that asked."""
    exchange: str
    """Id of the exchange that asked first."""
    session: str = ""
    """Protocol session id, for grants of scope `session`."""


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """An Ask with its life."""

    id: str
    ask: Ask
    state: ApprovalState
    created_at: float
    deadline: float
    """Unix seconds; unanswered by then means denied."""
    votes: tuple[Vote, ...] = ()
    waiters: int = 0
    """How many callers wait on the line right now."""
    resolution: str = ""
    """Why it ended: a reviewer's comment, `deadline`, or what policy says."""
    resolved_at: float | None = None
    grant: str = ""
    """Id of the grant that an approval made."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """How far one set of terms is from being met."""

    term: RequireApproval
    approved_by: frozenset[str] = field(default=frozenset())
    """Distinct persons."""

    @property
    def met(self) -> bool:
        """Whether enough distinct persons approved. A term that asks for fewer than one is never met."""
        return self.term.required >= 1 and len(self.approved_by) >= self.term.required


def may_review(reviewer: Reviewer, term: RequireApproval) -> bool:
    """Tell whether a reviewer is among those whom a term names."""
    names = {f"group:{g}" for g in reviewer.groups} | {f"person:{reviewer.person}"}
    return bool(names & term.reviewers)


def is_requester(reviewer: Reviewer, access: AccessRequest) -> bool:
    """Tell whether the reviewer is, owns, or stands behind the requesting principal.

    Where no person is known to stand behind the request this is True for everybody: nobody may approve it.
    """
    principal = access.principal
    if not principal.requesters or not reviewer.person:
        return True
    same_account = (reviewer.issuer, reviewer.subject) == (principal.issuer, principal.subject)
    return same_account or reviewer.person in principal.requesters


def quorums(request: ApprovalRequest) -> tuple[Quorum, ...]:
    """Count, for each set of terms, the distinct persons who approved."""
    return tuple(
        Quorum(
            term,
            frozenset(
                v.reviewer.person
                for v in request.votes
                if v.verdict is Verdict.APPROVE
                and may_review(v.reviewer, term)
                and not is_requester(v.reviewer, request.ask.access)
            ),
        )
        for term in request.ask.terms
    )


def is_cleared(request: ApprovalRequest) -> bool:
    """Tell whether every set of terms is met. No terms at all is never cleared."""
    counted = quorums(request)
    return bool(counted) and all(q.met for q in counted)
