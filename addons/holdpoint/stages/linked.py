"""What a tool call opened at a cluster ends with the call."""

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.calls import Calls
from holdpoint.stages.live import LiveStreams


def end_with_calls(calls: Calls, live: LiveStreams) -> None:
    """End every watch, log and terminal of a call when the call is over: nobody waits for what it shows."""

    def end(call: str) -> None:
        over = Refusal(
            RefusalKind.UNAUTHENTICATED,
            "the tool call that this stream serves is over",
            challenge='Bearer error="invalid_token"',
        )
        live.end_where(lambda stream: stream.principal.call == call, over)

    calls.on_end = end
