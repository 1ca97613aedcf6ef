"""Answers that stream: every event is looked at before it passes, and what passed is kept for the record."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import logging
from collections.abc import Callable

from mitmproxy import http

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.masking.masker import Masker
from holdpoint.masking.streams import SseMasker
from holdpoint.protocols.sse import Event, Parser, encode
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.looking import stream_look
from holdpoint.wire_early import frame_stream

logger = logging.getLogger(__name__)


def stream_events(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> None:
    """Send an event stream on, event by event."""
    response = flow.response
    if response is None:
        raise Refusal(RefusalKind.WITHHELD, "the upstream answered in a way that cannot be inspected")
    target = gateway.exchanges.target(flow)
    reader = SseMasker(masker, stream_look(exchange, target), parser=Parser(exchange.response_limit), encode=encode)
    frame_stream(flow.request, response)
    exchange.streamed = True
    response.stream = _pump(gateway, flow, exchange, reader)


def _pump(
    gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, reader: SseMasker[Event]
) -> Callable[[bytes], list[bytes]]:
    failed = False
    before = exchange.masked
    own = 0
    # Events come whole out of the reader, so that no credential is cut in two.
    echoes = gateway.services.credentials.echoes(gateway.exchanges.target(flow))

    def pump(chunk: bytes) -> list[bytes]:
        # NOTE: an empty list, never b"": on HTTP/1 an empty chunk would end the answer.
        nonlocal failed, own
        if failed:
            return []
        try:
            shown, found = echoes.hide(reader.feed(chunk) if chunk else reader.end())
        except BaseException as error:  # noqa: BLE001  # mitmproxy would go on with the next chunk
            failed = True
            logger.error("stream of %s withheld: %s", exchange.id, error)  # noqa: TRY400  # its text may hold data
            refusal = Refusal(RefusalKind.WITHHELD, "the answer could not be inspected", detail=type(error).__name__)
            gateway.abort(flow, refusal)
            return []
        own += found
        exchange.masked = before + reader.count + own
        if shown:
            exchange.show(shown)
            return [shown]
        return []

    return pump
