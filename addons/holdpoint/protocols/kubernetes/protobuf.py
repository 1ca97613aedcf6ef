"""Protobuf request bodies of the Kubernetes API, as the JSON that the API server would show of the same object.

kubectl, client-go and controllers send them for every built-in kind. The body is the four bytes `k8s` and NUL, then
a `runtime.Unknown` (apimachinery/pkg/runtime/serializer/protobuf): the object's apiVersion and kind, and the object
as a message of its own (https://protobuf.dev/programming-guides/encoding/). It is read by the tables of
field_tables.py.

Whatever two readers may read differently is refused: a field that may stand once and stands twice, numbers that are
cut to fit their type, groups, numbers in more bytes than they need. What the tables lack is no error: the rest is
decoded, `known` is False, and `unknown` says what was left out.
"""

from dataclasses import dataclass

from holdpoint.domain.values import JsonObject
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes.protobuf_reader import CONTENT_TYPE, Reader
from holdpoint.protocols.kubernetes.protobuf_wire import broken

__all__ = ["CONTENT_TYPE", "Decoded", "decode"]

MAX_BYTES = strict_json.MAX_BYTES
MAX_DEPTH = strict_json.MAX_DEPTH
MAX_NODES = strict_json.MAX_NODES


@dataclass(frozen=True, slots=True)
class Decoded:
    """A body, decoded."""

    object: JsonObject
    """With `apiVersion` and `kind`; what is not known is left out."""
    known: bool
    """False where the tables lack the kind or a field that the body has: a rule must not trust the object."""
    unknown: tuple[str, ...]
    """What was left out, by the names of the tables: `core.v1/PodSpec field 99`."""


def decode(
    body: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, max_nodes: int = MAX_NODES
) -> Decoded:
    """Decode one body. Raises Undecodable, which never quotes it.

    `max_depth` counts objects and lists in each other, `max_nodes` the values of the object as JSON has it.
    """
    if len(body) > max_bytes:
        raise Undecodable(f"larger than {max_bytes} bytes", status=413)
    reader = Reader(body, max_depth, max_nodes)
    try:
        made = reader.envelope(0, len(body), 1)
    except UnicodeDecodeError:
        raise broken("text that is not UTF-8") from None
    return Decoded(made, known=not reader.unknown, unknown=tuple(reader.unknown))
