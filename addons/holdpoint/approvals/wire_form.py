"""An approval request as JSON, for the admin socket, the console and the command line.

Holds what reviewers may read: the masked preview, never the arguments, claims or session ids.
"""

from collections.abc import Callable
from dataclasses import replace

from holdpoint.approvals.checks import blocked, counting, needs_confirm
from holdpoint.domain.access import Actor, Principal, describe_resource
from holdpoint.domain.approval import (
    ApprovalRequest,
    ApprovalState,
    DryRun,
    Quorum,
    Reviewer,
    Vote,
    preview_digest,
    quorums,
)
from holdpoint.domain.values import JsonObject, JsonValue, as_text


def to_json(
    request: ApprovalRequest, *, confirm: bool = False, silenced: Callable[[Reviewer], object] = lambda _: None
) -> JsonObject:
    """Return `id`, `state`, times (Unix seconds), who, what, the terms and how far each is met, preview, votes.

    `summary` says on one line what would be done, where verb and resource do not; else it is empty.
    `grant` is the grant's id, `resolved_at` is null and `resolution` and `grant` are empty until there is one.
    `preview_digest` is what a vote says that it read. `reason` is the requester's own text, `opens` the sentence that
    says what an approval lets pass. `blocked` says why nobody can approve now; `needs_confirm`, with `confirm`, that
    each approval needs a login of its own. The votes of whom `silenced` names are listed, and do not count while it is
    pending.
    """
    ask = request.ask
    rules: list[JsonValue] = [str(t.rule) for t in ask.terms]
    reasons: list[JsonValue] = [t.reason for t in ask.terms if t.reason]
    votes: list[JsonValue] = [_vote(v) for v in request.votes]
    standing = request
    if request.state is ApprovalState.PENDING:
        standing = replace(request, votes=tuple(v for v in request.votes if not silenced(v.reviewer)))
    terms: list[JsonValue] = [_term(q) for q in quorums(counting(standing, confirm=confirm))]
    return {
        "id": request.id,
        "state": request.state.value,
        "created_at": request.created_at,
        "deadline": request.deadline,
        "principal": _principal(ask.access.principal),
        "target": ask.access.target,
        "protocol": ask.access.action.protocol.value,
        "action": ask.access.action.verb,
        "resource": as_text(ask.preview.get("resource")) or describe_resource(ask.access.resource),
        "summary": as_text(ask.preview.get("summary")),
        "rules": rules,
        "reasons": reasons,
        "terms": terms,
        "preview": ask.preview,
        "intent": ask.intent,
        "bundle": ask.bundle,
        "exchange": ask.exchange,
        "votes": votes,
        "waiters": request.waiters,
        "resolution": request.resolution,
        "resolved_at": request.resolved_at,
        "grant": request.grant,
        "dry_run": _dry_run(request.dry_run),
        "preview_digest": preview_digest(request),
        "reason": request.reason,
        "opens": ask.opens,
        "glass": request.glass.value,
        "needs_confirm": confirm and needs_confirm(request),
        "blocked": blocked(request) if request.state is ApprovalState.PENDING else "",
    }


def _dry_run(dry_run: DryRun) -> JsonObject:
    return {"state": dry_run.state.value, "why": dry_run.why, "at": dry_run.at, "shown": dry_run.shown}


def _principal(principal: Principal) -> JsonObject:
    return {
        "id": principal.id,
        "kind": principal.kind,
        "person": principal.person,
        "name": principal.name,
        "groups": [*sorted(principal.groups)],
        "owners": [*sorted(principal.owners)],
        "actor": _actor(principal.actor) if principal.actor else None,
    }


def _actor(actor: Actor) -> JsonObject:
    return {"subject": actor.subject, "issuer": actor.issuer, "chain": [*actor.chain]}


def _term(quorum: Quorum) -> JsonObject:
    term, glass = quorum.term, quorum.term.break_glass
    clauses: list[JsonValue] = [
        {"reviewers": [*sorted(c.reviewers)], "required": c.required, "filled_by": [*sorted(by)]}
        for c, by in zip(term.clauses, quorum.filled_by, strict=True)
    ]
    return {
        "rule": str(term.rule),
        "where": term.rule.where,
        "reviewers": [*sorted(term.reviewers)],
        "required": term.required,
        "approved_by": [*sorted(quorum.approved_by)],
        "met": quorum.met,
        "scope": term.scope.value,
        "duration": term.duration,
        "timeout": term.timeout,
        "auto_approve_after": term.auto_approve_after,
        "reason": term.reason,
        "clauses": clauses,
        "require_reason": term.require_reason,
        "require_preview": term.require_preview,
        "break_glass": {"who": [*sorted(glass.who)], "duration": glass.duration} if glass else None,
    }


def _vote(vote: Vote) -> JsonObject:
    return {
        "person": vote.reviewer.person,
        "name": vote.reviewer.name,
        "verdict": vote.verdict.value,
        "comment": vote.comment,
        "at": vote.at,
    }
