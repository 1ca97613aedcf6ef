"""What the lists show of an approval request, and in which order: what needs one's own decision comes first."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdpoint.console.reading import actor_of, items, line, number, texts
from holdpoint.console.sessions import Session
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text


@dataclass(frozen=True, slots=True)
class ItemView:
    """One line of a list."""

    id: str
    state: str
    created_at: float
    deadline: float
    resolved_at: float
    name: str
    person: str
    owners: tuple[str, ...]
    principal_id: str
    actor: str
    target: str
    action: str
    resource: str
    summary: str
    rules: tuple[str, ...]
    reviewers: frozenset[str]
    required: int
    approved: int
    voters: tuple[tuple[str, str], ...]
    """Person and name of each who voted, in order."""
    resolution: str
    glass: str
    blocked: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """What waits, by who has to do something about it; the most urgent first."""

    needs_me: tuple[ItemView, ...]
    mine: tuple[ItemView, ...]
    others: tuple[ItemView, ...]


def item_view(wire: JsonObject) -> ItemView:
    """Read one approval request as far as a list shows it."""
    principal = as_object(wire.get("principal"))
    clauses = [clause for term in items(wire.get("terms")) for clause in _clauses(as_object(term))]
    return ItemView(
        id=as_text(wire.get("id")),
        state=as_text(wire.get("state")) or "unknown",
        created_at=number(wire.get("created_at")),
        deadline=number(wire.get("deadline")),
        resolved_at=number(wire.get("resolved_at")),
        name=as_text(principal.get("name")),
        person=as_text(principal.get("person")),
        owners=texts(principal.get("owners")),
        principal_id=as_text(principal.get("id")),
        actor=actor_of(principal.get("actor")),
        target=line(wire.get("target")),
        action=line(wire.get("action")),
        resource=line(wire.get("resource")),
        summary=as_text(wire.get("summary")),
        rules=tuple(_rule(as_object(term).get("rule")) for term in items(wire.get("terms"))),
        reviewers=frozenset(name for clause in clauses for name in texts(clause.get("reviewers"))),
        required=sum(int(number(clause.get("required"))) for clause in clauses),
        approved=sum(min(int(number(c.get("required"))), len(texts(c.get("filled_by")))) for c in clauses),
        voters=tuple(_voter(as_object(vote)) for vote in items(wire.get("votes"))),
        resolution=as_text(wire.get("resolution")),
        glass=as_text(wire.get("glass")),
        blocked=as_text(wire.get("blocked")),
    )


def sort_out(found: Sequence[ItemView], session: Session, *, sees_all: bool) -> Sorted:
    """Say what somebody has to do about what waits. A hint: the gateway decides.

    Who does not see all sees what they may decide, also for somebody else by delegation, and what they asked.
    """
    needs_me: list[ItemView] = []
    mine: list[ItemView] = []
    others: list[ItemView] = []
    for item in sorted(found, key=lambda item: item.deadline):
        if session.person and session.person in {item.person, *item.owners}:
            mine.append(item)
        elif any(person == session.person for person, _ in item.voters):
            others.append(item)
        else:
            named = not sees_all or bool(session.names & item.reviewers)
            (needs_me if named else others).append(item)
    return Sorted(tuple(needs_me), tuple(mine), tuple(others))


def _clauses(term: JsonObject) -> list[JsonObject]:
    clauses = [as_object(clause) for clause in items(term.get("clauses"))]
    return clauses or [{**term, "filled_by": term.get("approved_by")}]


def _rule(rule: JsonValue) -> str:
    ref = as_object(rule)
    return as_text(rule) or "/".join(filter(None, (as_text(ref.get("policy")), as_text(ref.get("rule")))))


def _voter(vote: JsonObject) -> tuple[str, str]:
    return as_text(vote.get("person")), as_text(vote.get("name")) or as_text(vote.get("person"))
