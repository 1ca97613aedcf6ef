"""An addon for the bare mitmdump: event streams pass as they come, as they must in front of MCP."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownMemberType=false

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    """Stream event streams, and buffer whatever else there is."""
    if flow.response is not None and "text/event-stream" in flow.response.headers.get("content-type", ""):
        flow.response.stream = True
