"""Reading the log at a start: the last segments only, and every doubt refuses.

A segment's header holds the Merkle frontier of everything before it. Where a signed head covers that header, the
segments before it need not be read again: a start reads from the newest such segment on, usually one, at most two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from holdpoint.domain.canonical import digest_bytes
from holdpoint.domain.refusal import ConfigError
from holdpoint.recording.chain import EVENT, Line, LineError, read_line
from holdpoint.recording.heads import Head, HeadError, KeyRing, UnknownKeyError, check
from holdpoint.recording.merkle import Frontier
from holdpoint.recording.segments import (
    CLOSES,
    OPENS,
    EventKey,
    Header,
    Place,
    RawLine,
    event_key,
    heads_path,
    read_header,
    read_lines,
    segment_path,
)

_CHECKED_HEADS = 64
_ADVICE = (
    "the log was changed or the disk lost what it had confirmed: keep the folder as evidence (`holdpoint audit verify` "
    "names every place), move it aside and start with an empty one"
)


@dataclass(frozen=True, slots=True)
class Cut:
    """A torn tail that was cut off."""

    file: str
    offset: int
    length: int
    digest: str


@dataclass(slots=True)
class Scanned:
    """Where the log stands."""

    log: str
    number: int
    """Of the last segment."""
    frontier: Frontier
    prev: bytes
    """Hash of the last line."""
    offset: int = 0
    """End of the last whole line in the last segment."""
    heads_offset: int = 0
    """End of the last whole head in the last segment's heads."""
    signed: int = 0
    """Size that the last head covers."""
    torn: Cut | None = None
    open: dict[str, Place] = field(default_factory=dict[str, Place])
    ends: dict[str, int] = field(default_factory=dict[str, int])
    """End of the last record that an event vouches for, by flow file."""
    sessions: set[str] = field(default_factory=set[str])
    last_at: float = 0.0
    """Time of the last event."""

    def see(self, event: EventKey, place: Place) -> None:
        """Take note of an event."""
        self.last_at = event.at
        if event.session:
            self.sessions.add(event.session)
        if event.stage == OPENS:
            self.open[event.exchange] = place
        elif event.stage in CLOSES:
            self.open.pop(event.exchange, None)
        if (record := event.detail.record) is not None:
            self.ends[record.file] = max(self.ends.get(record.file, 0), record.offset + record.length)


def _refuse(path: Path, number: int | None, problem: str) -> ConfigError:
    return ConfigError(f"{problem}; {_ADVICE}", where=str(path) + ("" if number is None else f":{number}"))


def _read_heads(path: Path, ring: KeyRing) -> tuple[list[Head], int]:
    """Return the first and the last heads of a segment, checked, and where the last whole line ends."""
    raws = list(read_lines(path)) if path.exists() else []
    if raws and not raws[-1].ended:
        raws.pop()
    end = raws[-1].offset + len(raws[-1].data) + 1 if raws else 0
    chosen = raws[:1] + raws[max(1, len(raws) - _CHECKED_HEADS) :]
    heads: list[Head] = []
    for raw in chosen:
        try:
            heads.append(check(raw.data, ring))
        except UnknownKeyError as error:
            raise ConfigError(f"a head is {error}: list its public key under `keys.audit`", where=str(path)) from None
        except HeadError as error:
            raise _refuse(path, None, f"the head at byte {raw.offset} is wrong: {error}") from None
    return heads, end


def _first_line(path: Path) -> tuple[bytes, Line, Header]:
    first = next(read_lines(path), None)
    if first is None or not first.ended:
        raise _refuse(path, 1, "the segment has no header")
    try:
        line, header = read_header(first.data)
    except LineError as error:
        raise _refuse(path, 1, str(error)) from None
    return first.data, line, header


def _is_trusted(raw: bytes, line: Line, header: Header, heads: list[Head]) -> bool:
    if header.number == 1:
        return True
    frontier = Frontier(line.seq, header.roots)
    frontier.append(raw)
    root = frontier.root().hex()
    return any(h.size == line.seq + 1 and h.root == root and h.log == header.log for h in heads)


