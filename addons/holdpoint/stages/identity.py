"""Who is calling? Answered from the headers alone, before a body is read."""

from collections.abc import Awaitable
from typing import ClassVar

from mitmproxy import http

from holdpoint.domain.exchange import Identified, Received
from holdpoint.identity.bearer import bearer_token
from holdpoint.settings import Target
from holdpoint.stages.fields import raw
from holdpoint.stages.guard import Stage


class Identity(Stage):
    """The second stage."""

    name: ClassVar[str] = "identity"

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Verify the caller's token for this target. What was verified lately needs no waiting."""
        state = self.gateway.exchanges.expect(flow, Received)
        target = self.gateway.exchanges.target(flow)
        token = bearer_token(raw(flow.request.headers))
        verifier = self.gateway.services.verifier
        principal = verifier.cached(token, audiences=target.audiences, issuers=target.issuers)
        if principal is None:
            return self._verify(flow, state, target, token)
        self.gateway.exchanges.of(flow).state = Identified(state, principal)
        return None

    async def _verify(self, flow: http.HTTPFlow, state: Received, target: Target, token: str) -> None:
        verifier = self.gateway.services.verifier
        principal = await verifier.verify(token, audiences=target.audiences, issuers=target.issuers)
        self.gateway.exchanges.of(flow).state = Identified(state, principal)
