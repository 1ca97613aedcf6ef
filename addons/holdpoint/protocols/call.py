"""What a decoder makes of a request, and what it raises where it cannot."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdpoint.domain.access import Action, Resource
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue

_KIND_BY_STATUS = {
    401: RefusalKind.UNAUTHENTICATED,
    404: RefusalKind.NOT_FOUND,
    406: RefusalKind.NOT_ACCEPTABLE,
    413: RefusalKind.TOO_LARGE,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, decoded. The bytes it was decoded from are what may be forwarded, unchanged."""

    action: Action
    resource: Resource
    arguments: JsonMapping
    """Tool or prompt arguments, a JSON body, or the parameters of any other message."""
    intent: JsonValue
    """Everything that decides what the upstream does, and nothing that differs between retries of the same call."""
    unverified: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the caller says of itself: `client`, `client_version`, `protocol_version`."""
    request_id: str | int | None = None
    """JSON-RPC `id` of a request that is owed an answer."""
    protocol_version: str = ""
    session: str = ""
    """`Mcp-Session-Id`, unverified."""
    is_notification: bool = False
    is_write: bool = True
    """False only for messages known to change nothing."""
    accepts_sse: bool = False
    progress_token: str | int | None = None
    capabilities: JsonMapping = field(default_factory=dict[str, JsonValue])
    """`clientCapabilities` of this very request, or of `initialize`."""
    task: str = ""
    """`taskId` of a task of the server's that this message is about."""
    request_state: str = ""
    """`requestState` of a call that goes on (2026-07-28), as the caller sent it."""
    input_responses: JsonMapping = field(default_factory=dict[str, JsonValue])
    """What the caller answers to the `inputRequests` of such a call, or of a task, by the server's keys."""
    last_event_id: str = ""
    trace: tuple[str, str] = ("", "")
    """`traceparent` and `tracestate` of `_meta` (SEP-414), by the caller's word."""
    answers: str | int | None = None
    """`id` of the server's request that this response is for."""
    members: "tuple[Call, ...]" = ()
    """The messages of a batch, in order; or, of a stream that is asked for, what it will tell of, one by one."""


class Undecodable(ValueError):  # noqa: N818  # named after what it is, as Refusal
    """Bytes that are not exactly one clear request.

    `str(error)` is shown to the caller: lower case, no full stop, and nothing of what the body or a header said.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        status: int = 400,
        request_id: str | int | None = None,
        data: JsonObject | None = None,
        allow: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        """JSON-RPC error code, or None where the status alone says it."""
        self.status = status
        self.request_id = request_id
        """Known only where the message was read far enough to trust it."""
        self.data = data
        """Members that the JSON-RPC error's `data` must have (`supported` of -32022)."""
        self.allow = allow
        """Value of `Allow` on a 405 (RFC 9110 section 15.5.6)."""
        self.protocol_version = ""
        """Version the caller spoke, where that is known."""
        self.batch_ids: tuple[str | int, ...] = ()
        """Ids of the requests in the batch that this was found in, in order; `request_id` is the one at fault."""

    def refusal(self) -> Refusal:
        """Return this as a refusal, for the audit and for renderers that know nothing of codes."""
        kind = _KIND_BY_STATUS.get(self.status, RefusalKind.BAD_REQUEST)
        return Refusal(kind, str(self), detail=f"undecodable, status {self.status}, code {self.code}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer of the gateway's own."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
