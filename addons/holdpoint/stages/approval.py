"""Must a human say yes? Then the request waits here, and goes on only as it was approved."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from mitmproxy import http

from holdpoint.approvals.errors import TooManyHeld
from holdpoint.domain.exchange import Cleared, Decoded, Permitted
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.settings import Target, TargetMode
from holdpoint.stages.guard import Stage
from holdpoint.stages.holding import RETRY_AFTER, hold, make_ask
from holdpoint.stages.ladder_rounds import check_call
from holdpoint.stages.sealing import OFF_THE_LOOP
from holdpoint.store.protocol import StoreUnavailable

MOST_TO_READ: Final = 256 << 10
"""Bytes of a request that a reviewer can be asked to read. All reviewers load what waits for them."""
CANCELLED: Final = "notifications/cancelled"


class Approval(Stage):
    """The fifth stage."""

    name: ClassVar[str] = "approval"
    time_limit: ClassVar[float | None] = None  # waiting is what it is for; `hold` keeps the target's own limit

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Clear the request at once, or hold it until it is approved."""
        state = self.gateway.exchanges.expect(flow, Permitted)
        exchange = self.gateway.exchanges.of(flow)
        target = self.gateway.exchanges.target(flow)
        if exchange.round is not None:
            check_call(exchange.round, state.decoded)
        self._cancel(state.decoded)
        if not state.decision.approvals or target.mode is TargetMode.OBSERVE:
            exchange.state = Cleared(state)
            return None
        if state.decoded.is_notification:
            # Nobody waits for the answer of a notification, so nobody could be told of a ticket.
            raise Refusal(RefusalKind.DENIED, "notifications that need approval are not served")
        size = len(flow.request.raw_content or b"")
        if size > MOST_TO_READ:
            raise Refusal(RefusalKind.TOO_LARGE, f"a request of more than {MOST_TO_READ} bytes cannot be reviewed")
        return self._hold(flow, target, state, is_large=size > OFF_THE_LOOP)

    def _cancel(self, asked: Decoded) -> None:
        """End the wait of what the caller no longer wants. The upstream, which never saw it, ignores the rest."""
        for access in asked.access.members or (asked.access,):
            request_id = access.arguments.get("requestId")
            if access.action.verb != CANCELLED or not isinstance(request_id, str | int):
                continue
            for exchange in self.gateway.services.held.cancel(asked, request_id):
                self.gateway.services.client_left(exchange.id)

    async def _hold(self, flow: http.HTTPFlow, target: Target, state: Permitted, *, is_large: bool) -> None:
        services, exchange = self.gateway.services, self.gateway.exchanges.of(flow)
        try:
            # Masked for the reviewers; in a thread where that may take long.
            ask = await (asyncio.to_thread if is_large else _at_once)(make_ask, services, exchange, target, state)
            grant = await hold(self.gateway, flow, state.decoded, target, ask)
        except StoreUnavailable as error:
            raise Refusal(
                RefusalKind.UNAVAILABLE, "the gateway cannot hold requests now", detail=str(error), retry_after=5
            ) from error
        except TooManyHeld as error:
            raise Refusal(
                RefusalKind.UNAVAILABLE,
                "too many of your requests wait for a reviewer",
                detail=str(error),
                retry_after=RETRY_AFTER,
            ) from error
        exchange.state = Cleared(state, grant)


async def _at_once[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    return work(*args, **kwargs)
