"""Request bodies as they are digested and kept: every masked leaf a keyed hash. Large ones are made in a thread."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
from typing import Final

from mitmproxy import http

from holdpoint.masking.masker import Masker
from holdpoint.masking.strings import Unmaskable
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.stages.exchanges import Exchange

OFF_THE_LOOP: Final = 32 << 10
"""Bytes from which masking runs in a thread. It takes half a millisecond then, or 80 where somebody made it slow."""


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


async def seal_large(flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> None:
    """Make what is kept of a large body, without holding up the event loop."""
    if len(flow.request.raw_content or b"") > OFF_THE_LOOP:
        await asyncio.to_thread(request_body, flow, exchange, masker)


def request_body(flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> str:
    """Return the request's body as it may be kept: made once, so that what is recorded is what was digested."""
    body = flow.request.raw_content or b""
    if exchange.sealed is None or exchange.sealed[0] is not body:
        exchange.sealed = body, body_for_record(body, flow.request.headers.get("content-type", ""), masker)
    return exchange.sealed[1]


def known_body(flow: http.HTTPFlow, exchange: Exchange, masker: Masker) -> str:
    """Return the same without making what takes long: for flows that end where nobody can wait."""
    body = flow.request.raw_content or b""
    is_made = exchange.sealed is not None and exchange.sealed[0] is body
    if len(body) > OFF_THE_LOOP and not is_made:
        return f"[not kept: {len(body)} bytes of a request that ended before they were looked at]"
    return request_body(flow, exchange, masker)
