"""Proving recordings whole, without the gateway and without its private key.

Everything is read: each line against its hash and the line before it, each head against its signature and the Merkle
root at its size, each flow record against the event that vouches for it, and no byte of a flow file may be left over.
"""

import fcntl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from holdpoint.recording.chain import EVENT, Line, LineError, genesis, read_line
from holdpoint.recording.heads import Head, HeadError, KeyRing, UnknownKeyError, check
from holdpoint.recording.merkle import Frontier
from holdpoint.recording.report import Finding, Problem, Report
from holdpoint.recording.segments import (
    AUDIT,
    LOCK,
    RawLine,
    RecordRef,
    event_key,
    heads_path,
    read_header,
    read_lines,
    segment_numbers,
    segment_path,
)
from holdpoint.recording.verify_flows import check_flows

TOLERANCE = 60.0
"""Seconds of events that may stand behind the last head, beside what the checkpoint interval explains."""


@dataclass(slots=True)
class _State:
    log: str = ""
    frontier: Frontier = field(default_factory=Frontier)
    prev: bytes | None = None
    trusted: bool = True
    """Whether the lines so far are whole, so that comparing roots says something."""
    events: int = 0
    last_at: float = 0.0
    first_unsigned_at: float | None = None
    lines: int = 0


class _Verification:
    def __init__(self, folder: Path, ring: KeyRing) -> None:
        self.folder = folder
        self.ring = ring
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.heads: list[tuple[Head, str, int]] = []
        self.records: dict[str, list[RecordRef]] = {}
        self.state = _State()
        self._due = 0

    def found(
        self, problem: Problem, path: Path, message: str, *, line: int | None = None, offset: int | None = None
    ) -> None:
        name = path.relative_to(self.folder).as_posix()
        self.findings.append(Finding(problem, name, message, line, offset))

    # ---- heads

    def read_heads(self, number: int) -> None:
        path = heads_path(self.folder, number)
        for count, raw in enumerate(_lines(path), 1):
            try:
                head = check(raw.data, self.ring)
            except UnknownKeyError as error:
                self.found(Problem.UNKNOWN_KEY, path, str(error), line=count)
            except HeadError as error:
                if raw.ended:
                    self.found(Problem.BAD_HEAD, path, str(error), line=count)
            else:
                self.heads.append((head, path.relative_to(self.folder).as_posix(), count))

    # ---- lines

    def read_segment(self, number: int, *, is_last: bool) -> None:
        path, state = segment_path(self.folder, number), self.state
        for count, raw in enumerate(_lines(path), 1):
            if not raw.ended:
                if is_last:
                    self.notes.append(f"{path.name}:{count}: a line is not finished; a start cuts it off")
                else:
                    self.found(Problem.EDITED_LINE, path, "the line has no end", line=count, offset=raw.offset)
                return
            self._line(path, number, count, raw)
            state.lines += 1

    def _line(self, path: Path, number: int, count: int, raw: RawLine) -> None:
        state = self.state
        try:
            line = read_line(raw.data)
        except LineError as error:
            self.found(Problem.EDITED_LINE, path, str(error), line=count, offset=raw.offset)
            state.trusted, state.prev = False, None
            state.frontier.append(raw.data)
            return
        if not line.is_whole:
            self.found(Problem.EDITED_LINE, path, "the line is not what its hash says", line=count, offset=raw.offset)
            state.trusted = False
        elif state.prev is not None and (line.prev != state.prev or line.seq != state.frontier.size):
            self._broken(path, count, line, raw.offset)
        self._content(path, number, count, raw, line)
        if line.seq != state.frontier.size:
            # Go on from where the line says it stands, so that one missing line is one finding.
            state.trusted = False
            state.frontier = Frontier(line.seq, (b"\0" * 32,) * line.seq.bit_count())
        state.frontier.append(raw.data)
        state.prev = line.hash
        self._compare_heads(path, count, line)

    def _broken(self, path: Path, count: int, line: Line, offset: int) -> None:
        expected = self.state.frontier.size
        if line.seq > expected:
            message = f"lines {expected} to {line.seq - 1} of the log are missing before this one"
        elif line.seq < expected:
            message = f"line {line.seq} of the log stands here, where {expected} should"
        else:
            message = "the line does not follow the one before it"
        self.found(Problem.BROKEN_CHAIN, path, message, line=count, offset=offset)
        self.state.trusted = False

    def _content(self, path: Path, number: int, count: int, raw: RawLine, line: Line) -> None:
        state = self.state
        try:
            if line.kind != EVENT:
                self._header(path, number, count, raw)
                return
            event = event_key(line.body)
        except LineError as error:
            self.found(Problem.EDITED_LINE, path, str(error), line=count, offset=raw.offset)
            return
        if count == 1:
            self.found(Problem.BROKEN_CHAIN, path, "the segment has no header", line=1, offset=0)
        state.events += 1
        state.last_at = event.at
        if state.first_unsigned_at is None:
            state.first_unsigned_at = event.at
        if event.detail.unrecorded:
            self.notes.append(f"{path.name}:{count}: exchange `{event.exchange}`: {event.detail.unrecorded}")
        if event.detail.record is not None and line.is_whole and event.detail.record.file:
            self.records.setdefault(event.detail.record.file, []).append(event.detail.record)

    def _header(self, path: Path, number: int, count: int, raw: RawLine) -> None:
        state = self.state
        line, header = read_header(raw.data)
        if count != 1 or header.number != number or (state.log and header.log != state.log):
            self.found(Problem.BROKEN_CHAIN, path, "the header of another segment stands here", line=count, offset=0)
            return
        if not state.log:
            state.log = header.log
            state.frontier = Frontier(line.seq, header.roots)
            if number == 1 and line.prev != genesis(header.log):
                self.found(Problem.BROKEN_CHAIN, path, "the log does not begin where it should", line=1, offset=0)
        elif state.trusted and header.roots != state.frontier.roots:
            self.found(Problem.REWRITTEN, path, "the header names another past than the lines before", line=1, offset=0)

    def _compare_heads(self, path: Path, count: int, line: Line) -> None:
        state = self.state
        while self._due < len(self.heads) and self.heads[self._due][0].size <= state.frontier.size:
            head, name, at = self.heads[self._due]
            self._due += 1
            if head.size < state.frontier.size:
                continue
            state.first_unsigned_at = None
            if head.log != state.log:
                self.findings.append(Finding(Problem.BAD_HEAD, name, f"the head belongs to log `{head.log}`", at))
            elif state.trusted and (head.hash, head.root) != (line.hash.hex(), state.frontier.root().hex()):
                signed = f"the lines up to here are not those that {name}:{at} signed"
                self.found(Problem.REWRITTEN, path, signed, line=count)
                state.trusted = False

    # ---- the end

    def finish(self, *, live: bool, tolerance: float) -> None:
        state = self.state
        size = state.frontier.size
        for head, name, at in self.heads[self._due :]:
            missing = f"{head.size - size} lines that this head signed are not in the log"
            self.findings.append(Finding(Problem.TRUNCATED, name, missing, at))
        if not self.heads:
            self.findings.append(Finding(Problem.UNSIGNED, AUDIT, "no head with a good signature"))
        elif state.first_unsigned_at is not None:
            seconds = state.last_at - state.first_unsigned_at
            if seconds > tolerance:
                message = f"the last {seconds:.0f} s of events are under no head: heads were removed, or never signed"
                self.findings.append(Finding(Problem.UNSIGNED, AUDIT, message))
            elif not live:
                self.notes.append("the last events are under no head: the gateway was killed, and not started since")

    def unsigned(self) -> int:
        signed = max((h.size for h, _, _ in self.heads), default=0)
        return max(0, self.state.frontier.size - signed)


