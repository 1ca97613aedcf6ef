"""What the pages show of an approval request, read from the gateway's JSON (`holdpoint.approvals.wire_form`).

Reading is lenient, because a page that shows what it can is better than none, and strict in one thing: without the
digest of what was read there is nothing to decide on.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from holdpoint.console.sessions import Session
from holdpoint.console.text import Cut, cut
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text

STATES = ("pending", "approved", "denied", "expired", "withdrawn")
MINUTE, HOUR, DAY = 60, 3_600, 86_400
_KINDS: dict[type, str] = {str: "text", bool: "true or false", int: "number", float: "number", list: "list"}


@dataclass(frozen=True, slots=True)
class Row:
    """One named value, as text."""

    name: str
    kind: str
    """What JSON calls it: a reviewer must be able to tell the number 3 from the text "3"."""
    value: Cut


@dataclass(frozen=True, slots=True)
class TermView:
    """One rule's demand, and how far it is met."""

    rule: str
    where: str
    reason: str
    reviewers: tuple[str, ...]
    required: int
    approved_by: tuple[str, ...]
    opens: str
    """A sentence: what an approval lets pass."""
    silence: str
    """A sentence: what happens if nobody answers, where that is not a denial."""


@dataclass(frozen=True, slots=True)
class VoteView:
    """One reviewer's decision."""

    person: str
    name: str
    verdict: str
    comment: Cut
    at: float


@dataclass(frozen=True, slots=True)
class RequestView:
    """One approval request."""

    id: str
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
    terms: tuple[TermView, ...]
    reasons: tuple[str, ...]
    does: tuple[Row, ...]
    """What would be done beside the arguments: the command of an exec, for whom it acts."""
    arguments: tuple[Row, ...]
    known: tuple[Row, ...]
    unverified: tuple[Row, ...]
    votes: tuple[VoteView, ...]
    waiters: int
    resolution: str
    grant: str
    intent: str
    bundle: str
    """Hash of the policies that asked."""
    whole: str
    """The preview as JSON, for those who want to read all of it."""

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
        return sum(min(term.required, len(term.approved_by)) for term in self.terms)

    def vote_of(self, person: str) -> VoteView | None:
        """Return the latest vote of a person."""
        return next((vote for vote in reversed(self.votes) if person and vote.person == person), None)


def request_view(wire: JsonObject) -> RequestView:
    """Read one approval request."""
    principal = as_object(wire.get("principal"))
    preview = as_object(wire.get("preview"))
    arguments = preview.get("arguments", {})
    unverified = as_object(wire.get("unverified")) | as_object(preview.get("unverified"))
    shown = {"arguments", "unverified", "does", "summary"}
    rest = {name: value for name, value in preview.items() if name not in shown}
    terms = tuple(_term(as_object(term)) for term in _items(wire.get("terms")))
    told = {term.reason for term in terms}
    return RequestView(
        id=as_text(wire.get("id")),
        state=as_text(wire.get("state")) or "unknown",
        created_at=_number(wire.get("created_at")),
        deadline=_number(wire.get("deadline")),
        resolved_at=_number(wire.get("resolved_at")),
        name=as_text(principal.get("name")),
        person=as_text(principal.get("person")),
        kind=as_text(principal.get("kind")),
        principal_id=as_text(principal.get("id")),
        groups=_texts(principal.get("groups")),
        owners=_texts(principal.get("owners")),
        actor=_actor(principal.get("actor")),
        target=_line(wire.get("target")),
        action=_line(wire.get("action")),
        resource=_line(wire.get("resource")),
        summary=as_text(wire.get("summary")),
        terms=terms,
        reasons=tuple(reason for reason in _texts(wire.get("reasons")) if reason not in told),
        does=_rows(as_object(preview.get("does"))),
        arguments=_rows(arguments if isinstance(arguments, dict) else {"arguments": arguments}),
        known=_rows(rest),
        unverified=_rows(unverified),
        votes=tuple(_vote(as_object(vote)) for vote in _items(wire.get("votes"))),
        waiters=int(_number(wire.get("waiters"))),
        resolution=as_text(wire.get("resolution")),
        grant=_line(wire.get("grant")),
        intent=as_text(wire.get("intent")),
        bundle=as_text(wire.get("bundle")),
        whole=_pretty(preview),
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """What the page can tell a reviewer before they try. Hints: the gateway decides."""

    is_requester: bool
    is_named: bool
    vote: VoteView | None


def standing(request: RequestView, session: Session) -> Standing:
    """Compare a login with a request by the claims of the login."""
    names = {f"person:{session.person}"} | {f"group:{group}" for group in session.groups}
    return Standing(
        is_requester=bool(session.person) and session.person in {request.person, *request.owners},
        is_named=any(names.intersection(term.reviewers) for term in request.terms),
        vote=request.vote_of(session.person),
    )


def duration(seconds: float) -> str:
    """Say a duration in its two largest units: `2 h 5 min`."""
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return _pair(whole // MINUTE, "min", whole % MINUTE, "s")
    if whole < DAY:
        return _pair(whole // HOUR, "h", whole % HOUR // MINUTE, "min")
    return _pair(whole // DAY, "d", whole % DAY // HOUR, "h")


def _pair(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large} {unit}" + (f" {small} {small_unit}" if small else "")


def _term(term: JsonObject) -> TermView:
    rule = term.get("rule")
    ref = as_object(rule)
    named = "/".join(filter(None, (as_text(ref.get("policy")), as_text(ref.get("rule")))))
    return TermView(
        rule=as_text(rule) or named,
        where=as_text(ref.get("where")) or as_text(term.get("where")),
        reason=as_text(term.get("reason")),
        reviewers=_texts(term.get("reviewers")),
        required=int(_number(term.get("required"))),
        approved_by=_texts(term.get("approved_by")),
        silence=_silence(term.get("auto_approve_after")),
        opens=_opens(as_text(term.get("scope")), _number(term.get("duration"))),
    )


def _silence(seconds: JsonValue) -> str:
    return "" if seconds is None else f"approved if nobody denies it within {duration(_number(seconds))}"


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
        at=_number(vote.get("at")),
    )


def _actor(actor: JsonValue) -> str:
    if isinstance(actor, dict):
        return " via ".join((as_text(actor.get("subject")) or "unknown", *_texts(actor.get("chain"))))
    return as_text(actor)


def _rows(values: JsonObject) -> tuple[Row, ...]:
    return tuple(Row(name, _kind(value), cut(_text(value))) for name, value in values.items())


def _kind(value: JsonValue) -> str:
    return "null" if value is None else _KINDS.get(type(value), "object")


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else _pretty(value)


def _line(value: JsonValue) -> str:
    """Return a name on one line, where it may come as text or as an object that has one."""
    if isinstance(value, dict):
        found = (as_text(value.get(key)) for key in ("text", "verb", "display", "name", "id"))
        return next(filter(None, found), json.dumps(value, ensure_ascii=False))
    return as_text(value)


def _pretty(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _items(value: JsonValue) -> Iterable[JsonValue]:
    return value if isinstance(value, list) else ()


def _texts(value: JsonValue) -> tuple[str, ...]:
    return tuple(text for item in _items(value) if (text := as_text(item)))


def _number(value: JsonValue) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
