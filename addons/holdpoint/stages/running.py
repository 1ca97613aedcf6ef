"""Requests under way: from the moment they are about to be sent until all of their answer is there.

What was allowed when a request was sent may be taken back while its answer is awaited: then the upstream's answer is
not waited for, and nothing of it passes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from holdpoint.domain.access import Principal
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.stages.exchanges import Exchange

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Sent:
    """One request under way."""

    exchange: Exchange
    principal: Principal = field(repr=False)
    approval: str
    """Id of the approval request that cleared it; empty where none was asked for."""
    end: Callable[[Refusal], None] = field(repr=False)
    """Ends it, and tells its caller why. On the event loop; again is harmless."""


class Running:
    """All of them, by the id of their exchange. One for each gateway."""

    def __init__(self) -> None:
        self._sent: dict[str, Sent] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, sent: Sent) -> None:
        """Note a request that is about to be sent."""
        self._sent[sent.exchange.id] = sent

    def remove(self, exchange: Exchange) -> None:
        """Forget one that ended."""
        self._sent.pop(exchange.id, None)

    def matching(self, test: Callable[[Sent], bool]) -> tuple[Sent, ...]:
        """Return those of which `test` is true, the oldest first."""
        return tuple(sent for sent in self._sent.values() if test(sent))

    def end_where(self, test: Callable[[Sent], bool], refusal: Refusal) -> int:
        """End every request of which `test` is true. Returns how many."""
        ended = 0
        for sent in self.matching(test):
            if sent.exchange.over is not None:
                continue
            # INVARIANT: noted first. Whatever becomes of the end itself, nothing of an answer passes from here on.
            sent.exchange.over = refusal
            ended += 1
            logger.info("request %s ends: %s", sent.exchange.id, refusal.public)
            try:
                sent.end(refusal)
            except Exception:
                # One that cannot be ended must not keep the others alive.
                logger.critical("request `%s` could not be ended", sent.exchange.id, exc_info=True)
        return ended

    def bar_streams(self, approval: str, refusal: Refusal) -> None:
        """Let what this approval cleared, and whose answer has not begun, not begin to stream any more."""
        for sent in self._sent.values():
            if sent.approval == approval and sent.exchange.barred is None:
                sent.exchange.barred = refusal


def cut_off(refusal: Refusal, asked: Decoded) -> Refusal:
    """Return what the caller of a request is told that was sent, and whose answer he will not get.

    Never that nothing was done, as is said of requests that nobody approved in time.
    """
    unknown = "; whether it took effect is not known" if asked.is_write and not asked.is_notification else ""
    kind = RefusalKind.DENIED if refusal.kind is RefusalKind.EXPIRED else refusal.kind
    if kind is refusal.kind and not unknown:
        return refusal
    told = Refusal(kind, refusal.public + unknown, detail=refusal.detail, ticket=refusal.ticket)
    told.challenge, told.link = refusal.challenge, refusal.link
    return told


def refuse_over(exchange: Exchange, *, streams: bool = False) -> None:
    """Refuse an answer that came when what allowed it was taken back. Raises Refusal.

    `streams`: it is about to stream, for as long as it likes.
    """
    if exchange.over is not None:
        raise exchange.over
    if streams and exchange.barred is not None:
        raise exchange.barred
