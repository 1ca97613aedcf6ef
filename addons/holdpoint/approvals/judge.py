"""Judge approvals again, from the audit log alone: what is proved, what the log only claims, and what is wrong. Pure.

The quorum is counted anew from what was asked, by the votes whose proofs hold. What the log says of itself is a claim,
however well its chain holds together: who has the audit key could have written it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from holdpoint.approvals.checks import needs_confirm
from holdpoint.approvals.evidence import FRESH, BadEvidence, Pinned, check_signature, proof_from
from holdpoint.approvals.recorded import NotRecorded, read_ask, read_reviewer
from holdpoint.domain.approval import (
    ApprovalRequest,
    ApprovalState,
    Ask,
    Proof,
    Quorum,
    Reviewer,
    Verdict,
    Vote,
    is_requester,
    quorums,
)
from holdpoint.domain.audit import AuditStage
from holdpoint.domain.decision import RequireApproval, Scope
from holdpoint.domain.statement import BadStatement, Statement, parse
from holdpoint.domain.values import JsonObject, as_object, as_text

_SENT = AuditStage.FORWARDED.value
_ENDED = frozenset({"approved", "denied", "expired", "withdrawn"})


class Weight(StrEnum):
    """What a finding is worth."""

    PROVED = "proved"
    CLAIMED = "claimed"
    """Only the log says so."""
    BAD = "BAD"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    weight: Weight
    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of one approval request."""

    id: str
    state: str
    """`pending` where the log does not say how it ended."""
    what: str
    findings: tuple[Finding, ...]

    @property
    def weight(self) -> Weight:
        """The worst of its findings. Without any, nothing is proved."""
        worst = {f.weight for f in self.findings} or {Weight.CLAIMED}
        return next(w for w in (Weight.BAD, Weight.CLAIMED, Weight.PROVED) if w in worst)


type TokenCheck = Callable[[Proof, Statement, Reviewer, float], Finding]
"""Judges a confirming token: the proof, the words, whose vote it is, and when that was given (Unix seconds)."""


@dataclass(slots=True)
class History:
    """What the log says of one approval request, oldest first."""

    id: str
    events: list[JsonObject] = field(default_factory=list[JsonObject])

    def details(self) -> list[JsonObject]:
        """Return what each event adds."""
        return [as_object(e.get("detail")) for e in self.events]


def histories(events: Iterable[JsonObject]) -> dict[str, History]:
    """Sort the events of a log by the approval request that they are about, in order of their first."""
    found: dict[str, History] = {}
    for event in events:
        name = as_text(as_object(event.get("detail")).get("approval"))
        if name:
            found.setdefault(name, History(name)).events.append(event)
    return found


def judge(history: History, pinned: Pinned, check_token: TokenCheck) -> Judged:
    """Judge one approval request. `pinned`: keys of the console whose signatures count."""
    work = _Work(history, pinned, check_token)
    work.run()
    first = history.events[0] if history.events else {}
    what = " ".join(filter(None, (as_text(first.get(k)) for k in ("action", "resource"))))
    return Judged(history.id, work.state, what, tuple(work.findings))


