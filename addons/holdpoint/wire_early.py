"""An event stream towards a caller that the gateway began, and the answer that then comes as events of it."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterator, Sequence

from mitmproxy import http
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

from holdpoint.wire import AsEvents


class EarlyEvents:
    """One such stream. What mitmproxy would send to the caller goes through `answer`."""

    def __init__(self, stream_id: int, as_events: AsEvents) -> None:
        self._stream_id = stream_id
        self._as_events = as_events
        self._response: http.Response | None = None
        self._body: list[bytes] = []

    def head(self, request: http.Request, fields: Sequence[tuple[bytes, bytes]] = ()) -> ResponseHeaders:
        """Return the head with these fields on top, framed as the caller's version of HTTP has it."""
        response = http.Response.make(200, b"", {"content-type": "text/event-stream", "cache-control": "no-store"})
        response.headers["x-accel-buffering"] = "no"
        response.headers.pop("content-length", None)
        response.headers = http.Headers((*response.headers.fields, *fields))
        frame_stream(request, response)
        return ResponseHeaders(self._stream_id, response, end_stream=False)

    def data(self, data: bytes) -> ResponseData:
        """Return bytes of the stream."""
        return ResponseData(self._stream_id, data)

    def answer(self, event: HttpEvent) -> Iterator[HttpEvent]:
        """Return what reaches the caller in place of a piece of an answer.

        An event stream's events pass, without its head. Of any other answer the body is gathered and becomes events at
        its end. An error passes: the stream then ends torn.
        """
        match event:
            case ResponseHeaders(response=response):
                self._response = response
            case ResponseData(data=data):
                if self._is_piped():
                    yield self.data(data)
                else:
                    self._body.append(data)
            case ResponseEndOfMessage():
                if not self._is_piped() and self._response is not None:
                    told = self._as_events(self._response, b"".join(self._body))
                    if told:
                        yield self.data(told)
                yield event
            case ResponseProtocolError():
                yield event
            case _:
                return  # trailers

    def _is_piped(self) -> bool:
        return self._response is not None and bool(self._response.stream)


def frame_stream(request: http.Request, response: http.Response) -> None:
    """Give an answer of unknown length the framing that the caller's version of HTTP has for it."""
    response.headers.pop("content-length", None)
    response.headers.pop("transfer-encoding", None)
    if not request.is_http2:
        response.headers["transfer-encoding"] = "chunked"
