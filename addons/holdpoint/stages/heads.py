"""Request heads that two readers could read in two ways, or that ask for another protocol: refused before all else."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import re

from mitmproxy import http

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.stages import routing
from holdpoint.stages.fields import raw

_NOT_SERVED = frozenset(
    {b"trailer", b"http2-settings", b"x-http-method-override", b"x-http-method", b"x-method-override"}
)
"""They change the method, the protocol, or what follows the body."""
_ONE_OF_EACH = ("host", "content-length", "content-type", "content-encoding", "transfer-encoding")
_CONNECTION = frozenset({"close", "keep-alive", "te", ""})
"""What `Connection` may say. Anything else names a header that an upstream would take out, or another protocol."""
_NOT_IN_A_FIELD = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""RFC 9110 section 5.5. A bare CR ends a line for some servers, and what follows it is a header of its own there;
mitmproxy joins the lines of a folded field (RFC 9112 section 5.2) by a CR, LF and blank, and sends them on."""
_ANSWERED_BY_MITMPROXY = re.compile(r"/mitmproxy-\d+\.crl")
"""Paths with this end get the revocation list of mitmproxy's own authority, after every stage has let them go."""


def check_head(flow: http.HTTPFlow) -> None:
    """Refuse a request head that is not clear. Raises Refusal."""
    request = flow.request
    for name, value in raw(request.headers):
        if _NOT_IN_A_FIELD.search(value) or _NOT_IN_A_FIELD.search(name):
            raise Refusal(RefusalKind.BAD_REQUEST, "a header holds a control character, or goes on over several lines")
    for single in _ONE_OF_EACH:
        if len(request.headers.get_all(single)) > 1:
            raise Refusal(RefusalKind.BAD_REQUEST, f"header `{single}` is given more than once")
    _check_request_line(flow)
    if request.headers.get("transfer-encoding", "chunked").lower() != "chunked":
        raise Refusal(RefusalKind.BAD_REQUEST, "no transfer coding but `chunked` is served")
    if "upgrade" in request.headers or "upgrade" in request.headers.get("connection", "").lower():
        raise Refusal(RefusalKind.BAD_REQUEST, "protocol upgrades are not served")
    if not {t.strip().lower() for t in request.headers.get("connection", "").split(",")} <= _CONNECTION:
        raise Refusal(RefusalKind.BAD_REQUEST, "the `Connection` header names other headers")
    for name, _ in raw(request.headers):
        if name.lower() in _NOT_SERVED:
            raise Refusal(RefusalKind.BAD_REQUEST, f"header `{name.decode('latin-1').lower()}` is not served")


def check_length(request: http.Request) -> None:
    """Refuse a body of another length than was announced: over HTTP/2 nobody else compares them. Raises Refusal."""
    announced = request.headers.get("content-length")
    if announced is not None and announced != str(len(request.raw_content or b"")):
        raise Refusal(RefusalKind.BAD_REQUEST, "the body is not as long as `Content-Length` says")


def _check_request_line(flow: http.HTTPFlow) -> None:
    request = flow.request
    if request.is_http2 and flow.client_conn.alpn == b"h2":
        if request.headers.get("host", request.authority) != request.authority:
            raise Refusal(RefusalKind.BAD_REQUEST, "`:authority` and `host` disagree")
    elif request.http_version != "HTTP/1.1":
        # `HTTP/2.0` in the request line of an HTTP/1 message too: it would pass for the real one.
        raise Refusal(RefusalKind.BAD_REQUEST, "HTTP/1.1 or HTTP/2 is needed")
    elif request.authority:
        raise Refusal(RefusalKind.BAD_REQUEST, "the request target must be a path")
    if request.data.method != request.data.method.upper():
        raise Refusal(RefusalKind.BAD_REQUEST, "the method must be upper case")
    if not request.path.startswith("/"):
        raise Refusal(RefusalKind.BAD_REQUEST, "the request target must be a path")
    if _ANSWERED_BY_MITMPROXY.search(request.path):
        raise Refusal(RefusalKind.NOT_FOUND, "this path is not served")


def check_names_agree(flow: http.HTTPFlow) -> None:
    """Refuse a request whose `Host`, SNI and connection name different hosts (forward listeners)."""
    request = flow.request
    named = routing.split_authority(
        request.authority if request.is_http2 else request.headers.get("host", ""), request.scheme
    )
    if named is None or named != (request.host.lower().rstrip("."), request.port):
        raise Refusal(RefusalKind.BAD_REQUEST, "the `Host` header disagrees with the connection")
    sni = flow.client_conn.sni
    if sni and request.scheme == "https" and sni.lower().rstrip(".") != named[0]:
        raise Refusal(RefusalKind.BAD_REQUEST, "the TLS server name disagrees with the connection")
