"""What may they see? Nothing of an answer passes that was not looked at."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ClassVar

from mitmproxy import http

from holdpoint.credentials.echoes import Echoes
from holdpoint.domain.access import Protocol
from holdpoint.domain.decision import GuardAnswer
from holdpoint.domain.exchange import Forwarded, decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.masking.masker import Masked, Masker
from holdpoint.masking.strings import Unmaskable
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.stages import kube_answers
from holdpoint.stages.answer_heads import check_answer, clean, refuse_detour
from holdpoint.stages.answers import decoded_body, is_stream
from holdpoint.stages.fields import raw, text, values
from holdpoint.stages.guard import Stage
from holdpoint.stages.guarding import check_bytes
from holdpoint.stages.kube_streams import asked_of, is_public, mask_whole, stream_kubernetes
from holdpoint.stages.linked import refuse_late
from holdpoint.stages.look import Look
from holdpoint.stages.looking import message_look
from holdpoint.stages.running import refuse_over
from holdpoint.stages.sealing import OFF_THE_LOOP
from holdpoint.stages.streaming import stream_answer
from holdpoint.stages.tunnel_opening import open_tunnel
from holdpoint.stages.warnings import add_count_warning, add_head_warnings
from holdpoint.wire import StreamWork

_STALE = re.compile(
    rb"content-encoding|etag|(?:content-|repr-)?digest|content-md5|(?:.*-)?(?:hash|checksum)(?:-.*)?",
    re.IGNORECASE,
)
"""True of the upstream's body, and not of one that was masked; digests let a caller check what he guesses."""


class Mask(Stage):
    """The seventh stage."""

    name: ClassVar[str] = "mask"

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Decide whether the answer streams, and clean its headers."""
        self.gateway.exchanges.expect(flow, Forwarded)
        refuse_late(self.gateway.services.calls, decoded(self.gateway.exchanges.get(flow)))
        refuse_over(self.gateway.exchanges.of(flow))
        if open_tunnel(self.gateway, flow):
            return
        target = self.gateway.exchanges.target(flow)
        if flow.response is not None and flow.response.status_code == 401:  # noqa: PLR2004  # unauthorized
            self.gateway.services.credentials.rejected(target, self.gateway.exchanges.of(flow).credential)
        response = check_answer(flow.response)
        refuse_detour(response, target)
        exchange = self.gateway.exchanges.of(flow)
        masker = self.gateway.services.policies.masker(exchange.masks)
        self._clean_headers(flow, masker)
        is_kubernetes = target.protocol is Protocol.KUBERNETES
        streams = is_kubernetes and stream_kubernetes(self.gateway, flow, exchange, masker)
        if not streams and is_stream(flow, target, decoded(exchange.state)):
            stream_answer(self.gateway, flow, exchange, masker)
        add_head_warnings(response, target, exchange)

    async def stream_work(self, work: StreamWork) -> None:
        """Do what takes long about a piece of a stream. It waits, and nobody else does."""
        work.shown = await work.run()

    def response(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Mask a whole answer. A large one is masked in a thread."""
        self.gateway.exchanges.expect(flow, Forwarded)
        exchange = self.gateway.exchanges.of(flow)
        response = flow.response
        if response is None:
            raise Refusal(RefusalKind.WITHHELD, "the upstream answered in a way that cannot be inspected")
        response.trailers = None
        if exchange.streamed or exchange.tunnel is not None:
            return None
        body = decoded_body(response, exchange.response_limit)
        if not body:
            return None
        masker = self.gateway.services.policies.masker(exchange.masks)
        target = self.gateway.exchanges.target(flow)
        content_type = text(response.headers, b"content-type")
        if target.protocol is Protocol.KUBERNETES:
            return self._kubernetes(flow, body, masker)
        look = message_look(self.gateway, flow) if target.protocol is Protocol.MCP else None
        aside = response.status_code >= 300 or (look is not None and not look.owes)  # noqa: PLR2004  # no success
        echoes = self.gateway.services.credentials.echoes(target)
        work = partial(mask_body, masker, body, content_type, look, echoes, guards=exchange.guards, aside=aside)
        if len(body) > OFF_THE_LOOP:
            return self._off_the_loop(flow, body, work)
        self._show(flow, body, work())
        return None

    def _kubernetes(self, flow: http.HTTPFlow, body: bytes, masker: Masker) -> Awaitable[None] | None:
        exchange, target = self.gateway.exchanges.of(flow), self.gateway.exchanges.target(flow)
        access = asked_of(self.gateway.exchanges.expect(flow, Forwarded))
        work = partial(
            mask_whole,
            masker,
            body,
            access,
            text(flow.response.headers, b"content-type") if flow.response is not None else "",
            self.gateway.services.credentials.echoes(target),
            guards=exchange.guards,
        )
        if kube_answers.needs_whole(access):
            # Made of what policy says now: not in a thread.
            self._show(flow, body, work(correct=partial(kube_answers.correct, self.gateway, flow)))
            return None
        if len(body) > OFF_THE_LOOP and not is_public(access):
            return self._off_the_loop(flow, body, work)
        self._show(flow, body, work())
        return None

    async def _off_the_loop(self, flow: http.HTTPFlow, body: bytes, mask: Callable[[], Masked[bytes]]) -> None:
        self._show(flow, body, await asyncio.to_thread(mask))

    def _show(self, flow: http.HTTPFlow, body: bytes, masked: Masked[bytes]) -> None:
        response = flow.response
        if response is None:
            raise Refusal(RefusalKind.WITHHELD, "the answer is gone")
        exchange = self.gateway.exchanges.of(flow)
        exchange.masked += masked.count
        add_count_warning(response, self.gateway.exchanges.target(flow), exchange)
        if masked.value is not body or values(response.headers, b"content-encoding"):
            fields = [(n, v) for n, v in raw(response.headers) if _STALE.fullmatch(n) is None]
            response.headers = http.Headers(_measured(fields, len(masked.value)))
            response.raw_content = masked.value

    def _clean_headers(self, flow: http.HTTPFlow, masker: Masker) -> None:
        response = flow.response
        if response is None:
            return
        exchange = self.gateway.exchanges.of(flow)
        echoes = self.gateway.services.credentials.echoes(self.gateway.exchanges.target(flow))
        fields = clean(response)
        # What is found in one value is found in all of them joined: one search, as a rule, and not one for each.
        if echoes.hide(b"\n".join(value for _, value in fields))[1]:
            fields = [(name, echoes.hide(value)[0]) for name, value in fields]
        if not masker.is_empty:
            masked = masker.texts([value.decode("latin-1") for _, value in fields])
            exchange.masked += masked.count
            if masked.count:
                shown = (value.encode("latin-1", "replace") for value in masked.value)
                fields = [(name, value) for (name, _), value in zip(fields, shown, strict=True)]
        response.headers = http.Headers(fields)


