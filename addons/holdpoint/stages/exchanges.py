"""The state of every exchange under way, by flow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mitmproxy import http

from holdpoint.approvals.windows import Asked
from holdpoint.domain.decision import Deny, GuardAnswer, Rate
from holdpoint.domain.exchange import Received, Refused, State
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.identity.metadata import Resource
from holdpoint.protocols.mcp_holds import Round
from holdpoint.recording.flowfiles import Session
from holdpoint.settings import Target
from holdpoint.stages.states import OpenedState, Place
from holdpoint.stages.upgrades import Upgrade
from holdpoint.through import Upgraded

TAPE_BYTES = 1 << 20
"""How much of a streamed answer the record keeps."""


def _nothing() -> None:
    return


@dataclass(slots=True)
class Exchange:
    """One flow's state and what the stages leave for one another."""

    id: str
    state: State | None = None
    target: Target | None = None
    resource: Resource | None = None
    """The target as it is called on the road that the request came by."""
    readable_by: str = ""
    """Origin whose pages may read the answer, whatever it will be; `*`: everybody's; empty: no browser was promised."""
    masks: tuple[str, ...] = ()
    """Mask profiles of this exchange, known once policy has spoken."""
    credential: str = "main"
    record_bodies: bool = True
    response_limit: int = 0
    began: float = 0.0
    """Steady seconds at which its head was in."""
    answer_error: str = ""
    """JSON-RPC code of the answer, or `tool_error`."""
    streamed: bool = False
    """Whether the head of the answer is already on its way to the caller."""
    in_lines: bool = False
    """Whether it streams as JSON documents, one on a line, and not as server-sent events."""
    in_events: bool = False
    """Whether it streams as events of a Kubernetes watch."""
    early: bool = False
    """Whether the gateway itself began an event stream towards the caller, before anything was sent upstream."""
    rates: tuple[Rate, ...] = ()
    guards: tuple[GuardAnswer, ...] = ()
    masked: int = 0
    sealed: tuple[bytes, str] | None = None
    """The request's body, and what is written down of it."""
    tape: bytearray = field(default_factory=bytearray)
    """What a streamed answer showed to the caller, capped, for the record."""
    tape_full: bool = False
    recorded: bool = False
    client_left: bool = False
    settled: bool = False
    notes: list[str] = field(default_factory=list[str])
    reason: str = ""
    """Why its caller asks, in the caller's own words: for reviewers, never sent on, never for a decision."""
    denied: Deny | None = None
    """What policy said, where it said no."""
    session: Session | None = None
    """Recorded session, known once the request is about to be sent."""
    approved_by: tuple[str, ...] = ()
    """Persons whose approval cleared it."""
    comments: tuple[tuple[str, str], ...] = ()
    """Person and words of those among them who said something."""
    broken_by: str = ""
    """Person who broke the glass, where nobody approved it."""
    asked: Asked | None = None
    """What was put before reviewers: what is sent must be that."""
    read_pins: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Definitions of the tools it names that a reviewer was shown, by fingerprint."""
    round: Round | None = None
    """Set where this call is the next round of one that was held."""
    cancelled: bool = False
    """Whether its caller took the request back while it was held."""
    begun_session: str = ""
    """Session that the upstream gave in answer to `initialize`."""
    opened: OpenedState | None = None
    """State of an upstream that the caller brought back, once it was restored in the request."""
    resumed: Place | None = None
    """Where in a stream the caller goes on, once its own id was restored in the request."""
    upgrade: Upgrade | None = None
    """What its connection was asked to become, once that was found to be clear."""
    declined: str = ""
    """What the upstream said to an upgrade in place of switching; empty: it switched, or was not asked to."""
    undone: bool = False
    """Whether it said that it does not switch, so that nothing was done."""
    tunnel: Upgraded | None = None
    """What the bytes of its connection pass through, once the upstream has switched."""
    release: Callable[[], None] = _nothing
    """Lets its connection be taken for idle again."""
    upstream: JsonObject = field(default_factory=dict[str, JsonValue])
    """As whom it went upstream, for the record. Never a secret."""
    over: Refusal | None = None
    """Why nothing more of it may pass, where what allowed it was taken back while it was under way."""
    barred: Refusal | None = None
    """Why its answer may not stream, where the grant that cleared it ended before the answer began."""
    ended: Callable[[], None] = _nothing
    """Ends what counts for its time only: the token of a tool call."""

    def show(self, data: bytes) -> None:
        """Keep what a caller was shown of a stream, as far as there is room."""
        room = TAPE_BYTES - len(self.tape)
        self.tape += data[:room]
        self.tape_full = self.tape_full or len(data) > room


class Exchanges:
    """All exchanges under way. A flow is known from its request headers to the end of its record."""

    def __init__(self) -> None:
        self._by_flow: dict[str, Exchange] = {}

    def __len__(self) -> int:
        return len(self._by_flow)

    def begin(self, flow: http.HTTPFlow, exchange_id: str) -> Exchange:
        """Start an exchange. Raises GatewayFault if the flow has one already."""
        if flow.id in self._by_flow:
            raise GatewayFault(f"flow `{flow.id}` began twice")
        exchange = self._by_flow[flow.id] = Exchange(exchange_id)
        return exchange

    def find(self, flow: http.HTTPFlow) -> Exchange | None:
        """Return the exchange of a flow, or None."""
        return self._by_flow.get(flow.id)

    def of(self, flow: http.HTTPFlow) -> Exchange:
        """Return the exchange of a flow. Raises GatewayFault if it has none: a stage was skipped."""
        exchange = self._by_flow.get(flow.id)
        if exchange is None:
            raise GatewayFault("a stage saw a flow that no stage received")
        return exchange

    def get(self, flow: http.HTTPFlow) -> State | None:
        """Return the state of a flow, or None."""
        exchange = self._by_flow.get(flow.id)
        return exchange.state if exchange else None

    def expect[T](self, flow: http.HTTPFlow, kind: type[T]) -> T:
        """Return the state of a flow if it is of that kind. Raises GatewayFault."""
        state = self.get(flow)
        if not isinstance(state, kind):
            raise GatewayFault(f"expected an exchange that is {kind.__name__}, found {type(state).__name__}")
        return state

    def target(self, flow: http.HTTPFlow) -> Target:
        """Return the target of a flow. Raises GatewayFault where it is not known yet."""
        target = self.of(flow).target
        if target is None:
            raise GatewayFault("a stage asked for a target before one was found")
        return target

    def mark_refused(self, flow: http.HTTPFlow) -> None:
        """Mark a flow as refused when nothing else could be done for it."""
        exchange = self._by_flow.setdefault(flow.id, Exchange(flow.id))
        reached = exchange.state
        refusal = Refusal(RefusalKind.FAULT, "the gateway failed while handling this request")
        if not isinstance(reached, Refused):
            exchange.state = Refused(exchange.id, refusal, None if not isinstance(reached, Received) else reached)

    def end(self, flow: http.HTTPFlow) -> None:
        """Forget a flow."""
        self._by_flow.pop(flow.id, None)
