"""Bounds on what mitmproxy's HTTP/1 connections take in, which has none, and errors of theirs that clients can read."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import json
import re
from http import HTTPStatus

from mitmproxy.proxy import events, layer
from mitmproxy.proxy.layers.http import _http1  # pyright: ignore[reportPrivateUsage]

HEAD_BYTES = 128 << 10
"""Largest head of a request or an answer, and largest piece of framing in a chunked body."""
AHEAD_BYTES = 1 << 20
"""What a client may send of its next requests while one is under way."""

_NOTICE = re.compile(rb"HTTP/1\.[01] 1(?!01)\d\d[ \r\n]")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_READ_HEADERS = _http1.Http1Client.read_headers

type Speaker = _http1.Http1Server | _http1.Http1Client


def speaker(layer: object) -> Speaker | None:
    """Return who speaks HTTP/1 on a connection, given the lowest layer on it; None for another protocol."""
    layers = getattr(getattr(layer, "context", None), "layers", None)
    last = layers[-1] if layers else None
    return last if isinstance(last, _http1.Http1Server | _http1.Http1Client) else None


def is_client(speaks: Speaker) -> bool:
    """Tell whether this is a connection of a client."""
    return isinstance(speaks, _http1.Http1Server)


def overrun(speaks: Speaker) -> str:
    """Say what was sent too much of, or nothing."""
    size = len(speaks.buf)
    if size <= HEAD_BYTES:
        return ""
    if speaks.state == speaks.read_headers:
        return f"a head is larger than {HEAD_BYTES} bytes"
    if speaks.state == speaks.read_body:
        return "a body is not framed as HTTP/1.1 asks for"
    return f"more than {AHEAD_BYTES} bytes were sent ahead" if size > AHEAD_BYTES else ""


def stop(speaks: Speaker) -> bool:
    """Read nothing more on this connection. Returns whether all of a request was read before."""
    ended = speaks.request_done or speaks.state == speaks.wait
    speaks.state = speaks.done
    speaks.buf.maybe_extract_at_most(len(speaks.buf))
    return ended


def error_answer(status_code: int, message: str = "") -> bytes:  # noqa: ARG001  # mitmproxy's signature
    """Return problem details (RFC 9457) for what was no request at all, and nothing of what was sent."""
    kind = "bad_request" if status_code < HTTPStatus.INTERNAL_SERVER_ERROR else "fault"
    phrase = HTTPStatus(status_code).phrase
    problem = {"type": f"urn:holdpoint:refusal:{kind}", "title": phrase, "status": status_code, "kind": kind}
    body = json.dumps(problem).encode()
    head = (
        f"HTTP/1.1 {status_code} {phrase}\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def speak_plainly() -> None:
    """Have mitmproxy answer what it cannot parse in this form, in place of a page with its name and the input.

    And have it pass over informational answers (1xx, RFC 9110 section 15.2), the first of which it would take for the
    answer. A 101 stays: it is one, and is refused.
    """
    _http1.make_error_response = error_answer
    _http1.Http1Client.read_headers = _read_headers  # type: ignore[assignment,method-assign]  # the whole point


def _read_headers(speaks: _http1.Http1Client, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
    while speaks.request is not None and _NOTICE.match(data := bytes(speaks.buf)):
        end = _BLANK_LINE.search(data)
        if end is None:
            break
        speaks.buf.maybe_extract_at_most(end.end())
    yield from _READ_HEADERS(speaks, event)
