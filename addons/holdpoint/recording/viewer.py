"""The read-only addon for mitmweb and mitmproxy: decisions in comment and marker, and views of MCP and of tunnels."""

from mitmproxy import contentviews, ctx, exceptions, flow, http, tcp
from mitmproxy.addonmanager import Loader

from holdpoint.domain.values import JsonObject, as_object
from holdpoint.recording.annotation import KEY, comment, marker
from holdpoint.recording.json_text import json_safe
from holdpoint.recording.mcp_view import McpContentview
from holdpoint.recording.tunnel_view import TunnelContentview

_REFUSAL = (
    "viewer.py only looks at recordings and enforces nothing: start it with `-n`; the gateway is addons/gateway.py"
)


class Viewer:
    """Shows what the gateway recorded. It refuses to be loaded where a proxy runs: it protects nothing."""

    def load(self, loader: Loader) -> None:  # noqa: ARG002  # mitmproxy passes it
        """Register the views. Ends a process that would proxy: an error would come after the bind."""
        if ctx.options.server:
            raise SystemExit(_REFUSAL)
        contentviews.add(McpContentview())
        contentviews.add(TunnelContentview())

    def configure(self, updated: set[str]) -> None:
        """Refuse a proxy that somebody turns on later."""
        if "server" in updated and ctx.options.server:
            raise exceptions.OptionsError(_REFUSAL)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Annotate a flow that was read from a file."""
        annotate(flow)

    def tcp_start(self, flow: tcp.TCPFlow) -> None:
        """Annotate a flow that was read from a file."""
        annotate(flow)


def annotate(loaded: flow.Flow) -> None:
    """Set comment and marker from what the gateway recorded, whatever a later hand wrote there."""
    metadata: JsonObject = as_object(json_safe(loaded.metadata.get(KEY)))
    if metadata:
        loaded.comment = comment(metadata)
        loaded.marked = marker(metadata)
