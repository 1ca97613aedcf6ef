"""JSON from outside: token segments, key sets, discovery documents, token answers."""

from holdpoint.domain.values import JsonObject
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.strict_json import loads

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_NODES = 20_000


class BadDocument(ValueError):  # noqa: N818  # named after what it is
    """What came is not the JSON object that was expected. The message is for the operator, and quotes no content."""


def parse_object(data: bytes) -> JsonObject:
    """Read one JSON object, strictly: two parsers must not read two tokens from the same bytes. Raises BadDocument."""
    try:
        value = loads(data, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH, max_nodes=MAX_NODES)
    except Undecodable as error:
        raise BadDocument(str(error)) from None
    if not isinstance(value, dict):
        raise BadDocument("not a JSON object")
    return value
