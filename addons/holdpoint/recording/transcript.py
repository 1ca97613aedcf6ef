"""What a tunnel showed, kept as messages of a WebSocket whatever carried it: one byte of channel, then data.

Channels are those of `v4.channel.k8s.io` (0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize, 255 the end of another one).
Memory and record are bounded: messages wait for at most PIECE_BYTES and PIECE_SECONDS before they go out as a piece;
the record at the end holds the first WHOLE_BYTES of each side; nothing is kept beyond MOST_BYTES of a side but counts
and digests. Each side has room of its own, so that what a client sends takes none from what was shown.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.recording import secrets_in_text
from holdpoint.recording.json_text import read

PIECE_BYTES: Final = 256 << 10
PIECE_SECONDS: Final = 1.0
WHOLE_BYTES: Final = 1 << 20
MOST_BYTES: Final = 64 << 20
_MESSAGE_BYTES: Final = 64
"""What a message costs beside its data."""
_BINARY: Final = 2
"""Opcode of RFC 6455 section 5.2."""
CLOSE: Final = 255
CHANNELS: Final = ("stdin", "stdout", "stderr", "error", "resize")
"""Names of the channels, by their number."""
_NUMBERS: Final = {name: number for number, name in enumerate(CHANNELS)}
_SHOWN: Final = frozenset({"stdout", "stderr", "error"})
_MAX_SIZE: Final = 10_000
_MAX_SIZE_BYTES: Final = 4096

type Seal = Callable[[bytes, int], bytes]
"""Makes of what was typed, and its number, what only the operator can read."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the record."""

    from_client: bool
    content: bytes
    at: float
    """Unix seconds."""

    def state(self) -> tuple[int, bool, bytes, float, bool, bool]:
        """Return it as mitmproxy keeps it (`mitmproxy.websocket.WebSocketMessage`)."""
        return (_BINARY, self.from_client, self.content, self.at, False, False)


class _Digest(Protocol):
    """A hash that goes on."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(slots=True)
class _Stream:
    bytes: int = 0
    digest: _Digest | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a tunnel is written down."""

    output: bool = True
    """What is shown. Not what is copied or forwarded: nobody looks into that, so nobody knows what is in it."""
    stdin: Seal | None = None
    """None: what is typed is counted and not kept."""


@dataclass(slots=True)
class _Room:
    """Bytes that one side has used of what may be kept."""

    all: int = 0
    whole: int = 0


@dataclass(slots=True)
class Transcript:
    """One tunnel. Pure: who calls says when."""

    kept: Kept
    _waiting: list[Message] = field(default_factory=list[Message])
    _waiting_bytes: int = 0
    _whole: list[Message] = field(default_factory=list[Message])
    _rooms: dict[bool, _Room] = field(default_factory=lambda: {True: _Room(), False: _Room()})
    """By whether it is the client's."""
    _pieces: int = 0
    _streams: dict[tuple[bool, str], _Stream] = field(default_factory=dict[tuple[bool, str], _Stream])
    _size: tuple[int, int] | None = None
    _typed: int = 0

    def add(self, stream: str, data: bytes, *, from_client: bool, at: float, final: bool = False) -> None:
        """Take in what went on to its reader, as that reader got it. `at` is Unix seconds."""
        counted = self._streams.setdefault((from_client, stream), _Stream())
        counted.bytes += len(data)
        if not from_client:
            # Never of what is typed: a digest of a short password gives it away.
            counted.digest = counted.digest or hashlib.sha256()
            counted.digest.update(data)
        number = _NUMBERS.get(stream)
        if number is None:
            return
        if stream == "resize" and from_client and self._size is None:
            self._size = size_of(data)
        if data and (content := self._content(stream, data)) is not None:
            self._put(Message(from_client, bytes((number,)) + content, at))
        if final:
            self._put(Message(from_client, bytes((CLOSE, number)), at))

    def _content(self, stream: str, data: bytes) -> bytes | None:
        if stream == "stdin":
            self._typed += 1
            return self.kept.stdin(data, self._typed) if self.kept.stdin is not None else None
        if stream == "stdout" and not self.kept.output:
            return None
        return secrets_in_text.body(data)

    def _put(self, message: Message) -> None:
        size = len(message.content) + _MESSAGE_BYTES
        room = self._rooms[message.from_client]
        if room.all + size > MOST_BYTES:
            # From here on nothing, even if it were small: what is kept is a beginning, not a choice.
            room.all = MOST_BYTES
            return
        room.all += size
        self._waiting.append(message)
        self._waiting_bytes += size
        if room.whole + size > WHOLE_BYTES:
            room.whole = WHOLE_BYTES
            return
        self._whole.append(message)
        room.whole += size

    @property
    def waits(self) -> bool:
        """Whether something would be lost if the gateway were killed now."""
        return bool(self._waiting)

    @property
    def is_due(self) -> bool:
        """Whether so much waits that it must not wait longer."""
        return self._waiting_bytes >= PIECE_BYTES

    @property
    def pieces(self) -> int:
        """How many pieces were taken."""
        return self._pieces

    def take(self) -> tuple[Message, ...]:
        """Return what waits as the next piece."""
        piece = tuple(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._pieces += 1
        return piece

    def whole(self) -> tuple[Message, ...]:
        """Return the beginning of it all, for the record at the end."""
        return tuple(self._whole)

    def summary(self) -> JsonObject:
        """Return what is known of all of it, kept or not."""
        streams: JsonObject = {}
        for (from_client, name), counted in sorted(self._streams.items()):
            told: JsonObject = {"bytes": counted.bytes}
            if counted.digest is not None:
                told["digest"] = f"sha256:{counted.digest.hexdigest()}"
            streams[f"{'client' if from_client else 'server'}:{name}"] = told
        said: JsonObject = {"streams": streams, "stdin": "sealed" if self.kept.stdin is not None else "off"}
        if self._size is not None:
            said["size"] = [*self._size]
        if self._pieces:
            said["pieces"] = self._pieces
        if any(room.whole >= WHOLE_BYTES for room in self._rooms.values()):
            said["continues"] = "the first messages only: the pieces hold more"
        if any(room.all >= MOST_BYTES for room in self._rooms.values()):
            said["cut"] = f"kept up to {MOST_BYTES} bytes of a side: the digests cover all that was shown"
        return said


def websocket_state(
    messages: tuple[Message, ...], *, ended: float | None = None, by_client: bool | None = None
) -> dict[str, object]:
    """Return messages as mitmproxy keeps a WebSocket (`mitmproxy.websocket.WebSocketData`). `ended` is Unix seconds."""
    return {
        "messages": [m.state() for m in messages],
        "closed_by_client": by_client,
        "close_code": None if ended is None else 1000,
        "close_reason": None if ended is None else "",
        "timestamp_end": ended,
    }


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return columns and rows of a resize (`{"Width":80,"Height":24}`, TerminalSize of client-go); None for else."""
    try:
        value: JsonValue = read(data.splitlines()[-1]) if len(data) <= _MAX_SIZE_BYTES and data.strip() else None
    except ValueError:
        return None
    match value:
        case {"Width": int() as width, "Height": int() as height} if 0 < width < _MAX_SIZE and 0 < height < _MAX_SIZE:
            return width, height
        case _:
            return None
