"""Request bodies: one object that every reader reads the same way, in each form that the API server takes."""

import hashlib
import re
from dataclasses import dataclass, field

from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue, as_object, as_text
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.kubernetes import protobuf, strict_yaml

PATCH = "$patch"
"""Argument that holds the operations of a JSON patch (RFC 6902), which is an array."""
MAX_DEPTH = 128
"""Schemas of custom resources nest deeper than calls of tools do."""

_PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_JSON, _YAML, _PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_UTF8 = frozenset({"utf-8", "utf8"})
_CHARSET = re.compile(r'charset\s*=\s*"?([^"]*)"?')
_OPERATIONS = {
    "add": frozenset({"op", "path", "value"}),
    "remove": frozenset({"op", "path"}),
    "replace": frozenset({"op", "path", "value"}),
    "test": frozenset({"op", "path", "value"}),
}
_UNSEEN = frozenset({"copy", "move"})
"""Operations that write what nobody here sees: no rule, no reviewer, and no mask of the place it is taken from."""
_MOST_OPERATIONS = 10_000
"""`maxJSONPatchOperations` of the API server."""
_RENAMED = re.compile(r".*/env/[^/]*/name", re.DOTALL)
"""The name of a variable, whose value stays: a mask knows the value by the name beside it."""
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
"""RFC 6901 section 3."""


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body, decoded."""

    object: JsonMapping = field(default_factory=dict[str, JsonValue])
    known: bool = True
    """False where a part of it was not understood."""
    unread: str = ""
    """SHA-256 of the bytes where a part of them was not understood: what `object` does not tell apart, this does."""
    patch: str = ""
    """`json`, `merge`, `strategic` or `apply`, of a PATCH."""
    is_there: bool = True

    @property
    def metadata(self) -> JsonObject:
        """The object's metadata, empty where it has none. Of a JSON patch: none."""
        return as_object(self.object.get("metadata")) if self.patch != "json" else {}


NOTHING = Body(is_there=False)


def read(method: str, content_type: str | None, content_encoding: str | None, data: bytes, *, max_bytes: int) -> Body:
    """Decode a body by its content type. Raises Undecodable: 400 for what is broken, 415 for a form that is not read.

    Without a content type the API server takes JSON, but for patches, of which it has to know the kind.
    """
    if not data:
        if method == "PATCH":
            raise Undecodable("a patch without a body")
        return NOTHING
    if method in {"GET", "HEAD"}:
        raise Undecodable("a body is not accepted with this HTTP method")
    # The gateway decides on the bytes as they are sent.
    if (content_encoding or "identity").lower() != "identity":
        raise Undecodable("a body with `Content-Encoding` is not accepted", status=415)
    media = _media(content_type or ("" if method == "PATCH" else _JSON))
    if method == "PATCH":
        return _patch(media, data, max_bytes)
    if media == _JSON:
        return Body(_object(_json(data, max_bytes)))
    if media == _YAML:
        return Body(_object(_yaml(data, max_bytes)))
    if media == _PROTOBUF:
        decoded = protobuf.decode(data, max_bytes=max_bytes)
        return Body(decoded.object, decoded.known, unread="" if decoded.known else hashlib.sha256(data).hexdigest())
    raise _unsupported(media)


def _media(content_type: str) -> str:
    media, *parameters = (part.strip() for part in content_type.lower().split(";"))
    for parameter in parameters:
        charset = _CHARSET.fullmatch(parameter)
        if charset and charset[1].strip() not in _UTF8:
            raise Undecodable("a body in another encoding than UTF-8", status=415)
    return media


def _patch(media: str, data: bytes, max_bytes: int) -> Body:
    kind = _PATCHES.get(media)
    if kind is None:
        raise _unsupported(media)
    if kind == "apply":
        return Body(_object(_yaml(data, max_bytes)), patch=kind)
    value = _json(data, max_bytes)
    if kind == "json":
        return Body({PATCH: _operations(value)}, patch=kind)
    return Body(_object(value), patch=kind)


def _unsupported(media: str) -> Undecodable:
    if "cbor" in media:
        # client-go falls back to JSON on exactly this status.
        return Undecodable("CBOR is not served: send JSON", status=415)
    if media.startswith(("application/x-www-form-urlencoded", "multipart/")):
        return Undecodable("forms are not served: send JSON", status=415)
    return Undecodable("a body of this `Content-Type` is not served: send JSON", status=415)


def _json(data: bytes, max_bytes: int) -> JsonValue:
    return strict_json.loads(data, max_bytes=max_bytes, max_depth=MAX_DEPTH, exact=True, int64=True)


def _yaml(data: bytes, max_bytes: int) -> JsonValue:
    # Clients write JSON under the name of YAML, of which it is a part.
    if data.lstrip(b" \r\n").startswith((b"{", b"[")):
        value = _json(data, max_bytes)
        strict_yaml.refuse_breaks(data.decode())
        if b'"<<"' in data:
            raise Undecodable("merge keys are not accepted")
        return value
    return strict_yaml.loads(data)


def _object(value: JsonValue) -> JsonObject:
    if not isinstance(value, dict):
        raise Undecodable("the body is not an object")
    return value


def _operations(value: JsonValue) -> JsonValue:
    if not isinstance(value, list) or len(value) > _MOST_OPERATIONS:
        raise Undecodable(f"a JSON patch is an array of at most {_MOST_OPERATIONS} operations")
    for item in value:
        operation = as_object(item)
        name = as_text(operation.get("op"))
        if name in _UNSEEN:
            raise Undecodable(f"`{name}` of a JSON patch writes a value that the patch does not show: write the value")
        wanted = _OPERATIONS.get(name)
        if wanted is None or frozenset(operation) != wanted:
            raise Undecodable(
                "a JSON patch holds what is no operation, or an operation with other members than its own"
            )
        pointer = operation["path"]
        if not isinstance(pointer, str) or not _POINTER.fullmatch(pointer):
            raise Undecodable("a JSON patch holds what is no JSON pointer")
        if name != "test" and _RENAMED.fullmatch(pointer):
            raise Undecodable("a JSON patch renames a variable and leaves its value: write the whole variable")
    return value
