"""Heads of upstream answers: what cannot be inspected by its head, and what of a head the caller gets."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import re

from mitmproxy import http
from mitmproxy.net.http import status_codes

from holdpoint.domain.access import Protocol
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.settings import Target
from holdpoint.stages.fields import raw, text, values

_DROPPED = frozenset(
    (
        *(b"accept-ranges", b"alt-svc", b"trailer", b"upgrade", b"proxy-connection", b"keep-alive"),
        # Of the login between gateway and upstream, which is not the caller's.
        *(b"set-cookie", b"set-cookie2", b"www-authenticate", b"proxy-authenticate"),
        *(b"authentication-info", b"proxy-authentication-info"),
    )
)
_NOT_OURS = (401, 407)
_PARTIAL = 206
_LINES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+ *")
"""Folded lines (RFC 9112 section 5.2) and what else may not stand in a field."""


def check_answer(response: http.Response | None) -> http.Response:
    """Return an answer that can be inspected, as far as its head tells. Raises Refusal."""
    if response is None or not 200 <= response.status_code < 600:  # noqa: PLR2004  # final statuses
        raise Refusal(RefusalKind.WITHHELD, "the upstream answered in a way that cannot be inspected")
    if response.status_code in _NOT_OURS:
        # The caller's login is not what the upstream complains of: it never saw it.
        raise Refusal(
            RefusalKind.UPSTREAM,
            "the upstream did not accept the gateway's credential",
            detail=f"status {response.status_code}",
        )
    headers = response.headers
    if response.status_code == _PARTIAL or values(headers, b"content-range"):
        raise Refusal(RefusalKind.WITHHELD, "the upstream sent a part of an answer, which cannot be inspected")
    if text(headers, b"transfer-encoding", "chunked").strip().lower() != "chunked":
        raise Refusal(RefusalKind.WITHHELD, "the answer has a transfer coding that cannot be inspected")
    if len(values(headers, b"content-type")) > 1:
        raise Refusal(RefusalKind.WITHHELD, "the upstream gave its answer more than one type")
    return response


def refuse_detour(response: http.Response, target: Target) -> None:
    """Refuse an answer that sends an MCP client elsewhere. Raises Refusal."""
    if target.protocol is Protocol.MCP and 300 <= response.status_code < 400:  # noqa: PLR2004  # redirections
        # A client that follows takes its token, and what it asks, past the gateway.
        raise Refusal(
            RefusalKind.UPSTREAM,
            "the upstream sent the caller elsewhere",
            detail=f"status {response.status_code}: point the target's `url` at where it leads",
        )


def clean(response: http.Response) -> list[tuple[bytes, bytes]]:
    """Return the headers that the caller gets, and make the rest of the head HTTP/1.1 and free of free text."""
    response.reason = status_codes.RESPONSES.get(response.status_code, "")
    kept = [(n, _LINES.sub(b" ", v)) for n, v in raw(response.headers) if n.lower() not in _DROPPED]
    if response.http_version == "HTTP/1.0":
        # Chunks and kept connections are not for HTTP/1.0, and this message is ours from here on.
        response.http_version = "HTTP/1.1"
        kept = [(n, v) for n, v in kept if n.lower() != b"connection"]
        kept.append((b"Connection", b"close"))
    return kept
