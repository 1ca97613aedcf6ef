"""An addon of one line for the bare mitmdump: answers pass as they come."""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    """Let it pass."""
    assert flow.response is not None
    flow.response.stream = True
