"""What comes back from an MCP server, in a JSON body or in a stream's events: which message it is, what it asks for."""

from dataclasses import dataclass

from holdpoint.domain.values import JsonValue
from holdpoint.protocols import jsonrpc
from holdpoint.protocols.call import Undecodable

URL_ELICITATION_REQUIRED = -32042


@dataclass(frozen=True, slots=True)
class ServerMessage:
    """One message from the server."""

    message: jsonrpc.Message
    asks: tuple[str, ...] = ()
    """Methods that the client is to perform (`sampling/createMessage`, `elicitation/create`, `roots/list`).

    A request of the server's own (legacy), what `inputRequests` of a result or notification holds (2026-07-28), or the
    elicitation that error -32042 demands (2025-11-25).
    """


def server_message(value: JsonValue) -> ServerMessage:
    """Classify. Raises Undecodable where `value` is no message, could be two, or hides what it asks for."""
    message = jsonrpc.parse(value, extra="ignore")
    match message:
        case jsonrpc.Request():
            return ServerMessage(message, (message.method,))
        case jsonrpc.Response():
            return ServerMessage(message, _input_requests(message.result.get("inputRequests")))
        case jsonrpc.Notification():
            return ServerMessage(message, _input_requests(message.params.get("inputRequests")))
        case jsonrpc.ErrorResponse():
            asks = ("elicitation/create",) if message.code == URL_ELICITATION_REQUIRED else ()
            return ServerMessage(message, asks)


def _input_requests(value: JsonValue) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise Undecodable("`inputRequests` is not an object", code=jsonrpc.INVALID_REQUEST)
    asks: list[str] = []
    for wanted in value.values():
        method = wanted.get("method") if isinstance(wanted, dict) else None
        if not isinstance(method, str) or not jsonrpc.is_plain_name(method):
            raise Undecodable("an input request has no method", code=jsonrpc.INVALID_REQUEST)
        asks.append(method)
    return tuple(asks)
