"""Kubernetes' protobuf, decoded for the decision."""

from holdpoint.domain.values import JsonObject
from holdpoint.protocols.call import Undecodable


def decode(body: bytes) -> tuple[JsonObject, bool]:
    """Return the object, and whether all of it is known. Raises Undecodable."""
    raise Undecodable(f"protobuf of {len(body)} bytes is not served: send JSON", status=415)
