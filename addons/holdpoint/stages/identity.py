"""Who is calling? Answered from the headers alone, before a body is read."""

from collections.abc import Awaitable
from typing import ClassVar

from mitmproxy import http

from holdpoint.domain.access import Principal, Protocol
from holdpoint.domain.exchange import Identified, Received
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.bearer import bearer_token, refuse_token_in_subprotocol
from holdpoint.settings import Target, Unlinked
from holdpoint.stages.fields import raw
from holdpoint.stages.guard import Stage


class Identity(Stage):
    """The second stage."""

    name: ClassVar[str] = "identity"

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Verify the caller's token for this target. What was verified lately needs no waiting."""
        state = self.gateway.exchanges.expect(flow, Received)
        target = self.gateway.exchanges.target(flow)
        fields = raw(flow.request.headers)
        token = bearer_token(fields)
        if target.protocol is Protocol.KUBERNETES:
            refuse_token_in_subprotocol(fields)
            if self.gateway.services.calls.is_ours(token):
                self._take_linked(flow, state, self.gateway.services.calls.verify(token, target.name))
                return None
        verifier = self.gateway.services.verifier
        own = self._own_audiences(flow)
        principal = verifier.cached(token, audiences=target.audiences, issuers=target.issuers, own=own)
        if principal is None:
            return self._verify(flow, state, target, token, own)
        self._take(flow, state, target, principal)
        return None

    async def _verify(
        self, flow: http.HTTPFlow, state: Received, target: Target, token: str, own: frozenset[str]
    ) -> None:
        verifier = self.gateway.services.verifier
        principal = await verifier.verify(token, audiences=target.audiences, issuers=target.issuers, own=own)
        self._take(flow, state, target, principal)

    def _take_linked(self, flow: http.HTTPFlow, state: Received, principal: Principal) -> None:
        exchange = self.gateway.exchanges.of(flow)
        exchange.state = Identified(state, principal)
        self.gateway.services.suspensions.refuse(principal)
        self.gateway.services.calls.note(principal.call, exchange.id)

    def _take(self, flow: http.HTTPFlow, state: Received, target: Target, principal: Principal) -> None:
        # Known from here on, so that the record says who was turned away.
        self.gateway.exchanges.of(flow).state = Identified(state, principal)
        self.gateway.services.suspensions.refuse(principal)
        refuse_unlinked(target, principal)

    def _own_audiences(self, flow: http.HTTPFlow) -> frozenset[str]:
        """Return the URI of the very target and road that the request came by (RFC 8707 section 2)."""
        resource = self.gateway.exchanges.of(flow).resource
        return resource.audiences if resource is not None else frozenset()


def refuse_unlinked(target: Target, principal: Principal) -> None:
    """Refuse a caller of a Kubernetes target who serves no tool call, where the target takes nobody else.

    Raises Refusal.
    """
    if target.protocol is not Protocol.KUBERNETES or principal.call or target.unlinked is Unlinked.POLICY:
        return
    if target.unlinked is Unlinked.HUMANS and principal.kind == "human" and principal.actor is None:
        return
    who = "people and requests of tool calls" if target.unlinked is Unlinked.HUMANS else "requests of tool calls"
    raise Refusal(
        RefusalKind.DENIED,
        f"this cluster takes {who} alone: a request of a tool call brings the token that the gateway gave for the call",
        detail=f"unlinked: {target.unlinked.value}",
    )
