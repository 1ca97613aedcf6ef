"""Compare what different rules, or the same rule before and after a reload, ask of reviewers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from holdpoint.domain.approval import Ask
from holdpoint.domain.decision import RequireApproval, Scope
from holdpoint.store.protocol import Key

_WIDTH = {Scope.REQUEST: 0, Scope.SESSION: 1, Scope.WINDOW: 2}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a grant will carry."""

    scope: Scope
    duration: float
    """Seconds from the last approval; 0 for a single request."""


def key_of(ask: Ask) -> Key:
    """Return what makes a retry the same request. Another agent of the same person is another requester."""
    principal = ask.access.principal
    actor = principal.actor.id if principal.actor else ""
    return Key(principal.id, actor, ask.access.target, ask.intent)


def reach(terms: Sequence[RequireApproval], session: str) -> Reach:
    """Return the narrowest reach that any term allows. Without a session id, `session` means once."""
    widest = Reach(Scope.WINDOW, inf)
    for term in terms:
        mine = _reach_of(term)
        narrower = min((widest, mine), key=lambda r: _WIDTH[r.scope])
        widest = Reach(narrower.scope, min(widest.duration, mine.duration))
    if not terms or widest.scope is Scope.REQUEST or (widest.scope is Scope.SESSION and not session):
        return Reach(Scope.REQUEST, 0.0)
    return widest


def timeout(terms: Sequence[RequireApproval]) -> float:
    """Return the seconds until unanswered means denied: the shortest that any term allows."""
    return max(0.0, min((t.timeout for t in terms), default=0.0))


def is_as_strict(term: RequireApproval, other: RequireApproval, *, given: bool = False) -> bool:
    """Tell whether meeting `term` always means that `other` is met.

    With `given`, for approvals that were given already: the time to answer no longer counts.
    """
    mine, theirs = _reach_of(term), _reach_of(other)
    return (
        _required(term) >= _required(other)
        and term.reviewers <= other.reviewers
        and (given or term.timeout <= other.timeout)
        and _WIDTH[mine.scope] <= _WIDTH[theirs.scope]
        and mine.duration <= theirs.duration
        and _patience(term) >= _patience(other)
    )


def suffices(terms: Sequence[RequireApproval], wanted: Sequence[RequireApproval]) -> bool:
    """Tell whether an approval given under `terms` is as good as one under `wanted`."""
    return all(any(is_as_strict(t, w, given=True) for t in terms) for w in wanted)


def tightened(old: tuple[RequireApproval, ...], new: Sequence[RequireApproval]) -> tuple[RequireApproval, ...]:
    """Return terms that mean both `old` and `new`, without those that others imply. Never looser than `old`.

    Terms that cannot be compared (other reviewers, say) are both kept: a reload never makes a pending request easier.
    """
    extra = [n for n in new if not any(is_as_strict(o, n) for o in old)]
    if not extra:
        return old
    kept = [o for o in old if not any(is_as_strict(e, o) for e in extra)]
    return (*kept, *extra)


def merged(held: Ask, ask: Ask) -> Ask:
    """Return `held` with what the same request asked again makes stricter: terms, and who counts as requester."""
    terms = tightened(held.terms, ask.terms)
    principal = held.access.principal
    persons = ask.access.principal.requesters - principal.requesters
    if terms == held.terms and not persons:
        return held
    access = replace(held.access, principal=replace(principal, owners=principal.owners | persons)) if persons else None
    return replace(held, terms=terms, access=access or held.access)


def _reach_of(term: RequireApproval) -> Reach:
    if term.scope is Scope.REQUEST or term.duration <= 0:
        return Reach(Scope.REQUEST, 0.0)
    return Reach(term.scope, term.duration)


def _required(term: RequireApproval) -> float:
    return term.required if term.required >= 1 else inf


def _patience(term: RequireApproval) -> float:
    return inf if term.auto_approve_after is None else term.auto_approve_after
