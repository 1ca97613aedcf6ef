"""What may they see? Nothing of an answer passes that was not looked at."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
from collections.abc import Callable
from typing import ClassVar

from mitmproxy import http
from mitmproxy.net.http import status_codes

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import Forwarded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import Masked, Masker
from holdpoint.masking.strings import Unmaskable
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.stages.answers import decoded_body, media_type
from holdpoint.stages.fields import raw
from holdpoint.stages.guard import Stage
from holdpoint.stages.streaming import stream_events, stream_look

_OFF_THE_LOOP = 256 << 10
"""Bytes from which masking runs in a thread: about 4 ms on the loop."""
_DROPPED = ("alt-svc", "trailer", "upgrade", "proxy-authenticate", "www-authenticate", "proxy-connection")
_NOT_OURS = (401, 407)


class Mask(Stage):
    """The seventh stage."""

    name: ClassVar[str] = "mask"

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Decide whether the answer streams, and clean its headers."""
        self.gateway.exchanges.expect(flow, Forwarded)
        response = flow.response
        if response is None or not 200 <= response.status_code < 600:  # noqa: PLR2004  # final statuses
            raise Refusal(RefusalKind.WITHHELD, "the upstream answered in a way that cannot be inspected")
        if response.status_code in _NOT_OURS:
            # The caller's login is not what the upstream complains of: it never saw it.
            raise Refusal(
                RefusalKind.UPSTREAM,
                "the upstream did not accept the gateway's credential",
                detail=f"status {response.status_code}",
            )
        exchange = self.gateway.exchanges.of(flow)
        masker = self.gateway.services.policies.masker(exchange.masks)
        self._clean_headers(flow, masker)
        if media_type(response) == "text/event-stream":
            if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
                raise Refusal(RefusalKind.WITHHELD, "the upstream compressed a stream that must be inspected")
            stream_events(self.gateway, flow, exchange, masker)

    async def response(self, flow: http.HTTPFlow) -> None:
        """Mask a whole answer."""
        self.gateway.exchanges.expect(flow, Forwarded)
        exchange = self.gateway.exchanges.of(flow)
        response = flow.response
        if response is None:
            raise Refusal(RefusalKind.WITHHELD, "the upstream answered in a way that cannot be inspected")
        response.trailers = None
        if exchange.streamed:
            return
        body = decoded_body(response, exchange.response_limit)
        if not body:
            return
        masker = self.gateway.services.policies.masker(exchange.masks)
        target = self.gateway.exchanges.target(flow)
        content_type = response.headers.get("content-type", "")
        look = None
        if target.protocol is Protocol.MCP and response.status_code < 300:  # noqa: PLR2004  # success
            look = stream_look(exchange, target)
        if len(body) > _OFF_THE_LOOP:
            masked = await asyncio.to_thread(mask_body, masker, body, content_type, look)
        else:
            masked = mask_body(masker, body, content_type, look)
        exchange.masked += masked.count
        if masked.value is not body or response.headers.get("content-encoding"):
            response.headers.pop("content-encoding", None)
            response.headers.pop("etag", None)
            response.headers.pop("digest", None)
            response.headers.pop("content-digest", None)
            response.content = masked.value

    def _clean_headers(self, flow: http.HTTPFlow, masker: Masker) -> None:
        response = flow.response
        if response is None:
            return
        exchange = self.gateway.exchanges.of(flow)
        for dropped in _DROPPED:
            response.headers.pop(dropped, None)
        response.reason = status_codes.RESPONSES.get(response.status_code, "")
        if masker.is_empty:
            return
        fields: list[tuple[bytes, bytes]] = []
        for name, value in raw(response.headers):
            masked = masker.text(value.decode("latin-1"))
            exchange.masked += masked.count
            fields.append((name, masked.value.encode("latin-1", "replace") if masked.count else value))
        response.headers = http.Headers(fields)


def mask_body(
    masker: Masker, body: bytes, content_type: str, look: Callable[[JsonValue], JsonValue | None] | None
) -> Masked[bytes]:
    """Mask a body by its type. Raises Refusal where it cannot be inspected. Bytes that need no change stay the same."""
    try:
        if look is None:
            return masker.document(body, content_type)
        value = strict_json.loads(body, max_bytes=len(body))
        shown: JsonValue = [look(v) for v in value] if isinstance(value, list) else look(value)
        masked = masker.mcp(shown)
        if masked.count == 0 and shown == value:
            return Masked(body, 0)
        return Masked(strict_json.dumps(masked.value), masked.count)
    except (Unmaskable, Undecodable) as error:
        raise Refusal(
            RefusalKind.WITHHELD, "the answer could not be inspected and is withheld", detail=str(error)
        ) from None
