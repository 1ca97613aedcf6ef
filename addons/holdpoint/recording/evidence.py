"""A request inside an audit event, so that it is known even when the gateway dies before the answer.

`FORWARDED` events carry it as `detail.request`; a start makes a flow record of it when no answer was recorded.
"""

import base64
import binascii
import uuid
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from mitmproxy import connection, http

from holdpoint.domain.values import JsonMapping, JsonObject, JsonValue, as_object, as_text
from holdpoint.recording.json_text import clean_text
from holdpoint.recording.scrub import FlowState

_PAIR = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """A request, masked and scrubbed."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    """None: not recorded."""

    def as_json(self) -> JsonObject:
        """Return what goes into `detail.request`. A body that is no UTF-8 goes as base64."""
        value: JsonObject = {
            "method": clean_text(self.method),
            "url": clean_text(self.url),
            "headers": [[clean_text(n), clean_text(v)] for n, v in self.headers],
        }
        if self.body is not None:
            try:
                value["body"] = self.body.decode()
            except UnicodeDecodeError:
                value["body_base64"] = base64.b64encode(self.body).decode()
        return value


def from_state(state: FlowState, *, body: bool) -> Evidence:
    """Take a request out of a scrubbed flow state; `body` says whether with its body."""
    request = cast("http.Request", http.Request.from_state({**state["request"]}))  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType]
    return Evidence(
        request.method,
        request.url,
        tuple((n.decode("utf-8", "replace"), v.decode("utf-8", "replace")) for n, v in request.headers.fields),
        request.raw_content if body else None,
    )


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