class _Work:
    def __init__(self, history: History, pinned: Pinned, check_token: TokenCheck) -> None:
        self.history = history
        self.details = history.details()
        self.findings: list[Finding] = []
        ends = [d for d in self.details if d.get("what") != "grant_ended" and as_text(d.get("state")) in _ENDED]
        self.end: JsonObject = ends[0] if ends else {}
        self.state = as_text(self.end.get("state")) or "pending"
        self._pinned = pinned
        self._check_token = check_token
        self._seen: set[str] = set()

    def add(self, weight: Weight, text: str) -> None:
        self.findings.append(Finding(weight, text))

    def run(self) -> None:
        self._intents()
        asked = self._asked()
        votes = [v for d in self.details if (v := self._vote(d, asked)) is not None]
        sent = [e for e in self.history.events if e.get("stage") == _SENT]
        if sent and self.state != "approved":
            if any("what" in d or "terms" in d for d in self.details):
                self.add(Weight.BAD, f"it was sent, and the log has no approval: it is {self.state}")
            else:
                self.add(Weight.CLAIMED, "it was sent; its approval is in an older part of the log")
        if self.state == "approved":
            self._quorum(asked, votes)
            if sent and asked is not None and all(t.scope is not Scope.REQUEST for t in asked.terms):
                many = f"{len(sent)} requests were sent under what it opens"
                self.add(Weight.CLAIMED, f"{many}: that each was within it is the word of the log")

    def _intents(self) -> None:
        named = [i for d in self.details if (i := as_text(d.get("intent")))]
        if len(set(named)) > 1:
            self.add(Weight.BAD, f"{len(set(named))} different intents stand under one approval")
        elif named:
            self.add(Weight.PROVED, f"one intent in {len(named)} events: {named[0]}")

    def _asked(self) -> Ask | None:
        """Return what was asked last before the end, or None where the log does not say."""
        found: JsonObject = {}
        for detail in self.details:
            if "terms" in detail:
                found = detail
            if detail is self.end:
                break
        if not found:
            self.add(Weight.CLAIMED, "the log does not say what was asked of whom")
            return None
        try:
            return read_ask(found)
        except NotRecorded as error:
            self.add(Weight.BAD, f"what was asked cannot be read: {error}")
            return None

    # -- one vote

    def _vote(self, detail: JsonObject, asked: Ask | None) -> tuple[Vote, Weight] | None:
        """Return a vote and how well it is proved; None where there is none, or where it does not count."""
        said = as_object(detail.get("vote"))
        if not said:
            return None
        reviewer = read_reviewer(said)
        name = reviewer.person or reviewer.subject
        try:
            verdict = Verdict(as_text(said.get("verdict")))
        except ValueError:
            self.add(Weight.BAD, f"{name}: a verdict that is not known here")
            return None
        at = said.get("at")
        when = float(at) if isinstance(at, int | float) else 0.0
        proof = proof_from(detail.get("proof"))
        vote = Vote(reviewer, verdict, as_text(said.get("comment")), when, proof)
        if verdict is Verdict.APPROVE and asked is not None and is_requester(reviewer, asked.access):
            self.add(Weight.BAD, f"{name} asked for it, and approved it")
            return None
        if proof is None:
            claim = Finding(Weight.CLAIMED, f"{name}: {verdict.value}, by the word of the log alone")
            if claim not in self.findings:  # the end of a request repeats the vote that ended it
                self.findings.append(claim)
            return vote, Weight.CLAIMED
        weight = self._proved(vote, proof, detail, name)
        return None if weight is Weight.BAD else (vote, weight)

    def _proved(self, vote: Vote, proof: Proof, detail: JsonObject, name: str) -> Weight:
        try:
            statement = self._statement(vote, proof, detail)
        except BadEvidence as error:
            self.add(Weight.BAD, f"{name}: {error}")
            return Weight.BAD
        weights: list[Weight] = []
        if proof.signature:
            weights.append(self._signed(statement, proof, name))
        if proof.id_token:
            found = self._check_token(proof, statement, vote.reviewer, vote.at)
            self.add(found.weight, f"{name}: {found.text}")
            weights.append(found.weight)
        if not weights:
            self.add(Weight.CLAIMED, f"{name}: the statement is neither signed nor confirmed")
            return Weight.CLAIMED
        if Weight.BAD in weights:
            return Weight.BAD
        return Weight.PROVED if Weight.PROVED in weights else Weight.CLAIMED

    def _statement(self, vote: Vote, proof: Proof, detail: JsonObject) -> Statement:
        """Return the words, where they are those of this vote. Raises BadEvidence."""
        try:
            said = parse(proof.statement)
            age = vote.at - said.said_at
        except BadStatement as error:
            raise BadEvidence(f"the statement cannot be read: {error}") from error
        vote_of: dict[str, str] = {
            "request": self.history.id,
            "intent": as_text(detail.get("intent")),
            "verdict": vote.verdict.value,
            "comment": vote.comment,
            "issuer": vote.reviewer.issuer,
            "subject": vote.reviewer.subject,
            "gateway": "",
        }
        if vote.verdict is Verdict.APPROVE:
            vote_of["preview"] = as_text(detail.get("preview"))
        for name, value in vote_of.items():
            if getattr(said, name) != value:
                raise BadEvidence(f"the statement has another {name} than the vote")
        if abs(age) > FRESH:
            raise BadEvidence(f"the statement is {age:.0f} s older than the vote")
        if said.digest in self._seen:
            raise BadEvidence("the same statement was counted before")
        self._seen.add(said.digest)
        return said

    def _signed(self, statement: Statement, proof: Proof, name: str) -> Weight:
        try:
            check_signature(statement, key=proof.key, signature=proof.signature, pinned=self._pinned)
        except BadEvidence as error:
            self.add(Weight.BAD, f"{name}: {error}")
            return Weight.BAD
        self.add(Weight.PROVED, f"{name}: {statement.verdict}, signed by the console's key `{proof.key}`")
        return Weight.PROVED

    # -- all of them

    def _quorum(self, asked: Ask | None, votes: Sequence[tuple[Vote, Weight]]) -> None:
        if asked is None:
            return
        read = as_text(self.end.get("preview"))
        request = ApprovalRequest(self.history.id, asked, ApprovalState.APPROVED, 0.0, 0.0)
        strict = needs_confirm(request)
        counting = [(v, w) for v, w in votes if v.verdict is Verdict.APPROVE and _counts(v, read, strict=strict)]
        counted = quorums(replace(request, votes=tuple(v for v, _ in counting)))
        unmet = [q for q in counted if not q.met]
        if not unmet:
            weight = Weight.PROVED if all(w is Weight.PROVED for _, w in counting) else Weight.CLAIMED
            persons = ", ".join(sorted({v.reviewer.person for v, _ in counting}))
            self.add(weight, f"the quorum that the log says was asked for is met, counted anew: {persons}")
            return
        if broken := [v for v, _ in votes if v.verdict is Verdict.BREAK_GLASS]:
            self._glass(asked, broken[0])
            return
        for quorum in unmet:
            self._unmet(quorum)

    def _glass(self, asked: Ask, vote: Vote) -> None:
        who = vote.reviewer
        names = {f"group:{g}" for g in who.groups} | {f"person:{who.person}"}
        if who.person not in asked.access.principal.requesters:
            self.add(Weight.BAD, f"{who.person} broke the glass for a request that was not his")
        elif not all(t.break_glass is not None and names & t.break_glass.who for t in asked.terms):
            self.add(Weight.BAD, f"{who.person} broke the glass, which the rules do not let him")
        else:
            self.add(Weight.CLAIMED, f"{who.person} broke the glass: nobody else approved it")

    def _unmet(self, quorum: Quorum) -> None:
        term = quorum.term
        held = next((e.get("at") for e in self.history.events if "terms" in as_object(e.get("detail"))), None)
        ended = next((e.get("at") for e in self.history.events if e.get("detail") is self.end), None)
        silence = term.auto_approve_after
        if silence is not None and isinstance(held, int | float) and isinstance(ended, int | float):
            if ended - held >= silence:
                self.add(Weight.CLAIMED, f"{term.rule}: nobody objected for {silence:.0f} s, which the rule allows")
                return
            self.add(Weight.BAD, f"{term.rule}: approved by silence after {ended - held:.0f} s of {silence:.0f} s")
            return
        found = ", ".join(sorted(quorum.approved_by)) or "nobody"
        self.add(Weight.BAD, f"{term.rule}: {_wanted(term)}, and what holds is of {found}")


def _counts(vote: Vote, read: str, *, strict: bool) -> bool:
    """Tell whether a yes counts at the end: for what was read by then, and confirmed where two are asked for."""
    proof = vote.proof
    if proof is not None and read and as_text(proof.statement.get("preview")) != read:
        return False
    return not strict or (proof is not None and bool(proof.id_token))


def _wanted(term: RequireApproval) -> str:
    sets = " and ".join(f"{c.required} of {', '.join(sorted(c.reviewers)) or 'nobody'}" for c in term.clauses)
    return f"it asks for {sets}" + ("" if term.scope is Scope.REQUEST else f" ({term.scope.value})")
