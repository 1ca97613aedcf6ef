"""An approval request as JSON, for the admin socket, the console and the command line.

Holds what reviewers may read: the masked preview, never the arguments, claims or session ids.
"""

from holdpoint.domain.access import Actor, Principal, describe_resource
from holdpoint.domain.approval import ApprovalRequest, Quorum, Vote, quorums
from holdpoint.domain.values import JsonObject, JsonValue, as_text


def to_json(request: ApprovalRequest) -> JsonObject:
    """Return `id`, `state`, times (Unix seconds), who, what, the terms and how far each is met, preview, votes.

    `summary` says on one line what would be done, where verb and resource do not; else it is empty.
    `grant` is the grant's id, `resolved_at` is null and `resolution` and `grant` are empty until there is one.
    """
    ask = request.ask
    rules: list[JsonValue] = [str(t.rule) for t in ask.terms]
    reasons: list[JsonValue] = [t.reason for t in ask.terms if t.reason]
    votes: list[JsonValue] = [_vote(v) for v in request.votes]
    terms: list[JsonValue] = [_term(q) for q in quorums(request)]
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
    }


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
    term = quorum.term
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
    }


def _vote(vote: Vote) -> JsonObject:
    return {
        "person": vote.reviewer.person,
        "name": vote.reviewer.name,
        "verdict": vote.verdict.value,
        "comment": vote.comment,
        "at": vote.at,
    }
