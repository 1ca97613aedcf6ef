"""Who may say what about a request, and which votes count. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from holdpoint.domain.approval import (
    ApprovalRequest,
    DryRunState,
    Glass,
    Reviewer,
    Verdict,
    Vote,
    is_requester,
    may_review,
    preview_digest,
)
from holdpoint.domain.decision import RequireApproval

MAX_REASON = 500
"""Characters of what a requester says."""
MIN_GLASS_REASON = 10
"""Characters that whoever breaks the glass has to write, at least."""


def needs_confirm(request: ApprovalRequest) -> bool:
    """Tell whether two or more persons must say yes, so that each has to prove it by a login of its own."""
    terms = request.ask.terms
    return len(terms) > 1 or any(t.persons > 1 for t in terms)


def blocked(request: ApprovalRequest) -> str:
    """Say why nobody can approve a request now, or return an empty string. It can be denied all the same."""
    terms = request.ask.terms
    if not request.ask.access.principal.requesters:
        return "no person is known to stand behind the requester, so nobody may decide"
    if not request.reason and any(t.require_reason for t in terms):
        return "the requester has to say why first"
    state = request.dry_run.state
    if state is DryRunState.READY or not any(t.require_preview for t in terms):
        return ""
    if state is DryRunState.PENDING:
        return "what it would change is not known yet"
    why = f": {request.dry_run.why}" if request.dry_run.why else ""
    return f"what it would change could not be tried{why}"


def counting(request: ApprovalRequest, *, confirm: bool) -> ApprovalRequest:
    """Return a request with those votes alone that count.

    A yes counts for what was read: where the preview has changed since, it has to be given again. With `confirm`, where
    two persons are needed, so does one that no login of its own vouches for.
    """
    read = preview_digest(request) if any(v.preview for v in request.votes) else ""
    strict = confirm and needs_confirm(request)

    def counts(vote: Vote) -> bool:
        if vote.verdict is not Verdict.APPROVE:
            return True
        return (not vote.preview or vote.preview == read) and (not strict or is_confirmed(vote))

    votes = tuple(v for v in request.votes if counts(v))
    return request if votes == request.votes else replace(request, votes=votes)


def is_confirmed(vote: Vote) -> bool:
    """Tell whether an ID token whose nonce is the decision's digest came with a vote. It was verified before."""
    return vote.proof is not None and bool(vote.proof.id_token)


def objection(request: ApprovalRequest, vote: Vote, *, confirm: bool = False) -> str:
    """Say why this reviewer may not decide this request so, or return an empty string."""
    if reason := stranger(request, vote.reviewer):
        return reason
    if vote.verdict is Verdict.DENY:
        return ""
    if vote.verdict is not Verdict.APPROVE:
        return "a reviewer approves or denies"
    if reason := blocked(request):
        return reason
    if confirm and needs_confirm(request) and not is_confirmed(vote):
        return "two persons have to approve this, each by a login for this very decision"
    return ""


def stranger(request: ApprovalRequest, reviewer: Reviewer) -> str:
    """Say why somebody is no reviewer of this request, or return an empty string."""
    access = request.ask.access
    if not access.principal.requesters:
        return "no person is known to stand behind the requester, so nobody may decide"
    if not reviewer.person:
        return "your login does not name a person"
    if is_requester(reviewer, access):
        return "you made this request, or answer for the one who made it"
    asked = for_request(reviewer, request)
    if not any(may_review(asked, term) for term in request.ask.terms):
        rules = ", ".join(f"`{t.rule}`" for t in request.ask.terms)
        return f"you are not among the reviewers of {rules}"
    return ""


def for_request(reviewer: Reviewer, request: ApprovalRequest) -> Reviewer:
    """Return the reviewer as far as he counts here: nobody stands in for one who asks."""
    requesters = request.ask.access.principal.requesters
    lent = reviewer.acting_for - {f"person:{person}" for person in requesters}
    return reviewer if lent == reviewer.acting_for else replace(reviewer, acting_for=lent)


def no_requester(request: ApprovalRequest, reviewer: Reviewer) -> str:
    """Say why somebody is none of those who ask, or return an empty string. Where nobody is known, nobody is."""
    if reviewer.person and reviewer.person in request.ask.access.principal.requesters:
        return ""
    return "you did not make this request, nor answer for the one who made it"


def glass_objection(request: ApprovalRequest, reviewer: Reviewer, reason: str) -> str:
    """Say why this person may not break the glass, or return an empty string. One who stands in for another may not."""
    if why := no_requester(request, reviewer):
        return why
    own = {f"group:{g}" for g in reviewer.groups} | {f"person:{reviewer.person}"}
    if not request.ask.terms:
        return "no rule says that anybody may"
    for term in request.ask.terms:
        if term.break_glass is None or term.break_glass.duration <= 0:
            return f"`{term.rule}` lets nobody break the glass"
        if not own & term.break_glass.who:
            return f"`{term.rule}` does not let you break the glass"
    if len(reason.strip()) < MIN_GLASS_REASON:
        return f"say why, in at least {MIN_GLASS_REASON} characters"
    return ""


def still_opens(request: ApprovalRequest, wanted: Sequence[RequireApproval]) -> bool:
    """Tell whether what was opened by breaking the glass may be open under the terms in force now."""
    if request.glass is Glass.NONE:
        return True
    breakers = [v.reviewer for v in request.votes if v.verdict is Verdict.BREAK_GLASS]
    own = {f"group:{g}" for b in breakers for g in b.groups} | {f"person:{b.person}" for b in breakers}
    return all(t.break_glass is not None and own & t.break_glass.who for t in wanted)


def said(what: str, vote: Vote) -> str:
    """Say who decided, and with which comment."""
    who = vote.reviewer.name or vote.reviewer.person
    return f"{what} by {who}: {vote.comment}" if vote.comment else f"{what} by {who}"
