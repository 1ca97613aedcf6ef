"""Answers that stream: every event is looked at before it passes, and what passed is kept for the record."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import logging
from collections.abc import Callable

from mitmproxy import http

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import Masker
from holdpoint.masking.streams import SseMasker
from holdpoint.protocols import jsonrpc
from holdpoint.protocols.mcp_answers import server_message
from holdpoint.protocols.mcp_refusals import refusal_event, refusal_message
from holdpoint.protocols.sse import Event, Parser, encode
from holdpoint.settings import Target
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway

logger = logging.getLogger(__name__)

TAPE_BYTES = 1 << 20
"""How much of a streamed answer the record keeps."""


def stream_events(gateway: Gateway, flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> None:
    """Send an event stream on, event by event."""
    response = flow.response
    if response is None:
        raise Refusal(RefusalKind.WITHHELD, "the upstream answered in a way that cannot be inspected")
    target = gateway.exchanges.target(flow)
    reader = SseMasker(masker, stream_look(exchange, target), parser=Parser(exchange.response_limit), encode=encode)
    response.headers.pop("content-length", None)
    if not flow.request.is_http2:
        response.headers["transfer-encoding"] = "chunked"
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
            last = _last_event(refusal, exchange)
            gateway.abort(flow, refusal)
            return last
        own += found
        exchange.masked = before + reader.count + own
        if shown:
            room = TAPE_BYTES - len(exchange.tape)
            exchange.tape += shown[:room]
            exchange.tape_full = exchange.tape_full or len(shown) > room
            return [shown]
        return []

    return pump


def _last_event(refusal: Refusal, exchange: Exchange) -> list[bytes]:
    """Return what tells an MCP client why its call gets no answer any more."""
    call = decoded(exchange.state)
    if call is None or call.request_id is None:
        return []
    told = refusal_event(
        refusal,
        refusal_id=exchange.id,
        request_id=call.request_id,
        protocol_version=call.protocol_version,
        verb=call.access.action.verb,
    )
    return [told]


def stream_look(exchange: Exchange, target: Target) -> Callable[[JsonValue], JsonValue | None]:
    """Return what each JSON message of a stream is passed through before it is masked. None withholds it."""
    if target.protocol is not Protocol.MCP:
        return lambda value: value

    def look(value: JsonValue) -> JsonValue | None:
        return look_at_message(value, exchange, target)

    return look


def look_at_message(value: JsonValue, exchange: Exchange, target: Target) -> JsonValue | None:
    """Withhold what an MCP server asks of the client, unless the settings let it. Raises Undecodable.

    A request is withheld (None); an answer that asks for something is replaced by an error, so that its caller is not
    left waiting.
    """
    message = server_message(value)
    asks = [a for a in message.asks if a not in target.server_requests and a != "ping"]
    if not asks:
        return value
    note = f"withheld what the server asked of the client: {', '.join(sorted(set(asks)))}"
    exchange.notes.append(note)
    logger.warning("%s %s", exchange.id, note)
    match message.message:
        case jsonrpc.Response(id=request_id) | jsonrpc.ErrorResponse(id=request_id):
            call = decoded(exchange.state)
            return refusal_message(
                Refusal(RefusalKind.WITHHELD, "the server asked the client for something that is not allowed"),
                refusal_id=exchange.id,
                request_id=request_id,
                protocol_version=call.protocol_version if call else "",
                verb="",
            )
        case _:
            return None