def _lines(path: Path) -> Iterator[RawLine]:
    if path.exists():
        yield from read_lines(path)


def is_live(folder: Path) -> bool:
    """Whether a gateway writes to this folder now."""
    try:
        with (folder / AUDIT / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def verify(
    folder: Path,
    ring: KeyRing,
    *,
    anchor: Head | None = None,
    first_segment: int = 1,
    tolerance: float = TOLERANCE,
) -> Report:
    """Read all recordings and say what is wrong with them. Raises OSError where they cannot be read.

    `anchor` is a head that was kept elsewhere: the log must still contain it. `first_segment` is the oldest that should
    be there, where older ones were archived. On a folder that a gateway writes to, what is not yet chained is noted.
    """
    live = is_live(folder)
    work = _Verification(folder, ring)
    numbers = [n for n in segment_numbers(folder) if n >= first_segment]
    if not numbers:
        finding = Finding(Problem.NO_LOG, AUDIT, "there is no audit log")
        return Report((finding,), (), 0, 0, 0, 0, 0, 0, 0, None)
    for number in sorted(set(range(first_segment, numbers[-1] + 1)) - set(numbers)):
        work.found(Problem.MISSING_SEGMENT, segment_path(folder, number), "the segment is missing")
    for number in numbers:
        work.read_heads(number)
    if anchor is not None:
        work.heads.append((anchor, "the anchor", 1))
    work.heads.sort(key=lambda h: h[0].size)
    for number in numbers:
        work.read_segment(number, is_last=number == numbers[-1])
    work.finish(live=live, tolerance=tolerance)
    flows = check_flows(folder, work.records, live=live, complete=first_segment == 1)
    return Report(
        findings=(*work.findings, *flows.findings),
        notes=(*work.notes, *flows.notes),
        segments=len(numbers),
        lines=work.state.lines,
        events=work.state.events,
        heads=len(work.heads),
        flow_files=flows.files,
        records=flows.records,
        unsigned_tail=work.unsigned(),
        last_head=work.heads[-1][0] if work.heads else None,
    )
