"""Must a human say yes? Then the request waits here, and goes on only as it was approved."""

from collections.abc import Awaitable
from typing import ClassVar

from mitmproxy import http

from holdpoint.domain.exchange import Cleared, Permitted
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.settings import Target, TargetMode
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.guard import Stage
from holdpoint.stages.holding import hold
from holdpoint.store.protocol import StoreUnavailable


class Approval(Stage):
    """The fifth stage."""

    name: ClassVar[str] = "approval"
    time_limit: ClassVar[float | None] = None  # waiting is what it is for; `hold` keeps the target's own limit

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Clear the request at once, or hold it until it is approved."""
        state = self.gateway.exchanges.expect(flow, Permitted)
        exchange = self.gateway.exchanges.of(flow)
        target = self.gateway.exchanges.target(flow)
        if not state.decision.approvals or target.mode is TargetMode.OBSERVE:
            exchange.state = Cleared(state)
            return None
        if state.decoded.is_notification:
            # Nobody waits for the answer of a notification, so nobody could be told of a ticket.
            raise Refusal(RefusalKind.DENIED, "notifications that need approval are not served")
        return self._hold(exchange, target, state)

    async def _hold(self, exchange: Exchange, target: Target, state: Permitted) -> None:
        try:
            grant = await hold(self.gateway.services, exchange, target, state)
        except StoreUnavailable as error:
            raise Refusal(
                RefusalKind.UNAVAILABLE, "the gateway cannot hold requests now", detail=str(error), retry_after=5
            ) from error
        exchange.state = Cleared(state, grant)
