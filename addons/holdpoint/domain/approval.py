"""A request that waits for a human, and the human's answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdpoint.domain.access import AccessRequest
from holdpoint.domain.canonical import digest
from holdpoint.domain.decision import RequireApproval
from holdpoint.domain.matching import match_places
from holdpoint.domain.values import JsonObject, JsonValue


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
    BREAK_GLASS = "break-glass"
    """The requester opens it without reviewers, where the rule lets him; it is reviewed afterwards."""
    REVIEW = "review"
    """What was opened so was looked at."""


class Glass(StrEnum):
    """Whether a request was opened by breaking the glass, and looked at since."""

    NONE = ""
    BROKEN = "broken"
    """Open, and to be reviewed: who broke it breaks no other until then."""
    REVIEWED = "reviewed"


class DryRunState(StrEnum):
    """What is known of what a request would change."""

    NONE = "none"
    """Nothing was tried: the target has no credential for it, or the protocol no such thing."""
    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a request would change, by trying it without storing anything."""

    state: DryRunState = DryRunState.NONE
    why: str = ""
    """Why there is none, or how it failed. For reviewers."""
    at: float = 0.0
    """Unix seconds."""
    shown: JsonObject = field(default_factory=dict[str, JsonValue])
    """What reviewers read: `diff`, `object`, `hangs_on_it`. Masked: safe to store and show."""
    digest: str = ""
    """Of all that voids an approval when it changes: uid, generation, and the difference made. Sealed."""
    live: JsonObject = field(default_factory=dict[str, JsonValue])
    """`uid`, `generation`, `resource_version` of the object as it was read; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What makes a vote evidence: who signed which words."""

    statement: JsonObject
    """What was signed: request, intent, preview, verdict, reviewer, time."""
    key: str = ""
    """Id of the key that signed it; empty where only the ID token vouches for it."""
    signature: str = ""
    """Ed25519 over the canonical form of the statement, base64url without padding."""
    id_token: str = ""
    """A token of the reviewer's issuer whose `nonce` is the statement's digest. As a login it is refused."""
    issuer_key: JsonObject = field(default_factory=dict[str, JsonValue])
    """The issuer's public key (JWK) that the token was verified with."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person whose login was verified by the gateway itself."""

    issuer: str
    subject: str
    person: str
    groups: frozenset[str]
    name: str = ""
    roles: frozenset[str] = frozenset()
    """`auditor`, `admin`."""
    acting_for: frozenset[str] = frozenset()
    """`group:NAME` or `person:NAME` that a delegation in force lends to this person."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One reviewer's decision on one approval request."""

    reviewer: Reviewer
    verdict: Verdict
    comment: str
    at: float
    """Unix seconds."""
    proof: Proof | None = None
    preview: str = ""
    """Digest of all that the reviewer read; empty in votes of earlier versions."""


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
    window: str = ""
    """Digest of what a window pins, `sha256:` and hexadecimal; empty where the terms give none."""
    opens: str = ""
    """The sentence that says what an approval lets pass. Masked."""
    reason: str = ""
    """Why, in the caller's own words: for display, never for a decision."""


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
    dry_run: DryRun = DryRun()
    reason: str = ""
    """Why, as the requester said: with the request, or afterwards. Text, never markup."""
    glass: Glass = Glass.NONE
    version: int = 0
    """Grows with every change that was stored."""
    abridged: str = ""
    """In a list, where what is large of the preview is left out: digest of the whole."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """How far one set of terms is from being met."""

    term: RequireApproval
    approved_by: frozenset[str] = field(default=frozenset())
    """Distinct persons who approved and may, whether or not a place was left for them."""
    filled_by: tuple[frozenset[str], ...] = ()
    """For each clause of the term, in order: who fills a place of it. A person fills one place in all."""

    @property
    def missing(self) -> tuple[int, ...]:
        """For each clause of the term, in order: how many persons are missing."""
        filled = self.filled_by or (frozenset[str](),) * len(self.term.clauses)
        return tuple(max(0, c.required - len(by)) for c, by in zip(self.term.clauses, filled, strict=True))

    @property
    def met(self) -> bool:
        """Whether every clause is. A clause that asks for fewer than one person is never met."""
        return all(c.required >= 1 for c in self.term.clauses) and not any(self.missing)


def may_review(reviewer: Reviewer, term: RequireApproval, requesters: frozenset[str] = frozenset()) -> bool:
    """Tell whether a reviewer is among those whom a term names, for a request of these persons."""
    names = reviewer_names(reviewer, requesters)
    return any(names & clause.reviewers for clause in term.clauses)


def reviewer_names(reviewer: Reviewer, requesters: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return every name under which a rule may have meant this person: groups, the person, whom they stand in for.

    Nobody stands in for one of the requesters: that would be the requester's own yes.
    """
    own = {f"group:{g}" for g in reviewer.groups}
    if reviewer.person:
        own.add(f"person:{reviewer.person}")
    return (reviewer.acting_for - {f"person:{r}" for r in requesters}) | own


def preview_digest(request: ApprovalRequest) -> str:
    """Return the digest of all that a reviewer read: what was asked, and what it would change."""
    if request.abridged:
        return request.abridged
    dry_run = request.dry_run
    tried: JsonObject = {"state": dry_run.state.value, "why": dry_run.why, "shown": dry_run.shown}
    read: JsonObject = {"preview": request.ask.preview, "opens": request.ask.opens, "dry_run": tried}
    return digest({**read, "reason": request.reason})


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
    """Count, for each set of terms, the distinct persons who approved, and which places they fill."""
    access = request.ask.access
    requesters = access.principal.requesters
    names: dict[str, frozenset[str]] = {}
    for vote in request.votes:
        if vote.verdict is Verdict.APPROVE and not is_requester(vote.reviewer, access):
            person = vote.reviewer.person
            names[person] = names.get(person, frozenset()) | reviewer_names(vote.reviewer, requesters)
    return tuple(_quorum(term, names) for term in request.ask.terms)


def is_cleared(request: ApprovalRequest) -> bool:
    """Tell whether every set of terms is met. No terms at all is never cleared."""
    counted = quorums(request)
    return bool(counted) and all(q.met for q in counted)


def _quorum(term: RequireApproval, names: Mapping[str, frozenset[str]]) -> Quorum:
    fits = {p: [i for i, c in enumerate(term.clauses) if mine & c.reviewers] for p, mine in names.items()}
    fitting = {person: places for person, places in fits.items() if places}
    filled = match_places(fitting, [c.required for c in term.clauses])
    return Quorum(term, frozenset(fitting), tuple(map(frozenset, filled)))
