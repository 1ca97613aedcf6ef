"""What do they ask? From the same bytes that will be forwarded."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import ClassVar, assert_never

from mitmproxy import http

from holdpoint.domain.access import AccessRequest, Protocol
from holdpoint.domain.exchange import Decoded, Identified
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.protocols import http as plain_http
from holdpoint.protocols import mcp, mcp_reason
from holdpoint.protocols.call import Call, Undecodable
from holdpoint.protocols.kubernetes import decode as kubernetes
from holdpoint.protocols.mcp_mirrors import Mirrors
from holdpoint.protocols.mcp_version import MODERN
from holdpoint.settings import Target
from holdpoint.stages.binding import bind, unwrap
from holdpoint.stages.fields import raw, text
from holdpoint.stages.guard import Stage
from holdpoint.stages.heads import check_length
from holdpoint.stages.ladder_rounds import take_round
from holdpoint.stages.pin_checks import pinned
from holdpoint.stages.reasons import shown, take_header
from holdpoint.stages.write_back import refuse_marks

_OFF_THE_LOOP = 256 << 10
"""Bytes: 4 ms, or 25 where somebody made it slow."""
_YAML_OFF_THE_LOOP = 4 << 10
"""The same of YAML, which takes up to 8 µs a byte."""

_OF_SESSIONS = frozenset({b"mcp-session-id", b"last-event-id"})


class Decode(Stage):
    """The third stage."""

    name: ClassVar[str] = "decode"

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Decode the whole request, or refuse it. A large one is decoded in a thread."""
        state = self.gateway.exchanges.expect(flow, Identified)
        target = self.gateway.exchanges.target(flow)
        if flow.request.trailers:
            raise Refusal(RefusalKind.BAD_REQUEST, "trailers are not served")
        check_length(flow.request)
        self.gateway.exchanges.of(flow).reason = take_header(flow.request)
        take_round(self.gateway, flow, target, state.principal)
        unwrap(self.gateway, flow, target, state.principal)
        if len(flow.request.raw_content or b"") > (_YAML_OFF_THE_LOOP if _may_be_yaml(flow, target) else _OFF_THE_LOOP):
            return self._off_the_loop(flow, target, state)
        call = _decoded(flow.request, target, state.received.path, self._mirrors(target))
        if target.protocol is Protocol.MCP and mcp_reason.is_given(call):
            self._take_reasons(flow, mcp_reason.taken(flow.request.raw_content or b""))
            call = _decoded(flow.request, target, state.received.path, self._mirrors(target))
        self._take(flow, target, state, call)
        return None

    async def _off_the_loop(self, flow: http.HTTPFlow, target: Target, state: Identified) -> None:
        request, path, mirrors = flow.request, state.received.path, self._mirrors(target)
        call = await asyncio.to_thread(_decoded, request, target, path, mirrors)
        if target.protocol is Protocol.MCP and mcp_reason.is_given(call):
            self._take_reasons(flow, await asyncio.to_thread(mcp_reason.taken, request.raw_content or b""))
            call = await asyncio.to_thread(_decoded, request, target, path, mirrors)
        self._take(flow, target, state, call)

    def _take_reasons(self, flow: http.HTTPFlow, taken: tuple[bytes, tuple[str, ...]]) -> None:
        """Send on what is left, and keep the reasons: what is decoded from here on is what is left."""
        exchange = self.gateway.exchanges.of(flow)
        flow.request.content, reasons = taken
        exchange.reason = exchange.reason or shown(reasons)

    def _mirrors(self, target: Target) -> Mirrors:
        return partial(self.gateway.services.pins.mirrors, target.name)

    def _take(self, flow: http.HTTPFlow, target: Target, state: Identified, call: Call) -> None:
        call = pinned(self.gateway, target, bind(self.gateway, target, state.principal, call, flow))
        if call.protocol_version in MODERN:
            drop_what_sessions_use(flow.request)
        self.gateway.exchanges.of(flow).state = Decoded(
            identified=state,
            access=access_of(state, target, call),
            intent=call.intent,
            request_id=call.request_id,
            protocol_version=call.protocol_version,
            session=call.session,
            is_notification=call.is_notification,
            is_write=call.is_write,
            accepts_sse=call.accepts_sse,
            progress_token=call.progress_token,
            capabilities=call.capabilities,
            trace=call.trace,
            # What a stream will tell of is no batch, and owes no answers of its own.
            batch_ids=tuple(m.request_id for m in call.members if m.request_id is not None),
            batch_at=tuple(n for n, m in enumerate(call.members) if m.request_id is not None),
        )


def _may_be_yaml(flow: http.HTTPFlow, target: Target) -> bool:
    return target.protocol is Protocol.KUBERNETES and "yaml" in text(flow.request.headers, b"content-type").lower()


def access_of(state: Identified, target: Target, call: Call) -> AccessRequest:
    """Return what policy is asked for a call, and for each of its members."""
    return AccessRequest(
        principal=state.principal,
        target=target.name,
        action=call.action,
        resource=call.resource,
        arguments=call.arguments,
        unverified=call.unverified,
        at=state.received.at,
        members=tuple(access_of(state, target, member) for member in call.members) if call.members else (),
    )


def below(target: Target, path: str) -> str:
    """Return a path of the upstream's as its API server sees it: below the base path, where several share a host."""
    rest = path.removeprefix(target.path) if path.startswith((f"{target.path}/", f"{target.path}?")) else ""
    return rest if rest.startswith("/") else f"/{rest}"


def drop_what_sessions_use(request: http.Request) -> None:
    """Drop the headers that 2026-07-28 has servers ignore: one that speaks older versions too might not."""
    fields = request.headers.fields
    if any(name.lower().replace(b"_", b"-") in _OF_SESSIONS for name, _ in fields):
        request.headers.fields = tuple(f for f in fields if f[0].lower().replace(b"_", b"-") not in _OF_SESSIONS)


def _decoded(request: http.Request, target: Target, path: str, mirrors: Mirrors) -> Call:
    try:
        return decode(request, target, path, mirrors)
    except Undecodable as error:
        raise error.refusal() from error


def decode(request: http.Request, target: Target, path: str, mirrors: Mirrors) -> Call:
    """Decode by the target's protocol. Raises Undecodable."""
    body = request.raw_content
    if body is None:
        raise GatewayFault("the body was not read")
    match target.protocol:
        case Protocol.MCP:
            return mcp.decode(method=request.method, headers=raw(request.headers), body=body, mirrors=mirrors)
        case Protocol.HTTP:
            return plain_http.decode(
                method=request.method, host=target.host, path=path, headers=raw(request.headers), body=body
            )
        case Protocol.KUBERNETES:
            call = kubernetes.decode(
                method=request.method,
                path=below(target, path),
                headers=raw(request.headers),
                body=body,
                max_bytes=target.request_bytes,
            )
            refuse_marks(body, call.arguments)
            return call
        case _:
            assert_never(target.protocol)
