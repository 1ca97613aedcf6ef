"""What an MCP server says, message by message: looked at before it is masked, and withheld where it may not pass."""

import logging
from collections.abc import Callable

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonValue
from holdpoint.protocols import jsonrpc
from holdpoint.protocols.mcp_answers import server_message
from holdpoint.protocols.mcp_refusals import refusal_message
from holdpoint.settings import Target
from holdpoint.stages.exchanges import Exchange

logger = logging.getLogger(__name__)


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
