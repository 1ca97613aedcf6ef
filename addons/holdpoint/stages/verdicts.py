"""What a decision means for an exchange: a refusal, or duties noted where the stages that meet them will look."""

from typing import assert_never

from holdpoint.domain.access import AccessRequest
from holdpoint.domain.decision import (
    Decision,
    Deny,
    DenyReason,
    GuardAnswer,
    Limit,
    MaskFields,
    Permit,
    Rate,
    RecordBodies,
    RequireApproval,
    UseCredential,
)
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.protocols.mcp_refusals import NOT_SENT, Owed
from holdpoint.stages.exchanges import Exchange


def denied(decision: Deny) -> Refusal:
    """Turn a denial into a refusal: the rule's own words for the caller, everything else for the audit.

    Where only scopes are missing the caller learns all that this needs at once (RFC 6750 section 3.1).
    """
    rules = ", ".join(str(r) for r in decision.rules)
    detail = "; ".join(filter(None, (decision.reason.value, rules, *decision.errors, *decision.legs)))
    if decision.reason is DenyReason.SCOPE and decision.scopes:
        return Refusal(
            RefusalKind.DENIED,
            decision.message or "the access token lacks a scope that this needs",
            detail=f"{detail}; needs {' '.join(sorted(decision.scopes))}",
            challenge='Bearer error="insufficient_scope"',
            scopes=decision.scopes,
        )
    return Refusal(RefusalKind.DENIED, decision.message or "policy does not allow this", detail=detail)


def owed_to_batch(refusal: Refusal, call: Decoded, decision: Deny | None) -> tuple[Owed, ...]:
    """Return what each request of a refused batch is told.

    One that policy denies is told its own reason, the others that they were not sent. Whatever else a batch is refused
    for holds for all of it.
    """
    members = call.access.members
    verdicts = decision.members if decision is not None and refusal.kind is RefusalKind.DENIED else ()
    owed: list[Owed] = []
    for n, request_id in zip(call.batch_at, call.batch_ids, strict=True):
        public = None
        if len(verdicts) == len(members):
            verdict = verdicts[n]
            public = denied(verdict).public if isinstance(verdict, Deny) else NOT_SENT
        owed.append(Owed(request_id, members[n].action.verb, public))
    return tuple(owed)


def check_members(access: AccessRequest, decision: Decision) -> None:
    """Raise GatewayFault unless a request with members was permitted for each of them."""
    if access.members and isinstance(decision, Permit):
        permitted = [isinstance(d, Permit) for d in decision.members]
        if len(permitted) != len(access.members) or not all(permitted):
            raise GatewayFault("a message was permitted whose members were not all decided")


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
