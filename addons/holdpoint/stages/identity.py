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
        own = self._own_audiences(flow)
        principal = verifier.cached(token, audiences=target.audiences, issuers=target.issuers, own=own)
        if principal is None:
            return self._verify(flow, state, target, token, own)
        self.gateway.exchanges.of(flow).state = Identified(state, principal)
        return None

    async def _verify(
        self, flow: http.HTTPFlow, state: Received, target: Target, token: str, own: frozenset[str]
    ) -> None:
        verifier = self.gateway.services.verifier
        principal = await verifier.verify(token, audiences=target.audiences, issuers=target.issuers, own=own)
        self.gateway.exchanges.of(flow).state = Identified(state, principal)

    def _own_audiences(self, flow: http.HTTPFlow) -> frozenset[str]:
        """Return the URI of the very target and road that the request came by (RFC 8707 section 2)."""
        resource = self.gateway.exchanges.of(flow).resource
        return resource.audiences if resource is not None else frozenset()
