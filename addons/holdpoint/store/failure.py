"""What SQLite says, in words that tell the operator what to do.

Codes: https://www.sqlite.org/rescode.html.
"""

import sqlite3
from pathlib import Path

from holdpoint.store.protocol import StoreUnavailable

_PRIMARY = 0xFF  # the low byte of an extended code is the primary one
_DAMAGED = (
    "is damaged; stop the gateway, keep the file for inspection, and put back a copy or start with an empty one "
    "(pending approvals and unspent grants are lost then, the audit log is not)"
)
_ADVICE: dict[int, str] = {
    sqlite3.SQLITE_FULL: "cannot be written because the disk is full; free some space",
    sqlite3.SQLITE_READONLY: "is read-only; let the gateway's user write to the file and its folder",
    sqlite3.SQLITE_PERM: "may not be used by this user; let the gateway's user read and write it",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that the gateway's user may write to it and to its folder",
    sqlite3.SQLITE_BUSY: "is locked by another program; close whatever has it open, nothing but the gateway may",
    sqlite3.SQLITE_LOCKED: "is locked by another program; close whatever has it open, nothing but the gateway may",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: "is not a SQLite database; point `store` at another file, or move this one away",
    sqlite3.SQLITE_IOERR: "cannot be read or written because the disk reports an error; check the disk",
}


def unavailable(error: sqlite3.Error, path: Path) -> StoreUnavailable:
    """Say what is wrong with the store and what to do."""
    code = getattr(error, "sqlite_errorcode", None)
    advice = _ADVICE.get(code & _PRIMARY) if isinstance(code, int) else None
    failure = StoreUnavailable(f"store `{path}` {advice}" if advice else f"store `{path}` failed: {error}")
    failure.__cause__ = error
    return failure
