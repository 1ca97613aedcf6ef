"""What is told when nothing happened: half of the time to answer is over, or nobody looked at broken glass yet."""

import heapq
from dataclasses import dataclass, field
from typing import Final

from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Glass
from holdpoint.domain.notice import NoticeEvent

REVIEW_AFTER: Final = 3_600.0
"""Seconds after which broken glass that nobody looked at is told of."""
REVIEW_AGAIN: Final = 86_400.0
MOST: Final = 20_000


@dataclass(slots=True)
class Later:
    """By the wall clock, which is what deadlines of requests are in."""

    _heap: list[tuple[float, str, NoticeEvent]] = field(default_factory=list[tuple[float, str, NoticeEvent]])

    @property
    def next(self) -> float | None:
        """Unix seconds: when `due` has something to say."""
        return self._heap[0][0] if self._heap else None

    def note(self, request: ApprovalRequest, now: float) -> None:
        """Look at a request again when its time comes."""
        if len(self._heap) >= MOST:
            return
        if request.state is ApprovalState.PENDING:
            half = request.created_at + (request.deadline - request.created_at) / 2
            if half > now:
                heapq.heappush(self._heap, (half, request.id, NoticeEvent.REMINDER))
        elif request.glass is Glass.BROKEN:
            at = (request.resolved_at or now) + REVIEW_AFTER
            while at <= now - REVIEW_AGAIN:
                at += REVIEW_AGAIN
            heapq.heappush(self._heap, (at, request.id, NoticeEvent.REVIEW_DUE))

    def due(self, now: float) -> list[tuple[float, str, NoticeEvent]]:
        """Take what has come: when it was due, the request's id, what is to be told if it still stands so."""
        found: list[tuple[float, str, NoticeEvent]] = []
        while self._heap and self._heap[0][0] <= now:
            at, request, event = heapq.heappop(self._heap)
            found.append((at, request, event))
            if event is NoticeEvent.REVIEW_DUE:
                heapq.heappush(self._heap, (at + REVIEW_AGAIN, request, event))
        return found

    def forget(self, approval: str) -> None:
        """Look at a request no more."""
        left = [entry for entry in self._heap if entry[1] != approval]
        if len(left) != len(self._heap):
            heapq.heapify(left)
            self._heap = left


def stands(event: NoticeEvent, request: ApprovalRequest) -> bool:
    """Tell whether what was to be told is still so."""
    if event is NoticeEvent.REVIEW_DUE:
        return request.glass is Glass.BROKEN
    return request.state is ApprovalState.PENDING
