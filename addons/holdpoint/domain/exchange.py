"""One request and its answer, as a typestate: each stage takes what the stage before made.

Received → Identified → Decoded → Permitted → Cleared → Forwarded → Answered; or Refused from anywhere; or Replied,
where the gateway itself has the answer.
"""

from dataclasses import dataclass, field
from typing import Literal

from holdpoint.domain.access import AccessRequest, Principal
from holdpoint.domain.decision import Permit
from holdpoint.domain.grant import Grant
from holdpoint.domain.refusal import Refusal
from holdpoint.domain.values import JsonMapping, JsonValue


@dataclass(frozen=True, slots=True)
class Received:
    """Headers are in; the target is known, the caller is not."""

    id: str
    target: str
    listener: str
    peer: str
    """Address of the client's socket, not a header."""
    at: float
    """Unix seconds."""
    path: str
    """Path below the target's route, as the upstream will see it."""


@dataclass(frozen=True, slots=True)
class Identified:
    """The caller's token was verified."""

    received: Received
    principal: Principal


@dataclass(frozen=True, slots=True)
class Decoded:
    """What is asked is known."""

    identified: Identified
    access: AccessRequest
    intent: JsonValue
    """What a reviewer would read: everything that decides what happens, nothing that differs between retries."""
    request_id: str | int | None = None
    """The protocol's own id of the request (JSON-RPC `id`), for the answer."""
    protocol_version: str = ""
    session: str = ""
    """The protocol's own session id, unverified."""
    is_notification: bool = False
    is_write: bool = True
    """Whether the body must be durable before the request is sent. Unknown counts as yes."""
    accepts_sse: bool = False
    progress_token: str | int | None = None
    capabilities: JsonMapping = field(default_factory=dict[str, JsonValue])
    """What the client says it can do (MCP `clientCapabilities`), in this request or when its session began."""
    batch_ids: tuple[str | int, ...] = ()
    """Ids of the requests in a batch, in order."""
    batch_at: tuple[int, ...] = ()
    """Where each of them stands among the members: notifications and answers stand there too."""
    trace: tuple[str, str] = ("", "")
    """`traceparent` and `tracestate` (W3C Trace Context) by the caller's word: they join traces, and decide nothing."""


@dataclass(frozen=True, slots=True)
class Permitted:
    """Policy allows it, if its obligations are met."""

    decoded: Decoded
    decision: Permit
    observed: str = ""
    """In `mode: observe`: what would have been refused, and why."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """Every approval that was asked for was given."""

    permitted: Permitted
    grant: Grant | None = None


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Its audit record is durable and the request is on its way."""

    cleared: Cleared
    wire: str
    """Digest of the request as sent."""
    session: str = ""
    """Id of the recorded session."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer came, was masked, and went to the caller."""

    forwarded: Forwarded
    masked: int = 0
    """How many values were masked."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It was turned away."""

    id: str
    refusal: Refusal
    reached: "State | None" = None
    notes: tuple[str, ...] = field(default=())
    ended: bool = False
    """Whether this is the end of a stream that passed as it should until then: nothing in it was withheld."""


@dataclass(frozen=True, slots=True)
class Replied:
    """The gateway answered by itself, with what it tells everybody: nobody was identified, nothing is sent."""

    received: Received
    what: Literal["metadata", "preflight"]


type State = Received | Identified | Decoded | Permitted | Cleared | Forwarded | Answered | Refused | Replied


def received(state: State | None) -> Received | None:
    """Return what was known first, from any state."""
    match state:
        case None:
            return None
        case Received():
            return state
        case Identified() | Replied():
            return state.received
        case Decoded():
            return state.identified.received
        case Permitted():
            return state.decoded.identified.received
        case Cleared():
            return state.permitted.decoded.identified.received
        case Forwarded():
            return state.cleared.permitted.decoded.identified.received
        case Answered():
            return state.forwarded.cleared.permitted.decoded.identified.received
        case Refused():
            return received(state.reached)


def decoded(state: State | None) -> Decoded | None:
    """Return what was asked, from any state that knows it."""
    match state:
        case Decoded():
            return state
        case Permitted():
            return state.decoded
        case Cleared():
            return state.permitted.decoded
        case Forwarded():
            return state.cleared.permitted.decoded
        case Answered():
            return state.forwarded.cleared.permitted.decoded
        case Refused():
            return decoded(state.reached)
        case _:
            return None
