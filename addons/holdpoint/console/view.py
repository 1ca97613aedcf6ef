"""What the pages show of one approval request, read from the gateway's JSON (`holdpoint.approvals.wire_form`).

Reading is lenient, because a page that shows what it can is better than none, and strict in one thing: without the
digest of what was read there is nothing to decide on.
"""

from dataclasses import dataclass

from holdpoint.console.paths import APPROVAL_ID
from holdpoint.console.reading import Row, actor_of, duration, items, line, number, pretty, rows, texts
from holdpoint.console.text import Cut, cut
from holdpoint.console.tried import TriedView, tried_view
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text

STATES = ("pending", "approved", "denied", "expired", "withdrawn")
MOST_PLACES = 9
"""Places of one clause that are drawn; more of them are counted."""
VERDICTS = {"approve": "approved", "deny": "denied", "break-glass": "broke the glass", "review": "reviewed it"}


@dataclass(frozen=True, slots=True)
class ClauseView:
    """Reviewers of whom some must say yes, and who did."""

    reviewers: tuple[str, ...]
    required: int
    filled_by: tuple[str, ...]
    """Persons."""

    @property
    def missing(self) -> int:
        """How many more it takes."""
        return max(0, self.required - len(self.filled_by))

    @property
    def open_places(self) -> int:
        """Empty places to draw."""
        return max(0, min(self.required, MOST_PLACES) - len(self.filled_by))


@dataclass(frozen=True, slots=True)
class TermView:
    """One rule's demand, and how far it is met."""

    rule: str
    where: str
    reason: str
    clauses: tuple[ClauseView, ...]
    opens: str
    """A sentence: what an approval lets pass."""
    silence: str
    """A sentence: what happens if nobody answers, where that is not a denial."""
    require_reason: bool
    require_preview: bool
    glass_for: tuple[str, ...]
    """Who may break the glass; empty: nobody."""
    glass_time: float
    """Seconds for which it then opens, at most."""

    @property
    def reviewers(self) -> tuple[str, ...]:
        """All who are named."""
        return tuple(dict.fromkeys(name for clause in self.clauses for name in clause.reviewers))

    @property
    def required(self) -> int:
        """How many persons it takes."""
        return sum(clause.required for clause in self.clauses)

    @property
    def missing(self) -> int:
        """How many more it takes."""
        return sum(clause.missing for clause in self.clauses)

    @property
    def approved(self) -> int:
        """How many of their places are filled."""
        return sum(min(clause.required, len(clause.filled_by)) for clause in self.clauses)


@dataclass(frozen=True, slots=True)
class VoteView:
    """One person's decision."""

    person: str
    name: str
    verdict: str
    comment: Cut
    at: float

    @property
    def word(self) -> str:
        """What they did."""
        return VERDICTS.get(self.verdict, "denied")


@dataclass(frozen=True, slots=True)
class RequestView:
    """One approval request."""

    id: str
    exchange: str
    """Id of the request that was held first; empty where it is none that can stand in an address."""
    state: str
    created_at: float
    deadline: float
    resolved_at: float
    name: str
    person: str
    kind: str
    principal_id: str
    groups: tuple[str, ...]
    owners: tuple[str, ...]
    """Persons who answer for a workload."""
    actor: str
    target: str
    action: str
    resource: str
    summary: str
    """What would be done, on one line; empty where action and resource say it."""
    opens: str
    """The gateway's sentence of what an approval lets pass; empty where each term says it for itself."""
    reason: Cut
    """Why, in the requester's own words."""
    terms: tuple[TermView, ...]
    reasons: tuple[str, ...]
    does: tuple[Row, ...]
    """What would be done beside the arguments: the command of an exec, for whom it acts."""
    arguments: tuple[Row, ...]
    known: tuple[Row, ...]
    unverified: tuple[Row, ...]
    tried: TriedView
    votes: tuple[VoteView, ...]
    waiters: int
    resolution: str
    grant: str
    glass: str
    """`broken` or `reviewed`; empty: whole."""
    intent: str
    preview: str
    """Digest of all that is read here."""
    needs_confirm: bool
    """Whether a reviewer confirms at their login, because two or more persons are asked."""
    blocked: str
    """Why nobody can approve it now."""
    bundle: str
    """Hash of the policies that asked."""
    whole: str
    """All of it as JSON, for those who want to read all of it."""

    @property
    def is_pending(self) -> bool:
        """Whether it can still be decided."""
        return self.state == "pending"

    @property
    def required(self) -> int:
        """How many approvals all the terms ask for together."""
        return sum(term.required for term in self.terms)

    @property
    def approved(self) -> int:
        """How many of them are there."""
        return sum(term.approved for term in self.terms)

    @property
    def wants_reason(self) -> bool:
        """Whether nobody can approve before the requester said why."""
        return any(term.require_reason for term in self.terms) and not self.reason.total

    @property
    def glass_time(self) -> float:
        """Seconds for which a broken glass opens, at most."""
        return min((term.glass_time for term in self.terms), default=0.0)

    def vote_of(self, person: str) -> VoteView | None:
        """Return the latest vote of a person."""
        return next((vote for vote in reversed(self.votes) if person and vote.person == person), None)

    def name_of(self, person: str) -> str:
        """Return what a person who voted is called."""
        vote = self.vote_of(person)
        return vote.name if vote and vote.name else person


