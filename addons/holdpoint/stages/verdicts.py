"""What a decision means for an exchange: a refusal, or duties noted where the stages that meet them will look."""

from typing import assert_never

from holdpoint.domain.decision import (
    Deny,
    GuardAnswer,
    Limit,
    MaskFields,
    Permit,
    Rate,
    RecordBodies,
    RequireApproval,
    UseCredential,
)
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.stages.exchanges import Exchange


def denied(decision: Deny) -> Refusal:
    """Turn a denial into a refusal: the rule's own words for the caller, everything else for the audit."""
    rules = ", ".join(str(r) for r in decision.rules)
    detail = "; ".join(filter(None, (decision.reason.value, rules, *decision.errors)))
    return Refusal(RefusalKind.DENIED, decision.message or "policy does not allow this", detail=detail)


def take_duties(exchange: Exchange, decision: Permit) -> None:
    """Note every obligation where the stage that meets it will look. An unknown one does not type-check.

    Again, for a later decision on the same request: masks and limits only grow stricter, the credential is the new one.
    """
    masks = set(exchange.masks)
    exchange.credential = "main"
    for duty in decision.obligations:
        match duty:
            case RequireApproval():
                pass  # the next stage asks the decision itself
            case MaskFields(profiles):
                masks.update(profiles)
            case UseCredential(name):
                exchange.credential = name
            case RecordBodies(enabled):
                exchange.record_bodies = exchange.record_bodies and enabled
            case Limit(response_bytes):
                exchange.response_limit = min(exchange.response_limit, response_bytes)
            case Rate():
                exchange.rates = (*(r for r in exchange.rates if r != duty), duty)
            case GuardAnswer():
                exchange.guards = (*(g for g in exchange.guards if g != duty), duty)
            case _:
                assert_never(duty)
    exchange.masks = tuple(sorted(masks))
