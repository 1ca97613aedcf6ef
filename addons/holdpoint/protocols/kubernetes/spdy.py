"""SPDY/3.1 as client-go and the kubelet speak it: exec, attach and portforward over streams that the client opens.

Their library, spdystream, does no flow control: it neither sends WINDOW_UPDATE nor heeds one, so data may change its
length on the way. Header blocks are compressed over the whole connection; they go on unchanged, each exactly once, and
the gateway writes none of its own, so that both contexts stay those that the two sides keep.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from holdpoint.protocols.kubernetes import spdy_frames as wire
from holdpoint.protocols.kubernetes.frames import BadTunnel, Ending, Frame, Item, Raw, Side

MAX_OPEN_STREAMS = 1024


class Naming(Protocol):
    """Which streams a subresource knows, and who writes to them."""

    def open(self, headers: Mapping[str, str]) -> str:
        """Return the stream's name. Raises BadTunnel for one that must not be opened (any more)."""
        ...

    def close(self, headers: Mapping[str, str]) -> None:
        """Take note that the stream is no more."""
        ...

    def may_write(self, side: Side, name: str) -> bool:
        """Whether data on such a stream may come from that side."""
        ...


@dataclass(slots=True)
class _Stream:
    name: str
    headers: Mapping[str, str]
    ended: set[Side] = field(default_factory=set[Side])
    """Sides that said they write no more."""
    told: set[Side] = field(default_factory=set[Side])
    """Sides whose end was passed on."""


class Spdy:
    """A Codec of bare SPDY/3.1."""

    def __init__(self, naming: Naming, *, tty: bool = False) -> None:
        """With `tty` there is no stderr, and what the gateway says goes to stdout."""
        self._naming = naming
        self._tty = tty
        self._readers = {Side.CLIENT: wire.Reader(), Side.SERVER: wire.Reader()}
        self._open: dict[int, _Stream] = {}
        self._last = 0
        self._failed = ""

    def receive(self, side: Side, data: bytes) -> list[Item]:
        """See Codec."""
        if self._failed:
            raise BadTunnel(self._failed)
        items: list[Item] = []
        try:
            for heard in self._readers[side].feed(data):
                items.extend(self._data(side, heard) if isinstance(heard, wire.Data) else self._control(side, heard))
        except BadTunnel as error:
            self._failed = str(error)
            raise
        return items

    def send(self, frame: Frame) -> bytes:
        """See Codec."""
        stream = self._open.get(frame.channel)
        if stream is not None and frame.final:
            stream.told.add(frame.side)
            self._forget(frame.channel)
        return wire.data_frame(frame.channel, frame.data, final=frame.final)

    def say(self, text: str) -> bytes:
        """See Codec."""
        data = text.encode()
        return b"".join(wire.data_frame(number, data) for number in self._speaking())

    def end(self, text: str, status: bytes) -> Ending:
        """See Codec."""
        to_client = self.say(text) if text else b""
        to_server = b""
        for number, stream in self._open.items():
            to_server += wire.rst_stream(number)
            if Side.SERVER in stream.told:
                continue
            to_client += wire.data_frame(number, status if stream.name == "error" else b"", final=True)
        # Said again where the server has said it: that one may never have been passed on.
        return Ending(to_client + wire.goaway(self._last), to_server + wire.goaway(0))

    def _speaking(self) -> Iterator[int]:
        wanted = "stdout" if self._tty else "stderr"
        for number, stream in self._open.items():
            if Side.SERVER not in stream.told and (stream.name == wanted or stream.name.endswith(":error")):
                yield number

    def _data(self, side: Side, heard: wire.Data) -> Iterator[Item]:
        stream = self._open.get(heard.stream)
        if stream is None:
            self._known(heard.stream)
            # The other side took the stream back while this was under way: nobody reads it.
            return
        if side in stream.ended:
            raise BadTunnel("a SPDY stream was written to after its end")
        if heard.final:
            stream.ended.add(side)
        if self._naming.may_write(side, stream.name):
            yield Frame(side, stream.name, heard.data, heard.final, heard.stream)
            return
        if heard.data:
            raise BadTunnel("a SPDY stream was written from the wrong side, or was not asked for")
        if heard.final:
            stream.told.add(side)
            self._forget(heard.stream)
            yield Raw(side, wire.data_frame(heard.stream, b"", final=True))

    def _control(self, side: Side, heard: wire.Control) -> Iterator[Item]:
        match heard.kind:
            case wire.SYN_STREAM:
                yield self._opened(side, heard)
            case wire.SYN_REPLY | wire.HEADERS:
                yield from self._answered(side, heard)
            case wire.RST_STREAM:
                yield self._reset(side, heard)
            case wire.GOAWAY:
                yield Raw(side, heard.wire, closes=True)
            case _:
                yield Raw(side, heard.wire)

    def _opened(self, side: Side, heard: wire.Control) -> Raw:
        # A client's streams have odd numbers, each higher than the last (section 2.3.2).
        if side is Side.SERVER or heard.stream <= self._last or not heard.stream % 2:
            raise BadTunnel("a SPDY stream was opened by the wrong side or with a number out of order")
        if len(self._open) >= MAX_OPEN_STREAMS:
            raise BadTunnel(f"more than {MAX_OPEN_STREAMS} SPDY streams are open")
        name = self._naming.open(heard.headers)
        self._last = heard.stream
        stream = self._open[heard.stream] = _Stream(name, heard.headers)
        if heard.final:
            stream.ended.add(side)
            stream.told.add(side)
        return Raw(side, heard.wire, opens=name, channel=heard.stream)

    def _answered(self, side: Side, heard: wire.Control) -> Iterator[Raw]:
        self._known(heard.stream)
        # Header blocks cannot be left out without breaking the compression, so what they could carry must be nothing.
        if heard.headers or (heard.kind == wire.SYN_REPLY and side is Side.CLIENT):
            raise BadTunnel("a SPDY stream got headers that it has no use for")
        stream = self._open.get(heard.stream)
        ends = ""
        if heard.final and stream is not None:
            ends = stream.name
            stream.ended.add(side)
            stream.told.add(side)
            self._forget(heard.stream)
        yield Raw(side, heard.wire, ends=ends, channel=heard.stream)

    def _reset(self, side: Side, heard: wire.Control) -> Raw:
        self._known(heard.stream)
        stream = self._open.pop(heard.stream, None)
        if stream is None:
            return Raw(side, heard.wire)
        self._naming.close(stream.headers)
        return Raw(side, heard.wire, ends=stream.name, channel=heard.stream)

    def _known(self, number: int) -> None:
        if number > self._last or not number % 2:
            raise BadTunnel("a SPDY frame is for a stream that nobody opened")

    def _forget(self, number: int) -> None:
        stream = self._open[number]
        if len(stream.told) == len(Side):
            del self._open[number]
            self._naming.close(stream.headers)