def request_view(wire: JsonObject) -> RequestView:
    """Read one approval request."""
    principal = as_object(wire.get("principal"))
    preview = as_object(wire.get("preview"))
    arguments = preview.get("arguments", {})
    unverified = as_object(wire.get("unverified")) | as_object(preview.get("unverified"))
    shown = {"arguments", "unverified", "does", "summary"}
    rest = {name: value for name, value in preview.items() if name not in shown}
    terms = tuple(_term(as_object(term)) for term in items(wire.get("terms")))
    told = {term.reason for term in terms}
    said = {name: wire[name] for name in ("opens", "reason", "dry_run") if wire.get(name)}
    return RequestView(
        id=as_text(wire.get("id")),
        exchange=exchange if APPROVAL_ID.fullmatch(exchange := as_text(wire.get("exchange"))) else "",
        state=as_text(wire.get("state")) or "unknown",
        created_at=number(wire.get("created_at")),
        deadline=number(wire.get("deadline")),
        resolved_at=number(wire.get("resolved_at")),
        name=as_text(principal.get("name")),
        person=as_text(principal.get("person")),
        kind=as_text(principal.get("kind")),
        principal_id=as_text(principal.get("id")),
        groups=texts(principal.get("groups")),
        owners=texts(principal.get("owners")),
        actor=actor_of(principal.get("actor")),
        target=line(wire.get("target")),
        action=line(wire.get("action")),
        resource=line(wire.get("resource")),
        summary=as_text(wire.get("summary")),
        opens=as_text(wire.get("opens")),
        reason=cut(as_text(wire.get("reason"))),
        terms=terms,
        reasons=tuple(reason for reason in texts(wire.get("reasons")) if reason not in told),
        does=rows(as_object(preview.get("does"))),
        arguments=rows(arguments if isinstance(arguments, dict) else {"arguments": arguments}),
        known=rows(rest),
        unverified=rows(unverified),
        tried=tried_view(wire.get("dry_run")),
        votes=tuple(_vote(as_object(vote)) for vote in items(wire.get("votes"))),
        waiters=int(number(wire.get("waiters"))),
        resolution=as_text(wire.get("resolution")),
        grant=line(wire.get("grant")),
        glass=as_text(wire.get("glass")),
        intent=as_text(wire.get("intent")),
        preview=as_text(wire.get("preview_digest")),
        needs_confirm=wire.get("needs_confirm") is True,
        blocked=as_text(wire.get("blocked")),
        bundle=as_text(wire.get("bundle")),
        whole=pretty({**said, "preview": preview} if said else preview),
    )


def _term(term: JsonObject) -> TermView:
    rule = term.get("rule")
    ref = as_object(rule)
    named = "/".join(filter(None, (as_text(ref.get("policy")), as_text(ref.get("rule")))))
    glass = as_object(term.get("break_glass"))
    clauses = tuple(_clause(as_object(clause)) for clause in items(term.get("clauses")))
    return TermView(
        rule=as_text(rule) or named,
        where=as_text(ref.get("where")) or as_text(term.get("where")),
        reason=as_text(term.get("reason")),
        clauses=clauses or (_clause({**term, "filled_by": term.get("approved_by")}),),
        silence=_silence(term.get("auto_approve_after")),
        opens=_opens(as_text(term.get("scope")), number(term.get("duration"))),
        require_reason=term.get("require_reason") is True,
        require_preview=term.get("require_preview") is True,
        glass_for=texts(glass.get("who")),
        glass_time=number(glass.get("duration", glass.get("for"))),
    )


def _clause(clause: JsonObject) -> ClauseView:
    return ClauseView(
        texts(clause.get("reviewers")), int(number(clause.get("required"))), texts(clause.get("filled_by"))
    )


def _silence(seconds: JsonValue) -> str:
    return "" if seconds is None else f"approved if nobody denies it within {duration(number(seconds))}"


def _opens(scope: str, seconds: float) -> str:
    match scope:
        case "request":
            return "this request, once"
        case "window":
            return f"the same action on the same resource, as often as asked, for {duration(seconds)}"
        case "session":
            return f"the same action within this session, for {duration(seconds)}"
        case _:
            return f"scope {scope or 'unknown'}"


def _vote(vote: JsonObject) -> VoteView:
    return VoteView(
        person=as_text(vote.get("person")),
        name=as_text(vote.get("name")),
        verdict=as_text(vote.get("verdict")),
        comment=cut(as_text(vote.get("comment"))),
        at=number(vote.get("at")),
    )
