"""Answers that stream: every event is looked at before it passes, and what passed is kept for the record."""

import logging
from collections.abc import Callable

from mitmproxy import http

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import Forwarded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import Masker
from holdpoint.masking.streams import SseMasker
from holdpoint.protocols import mcp
from holdpoint.protocols.sse import Parser
from holdpoint.settings import Target
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway

logger = logging.getLogger(__name__)

TAPE_BYTES = 1 << 20
"""How much of a streamed answer the record keeps."""


def stream_events(
    gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, masker: Masker, state: Forwarded
) -> None:
    """Send an event stream on, event by event."""
    response = flow.response
    if response is None:
        raise Refusal(RefusalKind.WITHHELD, "the upstream answered in a way that cannot be inspected")
    target = gateway.exchanges.target(flow)
    look = _look_at_mcp(exchange, target) if target.protocol is Protocol.MCP else _pass_on
    reader = SseMasker(masker, parser=Parser(exchange.response_limit), transform=look)
    response.headers.pop("content-length", None)
    if not flow.request.is_http2:
        response.headers["transfer-encoding"] = "chunked"
    exchange.streamed = True
    response.stream = _pump(gateway, flow, exchange, reader)


def _pump(
    gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, reader: SseMasker
) -> Callable[[bytes], list[bytes]]:
    failed = False

    def pump(chunk: bytes) -> list[bytes]:
        # NOTE: an empty list, never b"": on HTTP/1 an empty chunk would end the answer.
        nonlocal failed
        if failed:
            return []
        try:
            shown = reader.feed(chunk) if chunk else reader.end()
        except BaseException as error:  # noqa: BLE001  # mitmproxy would go on with the next chunk
            failed = True
            logger.error("stream of %s withheld: %s", exchange.id, error)  # noqa: TRY400  # its text may hold data
            gateway.abort(
                flow, Refusal(RefusalKind.WITHHELD, "the answer could not be inspected", detail=type(error).__name__)
            )
            return []
        exchange.masked = exchange.masked + reader.take_count()
        if shown:
            room = TAPE_BYTES - len(exchange.tape)
            exchange.tape += shown[:room]
            exchange.tape_full = exchange.tape_full or len(shown) > room
            return [shown]
        return []

    return pump


def _pass_on(value: JsonValue) -> JsonValue:
    return value


def _look_at_mcp(exchange: Exchange, target: Target) -> Callable[[JsonValue], JsonValue | None]:
    """Withhold what a server asks of the client, unless the settings let it."""

    def look(value: JsonValue) -> JsonValue | None:
        message = mcp.server_message(value)
        if message.is_request and message.method not in target.server_requests and message.method != "ping":
            note = f"withheld a request of the server: {message.method[:64]!r}"
            exchange.notes.append(note)
            logger.warning("%s %s", exchange.id, note)
            return None
        return value

    return look
