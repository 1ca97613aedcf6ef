"""Keeping a held caller on the line: until the approval ends, the caller leaves, or it takes the request back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal

from holdpoint.domain.approval import ApprovalRequest
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.services import Services


class Line:
    """One caller on the line. Made by `kept`."""

    def __init__(
        self,
        exchange: Exchange,
        asked: Decoded,
        approval_id: str,
        waiting: "asyncio.Task[ApprovalRequest]",
        left: "asyncio.Task[Literal[True]]",
    ) -> None:
        self._exchange = exchange
        self._asked = asked
        self._ticket = approval_id
        self._waiting = waiting
        self._left = left

    async def until_end(self, seconds: float | None = None) -> ApprovalRequest | None:
        """Return the request once it has ended or the whole wait is over; None after `seconds` before that.

        Raises Refusal where the caller left or took the request back: nothing is sent for it any more.
        """
        both: set[asyncio.Task[ApprovalRequest] | asyncio.Task[Literal[True]]] = {self._waiting, self._left}
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._exchange.client_left:
            raise Refusal(
                RefusalKind.HELD,
                "the caller left while the request was held",
                detail="client gone",
                ticket=self._ticket,
            )
        if self._exchange.over is not None:
            raise self._exchange.over
        if self._exchange.cancelled:
            raise cancelled(self._asked, self._ticket)
        return self._waiting.result() if self._waiting.done() else None


@asynccontextmanager
async def kept(
    services: Services, exchange: Exchange, asked: Decoded, approval_id: str, seconds: float
) -> AsyncGenerator[Line]:
    """Keep a caller on the line for `seconds` at most."""
    left = services.watch_client(exchange.id)
    if exchange.client_left or exchange.cancelled:
        left.set()
    waiting = asyncio.ensure_future(services.broker.wait(approval_id, timeout=seconds))
    leaving = asyncio.ensure_future(left.wait())
    try:
        yield Line(exchange, asked, approval_id, waiting, leaving)
    finally:
        services.unwatch_client(exchange.id)
        for task in (waiting, leaving):
            if not task.done():
                task.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)


def cancelled(asked: Decoded, ticket: str) -> Refusal:
    """Return what ends a request that its caller took back: no answer (2025-11-25, basic/utilities/cancellation).

    Where no session tells the caller's programs apart the id may be another one's, who must not wait for ever; and the
    other messages of a batch are owed theirs.
    """
    return Refusal(
        RefusalKind.HELD,
        "the request was cancelled while it was held",
        detail="cancelled by its caller",
        ticket=ticket,
        answer={} if asked.session and not asked.batch_ids else None,
    )
