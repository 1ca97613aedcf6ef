"""What the stages share: the settings, the services, the state of every exchange, and how a request is turned away."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal
from weakref import WeakSet

from mitmproxy import http
from mitmproxy.connection import Client

from holdpoint.clock import Clock, SystemClock
from holdpoint.domain.access import Protocol
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.exchange import Forwarded, Received, Refused, Replied, decoded
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.domain.values import JsonObject
from holdpoint.ids import new_id
from holdpoint.protocols import cors, sse
from holdpoint.protocols.mcp_events import body_events
from holdpoint.settings import Listener, Settings, Target
from holdpoint.stages import describe, kube_ends, metadata
from holdpoint.stages.exchanges import Exchange, Exchanges
from holdpoint.stages.patience import Patience
from holdpoint.stages.rendering import render
from holdpoint.stages.services import Services
from holdpoint.stages.under_way import UnderWay
from holdpoint.tasks import spawn
from holdpoint.wire import AsEvents, Connections, Wire
from holdpoint.wire_events import AbortStream

logger = logging.getLogger(__name__)

_POISONED_MAX = 10_000


class Gateway:
    """Shared by all stages of one pipeline."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.exchanges = Exchanges()
        self.under_way = UnderWay()
        self.wire = Wire()
        self.settings: Settings | None = None
        self.listeners: dict[tuple[str, int], Listener] = {}
        """Listener by bound address."""
        self.connections: Connections | None = None
        self._services: Services | None = None
        self._poisoned: OrderedDict[str, None] = OrderedDict()
        self._over: WeakSet[http.HTTPFlow] = WeakSet()
        self.on_aborted: Callable[[http.HTTPFlow], None] = lambda _flow: None
        """Called for a flow that the gateway itself ended in the middle."""
        self.wire.on_client_left = self._client_left
        self.wire.on_too_large = self._too_large
        self.wire.on_unreadable = self._unreadable
        self.wire.is_unwanted = self._unwanted
        self.wire.on_fenced = self._fenced
        self.wire.limit = self._limit
        self.wire.on_early = self._early
        self.wire.early_fields = self._early_fields
        self.wire.on_unshown = self._unshown
        self.wire.on_unread = self._unread
        self._patience = Patience(self.clock, self._give_up)
        self.wire.on_reading = self._reading
        self.wire.on_read = self._patience.end
        self.wire.on_too_slow = self._too_slow

    # -- readiness ------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether every service is up and records can be written."""
        return self._services is not None and self._services.healthy

    @property
    def services(self) -> Services:
        """The services. Raises Refusal while they are not up: nothing passes before."""
        if self._services is None:
            raise Refusal(RefusalKind.UNAVAILABLE, "the gateway is starting", retry_after=1)
        return self._services

    def open(self, services: Services) -> None:
        """Let requests in: everything they need is up."""
        self._services = services

    def close(self) -> Services | None:
        """Let no more requests in."""
        services, self._services = self._services, None
        return services

    # -- refusing -------------------------------------------------------------------------------------------------

    def refuse(self, flow: http.HTTPFlow, refusal: Refusal, *, now: bool = False) -> None:
        """Answer a request with a refusal in its protocol's own shape. The first refusal stands.

        The audit event is written when the flow ends, with the digest of its record; `now` writes one at once, for
        flows that end without a record.
        """
        if self.is_over(flow):
            return
        exchange = self.exchanges.find(flow) or self.exchanges.begin(flow, new_id("ex"))
        if isinstance(exchange.state, Refused):
            return
        reached = exchange.state
        self.wire.revoke(flow)
        exchange.state = Refused(exchange.id, refusal, reached, tuple(exchange.notes))
        flow.response = self._rendered(flow, exchange, refusal)
        self._write_down(exchange, refusal, AuditStage.REFUSED if now else None)

    def _rendered(self, flow: http.HTTPFlow, exchange: Exchange, refusal: Refusal) -> http.Response:
        told = metadata.with_challenge(refusal, exchange, self.scopes(exchange.target))
        call = decoded(exchange.state)
        answer = render(told, exchange=exchange, call=call, flow=flow, settings=self.settings)
        metadata.let_read(answer, exchange)
        return answer

    def scopes(self, target: Target | None) -> frozenset[str]:
        """Return the scopes that the policies in force ask for at a target. Empty while they are not known."""
        if target is None or self._services is None:
            return frozenset()
        return self._services.policies.scopes(target.name)

    def reply(self, flow: http.HTTPFlow, what: Literal["metadata", "preflight"], answer: http.Response) -> None:
        """Answer with what the gateway tells everybody, before anybody was identified. Raises GatewayFault.

        INVARIANT: from here on the exchange can only be recorded or refused: no stage sees it, and it gets no pass.
        """
        exchange = self.exchanges.of(flow)
        if not isinstance(exchange.state, Received):
            raise GatewayFault(f"a reply to an exchange that is {type(exchange.state).__name__}")
        self.wire.revoke(flow)
        exchange.state = Replied(exchange.state, what)
        flow.response = answer

    def stream_refusal(self, flow: http.HTTPFlow) -> None:
        """Make the refusal in `flow.response` take the place of an upstream's body that is still arriving."""
        response = flow.response
        if response is None:
            raise GatewayFault("no refusal to stream")
        self.wire.leave_answer(flow, response.copy())
        response.stream = _nothing

    def is_streamed(self, flow: http.HTTPFlow) -> bool:
        """Tell whether the head of this flow's answer is already on its way to the caller."""
        exchange = self.exchanges.find(flow)
        return exchange is not None and exchange.streamed

    def abort(self, flow: http.HTTPFlow, refusal: Refusal, *, torn: bool = False, ended: bool = False) -> None:
        """End a flow whose answer is already under way: nothing more of it passes.

        `ended`: nothing was wrong with what came; what let it begin is over.

        An MCP caller reads why in a last event, and his stream ends whole; so do a watch and a log of Kubernetes. Any
        other stream ends torn, because its caller would take it for complete; so does one that nobody reads (`torn`).
        """
        exchange = self.exchanges.of(flow)
        last = None if torn else self._last_words(flow, exchange, refusal)
        ending = exchange.tunnel.last_words(refusal) if exchange.tunnel is not None else None
        if not isinstance(exchange.state, Refused):
            reached = exchange.state
            exchange.state = Refused(exchange.id, refusal, reached, tuple(exchange.notes), ended)
            # Nothing was withheld of an answer that was never asked for, nor of one that only ended.
            is_withheld = isinstance(reached, Forwarded) and not ended
            self._write_down(exchange, refusal, AuditStage.WITHHELD if is_withheld else None)
        self.wire.revoke(flow)
        self._over.add(flow)
        exchange.show(last or b"")
        answer = None
        if not (torn or exchange.streamed or exchange.early or exchange.tunnel is not None):
            flow.response = answer = self._rendered(flow, exchange, refusal)
        abort = AbortStream(flow, refusal.public, last, ending, answer.copy() if answer is not None else None)
        # Where the stream itself found out, not even the rest of what arrived with it is handled.
        self.wire.leave_abort(abort)
        if self.connections is not None:
            spawn(self.connections.abort_stream(abort), name="abort stream")
        # The abort runs no hook of mitmproxy: what the record stage does at a flow's end is done here.
        self.on_aborted(flow)

    def is_over(self, flow: http.HTTPFlow) -> bool:
        """Tell whether a flow was aborted, and written down as that. A hook of it may still run, to no effect."""
        return flow in self._over

    def _last_words(self, flow: http.HTTPFlow, exchange: Exchange, refusal: Refusal) -> bytes | None:
        call = decoded(exchange.state)
        if exchange.target is not None and exchange.target.protocol is Protocol.KUBERNETES and call is not None:
            return kube_ends.last_words(exchange, call.access, refusal) if exchange.streamed else None
        if exchange.target is None or exchange.target.protocol is not Protocol.MCP:
            return None
        if call is None or (call.request_id is None and not call.batch_ids):
            return b"" if exchange.in_lines else _comment(refusal, exchange)  # nobody waits for an answer: a GET stream
        answer = render(refusal, exchange=exchange, call=call, flow=flow).raw_content or b""
        return answer + b"\n" if exchange.in_lines else body_events(answer, request_id=call.request_id)

    def note_fault(self, flow: http.HTTPFlow, refusal: Refusal) -> None:
        """Write down a fault that came when the flow had already ended."""
        exchange = self.exchanges.find(flow)
        if exchange is not None:
            self._write_down(exchange, refusal, AuditStage.PANIC)

    def poison(self, client: Client) -> None:
        """Refuse everything that comes on this connection from now on, and close it."""
        self._poisoned[client.id] = None
        while len(self._poisoned) > _POISONED_MAX:
            self._poisoned.popitem(last=False)
        self.close_client(client)

    def is_poisoned(self, client: Client) -> bool:
        """Tell whether a connection was given up."""
        return client.id in self._poisoned

    def close_client(self, client: Client) -> None:
        """Close a client's connection, once the hook that is running has returned."""
        if self.connections is None:
            return
        connections = self.connections

        async def close() -> None:
            connections.close_client(client)

        spawn(close(), name="close client")

    # -- what the layers ask --------------------------------------------------------------------------------------

    def _client_left(self, flow: http.HTTPFlow) -> None:
        exchange = self.exchanges.find(flow)
        if exchange is not None and not exchange.client_left:
            exchange.client_left = True
            if self._services is not None:
                self._services.client_left(exchange.id)

    def _early_fields(self, flow: http.HTTPFlow) -> cors.Fields:
        return cors.answer_fields(self.exchanges.of(flow).readable_by)

    def _early(self, flow: http.HTTPFlow) -> AsEvents:
        exchange = self.exchanges.of(flow)
        exchange.early = True

        def as_events(answer: http.Response, body: bytes) -> bytes:
            # NOTE: by now the exchange may be over for the stages, and forgotten.
            call = decoded(exchange.state)
            request_id = call.request_id if call is not None else None
            if told := body_events(body, request_id=request_id):
                return told
            if exchange.cancelled:
                return b""  # who took his request back is owed no answer
            why = f"the upstream answered with status {answer.status_code} and no message"
            refused = render(Refusal(RefusalKind.UPSTREAM, why), exchange=exchange, call=call, flow=flow)
            return body_events(refused.raw_content or b"", request_id=request_id)

        return as_events

    def _too_large(self, flow: http.HTTPFlow, is_request: bool) -> None:  # noqa: FBT001  # called by the wire
        limit = self._limit(flow, is_request)
        if is_request:
            self.refuse(flow, Refusal(RefusalKind.TOO_LARGE, f"the request body is larger than {limit} bytes"))
        else:
            self.refuse(flow, Refusal(RefusalKind.WITHHELD, f"the answer is larger than {limit} bytes"))

    def _unshown(self, flow: http.HTTPFlow, why: str) -> None:
        if not self.is_over(flow):
            self.abort(flow, Refusal(RefusalKind.WITHHELD, "the answer could not be inspected", detail=why))

    def _unread(self, flow: http.HTTPFlow) -> None:
        if not self.is_over(flow):
            refusal = Refusal(RefusalKind.WITHHELD, "too much of the answer was not read", detail="the client is slow")
            self.abort(flow, refusal, torn=True)

    def _reading(self, flow: http.HTTPFlow, size: Callable[[], int]) -> None:
        exchange = self.exchanges.find(flow)
        if exchange is not None and exchange.target is not None:
            self._patience.begin(flow, size, exchange.target.answer_wait)

    def _give_up(self, flow: http.HTTPFlow) -> None:
        if self.connections is not None:
            spawn(self.connections.give_up(flow), name="give up on an answer")

    def _too_slow(self, flow: http.HTTPFlow) -> None:
        self.refuse(flow, Refusal(RefusalKind.WITHHELD, "the answer did not end in time"))

    def _unreadable(self, flow: http.HTTPFlow, why: str) -> None:
        self.refuse(flow, Refusal(RefusalKind.BAD_REQUEST, why))

    def _unwanted(self, flow: http.HTTPFlow) -> bool:
        announced = flow.request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limit(flow, True):  # noqa: FBT003
            self._too_large(flow, True)  # noqa: FBT003
        return isinstance(self.exchanges.get(flow), Refused)

    def _fenced(self, flow: http.HTTPFlow) -> None:
        refusal = Refusal(RefusalKind.FAULT, "the gateway failed while handling this request", detail="no pass")
        logger.critical("a request came to the fence without a pass: flow `%s`", flow.id)
        self.refuse(flow, refusal)
        # No hook of mitmproxy follows.
        self.on_aborted(flow)

    def _limit(self, flow: http.HTTPFlow, is_request: bool) -> int:  # noqa: FBT001  # called by the wire
        exchange = self.exchanges.find(flow)
        targets = self.settings.targets if self.settings else ()
        if not is_request:
            return exchange.response_limit if exchange and exchange.response_limit else 1
        if exchange is not None and exchange.target is not None:
            return exchange.target.request_bytes
        # Not routed yet, or refused already: the largest that any target takes.
        return max((t.request_bytes for t in targets), default=1)

    # -- writing down ---------------------------------------------------------------------------------------------

    def _write_down(self, exchange: Exchange, refusal: Refusal, stage: AuditStage | None) -> None:
        detail = f" ({refusal.detail})" if refusal.detail else ""
        logger.info("refused %s: %s: %s%s", exchange.id, refusal.kind.value, refusal.public, detail)
        services = self._services
        if services is None:
            return
        services.note_refusal(exchange, refusal)
        if stage is not None:
            services.submit(self.event(exchange, stage, detail=describe.refused(refusal)))

    def event(self, exchange: Exchange, stage: AuditStage, detail: JsonObject) -> AuditEvent:
        """Make an audit event of what is known of an exchange."""
        masker = self.services.policies.keeper(exchange.masks, exchange.target)
        return describe.event(exchange, stage, at=self.clock.now(), detail=detail, masker=masker)


def _comment(refusal: Refusal, exchange: Exchange) -> bytes:
    words = " ".join(f"{refusal.public} ({exchange.id})".split())
    return sse.encode(sse.for_every_reader(sse.Event(comments=(f" holdpoint: {words}",))))


def _nothing(_chunk: bytes) -> list[bytes]:
    return []
