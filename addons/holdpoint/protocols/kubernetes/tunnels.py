"""The two-way codecs of upgraded connections: exec, attach and portforward, over WebSocket and over SPDY/3.1.

A codec stands in the middle. Whatever one side sends goes in by `receive`, in any pieces; what comes out is, in order,
`Raw` (pass `data` on) and `Frame` (decide, mask, record, then pass `Codec.send(frame)` on, or drop it). Nothing else
ever reaches the other side. Codecs are pure: no I/O, no clock, and bounded in memory by MAX_FRAME_BYTES a side.
"""

from typing import Protocol

from holdpoint.protocols.kubernetes.channels import ExecChannels
from holdpoint.protocols.kubernetes.exec_streams import ExecStreams
from holdpoint.protocols.kubernetes.frames import MAX_FRAME_BYTES, BadTunnel, Ending, Frame, Item, Raw, Side
from holdpoint.protocols.kubernetes.port_forward import ForwardChannels, ForwardedPorts, TunnelledSpdy
from holdpoint.protocols.kubernetes.spdy import Spdy

__all__ = ["MAX_FRAME_BYTES", "BadTunnel", "Codec", "Ending", "Frame", "Item", "Raw", "Side", "codec_for"]


WEBSOCKET_EXEC = ("v5.channel.k8s.io", "v4.channel.k8s.io")
"""Values of Sec-WebSocket-Protocol for exec and attach, the better one first. The base64 forms are refused."""
WEBSOCKET_FORWARD = ("SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io")
"""Values of Sec-WebSocket-Protocol for portforward, the better one first."""
SPDY_EXEC = ("v5.channel.k8s.io", "v4.channel.k8s.io")
"""Values of X-Stream-Protocol-Version for exec and attach; older ones end without a Status, and are refused."""
SPDY_FORWARD = ("portforward.k8s.io",)
"""Values of X-Stream-Protocol-Version for portforward."""


class Codec(Protocol):
    """One upgraded connection, seen from the middle."""

    def receive(self, side: Side, data: bytes) -> list[Item]:
        """Return what `data`, sent by `side`, completes, in order; the same however the bytes are cut.

        Raises BadTunnel, and from then on always for both sides.
        """
        ...

    def send(self, frame: Frame) -> bytes:
        """Return the bytes that say `frame` to the other side than its sender; empty where it needs none to be said.

        `frame` came from `receive`, or is made from one that did (other data; split; data and `final` apart). Frames of
        one stream keep their order. Nothing of a frame that is not sent reaches the other side.
        """
        ...

    def say(self, text: str) -> bytes:
        """Return bytes for the client that put `text` on the user's terminal, without ending anything.

        It goes to stderr; to stdout where there is a TTY; to the error streams of forwarded ports. Empty where no
        such stream is open.
        """
        ...

    def end(self, text: str, status: bytes) -> Ending:
        """Return the last bytes for both sides: `text` for the user, the `metav1.Status` JSON, and a proper close.

        Call it once, then write them, close both connections and never call anything else. Works after BadTunnel too.
        """
        ...


def codec_for(
    *,
    upgrade: str,
    subprotocol: str,
    subresource: str,
    tty: bool = False,
    stdin: bool = False,
    ports: tuple[int, ...] = (),
) -> Codec:
    """Return the codec of a connection that the upstream answered with 101.

    `upgrade` is the value of Upgrade (any case), `subprotocol` what the **upstream** chose (Sec-WebSocket-Protocol, or
    X-Stream-Protocol-Version for SPDY), `subresource` `exec`, `attach` or `portforward`; `tty`, `stdin` and `ports`
    what the query said: a stdin that was not asked for is refused. Raises BadTunnel for whatever else.
    """
    match upgrade.lower(), subresource:
        case "websocket", "exec" | "attach" if subprotocol in WEBSOCKET_EXEC:
            return ExecChannels(version=int(subprotocol[1]), tty=tty, stdin=stdin)
        case "spdy/3.1", "exec" | "attach" if subprotocol in SPDY_EXEC:
            return Spdy(ExecStreams(stdin=stdin), tty=tty)
        case "websocket", "portforward" if subprotocol == WEBSOCKET_FORWARD[0]:
            return TunnelledSpdy(Spdy(ForwardedPorts()))
        case "websocket", "portforward" if subprotocol in WEBSOCKET_FORWARD:
            return ForwardChannels(ports)
        case "spdy/3.1", "portforward" if subprotocol in SPDY_FORWARD:
            return Spdy(ForwardedPorts())
        case _:
            raise BadTunnel("the upstream chose a protocol that is not known here")
