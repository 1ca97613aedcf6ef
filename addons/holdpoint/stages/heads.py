"""Request heads that two readers could read in two ways, or that ask for another protocol: refused before all else."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import re

from mitmproxy import http

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.stages import routing
from holdpoint.stages.fields import raw, text, values

_NOT_SERVED = frozenset(
    {b"trailer", b"http2-settings", b"x-http-method-override", b"x-http-method", b"x-method-override"}
)
"""They change the method, the protocol, or what follows the body."""
_ONE_OF_EACH = (b"host", b"content-length", b"content-type", b"content-encoding", b"transfer-encoding")
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
    fields = raw(request.headers)
    for name, value in fields:
        if _NOT_IN_A_FIELD.search(value) or _NOT_IN_A_FIELD.search(name):
            raise Refusal(RefusalKind.BAD_REQUEST, "a header holds a control character, or goes on over several lines")
    names = [name.lower() for name, _ in fields]
    there = set(names)
    if len(there) < len(names):
        for single in _ONE_OF_EACH:
            if names.count(single) > 1:
                raise Refusal(RefusalKind.BAD_REQUEST, f"header `{single.decode()}` is given more than once")
    _check_request_line(flow)
    if b"transfer-encoding" in there and text(request.headers, b"transfer-encoding").lower() != "chunked":
        raise Refusal(RefusalKind.BAD_REQUEST, "no transfer coding but `chunked` is served")
    connection = text(request.headers, b"connection").lower() if b"connection" in there else ""
    # Who may ask for an upgrade is known once the target is: until then it is a token like any other.
    if connection and not {t.strip() for t in connection.split(",")} <= _CONNECTION | {"upgrade"}:
        raise Refusal(RefusalKind.BAD_REQUEST, "the `Connection` header names other headers")
    if not there.isdisjoint(_NOT_SERVED):
        found = next(n for n in names if n in _NOT_SERVED)
        raise Refusal(RefusalKind.BAD_REQUEST, f"header `{found.decode('ascii')}` is not served")


def check_length(request: http.Request) -> None:
    """Refuse a body of another length than was announced: over HTTP/2 nobody else compares them. Raises Refusal."""
    announced = values(request.headers, b"content-length")
    if announced and announced != [b"%d" % len(request.raw_content or b"")]:
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
