"""Request bodies as they are digested and kept: every masked leaf a keyed hash. Large ones are made in a thread."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
from typing import Final
from urllib.parse import quote, unquote

from mitmproxy import http

from holdpoint.domain.access import AccessRequest, Protocol, Resource, describe_resource
from holdpoint.domain.exchange import decoded
from holdpoint.domain.values import JsonValue
from holdpoint.masking.kubernetes import Shape
from holdpoint.masking.masker import Masker
from holdpoint.masking.strings import Unmaskable
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.recording import secrets_in_text
from holdpoint.stages import kube_shapes
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.fields import Fields, text

_IN_PATHS: Final = "/?#[]@!$&'()*+,;=:~%"
OFF_THE_LOOP: Final = 32 << 10
"""Bytes from which masking runs in a thread. It takes half a millisecond then, or 80 where somebody made it slow."""


def masked_path(path: str, masker: Masker) -> str:
    """Return a path and query as they may be kept. Where decoding uncovers something, the reader loses the encoding."""
    shown = masker.text(secrets_in_text.path(path)).value
    if "%" not in shown:
        return shown
    plain = unquote(shown)
    masked = masker.text(plain)
    return quote(masked.value, safe=_IN_PATHS) if masked.count else shown


def masked_headers(fields: Fields, masker: Masker) -> Fields:
    """Return headers as they may be kept, masked as any text is."""
    masked = masker.texts([value.decode("latin-1") for _, value in fields])
    if not masked.count:
        return fields
    shown = (value.encode("latin-1", "replace") for value in masked.value)
    return tuple((name, value) for (name, _), value in zip(fields, shown, strict=True))


def shown_resource(resource: Resource, masker: Masker) -> str:
    """Name a resource as it may be kept: a path or URI may hold what a body may."""
    return masked_path(describe_resource(resource), masker)


def body_for_record(body: bytes, content_type: str, masker: Masker) -> str:
    """Return a request body as it may be kept: JSON with every masked leaf a keyed hash, other text masked."""
    if not body:
        return ""
    try:
        return strict_json.dumps(masker.sealed(strict_json.loads(body))).decode()
    except (Undecodable, Unmaskable):
        pass
    try:
        return masker.document(body, content_type).value.decode("utf-8", "replace")
    except Unmaskable:
        return f"[withheld: {len(body)} bytes that could not be inspected]"


def sealed_object(access: AccessRequest | None, value: JsonValue, masker: Masker) -> JsonValue:
    """Return an object of the Kubernetes API that a request carries, with every masked leaf a keyed hash.

    Raises Unmaskable. Where it is not known what was asked, the object may be a Secret.
    """
    shape = kube_shapes.of(access) if access is not None else Shape(is_secret=True, is_token=True)
    return masker.sealed_kubernetes(value, shape)


def _kubernetes(body: bytes, content_type: str, exchange: Exchange, masker: Masker) -> str:
    """Return the object in a body, as it was decoded: its bytes may be protobuf, which nobody could read or mask."""
    asked = decoded(exchange.state)
    if not body:
        return ""
    try:
        found = dict(asked.access.arguments) if asked is not None else strict_json.loads(body)
        return strict_json.dumps(sealed_object(asked.access if asked else None, found, masker)).decode()
    except (Undecodable, Unmaskable, ValueError):
        return body_for_record(body, content_type, masker)


async def seal_large(flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> None:
    """Make what is kept of a large body, without holding up the event loop."""
    if len(flow.request.raw_content or b"") > OFF_THE_LOOP:
        await asyncio.to_thread(request_body, flow, exchange, masker)


def request_body(flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> str:
    """Return the request's body as it may be kept: made once, so that what is recorded is what was digested."""
    body = flow.request.raw_content or b""
    if exchange.sealed is None or exchange.sealed[0] is not body:
        content_type = text(flow.request.headers, b"content-type")
        if exchange.target is not None and exchange.target.protocol is Protocol.KUBERNETES:
            exchange.sealed = body, _kubernetes(body, content_type, exchange, masker)
        else:
            exchange.sealed = body, body_for_record(body, content_type, masker)
    return exchange.sealed[1]


def known_body(flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> str:
    """Return the same without making what takes long: for flows that end where nobody can wait."""
    body = flow.request.raw_content or b""
    is_made = exchange.sealed is not None and exchange.sealed[0] is body
    if len(body) > OFF_THE_LOOP and not is_made:
        return f"[not kept: {len(body)} bytes of a request that ended before they were looked at]"
    return request_body(flow, exchange, masker)
