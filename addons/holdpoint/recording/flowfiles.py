"""Flow files: `sessions/YYYY-MM-DD/<session id>.flows`, which plain mitmproxy opens. Used by the writer thread alone.

A file belongs to one session of one process. It is never opened again: after a failure, or when too many are open, the
session goes on in a next part (`<session id>.2.flows`), so that nothing is ever appended behind a torn record.
"""

import logging
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from holdpoint.clock import Clock
from holdpoint.domain.canonical import digest_bytes
from holdpoint.domain.values import JsonObject
from holdpoint.recording.durable import DurableFile, FileFault, make_folder, sync_folder
from holdpoint.recording.segments import SESSIONS

logger = logging.getLogger(__name__)
OPEN_FILES = 256


def day_of(at: float) -> str:
    """Return the folder of a moment in Unix seconds (UTC)."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class Session:
    """What is recorded in one flow file."""

    id: str
    started: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class FlowReceipt:
    """Which bytes of which file a flow record is."""

    file: str
    """Relative to the folder of recordings, with `/`."""
    offset: int
    length: int
    digest: str
    """`sha256:` and hexadecimal."""

    def as_json(self) -> JsonObject:
        """Return what the audit event carries."""
        return {"file": self.file, "offset": self.offset, "length": self.length, "digest": self.digest}


class FlowFiles:
    """The flow files that are being written."""

    def __init__(self, folder: Path, clock: Clock, *, limit: int = OPEN_FILES) -> None:
        self._folder = folder
        self._clock = clock
        self._limit = limit
        self._open: OrderedDict[str, tuple[str, DurableFile]] = OrderedDict()

    def write(self, session: Session, record: bytes) -> FlowReceipt:
        """Stage a record; it counts once `sync` of its session returned.

        Raises OSError or FileFault: then nothing counts that was staged for this session and not synced.
        """
        found = self._open.get(session.id)
        name, file = found or self._create(session)
        self._open.move_to_end(session.id)
        try:
            offset = file.stage((record,))
        except (OSError, FileFault):
            self.abandon(session.id)
            raise
        return FlowReceipt(name, offset, len(record), digest_bytes(record))

    def sync(self, session: str) -> None:
        """Make durable what was staged for a session. Raises OSError."""
        self._open[session][1].sync()

    def trim(self, busy: frozenset[str] = frozenset()) -> None:
        """Close the files used longest ago, but none of the sessions in `busy`."""
        for session in [s for s in self._open if s not in busy][: max(0, len(self._open) - self._limit)]:
            self._open.pop(session)[1].close()

    def abandon(self, session: str) -> None:
        """Give up a file after a failure: cut to what counts, closed, the session goes on in a next part."""
        _, file = self._open.pop(session, (None, None))
        if file is None:
            return
        try:
            file.cut()
        except OSError as error:
            logger.warning("`%s` could not be cut behind a failed write: %s", file.path, error.strerror)
        with suppress(OSError):
            file.close()
        if not file.end:
            with suppress(OSError):
                file.path.unlink()

    def close(self) -> None:
        """Close every file."""
        for _, file in self._open.values():
            file.close()
        self._open.clear()

    def _create(self, session: Session) -> tuple[str, DurableFile]:
        # INVARIANT: the day on which the file was made, not the session: a start looks for torn ones by this day.
        day = day_of(self._clock.now())
        folder = self._folder / SESSIONS / day
        make_folder(folder)
        for part in range(1, 10_000):
            path = folder / (f"{session.id}.flows" if part == 1 else f"{session.id}.{part}.flows")
            if os.path.lexists(path):
                continue
            file = DurableFile(path, create=True)
            sync_folder(folder)
            made = (f"{SESSIONS}/{day}/{path.name}", file)
            self._open[session.id] = made
            return made
        raise FileFault(f"`{folder / session.id}` has too many parts")
