"""Reading the bodies of upstream answers within bounds."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import zlib

from mitmproxy import http

from holdpoint.domain.access import Protocol
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.settings import Target
from holdpoint.stages.fields import text

_JSON = "application/json"
_LISTENING = frozenset({"subscriptions/listen", "session/listen"})
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}

EVENTS = "text/event-stream"


def media_type(response: http.Response) -> str:
    """Return the media type of an answer, lower case and without parameters."""
    return text(response.headers, b"content-type").partition(";")[0].strip().lower()


def decoded_body(response: http.Response, limit: int) -> bytes:
    """Return the body without its content coding, at most `limit` bytes. Raises Refusal.

    The gateway asks for `identity`; an upstream that compresses all the same is read within the limit or withheld.
    """
    raw = response.raw_content or b""
    if len(raw) > limit:
        raise Refusal(RefusalKind.WITHHELD, f"the answer is larger than {limit} bytes")
    coding = text(response.headers, b"content-encoding", "identity").strip().lower()
    if coding in ("", "identity") or not raw:
        return raw
    window = _WINDOW.get(coding)
    if window is None:
        raise Refusal(RefusalKind.WITHHELD, "the answer is compressed in a way that cannot be inspected", detail=coding)
    try:
        reader = zlib.decompressobj(wbits=window)
        body = reader.decompress(raw, limit + 1)
    except zlib.error as error:
        raise Refusal(RefusalKind.WITHHELD, "the answer cannot be decompressed", detail=str(error)) from error
    if len(body) > limit or reader.unconsumed_tail:
        raise Refusal(RefusalKind.WITHHELD, f"the answer is larger than {limit} bytes")
    if not reader.eof or reader.unused_data:
        raise Refusal(RefusalKind.WITHHELD, "the answer cannot be decompressed", detail="cut off or followed by more")
    return body


def is_stream(flow: http.HTTPFlow, target: Target, call: Decoded | None) -> bool:
    """Tell whether an answer is passed on message by message: by what the exchange is, not by its type alone.

    An event stream is. So is JSON without an end in sight where MCP asks for a stream (`subscriptions/listen`, a GET).
    """
    response = flow.response
    if response is None:
        return False
    kind = media_type(response)
    if kind == EVENTS:
        return True
    asked = target.protocol is Protocol.MCP and call is not None and call.access.action.verb in _LISTENING
    return asked and kind == _JSON and response.status_code == 200 and "content-length" not in response.headers  # noqa: PLR2004  # OK
