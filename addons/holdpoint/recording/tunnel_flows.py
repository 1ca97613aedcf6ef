"""Recorded tunnels, read back: all messages of each, from its pieces where there are any."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from mitmproxy import http
from mitmproxy.flow import Flow

from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.recording.annotation import KEY
from holdpoint.recording.browse import RecordedSession, session_flows
from holdpoint.recording.json_text import json_safe
from holdpoint.recording.transcript import Message


@dataclass(frozen=True, slots=True)
class RecordedTunnel:
    """What was written down of one upgraded connection."""

    exchange: str
    path: str
    """As it was asked for, masked."""
    metadata: JsonObject
    """Of the record at the end; of the last piece, where the gateway was killed before it."""
    messages: tuple[Message, ...]
    """In their order."""
    ended: bool
    """Whether the record at the end is there."""

    @property
    def command(self) -> tuple[str, ...]:
        """The `argv` of an exec."""
        return tuple(value for name, value in parse_qsl(urlsplit(self.path).query) if name == "command")

    @property
    def is_tty(self) -> bool:
        """Whether a terminal was asked for: then line feeds are the terminal's own business."""
        return ("tty", "true") in parse_qsl(urlsplit(self.path).query)

    @property
    def summary(self) -> JsonObject:
        """What the gateway noted of it: how it ended, what it showed."""
        return as_object(self.metadata.get("tunnel"))


@dataclass(slots=True)
class _Gathered:
    path: str = ""
    metadata: JsonObject = field(default_factory=dict[str, JsonValue])
    pieces: dict[int, tuple[Message, ...]] = field(default_factory=dict[int, tuple[Message, ...]])
    whole: tuple[Message, ...] | None = None

    def tunnel(self, exchange: str) -> RecordedTunnel:
        pieces = tuple(message for number in sorted(self.pieces) for message in self.pieces[number])
        messages = pieces if self.pieces else self.whole or ()
        return RecordedTunnel(exchange, self.path, self.metadata, messages, self.whole is not None)


def tunnels(flows: Iterable[Flow]) -> Iterator[RecordedTunnel]:
    """Yield the tunnels among flow records, in the order in which they were first written to."""
    found: dict[str, _Gathered] = {}
    for flow in flows:
        if isinstance(flow, http.HTTPFlow) and flow.websocket is not None:
            metadata: JsonObject = as_object(json_safe(flow.metadata.get(KEY)))
            _see(found.setdefault(as_text(metadata.get("exchange")), _Gathered()), flow, metadata)
    yield from (gathered.tunnel(exchange) for exchange, gathered in found.items())


def session_tunnels(folder: Path, session: RecordedSession) -> Iterator[RecordedTunnel]:
    """Yield the tunnels of a session. Raises OSError, mitmproxy's FlowReadException."""
    yield from tunnels(session_flows(folder, session))


def _see(gathered: _Gathered, flow: http.HTTPFlow, metadata: JsonObject) -> None:
    messages = _messages(flow)
    gathered.path = flow.request.path
    piece = metadata.get("piece")
    if isinstance(piece, int):
        gathered.pieces[piece] = messages
        if gathered.whole is not None:
            return
    else:
        gathered.whole = messages
    gathered.metadata = metadata


def _messages(flow: http.HTTPFlow) -> tuple[Message, ...]:
    return tuple(
        Message(m.from_client, m.content, m.timestamp) for m in (flow.websocket.messages if flow.websocket else ())
    )