def _measured(fields: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """Return the fields with the length of a body that is whole: one `Content-Length`, none where it is chunked."""
    names = {name.lower() for name, _ in fields}
    if b"transfer-encoding" in names:
        return fields
    size = b"%d" % length
    if b"content-length" not in names:
        return [*fields, (b"content-length", size)]
    first = next(i for i, (name, _) in enumerate(fields) if name.lower() == b"content-length")
    kept = [(n, v) for n, v in fields[first + 1 :] if n.lower() != b"content-length"]
    return [*fields[:first], (fields[first][0], size), *kept]


def mask_body(
    masker: Masker,
    body: bytes,
    content_type: str,
    look: Look | None,
    echoes: Echoes,
    *,
    guards: tuple[GuardAnswer, ...] = (),
    aside: bool = False,
) -> Masked[bytes]:
    """Mask a body by its type, and the gateway's own credentials in it whatever its type.

    Raises Refusal where it cannot be inspected. Bytes that need no change stay the same.
    """
    try:
        if look is not None and aside:
            look.aside(body)
            look = None
        masked = masker.document(body, content_type) if look is None else _mask_messages(masker, body, look)
    except (Unmaskable, Undecodable) as error:
        raise Refusal(
            RefusalKind.WITHHELD, "the answer could not be inspected and is withheld", detail=str(error)
        ) from None
    made, count = echoes.hide(masked.value)
    check_bytes(guards, made)
    return Masked(made, masked.count + count) if count else masked


def _mask_messages(masker: Masker, body: bytes, look: Look) -> Masked[bytes]:
    value = strict_json.loads(body, max_bytes=len(body))
    shown = look.whole(value)
    masked = masker.mcp(shown, in_place=True)
    is_split = look.is_read_by_line and len(body.splitlines()) > 1
    if masked.count == 0 and shown is value and not is_split:
        return Masked(body, 0)
    return Masked(strict_json.dumps(masked.value), masked.count)
