"""How somebody who is logged in stands to a request."""

from dataclasses import dataclass

from holdpoint.console.sessions import Session
from holdpoint.console.view import RequestView, VoteView


@dataclass(frozen=True, slots=True)
class Standing:
    """What the page can tell somebody before they try. Hints: the gateway decides."""

    is_requester: bool
    is_named: bool
    may_break: bool
    """Whether every rule lets them break the glass."""
    vote: VoteView | None


def standing(request: RequestView, session: Session) -> Standing:
    """Compare a login with a request by the claims of the login."""
    asked = bool(session.person) and session.person in {request.person, *request.owners}
    glass = bool(request.terms) and all(session.names & {*term.glass_for} for term in request.terms)
    return Standing(
        is_requester=asked,
        is_named=any(session.names.intersection(term.reviewers) for term in request.terms),
        may_break=asked and glass and request.is_pending,
        vote=request.vote_of(session.person),
    )
