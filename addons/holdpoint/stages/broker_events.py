"""What the audit keeps of what happens to an approval."""

from collections.abc import Mapping
from typing import Final

from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.recorded import ask_detail, vote_detail
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.values import JsonObject

STAGES: Final[Mapping[BrokerEventKind, AuditStage]] = {
    BrokerEventKind.VOTED: AuditStage.VOTED,
    BrokerEventKind.RESOLVED: AuditStage.RESOLVED,
    BrokerEventKind.TIGHTENED: AuditStage.HELD,
    BrokerEventKind.GRANT_ENDED: AuditStage.RESOLVED,
    BrokerEventKind.REASONED: AuditStage.REASONED,
    BrokerEventKind.GLASS_BROKEN: AuditStage.GLASS_BROKEN,
    BrokerEventKind.GLASS_REVIEWED: AuditStage.GLASS_REVIEWED,
    BrokerEventKind.OUTCOME_UNKNOWN: AuditStage.OUTCOME_UNKNOWN,
}
"""Held and folded requests are not among them: the stage that holds them writes them down."""


def describe_event(event: BrokerEvent, stage: AuditStage, at: float) -> AuditEvent:
    """Make an audit event of it."""
    detail: JsonObject = {"what": event.kind.value}
    request, vote, grant = event.request, event.vote, event.grant
    if event.detail:
        detail["why"] = event.detail
    if vote is not None:
        detail |= vote_detail(vote, request)
    if grant is not None:
        detail["grant"] = grant.id
    if request is None:
        return AuditEvent(stage, at, exchange=event.exchange, detail=detail)
    detail |= {
        "approval": request.id,
        "intent": request.ask.intent,
        "state": request.state.value,
        "resolution": request.resolution,
        **ask_detail(request),
    }
    if request.reason:
        detail["reason"] = request.reason
    return AuditEvent(
        stage,
        at,
        exchange=event.exchange or request.ask.exchange,
        principal={"id": request.ask.access.principal.id, "person": request.ask.access.principal.person},
        target=request.ask.access.target,
        action=request.ask.access.action.verb,
        decision={"rules": [str(t.rule) for t in request.ask.terms], "bundle": request.ask.bundle},
        detail=detail,
    )
