"""Compare what different rules, or the same rule before and after a reload, ask of reviewers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from holdpoint.domain.approval import Ask
from holdpoint.domain.decision import BreakGlass, Clause, RequireApproval, Scope
from holdpoint.domain.matching import match_places
from holdpoint.store.protocol import Key

_WIDTH = {Scope.REQUEST: 0, Scope.SESSION: 1, Scope.WINDOW: 2}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a grant will carry."""

    scope: Scope
    duration: float
    """Seconds from the last approval; 0 for a single request."""
    stream_seconds: float = inf
    """Seconds from the last approval after which a stream that it opened ends; infinity: with the token."""
    widen: frozenset[str] = frozenset()
    """What it does not pin; empty for a single request."""


def key_of(ask: Ask) -> Key:
    """Return what makes a retry the same request. Another agent of the same person is another requester."""
    principal = ask.access.principal
    actor = principal.actor.id if principal.actor else ""
    return Key(principal.id, actor, ask.access.target, ask.intent)


def reach(terms: Sequence[RequireApproval], session: str) -> Reach:
    """Return the narrowest reach that any term allows.

    Without a session id, `session` means once; what is opened so is a stream perhaps, which ends in the same time.
    """
    each = [_reach_of(term) for term in terms]
    if not each:
        return Reach(Scope.REQUEST, 0.0)
    scope = min((r.scope for r in each), key=lambda s: _WIDTH[s])
    stream = min(r.stream_seconds for r in each)
    if scope is Scope.REQUEST or (scope is Scope.SESSION and not session):
        return Reach(Scope.REQUEST, 0.0, stream)
    # INVARIANT: a term of a single request widens nothing, and is not among these.
    open_to_all = frozenset(w for w in each[0].widen if all(w in r.widen for r in each))
    return Reach(scope, min(r.duration for r in each), stream, open_to_all)


def timeout(terms: Sequence[RequireApproval]) -> float:
    """Return the seconds until unanswered means denied: the shortest that any term allows."""
    return max(0.0, min((t.timeout for t in terms), default=0.0))


def is_as_strict(term: RequireApproval, other: RequireApproval, *, given: bool = False, glass: bool = True) -> bool:
    """Tell whether meeting `term` always means that `other` is met.

    With `given`, for approvals that were given already: the time to answer no longer counts. One that is for a single
    request is no stricter than one for a window: a stream that it opens outlives the window. Without `glass`, who may
    open it without reviewers does not count.
    """
    mine, theirs = _reach_of(term), _reach_of(other)
    return (
        _implies(term.clauses, other.clauses)
        and (given or term.timeout <= other.timeout)
        and _WIDTH[mine.scope] <= _WIDTH[theirs.scope]
        and mine.duration <= theirs.duration
        and mine.stream_seconds <= theirs.stream_seconds
        and mine.widen <= theirs.widen
        and _patience(term) >= _patience(other)
        and term.require_reason >= other.require_reason
        and term.require_preview >= other.require_preview
        and (not glass or _opens_no_more(term.break_glass, other.break_glass))
    )


def suffices(terms: Sequence[RequireApproval], wanted: Sequence[RequireApproval], *, glass: bool = True) -> bool:
    """Tell whether an approval given under `terms` is as good as one under `wanted`.

    `glass`: it was given by breaking the glass, or nobody knows. One by reviewers is none the worse where that is not
    allowed any more.
    """
    return all(any(is_as_strict(t, w, given=True, glass=glass) for t in terms) for w in wanted)


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
    return Reach(term.scope, term.duration, term.duration, term.widen)


def _implies(mine: Sequence[Clause], theirs: Sequence[Clause]) -> bool:
    """Tell whether whoever fills all places of `mine` fills all of `theirs`: each of these has one of those within."""
    if any(c.required < 1 for c in mine):
        return True  # never met
    if any(c.required < 1 for c in theirs):
        return False
    places = [c for c in mine for _ in range(c.required)]
    fits = {n: [i for i, c in enumerate(theirs) if p.reviewers <= c.reviewers] for n, p in enumerate(places)}
    filled = match_places(fits, [c.required for c in theirs])
    return all(len(by) == c.required for by, c in zip(filled, theirs, strict=True))


def _opens_no_more(mine: BreakGlass | None, theirs: BreakGlass | None) -> bool:
    if mine is None:
        return True
    return theirs is not None and mine.who <= theirs.who and mine.duration <= theirs.duration


def _patience(term: RequireApproval) -> float:
    return inf if term.auto_approve_after is None else term.auto_approve_after
