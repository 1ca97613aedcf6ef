"""One exchange that ended, as meters see it."""

from dataclasses import dataclass
from typing import Literal

from holdpoint.domain.access import Protocol

type Outcome = Literal["answered", "refused", "held", "withheld", "ended", "failed"]

TOOL_ERROR = "tool_error"
"""`error.type` of a tool's result with `isError` (OpenTelemetry semantic conventions for MCP)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Masked: nothing in here is a secret. Where it was not `permitted`, its names may be made up."""

    target: str
    protocol: Protocol | None
    """None: no target was found."""
    outcome: Outcome
    began_at: float
    """Unix seconds."""
    seconds: float
    """From the head of the request to the end of its answer, held time included."""
    method: str = ""
    """Verb of the request: `tools/call`, `get`. Empty where it was not decoded."""
    permitted: bool = False
    """Whether policy let it pass, so that its names are names that rules know."""
    tool: str = ""
    prompt: str = ""
    uri: str = ""
    refusal: str = ""
    """Kind of the refusal."""
    error: str = ""
    """JSON-RPC code, `tool_error`, or the refusal's kind. Empty: it succeeded."""
    request_id: str = ""
    version: str = ""
    """Of MCP."""
    session: str = ""
    """Id of the recorded session. Never the protocol's own: that one opens the session."""
    exchange: str = ""
    principal: str = ""
    rules: tuple[str, ...] = ()
    masked: int = 0
    status: int = 0
    """HTTP status that the caller saw."""
    http_version: str = ""
    server: str = ""
    port: int = 0
    parent: str = ""
    """`traceparent` by the caller's word (W3C Trace Context): joins traces, decides nothing."""
    trace_state: str = ""
