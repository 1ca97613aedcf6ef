"""The files of the log: `audit/000001.jsonl` and on, its signed heads beside each, and what their first lines say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from holdpoint.domain.audit import AuditStage
from holdpoint.domain.canonical import canonical
from holdpoint.domain.values import JsonObject
from holdpoint.recording.chain import SEGMENT, Line, LineError, genesis, read_line

FORMAT = 1
AUDIT = "audit"
SESSIONS = "sessions"
LOCK = "lock"

OPENS = AuditStage.FORWARDED.value
CLOSES = frozenset(
    s.value
    for s in (
        AuditStage.ANSWERED,
        AuditStage.FAILED,
        AuditStage.ENDED,
        AuditStage.WITHHELD,
        AuditStage.OUTCOME_UNKNOWN,
    )
)
"""After FORWARDED, exactly one of these ends an exchange. Without it, a start calls its outcome unknown."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line stands."""

    segment: int
    offset: int
    hash: str
    """Hexadecimal."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line of a segment says, so that a start need not read the segments before it."""

    log: str
    number: int
    roots: tuple[bytes, ...] = ()
    """Merkle frontier over all lines before this one."""
    open: Mapping[str, Place] = field(default_factory=dict[str, Place])
    """Exchanges forwarded in earlier segments and not ended there."""

    def as_bytes(self) -> bytes:
        """Return the canonical form."""
        value: JsonObject = {
            "format": FORMAT,
            "log": self.log,
            "number": self.number,
            "open": {e: [p.segment, p.offset, p.hash] for e, p in self.open.items()},
            "roots": [r.hex() for r in self.roots],
        }
        return canonical(value)


class _HeaderShape(msgspec.Struct):
    format: int
    log: str
    number: int
    open: dict[str, tuple[int, int, str]]
    roots: list[str]


class RecordRef(msgspec.Struct, frozen=True):
    """Which bytes of which flow file an event vouches for."""

    file: str
    """Relative to the folder of recordings, with `/`."""
    offset: int
    length: int
    digest: str
    """`sha256:` and hexadecimal."""


class _Detail(msgspec.Struct):
    record: RecordRef | None = None
    unrecorded: str = ""


class EventKey(msgspec.Struct):
    """As much of an event as bookkeeping needs."""

    stage: str
    at: float
    exchange: str = ""
    session: str = ""
    detail: _Detail = msgspec.field(default_factory=_Detail)


_header = msgspec.json.Decoder(_HeaderShape)
_event_key = msgspec.json.Decoder(EventKey)


def event_key(body: bytes) -> EventKey:
    """Read what bookkeeping needs from an event. Raises LineError."""
    try:
        return _event_key.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise LineError(f"not an event: {error}") from None


def read_header(line: bytes) -> tuple[Line, Header]:
    """Read the first line of a segment. Raises LineError, also where the line does not hold together in itself."""
    parsed = read_line(line)
    if parsed.kind != SEGMENT or not parsed.is_whole:
        raise LineError("the first line is not the header of a segment")
    try:
        shape = _header.decode(parsed.body)
        roots = tuple(bytes.fromhex(r) for r in shape.roots)
    except ValueError as error:
        raise LineError(f"the header of the segment cannot be read: {error}") from None
    if shape.format != FORMAT:
        raise LineError(f"format {shape.format} is not one this version reads")
    header = Header(shape.log, shape.number, roots, {e: Place(*p) for e, p in shape.open.items()})
    if len(roots) != parsed.seq.bit_count():
        raise LineError("the header of the segment does not fit its place")
    if header.number == 1 and (parsed.seq, parsed.prev) != (0, genesis(header.log)):
        raise LineError("the first segment does not begin the log that it names")
    return parsed, header


def segment_path(folder: Path, number: int) -> Path:
    """Return the file of a segment. `folder` is the one of recordings."""
    return folder / AUDIT / f"{number:06d}.jsonl"


def heads_path(folder: Path, number: int) -> Path:
    """Return the file of the heads signed while a segment was written."""
    return folder / AUDIT / f"{number:06d}.heads"


def segment_numbers(folder: Path) -> list[int]:
    """Return the numbers of the segments that are there, ascending."""
    return sorted(int(p.stem) for p in (folder / AUDIT).glob("*.jsonl") if p.stem.isdigit())


@dataclass(frozen=True, slots=True)
class RawLine:
    """Bytes up to a line feed, or up to the end of the file."""

    offset: int
    data: bytes
    """Without the line feed."""
    ended: bool
    """Whether a line feed followed."""


def read_lines(path: Path, *, offset: int = 0) -> Iterator[RawLine]:
    """Read a file line by line, from a place where a line begins. Raises OSError."""
    with path.open("rb") as file:
        file.seek(offset)
        for raw in file:
            ended = raw.endswith(b"\n")
            yield RawLine(offset, raw[:-1] if ended else raw, ended)
            offset += len(raw)
