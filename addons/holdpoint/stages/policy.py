"""May they? With which duties? Answered by the bundle in force."""

import logging
from typing import ClassVar, assert_never

from mitmproxy import http

from holdpoint.domain.decision import Deny, Permit
from holdpoint.domain.exchange import Decoded, Permitted
from holdpoint.settings import TargetMode
from holdpoint.stages.guard import Stage
from holdpoint.stages.pin_checks import refused
from holdpoint.stages.rates import refuse_too_many
from holdpoint.stages.verdicts import check_members, take_duties

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
        check_members(state.access, decision)
        match decision:
            case Permit():
                take_duties(exchange, decision)
                if target.mode is not TargetMode.OBSERVE:
                    refuse_too_many(
                        self.gateway.services, exchange, state.access, decision, session=state.session, count=False
                    )
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
                raise refused(self.gateway.services, decision, state.access)
            case _:
                assert_never(decision)
        if exchange.state.observed:
            exchange.notes.append(exchange.state.observed)
            logger.warning("observe %s: %s", exchange.id, exchange.state.observed)
