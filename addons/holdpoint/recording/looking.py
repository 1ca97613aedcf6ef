"""One look through an audit log of any size: within a budget of bytes and time, past what is broken in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from holdpoint.domain.values import as_object
from holdpoint.recording.browse import LoggedEvent
from holdpoint.recording.chain import EVENT, LineError, read_line
from holdpoint.recording.json_text import read
from holdpoint.recording.segments import read_lines, segment_numbers, segment_path

BUDGET: Final = 256 << 20
"""Bytes of the log that one look reads."""
LARGEST: Final = 128 << 20
"""Bytes of one segment; a larger one is none that was written here."""
LONG_BEFORE: Final = 86_400.0
"""Seconds: a request may have waited for so long before it went out, and into a session."""
NOT_LONG_AFTER: Final = 3_600.0
"""Seconds after the time that was asked for in which sessions are still followed."""
_EVERY: Final = 64  # lines between two questions whether to go on
_FIRST: Final = 8 << 20  # bytes of a first line

type Stop = Callable[[], bool]
"""Asked again and again while reading; True ends it."""


@dataclass(slots=True)
class Reading:
    """How much of the log was looked at."""

    whole: bool = True
    """False: there is more than was read in one go."""
    broken: int = 0
    """Lines and files that cannot be read: `holdpoint audit verify` says which."""


class Who(msgspec.Struct):
    """A principal, as far as lists name it."""

    id: str | None = ""
    person: str | None = ""
    name: str | None = ""
    actor: str | None = ""


class Links(msgspec.Struct):
    """Ids of what an event belongs to, as JSON."""

    call: msgspec.Raw = msgspec.Raw(b"")
    approval: msgspec.Raw = msgspec.Raw(b"")


class Key(msgspec.Struct):
    """As much of an event as a look needs."""

    stage: str = ""
    at: float = 0.0
    exchange: str = ""
    session: str = ""
    target: str = ""
    principal: Who = msgspec.field(default_factory=Who)
    detail: Links = msgspec.field(default_factory=Links)


class _Line(msgspec.Struct):
    event: Key | None = None


_line = msgspec.json.Decoder(_Line)


class Scan:
    """One look through the log, as far as the budget reaches."""

    def __init__(self, folder: Path, stop: Stop, budget: int) -> None:
        self._folder = folder
        self._stop = stop
        self._left = budget
        self._ended = False
        self.reading = Reading()

    def newest_first(self, since: float, until: float) -> Iterator[int]:
        """Yield the segments that may hold what happened in a time."""
        for number in reversed(segment_numbers(self._folder)):
            if self._ended:
                return
            first = self._first(number)
            if until and first > until + NOT_LONG_AFTER:
                continue
            if not self._take(number):
                return
            yield number
            if 0 < first < since:
                return

    def oldest_first(self, made: float) -> Iterator[int]:
        """Yield the segments from a time on; all where it is 0."""
        numbers = segment_numbers(self._folder)
        begin = 0
        if made:
            for place in range(len(numbers) - 1, -1, -1):
                if 0 < self._first(numbers[place]) < made - LONG_BEFORE:
                    begin = place
                    break
        for number in numbers[begin:]:
            if self._ended or not self._take(number):
                return
            yield number

    def lines(self, number: int) -> Iterator[bytes]:
        """Yield the lines of a segment. One that the writer is at is left out."""
        try:
            path = segment_path(self._folder, number)
            if path.stat().st_size > LARGEST:
                self.reading.broken += 1
                return
            for count, raw in enumerate(read_lines(path)):
                if count % _EVERY == 0 and self._stop():
                    self._ended, self.reading.whole = True, False
                    return
                if raw.ended:
                    yield raw.data
        except OSError:
            self.reading.broken += 1

    def key(self, raw: bytes) -> Key | None:
        """Return what a line is about; None where it is no event, or broken."""
        try:
            return _line.decode(raw).event
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self.reading.broken += 1
            return None

    def event(self, raw: bytes) -> LoggedEvent | None:
        """Return all of a line; None where it cannot be read."""
        try:
            line = read_line(raw)
            if line.kind != EVENT:
                return None
            return LoggedEvent(line.seq, line.hash.hex(), as_object(read(line.body)))
        except (LineError, ValueError):
            self.reading.broken += 1
            return None

    def _take(self, number: int) -> bool:
        try:
            size = segment_path(self._folder, number).stat().st_size
        except OSError:
            size = 0  # `lines` says so
        if size > self._left and size <= LARGEST:
            self.reading.whole = False
            return False
        self._left -= size if size <= LARGEST else 0
        return True

    def _first(self, number: int) -> float:
        """Return when the first event of a segment happened (Unix seconds); 0 where that cannot be told."""
        try:
            with segment_path(self._folder, number).open("rb") as file:
                for _ in range(3):
                    found = _line.decode(file.readline(_FIRST)).event
                    if found is not None:
                        return found.at
        except (OSError, msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return 0.0
        return 0.0
