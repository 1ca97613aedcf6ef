"""`v4.channel.k8s.io` and `v5.channel.k8s.io`: exec and attach over a WebSocket.

The first byte of each message is its channel (k8s.io/apimachinery/pkg/util/remotecommand, k8s.io/apiserver/pkg/util/
wsstream). v5 adds `[255, channel]`: the client writes no more on that channel (KEP-4006).
"""

from holdpoint.protocols.kubernetes.frames import Ending, Frame, Item, Raw, Side
from holdpoint.protocols.kubernetes.websockets import WebSocketPair, WholeMessage

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255
CHANNELS = ("stdin", "stdout", "stderr", "error", "resize")
"""Names of the channels, by their number."""
_SENDER = (Side.CLIENT, Side.SERVER, Side.SERVER, Side.SERVER, Side.CLIENT)


class ExecChannels:
    """A Codec of exec and attach over a WebSocket."""

    def __init__(self, *, version: int, tty: bool, stdin: bool) -> None:
        """`version` is 4 or 5; `tty` and `stdin` are what the request asked for, and what was decided on."""
        self._sockets = WebSocketPair()
        self._version = version
        self._tty = tty
        self._stdin = stdin
        self._stdin_ended = False

    def receive(self, side: Side, data: bytes) -> list[Item]:
        """See Codec."""
        items: list[Item] = []
        for heard in self._sockets.receive(side, data):
            item = heard if isinstance(heard, Raw) else self._frame(side, heard)
            if item is not None:
                items.append(item)
        return items

    def send(self, frame: Frame) -> bytes:
        """See Codec. In v4 the end of stdin cannot be said, but by closing everything."""
        to = frame.side.other
        said = b""
        if frame.data or not frame.final:
            said = self._sockets.message(to, bytes((frame.channel,)) + frame.data, is_text=frame.is_text)
        if frame.final and self._version > 4 and frame.side is Side.CLIENT:  # noqa: PLR2004  # the protocol's version
            said += self._sockets.message(to, bytes((CLOSE, frame.channel)))
        return said

    def say(self, text: str) -> bytes:
        """See Codec."""
        channel = STDOUT if self._tty else STDERR
        return self._sockets.message(Side.CLIENT, bytes((channel,)) + text.encode())

    def end(self, text: str, status: bytes) -> Ending:
        """See Codec."""
        last = self.say(text) if text else b""
        last += self._sockets.message(Side.CLIENT, bytes((ERROR,)) + status)
        return Ending(last + self._sockets.close(Side.CLIENT), self._sockets.close(Side.SERVER))

    def _frame(self, side: Side, message: WholeMessage) -> Frame | None:
        if not message.data:
            # k8s.io/apiserver/pkg/util/wsstream passes over a message without a channel, too.
            return None
        channel, data = message.data[0], message.data[1:]
        if channel == CLOSE and self._version > 4:  # noqa: PLR2004  # the protocol's version
            return self._closed(side, data)
        if channel >= len(CHANNELS):
            raise self._sockets.fail("a message is for a channel that does not exist")
        if side is not _SENDER[channel]:
            if not data:
                return None
            raise self._sockets.fail(f"{CHANNELS[channel]} was written from the wrong side")
        if channel == STDIN and data and (self._stdin_ended or not self._stdin):
            raise self._sockets.fail("stdin was written that had ended, or was not asked for")
        return Frame(side, CHANNELS[channel], data, channel=channel, is_text=message.is_text)

    def _closed(self, side: Side, data: bytes) -> Frame | None:
        if side is not Side.CLIENT or len(data) != 1 or data[0] >= len(CHANNELS):
            raise self._sockets.fail("a close of a channel is malformed")
        if _SENDER[data[0]] is not Side.CLIENT:
            raise self._sockets.fail(f"{CHANNELS[data[0]]} was closed from the wrong side")
        if data[0] == STDIN:
            if self._stdin_ended:
                return None
            self._stdin_ended = True
        return Frame(side, CHANNELS[data[0]], b"", final=True, channel=data[0])
