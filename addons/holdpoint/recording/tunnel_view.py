"""How a message of a recorded tunnel reads: which stream, which text, and how it ended."""

from typing import Literal

from mitmproxy.contentviews import Contentview, Metadata

from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.recording.annotation import KEY
from holdpoint.recording.json_text import json_safe, read
from holdpoint.recording.mcp_view import visible
from holdpoint.recording.transcript import CHANNELS, CLOSE, size_of

_PRIORITY = 3.0


class TunnelContentview(Contentview):
    """Messages of exec and attach, by channel."""

    @property
    def name(self) -> str:
        """The name in mitmproxy's list of views."""
        return "Kubernetes stream"

    @property
    def syntax_highlight(self) -> Literal["none"]:
        """Whatever a command prints."""
        return "none"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Write a message out. Raises ValueError on what is none."""
        if not data or not _is_tunnel(metadata):
            raise ValueError("no message of a recorded tunnel")
        number, rest = data[0], data[1:]
        if number == CLOSE and len(rest) == 1 and rest[0] < len(CHANNELS):
            return f"# end of {CHANNELS[rest[0]]}\n"
        if number >= len(CHANNELS):
            raise ValueError("a channel that does not exist")
        return visible(f"# {CHANNELS[number]}\n{_text(CHANNELS[number], rest)}")

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """Take the messages of tunnels, leave everything else."""
        is_message = getattr(metadata, "websocket_message", None) is not None
        return _PRIORITY if data and is_message and _is_tunnel(metadata) else -1


def _text(channel: str, data: bytes) -> str:
    match channel:
        case "stdin":
            return f"({len(data)} bytes, sealed: `holdpoint sessions stdin`)\n"
        case "resize" if (size := size_of(data)) is not None:
            return f"{size[0]} columns, {size[1]} rows\n"
        case "error":
            return ended(data) + "\n"
        case _:
            return data.decode("utf-8", "replace")


def ended(data: bytes) -> str:
    """Return in words what the Status of an error stream says."""
    try:
        status: JsonObject = as_object(read(data))
    except ValueError:
        return data.decode("utf-8", "replace")
    if status.get("status") == "Success":
        return "exit 0"
    causes = as_object(status.get("details")).get("causes")
    codes = [
        as_text(c.get("message"))
        for c in (causes if isinstance(causes, list) else [])
        if isinstance(c, dict) and c.get("reason") == "ExitCode"
    ]
    reason = f"exit {codes[0]}" if codes else as_text(status.get("reason")) or "failed"
    return f"{reason}: {as_text(status.get('message'))}"


def _is_tunnel(metadata: Metadata) -> bool:
    kept: JsonObject = as_object(json_safe(metadata.flow.metadata.get(KEY))) if metadata.flow is not None else {}
    return "tunnel" in kept or "piece" in kept
