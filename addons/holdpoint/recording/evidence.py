"""A request inside an audit event, so that it is known even when the gateway dies before the answer.

`FORWARDED` events carry it as `detail.request`: {"method", "url", "headers": [[name, value]], "body" or "body_base64"},
masked and scrubbed. A start makes a flow record of it when no answer was recorded.
"""

import base64
import binascii
import uuid
from typing import cast
from urllib.parse import urlsplit

from mitmproxy import connection, http

from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue, as_object, as_text
from holdpoint.recording.scrub import FlowState


def _header(value: JsonValue) -> tuple[bytes, bytes] | None:
    match value:
        case [str(name), str(text)]:
            return name.encode(), text.encode()
        case _:
            return None


def _body(request: JsonMapping) -> bytes | None:
    if isinstance(text := request.get("body"), str):
        return text.encode()
    if isinstance(coded := request.get("body_base64"), str):
        try:
            return base64.b64decode(coded, validate=True)
        except binascii.Error:
            return None
    return None


def to_state(detail: JsonMapping, *, at: float, metadata: JsonObject, comment: str, marker: str) -> FlowState | None:
    """Make a flow without an answer from an event's detail. None where the detail holds no request."""
    request = as_object(detail.get("request"))
    url = as_text(request.get("url"))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.scheme not in ("http", "https"):
        return None
    headers = request.get("headers")
    fields = [pair for h in (headers if isinstance(headers, list) else []) if (pair := _header(h)) is not None]
    port = port or (443 if parts.scheme == "https" else 80)
    flow = http.HTTPFlow(
        connection.Client(peername=("", 0), sockname=("", 0), timestamp_start=at),
        connection.Server(address=(parts.hostname, port)),
    )
    flow.id = str(uuid.uuid4())
    flow.timestamp_created = at
    flow.comment, flow.marked = comment, marker
    flow.metadata = {"holdpoint": metadata}
    flow.request = http.Request(
        host=parts.hostname,
        port=port,
        method=as_text(request.get("method")).encode() or b"GET",
        scheme=parts.scheme.encode(),
        authority=b"",
        path=(parts.path or "/").encode() + (f"?{parts.query}".encode() if parts.query else b""),
        http_version=b"HTTP/1.1",
        headers=http.Headers(fields),
        content=_body(request),
        trailers=None,
        timestamp_start=at,
        timestamp_end=at,
    )
    return cast("FlowState", flow.get_state())
