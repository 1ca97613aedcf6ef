"""Answers that stream: every event is looked at before it passes, and what passed is kept for the record."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from mitmproxy import http

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.masking.masker import Masker
from holdpoint.masking.streams import EventParser, SseMasker
from holdpoint.protocols import json_lines, sse
from holdpoint.protocols.sse import Event
from holdpoint.stages.answer_streams import register_answer
from holdpoint.stages.answers import EVENTS, media_type
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.kube_readers import Reader
from holdpoint.stages.looking import stream_look
from holdpoint.stages.sealing import OFF_THE_LOOP
from holdpoint.wire import StreamWork
from holdpoint.wire_early import frame_stream

logger = logging.getLogger(__name__)


_EVENT_COST: Final = 100
"""What an event costs beside its text, in bytes of text."""


def stream_answer(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> None:
    """Send a stream on, message by message: server-sent events, or JSON documents one after another."""
    response = flow.response
    if response is None:
        raise Refusal(RefusalKind.WITHHELD, "the upstream answered in a way that cannot be inspected")
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise Refusal(RefusalKind.WITHHELD, "the upstream compressed a stream that must be inspected")
    look = stream_look(gateway, flow)
    register_answer(gateway, flow, exchange)
    limit = exchange.response_limit
    write = look.encode
    parser: EventParser[Event] = sse.Parser(limit, strict=True)
    if media_type(response) != EVENTS:
        parser = json_lines.Parser(limit)
        exchange.in_lines = not exchange.early
        # Whatever refuses an event refuses a document: it is written as both.
        write = partial(_as_line, write) if exchange.in_lines else write
    reader = SseMasker(masker, look, parser=parser, encode=write)
    pump(gateway, flow, exchange, Events(reader))


def pump[P](gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, reader: Reader[P]) -> None:
    """Send an answer on as `reader` shows it, while it arrives."""
    if flow.response is None:
        raise Refusal(RefusalKind.WITHHELD, "the upstream answered in a way that cannot be inspected")
    frame_stream(flow.request, flow.response)
    exchange.streamed = True
    flow.response.stream = _Pump(gateway, flow, exchange, reader)


def _as_line(write: Callable[[Event], bytes], event: Event) -> bytes:
    write(event)
    return json_lines.encode(event)


class Events:
    """Reads an event stream."""

    def __init__(self, masker: SseMasker[Event]) -> None:
        self._masker = masker

    @property
    def count(self) -> int:
        """How many values were masked so far."""
        return self._masker.count

    def parse(self, chunk: bytes) -> Sequence[Event]:
        """Return the events that `chunk` completes."""
        return self._masker.parse(chunk)

    def end(self) -> Sequence[Event]:
        """Return the events that the end completes."""
        return self._masker.finish()

    def cost(self, pieces: Sequence[Event]) -> int:
        """Return how much work it is to show them."""
        return sum(map(_cost, pieces))

    def show(self, pieces: Sequence[Event]) -> bytes:
        """Return what may pass of them."""
        return self._masker.show(pieces)


class _Pump[P]:
    """What mitmproxy passes each piece of a stream through. After a failure nothing passes any more."""

    def __init__(self, gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, reader: Reader[P]) -> None:
        self._gateway = gateway
        self._flow = flow
        self._exchange = exchange
        self._reader = reader
        self._failed = False
        self._before = exchange.masked
        self._own = 0
        # Events come whole out of the reader, so that no credential is cut in two.
        self._echoes = gateway.services.credentials.echoes(gateway.exchanges.target(flow))

    def __call__(self, chunk: bytes) -> list[bytes]:
        """Return what may pass on at once. What takes long is left for the wire to do before the next piece."""
        # NOTE: an empty list, never b"": on HTTP/1 an empty chunk would end the answer.
        if self._failed:
            return []
        try:
            if not chunk:
                return self._passed(self._reader.show(self._reader.end()))
            pieces = self._reader.parse(chunk)
            if self._reader.cost(pieces) > OFF_THE_LOOP:
                self._gateway.wire.leave_work(self._flow, StreamWork(partial(self._later, pieces)))
                return []
            return self._passed(self._reader.show(pieces))
        except BaseException as error:  # noqa: BLE001  # mitmproxy would go on with the next chunk
            return self._fail(error)

    async def _later(self, pieces: Sequence[P]) -> list[bytes]:
        connections = self._gateway.connections
        # Nothing else keeps a fast upstream from sending all it has meanwhile.
        resume = connections.pause(self._flow) if connections is not None else _nothing
        try:
            return self._passed(await asyncio.to_thread(self._reader.show, pieces))
        except BaseException as error:  # noqa: BLE001  # a time limit, too
            return self._fail(error)
        finally:
            resume()

    def _passed(self, shown: bytes) -> list[bytes]:
        shown, found = self._echoes.hide(shown)
        self._own += found
        self._exchange.masked = self._before + self._reader.count + self._own
        if not shown:
            return []
        self._exchange.show(shown)
        return [shown]

    def _fail(self, error: BaseException) -> list[bytes]:
        if not self._failed:
            self._failed = True
            logger.error("stream of %s withheld: %s", self._exchange.id, error)
            unseen = Refusal(RefusalKind.WITHHELD, "the answer could not be inspected", detail=type(error).__name__)
            self._gateway.abort(self._flow, error if isinstance(error, Refusal) else unseen)
        return []


def _nothing() -> None:
    return


def _cost(event: Event) -> int:
    return _EVENT_COST + len(event.data or "") + len(event.type) + len(event.id or "") + sum(map(len, event.comments))
