"""May they? With which duties? Answered by the bundle in force."""

import logging
from typing import ClassVar, assert_never

from mitmproxy import http

from holdpoint.domain.decision import (
    Deny,
    Limit,
    MaskFields,
    Permit,
    RecordBodies,
    RequireApproval,
    UseCredential,
)
from holdpoint.domain.exchange import Decoded, Permitted
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.settings import TargetMode
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.guard import Stage

logger = logging.getLogger(__name__)


class Policy(Stage):
    """The fourth stage."""

    name: ClassVar[str] = "policy"

    def request(self, flow: http.HTTPFlow) -> None:
        """Decide."""
        state = self.gateway.exchanges.expect(flow, Decoded)
        exchange = self.gateway.exchanges.of(flow)
        target = self.gateway.exchanges.target(flow)
        policies = self.gateway.services.policies
        decision = policies.engine.decide(state.access)
        match decision:
            case Permit():
                take_duties(exchange, decision)
                observed = ""
                if decision.approvals and target.mode is TargetMode.OBSERVE:
                    observed = f"would be held by {', '.join(str(t.rule) for t in decision.approvals)}"
                exchange.state = Permitted(state, decision, observed)
            case Deny() if target.mode is TargetMode.OBSERVE:
                # What no rule knows is recorded with every mask there is.
                exchange.masks = tuple(sorted({*exchange.masks, *policies.every_mask}))
                observed = f"would be denied: {decision.reason.value} {', '.join(map(str, decision.rules))}".rstrip()
                exchange.state = Permitted(state, Permit(decision.bundle, ()), observed)
            case Deny():
                exchange.denied = decision
                raise denied(decision)
            case _:
                assert_never(decision)
        if exchange.state.observed:
            exchange.notes.append(exchange.state.observed)
            logger.warning("observe %s: %s", exchange.id, exchange.state.observed)


def denied(decision: Deny) -> Refusal:
    """Turn a denial into a refusal: the rule's own words for the caller, everything else for the audit."""
    rules = ", ".join(str(r) for r in decision.rules)
    detail = "; ".join(filter(None, (decision.reason.value, rules, *decision.errors)))
    return Refusal(RefusalKind.DENIED, decision.message or "policy does not allow this", detail=detail)


def take_duties(exchange: Exchange, decision: Permit) -> None:
    """Note every obligation where the stage that meets it will look. An unknown one does not type-check."""
    masks = set(exchange.masks)
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
            case _:
                assert_never(duty)
    exchange.masks = tuple(sorted(masks))
