"""What is special in messages of MCP: the envelope, the schemas of tools, and binary content."""

from base64 import b64encode
from collections.abc import Iterator

from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.masking.marks import MASKED
from holdpoint.masking.validators import decode_base64
from holdpoint.masking.walk import MAX_DEPTH, Container, Walk

_ENVELOPE = ("jsonrpc", "id", "method")
_CORRELATION = ("progressToken", "requestId")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords of JSON Schema below which names are names of fields, not keys of values."""
_SAMPLES = ("default", "const", "enum", "examples", "example")
_PICTURES = ("image/", "audio/")


def prepare(walk: Walk, root: Container) -> None:
    """Tell a walk what to leave alone in the message (or batch of messages) that `root` holds."""
    for message in _objects(root):
        _keep(walk, message, _ENVELOPE)
        params = as_object(message.get("params"))
        result = as_object(message.get("result"))
        _keep(walk, params, _CORRELATION)
        _keep(walk, as_object(params.get("_meta")), _CORRELATION)
        for schema in _schemas(params, result):
            _schema(walk, schema, 0)
        # A task that is done holds its result inside (`tasks/get`, `notifications/tasks`; tasks extension, 2026-07-28).
        for owners in ((params, result), (as_object(params.get("result")), as_object(result.get("result")))):
            for item in _contents(*owners):
                _binary(walk, item)


def _keep(walk: Walk, holder: JsonObject, names: tuple[str, ...]) -> None:
    # What the other side needs to tell messages apart. A container in its place is masked like any other.
    walk.keep.update((id(holder), name) for name in names)


def _objects(value: JsonValue) -> Iterator[JsonObject]:
    """Yield the objects of a list, of lists in it, or the value itself if it is one."""
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        for element in value:
            if isinstance(element, dict):
                yield element
            elif isinstance(element, list):
                yield from (e for e in element if isinstance(e, dict))


def _schemas(params: JsonObject, result: JsonObject) -> Iterator[JsonObject]:
    for owner in (params, result):
        for tool in _objects(owner.get("tools")):
            yield from (as_object(tool.get(name)) for name in ("inputSchema", "outputSchema"))
    yield as_object(params.get("requestedSchema"))
    for request in as_object(result.get("inputRequests")).values():
        yield as_object(as_object(as_object(request).get("params")).get("requestedSchema"))


def _schema(walk: Walk, schema: JsonObject, level: int) -> None:
    """Let field names of a schema stand, but mask the sample values of a field whose name is masked."""
    if level > MAX_DEPTH:
        return  # NOTE: the walk itself refuses what is nested so deep.
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, dict):
            walk.unkeyed.add(id(value))
            for name, field in value.items():
                if isinstance(field, dict) and (action := walk.action(name)) is not None:
                    for sample in _SAMPLES:
                        if sample in field:
                            walk.hide_all(field, sample, field[sample], action)
            for field in _objects(list(value.values())):
                _schema(walk, field, level + 1)
        else:
            for inner in _objects(value):
                _schema(walk, inner, level + 1)


def _contents(params: JsonObject, result: JsonObject) -> Iterator[JsonObject]:
    for owner in (params, result):
        for name in ("content", "contents"):
            yield from _objects(owner.get(name))
        for message in _objects(owner.get("messages")):
            yield from _objects(message.get("content"))


def _binary(walk: Walk, item: JsonObject) -> None:
    """Mask the text that a blob holds; withhold a blob that holds no text, except pictures and sound."""
    for holder in (item, as_object(item.get("resource"))):
        blob = holder.get("blob")
        if not isinstance(blob, str):
            continue
        decoded = decode_base64(blob.encode("utf-8", "replace"))
        try:
            text = (decoded or b"").decode("utf-8", "strict")
        except UnicodeDecodeError:
            if not as_text(holder.get("mimeType")).startswith(_PICTURES):
                walk.change(holder, "blob", _encode(MASKED))
            continue
        if decoded is None:
            walk.change(holder, "blob", _encode(MASKED))
        else:
            made, count = walk.text(text)
            if count:
                walk.change(holder, "blob", _encode(made), count)


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
