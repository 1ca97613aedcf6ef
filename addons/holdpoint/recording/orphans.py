"""Flow bytes that no event vouches for: what a kill leaves between writing a record and chaining its event."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdpoint.domain.canonical import digest_bytes
from holdpoint.recording.chain import EVENT, LineError, read_line
from holdpoint.recording.durable import FILE_MODE, sync_folder
from holdpoint.recording.flowfiles import FlowReceipt, day_of
from holdpoint.recording.journal import Opened
from holdpoint.recording.segments import SESSIONS, event_key, read_lines, segment_numbers, segment_path

CUT = ".cut"
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Orphan:
    """Bytes moved out of a flow file."""

    file: str
    offset: int
    kept: FlowReceipt
    """Where they are now."""


def session_of(path: Path) -> str:
    """Return the session id in the name of a flow file, whichever part it is."""
    return path.name.split(".", 1)[0]


def cut_orphans(folder: Path, opened: Opened) -> Iterator[Orphan]:
    """Move the bytes behind the last vouched-for record into a file beside, for the sessions last seen. Raises OSError.

    Looks at the files that the scanned end of the log names, and at the folders of the last days: a file with no record
    in the scanned end is looked up in the whole log before anything is moved.
    """
    for path in _candidates(folder, opened):
        name = path.relative_to(folder).as_posix()
        size = path.stat().st_size
        end = opened.ends[name] if name in opened.ends else _look_up(folder, name)
        if size > end:
            yield _cut(path, name, end)
        elif not size and not end:
            path.unlink()


def _candidates(folder: Path, opened: Opened) -> list[Path]:
    named = {path for name in opened.ends if (path := folder / name).is_file() and path.suffix == ".flows"}
    first = day_of(max(0.0, opened.last_at - _DAY))
    days = [d for d in (folder / SESSIONS).glob("*") if d.name >= first]
    return sorted(named | {p for d in days for p in d.glob("*.flows") if session_of(p) in opened.sessions})


def _look_up(folder: Path, name: str) -> int:
    needle, end = b'"file":"%b"' % name.encode(), 0
    for number in segment_numbers(folder):
        for raw in read_lines(segment_path(folder, number)):
            if needle not in raw.data:
                continue
            try:
                line = read_line(raw.data)
                record = event_key(line.body).detail.record if line.kind == EVENT else None
            except LineError:
                continue
            if record is not None and record.file == name:
                end = max(end, record.offset + record.length)
    return end


def _cut(path: Path, name: str, end: int) -> Orphan:
    with path.open("rb") as file:
        file.seek(end)
        rest = file.read()
    kept = path.with_name(f"{path.name}-{end}{CUT}")
    fd = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(rest)
        os.fsync(fd)
    finally:
        os.close(fd)
    if end:
        os.truncate(path, end)
    else:
        path.unlink()
    sync_folder(path.parent)
    folder = name.rpartition("/")[0]
    return Orphan(name, end, FlowReceipt(f"{folder}/{kept.name}", 0, len(rest), digest_bytes(rest)))
