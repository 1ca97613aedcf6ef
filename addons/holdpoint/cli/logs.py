"""Events to be judged, and what proves that they are the ones that were written: a folder of recordings, or one file.

A folder is proved whole as `holdpoint audit verify` does. A file, a segment of a log or what `holdpoint audit export`
wrote, is proved no further than its own chain: no signed head stands in it.
"""

from dataclasses import dataclass, field
from pathlib import Path

from holdpoint.domain.canonical import canonical
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.recording import browse
from holdpoint.recording.chain import EVENT, LineError, chain_hash, read_line
from holdpoint.recording.heads import KeyRing
from holdpoint.recording.json_text import read
from holdpoint.recording.verify import verify


@dataclass(slots=True)
class Log:
    """What was read."""

    events: list[JsonObject] = field(default_factory=list[JsonObject])
    wrong: list[str] = field(default_factory=list[str])
    """What is wrong with the log itself."""
    notes: list[str] = field(default_factory=list[str])


def read_log(path: Path, ring: KeyRing) -> Log:
    """Read and prove a log. Raises OSError; what is wrong with it is in the answer."""
    return _folder(path, ring) if path.is_dir() else _file(path)


def _folder(folder: Path, ring: KeyRing) -> Log:
    report = verify(folder, ring)
    log = Log(wrong=[str(f) for f in report.findings], notes=[*report.notes])
    try:
        log.events = [logged.event for logged in browse.events(folder)]
    except LineError as error:
        log.wrong.append(str(error))
    if report.ok:
        log.notes.append(f"the log is whole: {report.events} events under {report.heads} signed heads")
    if report.unsigned_tail:
        log.notes.append(f"{report.unsigned_tail} lines stand after the last signed head")
    return log


def _file(file: Path) -> Log:
    log = Log()
    log.notes.append("one file: its chain is checked, and no signed head says that it is the one that was written")
    before: tuple[int, bytes] | None = None
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            seq, prev, own, body, event = _line(line)
        except ValueError as error:
            log.wrong.append(f"{file.name}:{number}: {error}")
            before = None
            continue
        follows = before is not None and before[0] + 1 == seq
        if follows and before is not None:
            prev = prev or before[1]
            if prev != before[1]:
                log.wrong.append(f"{file.name}:{number}: the line does not follow the one before it")
        if prev and chain_hash(prev, body) != own:
            log.wrong.append(f"{file.name}:{number}: the line is not what its hash says")
        if before is not None and not follows:
            log.notes.append(f"{file.name}:{number}: not the line that follows the one before it")
        before = (seq, own)
        if event is not None:
            log.events.append(event)
    if not log.events:
        log.wrong.append(f"{file.name}: no event of an audit log")
    return log


def _line(line: bytes) -> tuple[int, bytes, bytes, bytes, JsonObject | None]:
    """Return place, hash before (empty: unknown), own hash, what that is over, and the event. Raises ValueError."""
    try:
        parsed = read_line(line)
    except LineError:
        return _exported(line)
    event = as_object(read(parsed.body)) if parsed.kind == EVENT else None
    return parsed.seq, parsed.prev, parsed.hash, parsed.body, event


def _exported(line: bytes) -> tuple[int, bytes, bytes, bytes, JsonObject | None]:
    value = as_object(read(line))
    seq, own = value.pop("seq", None), as_text(value.pop("hash", None))
    if not isinstance(seq, int) or not value:
        raise ValueError("not a line of an audit log")
    return seq, b"", bytes.fromhex(own), canonical(value), value
