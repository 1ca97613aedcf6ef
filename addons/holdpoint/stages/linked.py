"""What a tool call opened at a cluster ends with the call."""

import asyncio
from collections.abc import Callable

from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.calls import GRACE, Calls
from holdpoint.stages.live import LiveStreams

type Later = Callable[[float, Callable[[], None]], object]
"""Runs something on the event loop after so many seconds."""


def over(ticket: str = "") -> Refusal:
    """Return how a request is turned away whose tool call is over."""
    return Refusal(
        RefusalKind.UNAUTHENTICATED,
        "the tool call that this request serves is over",
        ticket=ticket,
        challenge='Bearer error="invalid_token"',
    )


def end_with_calls(calls: Calls, live: LiveStreams, *, later: Later | None = None) -> None:
    """End every watch, log and terminal of a call when its token counts no more: nobody waits for what it shows."""

    def end(call: str) -> None:
        def end_streams() -> None:
            live.end_where(lambda stream: stream.principal.call == call, over())

        (later or _on_the_loop)(GRACE, end_streams)

    calls.on_end = end


def refuse_late(calls: Calls, asked: Decoded | None) -> None:
    """Refuse an answer that begins when its tool call is over: nothing would end its stream. Raises Refusal."""
    if asked is not None and (call := asked.access.principal.call) and not calls.is_live(call):
        raise over()


def _on_the_loop(seconds: float, work: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, work)
