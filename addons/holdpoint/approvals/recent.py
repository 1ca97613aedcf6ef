"""Requests that ended a moment ago without an approval.

kubectl asks for one exec twice: by a WebSocket, and where that is refused by SPDY. One denial answers both.
"""

from typing import Final

from holdpoint.clock import Clock
from holdpoint.domain.approval import ApprovalRequest, ApprovalState
from holdpoint.store.protocol import Key

ANSWERS_FOR: Final = 10.0
"""Seconds for which a denial answers the same request asked again in another way."""
_MOST: Final = 10_000


class Recent:
    """The last of them, by what makes a retry the same request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended: dict[Key, tuple[float, ApprovalRequest]] = {}

    def note(self, key: Key, request: ApprovalRequest) -> None:
        """Keep a request that has ended; an approved one has a grant, which says more."""
        now = self._clock.monotonic()
        for old in [k for k, (at, _) in self._ended.items() if now - at >= ANSWERS_FOR]:
            del self._ended[old]
        self._ended.pop(key, None)
        if request.state not in (ApprovalState.PENDING, ApprovalState.APPROVED):
            self._ended[key] = (now, request)
        if len(self._ended) > _MOST:
            del self._ended[next(iter(self._ended))]

    def find(self, key: Key) -> ApprovalRequest | None:
        """Return how the same request ended, if that was a moment ago."""
        at, request = self._ended.get(key, (0.0, None))
        return request if request is not None and self._clock.monotonic() - at < ANSWERS_FOR else None