def _base(folder: Path, numbers: list[int], ring: KeyRing) -> tuple[int, Line, Header]:
    """Return the newest segment whose header a signed head covers, by position."""
    for position in range(len(numbers) - 1, -1, -1):
        path = segment_path(folder, numbers[position])
        raw, line, header = _first_line(path)
        if header.number != numbers[position]:
            raise _refuse(path, 1, f"this is segment {header.number}")
        heads, _ = _read_heads(heads_path(folder, header.number), ring)
        if _is_trusted(raw, line, header, heads):
            return position, line, header
        if position and numbers[position - 1] != header.number - 1:
            raise _refuse(path, None, f"segment {header.number - 1} is missing")
    raise _refuse(segment_path(folder, numbers[0]), 1, "no signed head covers the beginning of the log")


def _is_torn(path: Path, raw: RawLine) -> bool:
    """Whether what begins here can be an interrupted write: nothing whole comes after it."""
    with path.open("rb") as file:
        file.seek(raw.offset)
        rest = file.read()
    return b"\n" not in rest.rstrip(b"\0")


class _Reader:
    def __init__(self, folder: Path, state: Scanned, heads: Mapping[int, Head]) -> None:
        self.folder = folder
        self.state = state
        self.heads = heads

    def read(self, number: int, *, is_last: bool) -> None:
        state, path = self.state, segment_path(self.folder, number)
        state.number, state.offset = number, 0
        for count, raw in enumerate(read_lines(path), 1):
            try:
                self._line(raw, number)
            except LineError as error:
                if is_last and count > 1 and _is_torn(path, raw):
                    rest = path.read_bytes()[raw.offset :]
                    state.torn = Cut(path.name, raw.offset, len(rest), digest_bytes(rest))
                    return
                raise _refuse(path, count, str(error)) from None
            state.offset = raw.offset + len(raw.data) + 1

    def _line(self, raw: RawLine, number: int) -> None:
        state = self.state
        line = read_line(raw.data)
        if not raw.ended:
            raise LineError("the line has no end")
        if line.seq != state.frontier.size:
            raise LineError(f"line {state.frontier.size} of the log should stand here, not {line.seq}")
        if line.prev != state.prev:
            raise LineError("the line does not follow the one before it")
        if not line.is_whole:
            raise LineError("the line is not what its hash was made over")
        if line.kind == EVENT:
            state.see(event_key(line.body), Place(number, raw.offset, line.hash.hex()))
        else:
            _, header = read_header(raw.data)
            if raw.offset or (header.log, header.number) != (state.log, number):
                raise LineError("the header of another segment stands here")
        state.frontier.append(raw.data)
        state.prev = line.hash
        head = self.heads.get(state.frontier.size)
        if head is not None and (head.hash, head.root) != (line.hash.hex(), state.frontier.root().hex()):
            raise LineError("the lines up to here are not those that were signed")


def scan(folder: Path, numbers: list[int], ring: KeyRing) -> Scanned:
    """Read the end of the log. Raises ConfigError on anything but a torn last line; changes nothing."""
    position, first, header = _base(folder, numbers, ring)
    read = numbers[position:]
    if read != list(range(read[0], read[0] + len(read))):
        raise _refuse(segment_path(folder, read[-1]), None, "segments are missing before this one")
    heads: list[Head] = []
    heads_end = 0
    for number in read:
        found, heads_end = _read_heads(heads_path(folder, number), ring)
        heads += found
    for head in heads:
        if head.log != header.log:
            raise _refuse(heads_path(folder, read[-1]), None, f"a head belongs to another log, `{head.log}`")
    state = Scanned(header.log, read[-1], Frontier(first.seq, header.roots), first.prev, open=dict(header.open))
    reader = _Reader(folder, state, {h.size: h for h in heads})
    for number in read:
        reader.read(number, is_last=number == read[-1])
    state.heads_offset = heads_end
    state.signed = max((h.size for h in heads), default=0)
    if state.signed > state.frontier.size:
        missing = state.signed - state.frontier.size
        raise _refuse(segment_path(folder, read[-1]), None, f"{missing} lines that were signed are missing")
    return state
