"""The log on disk, written by one thread: whole batches or nothing, each durable before it counts.

Nothing here knows threads or event loops. State changes only after `fdatasync` returned, so that a failed write leaves
the chain where it was; what it may have left behind is cut off before the next one.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdpoint.clock import Clock
from holdpoint.domain.refusal import ConfigError
from holdpoint.ids import new_id
from holdpoint.recording.chain import EVENT, SEGMENT, Receipt, genesis, write_line
from holdpoint.recording.durable import FILE_MODE, DurableFile, FileFault, make_folder, sync_folder
from holdpoint.recording.heads import Head, KeyRing, Signer, sign
from holdpoint.recording.merkle import Frontier
from holdpoint.recording.scan import Cut, Scanned, scan
from holdpoint.recording.segments import (
    AUDIT,
    CLOSES,
    LOCK,
    OPENS,
    SESSIONS,
    Header,
    Place,
    heads_path,
    segment_numbers,
    segment_path,
)

SEGMENT_BYTES = 32 << 20
_LOCK_TRIES = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """An event on its way into the chain."""

    body: bytes
    """Canonical JSON."""
    stage: str
    exchange: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What a start found."""

    torn: Cut | None
    unsigned: int
    """Lines that no head covered."""
    open: dict[str, Place]
    ends: dict[str, int]
    sessions: frozenset[str]
    last_at: float


class Journal:
    """Segments, their heads, and the lock that keeps a second gateway out."""

    def __init__(
        self, folder: Path, signer: Signer, ring: KeyRing, clock: Clock, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self._signer = signer
        self._ring = ring
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._log = ""
        self._number = 0
        self._prev = b""
        self._frontier = Frontier()
        self._signed = 0
        self._open: dict[str, Place] = {}
        self._lock = -1
        self._segment: DurableFile | None = None
        self._heads: DurableFile | None = None

    @property
    def size(self) -> int:
        """Lines in the log."""
        return self._frontier.size

    @property
    def unsigned(self) -> int:
        """Lines that no head covers yet."""
        return self._frontier.size - self._signed

    @property
    def open_exchanges(self) -> int:
        """Exchanges forwarded and not ended."""
        return len(self._open)

    def start(self) -> Opened:
        """Open the log where it ended, or begin one. Raises ConfigError; nothing is written before all was checked."""
        try:
            make_folder(self.folder)
            make_folder(self.folder / AUDIT)
            self._take_lock()
            numbers = segment_numbers(self.folder)
            opened = self._resume(scan(self.folder, numbers, self._ring)) if numbers else self._begin()
        except OSError as error:
            self.close()
            raise ConfigError(f"the audit log cannot be opened: {error.strerror}", where=str(self.folder)) from error
        except ConfigError:
            self.close()
            raise
        return opened

    def _take_lock(self) -> None:
        self._lock = os.open(self.folder / AUDIT / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        for _ in range(_LOCK_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.05)  # a verification looks at the lock for a moment
        raise ConfigError(
            "another gateway writes to this folder: stop it, or give each its own", where=str(self.folder)
        )

    def _begin(self) -> Opened:
        if any((self.folder / SESSIONS).glob("*/*")):
            raise ConfigError(
                "there are flow files but no audit log vouches for them: bring `audit` back, or move the folder aside",
                where=str(self.folder),
            )
        self._log = new_id("log")
        self._prev = genesis(self._log)
        self._rotate()
        return Opened(None, 0, {}, {}, frozenset(), 0.0)

    def _resume(self, found: Scanned) -> Opened:
        self._log, self._number, self._prev = found.log, found.number, found.prev
        self._frontier, self._signed, self._open = found.frontier, found.signed, found.open
        self._segment = DurableFile(segment_path(self.folder, found.number), found.offset)
        path = heads_path(self.folder, found.number)
        self._heads = DurableFile(path, found.heads_offset, create=not path.exists())
        for file in (self._segment, self._heads):
            file.cut()
        sync_folder(path.parent)
        return Opened(found.torn, self.unsigned, dict(found.open), found.ends, frozenset(found.sessions), found.last_at)

    def write(self, entries: Sequence[Entry]) -> list[Receipt]:
        """Chain the events and make them durable. Raises OSError or FileFault: then none of them was written."""
        segment = self._segment_for(sum(len(e.body) for e in entries))
        prev, frontier, offset = self._prev, self._frontier.copy(), segment.end
        chunks: list[bytes] = []
        receipts: list[Receipt] = []
        places: list[Place] = []
        for entry in entries:
            line, prev = write_line(EVENT, entry.body, prev, frontier.size)
            own = prev.hex()
            receipts.append(Receipt(frontier.size, own))
            places.append(Place(self._number, offset, own))
            frontier.append(line)
            chunks += (line, b"\n")
            offset += len(line) + 1
        segment.append(chunks)
        self._prev, self._frontier = prev, frontier
        for entry, place in zip(entries, places, strict=True):
            if entry.stage == OPENS:
                self._open[entry.exchange] = place
            elif entry.stage in CLOSES:
                self._open.pop(entry.exchange, None)
        return receipts

    def _segment_for(self, size: int) -> DurableFile:
        if self._segment is None:
            raise FileFault("the log is closed")
        return self._segment if self._segment.end + size <= self._segment_bytes else self._rotate()

    def checkpoint(self, *, force: bool = False) -> None:
        """Sign a head when lines were added, or when forced. Raises OSError or FileFault."""
        if self._heads is None or not (force or self.unsigned):
            return
        head = Head(
            log=self._log,
            size=self._frontier.size,
            hash=self._prev.hex(),
            root=self._frontier.root().hex(),
            at=float(self._clock.now()),
            key=self._signer.key_id,
        )
        self._heads.append((sign(head, self._signer), b"\n"))
        self._signed = self._frontier.size

    def _rotate(self) -> DurableFile:
        """Begin the next segment: its header durable under its name, then signed."""
        self.checkpoint()
        number = self._number + 1
        path = segment_path(self.folder, number)
        header = Header(self._log, number, self._frontier.roots, self._open)
        line, prev = write_line(SEGMENT, header.as_bytes(), self._prev, self._frontier.size)
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        heads_path(self.folder, number).unlink(missing_ok=True)
        segment = DurableFile(draft, create=True)
        try:
            segment.append((line, b"\n"))
            heads = DurableFile(heads_path(self.folder, number), create=True)
            draft.rename(path)
            sync_folder(path.parent)
        except OSError:
            segment.close()
            path.unlink(missing_ok=True)
            raise
        segment.path = path
        self._close_files()
        self._segment, self._heads, self._number = segment, heads, number
        self._frontier.append(line)
        self._prev = prev
        self.checkpoint()
        return segment

    def _close_files(self) -> None:
        for file in (self._segment, self._heads):
            if file is not None:
                file.close()
        self._segment = self._heads = None

    def close(self) -> None:
        """Let go of the files. Signs nothing: call `checkpoint` first."""
        self._close_files()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
