"""Flow files against the events that vouch for them: every byte belongs to exactly one."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdpoint.recording.report import Finding, Problem
from holdpoint.recording.segments import SESSIONS, RecordRef


@dataclass(frozen=True, slots=True)
class FlowsReport:
    """What was found among the flow files."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    files: int
    records: int


def _digest(path: Path, record: RecordRef) -> str:
    with path.open("rb") as file:
        file.seek(record.offset)
        return "sha256:" + hashlib.sha256(file.read(record.length)).hexdigest()


def _inside(folder: Path, name: str) -> Path | None:
    """Return the file that an event names, if it is one of ours: an event must not lead a reader elsewhere."""
    path = folder / name
    is_ours = name.startswith(f"{SESSIONS}/") and ".." not in path.parts and not path.is_symlink()
    return path if is_ours else None


class _Check:
    def __init__(self, folder: Path, *, live: bool) -> None:
        self.folder = folder
        self.live = live
        self.findings: list[Finding] = []
        self.notes: list[str] = []

    def found(self, problem: Problem, name: str, message: str, offset: int | None = None) -> None:
        self.findings.append(Finding(problem, name, message, offset=offset))

    def file(self, name: str, records: Sequence[RecordRef]) -> None:
        path = _inside(self.folder, name)
        if path is None or not path.is_file():
            self.found(Problem.MISSING_FLOWS, name, f"the file is missing, with {len(records)} records")
            return
        size = path.stat().st_size
        end = 0
        for record in sorted(records, key=lambda r: r.offset):
            if record.offset > end:
                self._unvouched(name, end, record.offset)
            elif record.offset < end:
                self.found(Problem.EDITED_FLOW, name, "two events vouch for the same bytes", record.offset)
            end = max(end, record.offset + record.length)
            if record.offset + record.length > size:
                self.found(Problem.MISSING_FLOWS, name, f"the file ends at byte {size}, inside a record", record.offset)
            elif _digest(path, record) != record.digest:
                self.found(Problem.EDITED_FLOW, name, "the record is not the one that was written", record.offset)
        if size > end:
            self.tail(name, end, size)

    def _unvouched(self, name: str, begin: int, end: int) -> None:
        self.found(Problem.UNVOUCHED_FLOW, name, f"no event vouches for bytes {begin} to {end - 1}", begin)

    def tail(self, name: str, begin: int, end: int) -> None:
        if self.live:
            self.notes.append(f"{name}: {end - begin} bytes are not chained yet; verify again when the gateway rests")
        else:
            self._unvouched(name, begin, end)


def check_flows(folder: Path, records: Mapping[str, Sequence[RecordRef]], *, live: bool, complete: bool) -> FlowsReport:
    """Compare flow files with what events vouch for.

    `complete` says that every event was read: only then is a file that no event names a finding.
    """
    check = _Check(folder, live=live)
    for name in sorted(records):
        check.file(name, records[name])
    files = sorted(p for p in (folder / SESSIONS).glob("**/*") if not p.is_dir())
    for path in files:
        name = path.relative_to(folder).as_posix()
        if name not in records and complete and path.lstat().st_size:
            check.tail(name, 0, path.lstat().st_size)
    return FlowsReport(tuple(check.findings), tuple(check.notes), len(files), sum(len(r) for r in records.values()))
