"""What an upgraded connection of Kubernetes carries, whatever protocol carries it."""

from dataclasses import dataclass
from enum import Enum

from holdpoint.domain.refusal import Refusal, RefusalKind

MAX_FRAME_BYTES = 8 << 20
"""Most that one message or frame may hold: kubectl, client-go and the kubelet write at most 32 KiB at a time."""


class Side(Enum):
    """Who sent something."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> "Side":
        """Who gets it."""
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT


class BadTunnel(ValueError):  # noqa: N818  # named after what it is, as Undecodable
    """Bytes that are not exactly what the negotiated protocol allows. Nothing after them can be told apart: end it.

    `str(error)` may be shown to the caller: lower case, no full stop, nothing of what the bytes said.
    """

    def refusal(self) -> Refusal:
        """Return this as a refusal, for the audit."""
        return Refusal(RefusalKind.BAD_REQUEST, str(self), detail="an upgraded connection left its protocol")


@dataclass(frozen=True, slots=True)
class Frame:
    """Data of one stream, or its end, in one direction.

    `dataclasses.replace(frame, data=...)` is how a masker changes it: `Codec.send` encodes what `data` then is.
    """

    side: Side
    """Who sent it; it is for the other side."""
    stream: str
    """`stdin`, `stdout`, `stderr`, `error`, `resize`; of a forwarded port `port:8080:data` and `port:8080:error`."""
    data: bytes
    final: bool = False
    """The sender writes no more on this stream (SPDY's FIN; `[255, channel]` of `v5.channel.k8s.io`)."""
    channel: int = 0
    """SPDY's stream id, or the channel's number of a WebSocket: tells connections to one forwarded port apart."""
    is_text: bool = False
    """Came as a text message of a WebSocket, as the Python client writes what is `str` to it."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What the protocol itself needs (ping, SYN_STREAM, WebSocket close), checked, and in its place among frames."""

    side: Side
    """Who sent it; it is for the other side."""
    data: bytes
    """Exactly what goes to the other side. Never holds data of a stream."""
    closes: bool = False
    """The sender says that it is done with the whole connection (WebSocket close, GOAWAY): flush what is kept back."""
    opens: str = ""
    """The name that frames of the stream that it opens will have. Only here a forwarded port is known over SPDY."""
    ends: str = ""
    """The stream whose data nobody takes after it (RST_STREAM): flush what is kept back of it."""
    channel: int = 0
    """SPDY's stream id, where `opens` or `ends` is set."""


type Item = Frame | Raw


@dataclass(frozen=True, slots=True)
class Ending:
    """The gateway's last words: what is written to each side before its connection is closed."""

    client: bytes
    server: bytes
