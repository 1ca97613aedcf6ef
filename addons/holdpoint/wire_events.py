"""What the gateway tells the one stream of a flow, from outside of mitmproxy's own order of events."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import dataclass

from mitmproxy import http
from mitmproxy.proxy import events

from holdpoint.protocols.kubernetes.frames import Ending


@dataclass
class FlowEvent(events.Event):
    """Something for the one stream of this flow, noticed even while a hook of it waits."""

    flow: http.HTTPFlow


@dataclass
class AbortStream(FlowEvent):
    """End the stream, on both sides."""

    reason: str
    last: bytes | None = None
    """What the caller is told last where his answer has begun, which then ends whole. None: it ends torn."""
    ending: Ending | None = None
    """What both sides of an upgraded connection are told last."""
    answer: http.Response | None = None
    """What the caller gets where nothing of an answer has reached him. None: his stream ends torn."""


@dataclass
class BeginEvents(FlowEvent):
    """Begin an event stream towards the caller, before there is an answer."""

    delivered: bool = False


@dataclass
class SendEvents(FlowEvent):
    """Send bytes on the event stream that was begun."""

    data: bytes
    delivered: bool = False


@dataclass
class GiveUp(FlowEvent):
    """Read no more of an answer that is read whole: it takes too long."""
