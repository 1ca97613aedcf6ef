"""Requests that a session of an upstream was sent under one `id`, and whose answers it may therefore confuse.

Servers find the stream of an answer by session and `id` alone (python-sdk issue 3060, go-sdk 1004, typescript-sdk
2433): where a client uses an `id` again before it is answered, which MCP forbids and clients do all the same, either
exchange may be given the answer of the other. So each is held to the duties of both.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from holdpoint.domain.decision import GuardAnswer
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.protocols.jsonrpc import id_key
from holdpoint.stages.exchanges import Exchange

MOST: Final = 50_000
"""Requests that are remembered; beyond, the oldest is forgotten."""

type _Place = tuple[str, str, str]


@dataclass(slots=True)
class _Sent:
    """What was sent under one id, and what its answers are held to, also when nobody waits for them any more."""

    exchanges: list[Exchange]
    """Those that still wait."""
    masks: tuple[str, ...]
    response_limit: int
    guards: tuple[GuardAnswer, ...]
    is_confused: bool = False
    """Whether the id was ever used again too early: then nobody can tell which answers are still to come."""


class UnderWay:
    """The requests that have no whole answer yet. One that was given up stays: its answer may still come."""

    def __init__(self) -> None:
        self._sent: OrderedDict[_Place, _Sent] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sent)

    def send(self, exchange: Exchange, asked: Decoded) -> None:
        """Note what is about to be sent; what may be confused with it is held to the same duties as it from now on.

        Raises Refusal where that comes too late.
        """
        places = _places(asked)
        earlier = [sent for place in places if (sent := self._sent.get(place)) is not None]
        for sent in earlier:
            _unite(exchange, sent)
        for place in places:
            sent = self._sent.setdefault(place, _Sent([], (), exchange.response_limit, ()))
            sent.masks, sent.guards, sent.response_limit = exchange.masks, exchange.guards, exchange.response_limit
            sent.exchanges.append(exchange)
            self._sent.move_to_end(place)
        while len(self._sent) > MOST:
            self._sent.popitem(last=False)

    def end(self, exchange: Exchange, asked: Decoded, *, is_over: bool) -> None:
        """Forget what was answered whole, or never sent. Of what was not, the exchange ends and its duties stay."""
        for place in _places(asked):
            sent = self._sent.get(place)
            if sent is None or not any(one is exchange for one in sent.exchanges):
                continue
            sent.exchanges = [one for one in sent.exchanges if one is not exchange]
            if is_over and not sent.is_confused:
                del self._sent[place]


def _unite(exchange: Exchange, earlier: _Sent) -> None:
    masks = tuple(sorted({*exchange.masks, *earlier.masks}))
    guards = tuple(dict.fromkeys((*earlier.guards, *exchange.guards)))
    limit = min(exchange.response_limit, earlier.response_limit)
    for other in earlier.exchanges:
        is_stricter = (masks, set(guards), limit) != (other.masks, set(other.guards), other.response_limit)
        if is_stricter and other.streamed:
            # Its answer runs already, and could go on with what this request is answered.
            raise Refusal(RefusalKind.CONFLICT, "a request of this session with the same `id` has no answer yet")
    for other in (*earlier.exchanges, exchange):
        other.masks, other.guards, other.response_limit = masks, guards, limit
    earlier.is_confused = True


def _places(asked: Decoded) -> tuple[_Place, ...]:
    """Return where an upstream looks for the streams of the answers. Without a session each request has its own."""
    if not asked.session:
        return ()
    target = asked.access.target
    if asked.request_id is not None:
        return ((target, asked.session, id_key(asked.request_id)),)
    return tuple((target, asked.session, id_key(one)) for one in asked.batch_ids)
