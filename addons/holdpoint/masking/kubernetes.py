"""What is special in objects of the Kubernetes API: where Secrets and tokens stand, and what is public.

A Secret is known by its kind, by its type, and by what was asked: objects in a typed list carry neither kind nor
apiVersion, patches carry neither type, and a CRD may call its own kind whatever it likes.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from holdpoint.domain.mask import MaskAction
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.masking.marks import MASKED, is_mark
from holdpoint.masking.strict import NotJson, loads
from holdpoint.masking.walk import Container, Walk, is_secret

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
JSON_PATCH: Final = "$patch"
"""Member under which the operations of a JSON patch stand in what was decoded of a request."""
_DATA: Final = ("data", "stringData")
_SECRETS: Final = frozenset({"secret", "secretlist"})
_HELM: Final = "sh.helm.release."
_TOKENS: Final = {"tokenrequest": "status", "tokenreview": "spec"}
"""Where a token stands, by kind."""
_QUOTING_NOTHING: Final = frozenset(
    {
        *("AlreadyExists", "Conflict", "Expired", "Forbidden", "Gone", "MethodNotAllowed", "NotAcceptable"),
        *("NotFound", "ServerTimeout", "ServiceUnavailable", "Timeout", "TooManyRequests", "Unauthorized"),
        "UnsupportedMediaType",
    }
)
"""Reasons of errors (metav1.StatusReason) that name objects, and never say what is in one."""
_PIECES: Final = re.compile(r",? error found in #")


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of objects from what was asked."""

    is_secret: bool = False
    """They are Secrets, whatever they say."""
    is_token: bool = False
    """They hold a token, whatever they say."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a Table, where rows come without them."""
    is_coded: bool = True
    """Marks in base64 where a type has bytes: clients in Go decode them before anybody looks."""


NOTHING: Final = Shape()


def prepare(walk: Walk, root: Container, shape: Shape) -> None:
    """Hide by structure what the objects (or lists, Tables and patches) in `root` hold."""
    for node in root if isinstance(root, list) else (root,):
        if isinstance(node, dict):
            _document(walk, node, shape)


def _document(walk: Walk, node: JsonObject, shape: Shape) -> None:
    if node.get("kind") == "Status" and node.get("status") == "Failure":
        _failure(walk, node, shape)
    _object(walk, node, shape)
    for item in _objects(node.get("items")):
        _object(walk, item, replace(shape, is_secret=True) if _is_secret_kind(node) else shape)
    for operation in _objects(node.get(JSON_PATCH)):
        _operation(walk, operation, shape)
    rows = node.get("rows")
    if isinstance(rows, list):
        names = tuple(as_text(c.get("name")) for c in _objects(node.get("columnDefinitions"))) or shape.columns
        for row in _objects(rows):
            _row(walk, row, names, shape)


def _failure(walk: Walk, status: JsonObject, shape: Shape) -> None:
    """Hide what an error says of the object that it is about.

    The API server quotes what it could not read, which after a patch is the stored object: as JSON, which the walk
    finds, and before 1.23 as pieces cut out of the middle (jsoniter), which nobody could mask.
    """
    quotes = shape.is_secret and walk.secrets is not None and as_text(status.get("reason")) not in _QUOTING_NOTHING
    for holder in (status, *_objects(as_object(status.get("details")).get("causes"))):
        said = as_text(holder.get("message"))
        kept = said.partition(":")[0] if quotes else _PIECES.split(said, maxsplit=1)[0]
        if kept != said:
            mark = walk.mark(said, MaskAction.REDACT)
            walk.change(holder, "message", f"{walk.text(kept)[0]}: {MASKED}" if mark == MASKED else mark)


def _row(walk: Walk, row: JsonObject, columns: Sequence[str], shape: Shape) -> None:
    """Hide cells by the name of their column, as a value would be by the name of its field."""
    cells = row.get("cells")
    if isinstance(cells, list):
        for index, (name, cell) in enumerate(zip(columns, cells, strict=False)):
            if (action := walk.action(name.replace(" ", ""))) is not None:
                walk.hide_all(cells, index, cell, action)
    inner = row.get("object")
    if isinstance(inner, dict):
        _object(walk, inner, shape)


def _object(walk: Walk, node: JsonObject, shape: Shape) -> None:
    action = walk.secrets
    if action is None:
        return
    kind = as_text(node.get("kind")).casefold()
    metadata = as_object(node.get("metadata"))
    hidden = shape.is_secret or is_secret(node)
    if hidden or as_text(metadata.get("name")).startswith(_HELM):
        for name in _DATA:
            if name == "data" and hidden and shape.is_coded:
                _hide_bytes(walk, node, name, action)
            _hide(walk, node, name, action)
    elif shape.is_coded:
        _binary(walk, as_object(node.get("binaryData")))
    if hidden:
        _last_applied(walk, as_object(metadata.get("annotations")), action)
    if place := _TOKENS.get(kind, "status" if shape.is_token else ""):
        _hide(walk, as_object(node.get(place)), "token", action)


def _hide_bytes(walk: Walk, node: JsonObject, name: str, action: MaskAction) -> None:
    """Hide the values of a map of bytes by marks that are bytes too."""
    values = as_object(node.get(name))
    for key, value in values.items():
        if isinstance(value, str) and value:
            walk.change(values, key, _coded(walk.mark(value, action)))


def _binary(walk: Walk, values: JsonObject) -> None:
    """Hide what is found in a map of bytes of a ConfigMap."""
    for key, value in values.items():
        if isinstance(value, str) and (count := walk.text(value)[1]):
            walk.change(values, key, _coded(MASKED), count)


def _coded(mark: JsonValue) -> str:
    return b64encode(as_text(mark).encode()).decode("ascii")


def _last_applied(walk: Walk, annotations: JsonObject, action: MaskAction) -> None:
    """Hide a Secret that stands in an annotation, unless the walk itself will find it to be one."""
    text = annotations.get(LAST_APPLIED)
    if not isinstance(text, str) or is_mark(text):
        return
    try:
        inner = as_object(loads(text.encode("utf-8", "strict")))
    except (NotJson, UnicodeEncodeError):
        inner = {}
    if as_text(inner.get("kind")).casefold() not in _SECRETS:
        walk.hide_all(annotations, LAST_APPLIED, text, action)


def _operation(walk: Walk, operation: JsonObject, shape: Shape) -> None:
    """Hide what one operation of a JSON patch (RFC 6902) writes into a Secret."""
    if not shape.is_secret or walk.secrets is None or "value" not in operation:
        return
    first = as_text(operation.get("path")).split("/")[1:2]
    value = operation["value"]
    if first and first[0] not in ("", *_DATA):
        if first == ["metadata"] and LAST_APPLIED.replace("/", "~1") in as_text(operation.get("path")):
            _hide(walk, operation, "value", walk.secrets)
        elif isinstance(value, dict):
            # The metadata, or one of its members: what is none of annotations holds none.
            _object(walk, {"metadata": {**value, "annotations": value.get("annotations", value)}}, shape)
        return
    if first and first[0] in _DATA:
        _hide(walk, operation, "value", walk.secrets)
    else:
        _object(walk, as_object(value), shape)


def _hide(walk: Walk, holder: JsonObject, name: str, action: MaskAction) -> None:
    if name in holder:
        walk.hide_all(holder, name, holder[name], action)


def _is_secret_kind(node: JsonObject) -> bool:
    return as_text(node.get("kind")).casefold() in _SECRETS


def _objects(value: JsonValue) -> Iterator[JsonObject]:
    if isinstance(value, list):
        yield from (element for element in value if isinstance(element, dict))
