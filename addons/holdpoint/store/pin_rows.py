"""What servers said of their tools, as rows. Every function runs inside the writer's transaction."""

from collections.abc import Sequence
from dataclasses import astuple

from holdpoint.domain.access import PinState
from holdpoint.store.protocol import PinRow
from holdpoint.store.rows import Connection

_COLUMNS = (
    "target, tool, fingerprint, content, definition, size, state, why, other, sight, duplicate, first_at,"
    " approved_by, approved_at"
)


def put(connection: Connection, target: str, tool: str, rows: Sequence[PinRow]) -> None:
    """Replace everything that is known of one tool. No rows: it is forgotten."""
    connection.execute("DELETE FROM tool_pins WHERE target = ? AND tool = ?", (target, tool))
    insert = f"INSERT INTO tool_pins ({_COLUMNS}) VALUES ({', '.join('?' * 14)})"  # noqa: S608  # constants and question marks
    for row in rows:
        connection.execute(insert, astuple(row))


def everything(connection: Connection) -> tuple[PinRow, ...]:
    """Read every row, those of one tool together, the oldest sight first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM tool_pins ORDER BY target, tool, sight").fetchall()  # noqa: S608  # constants
    return tuple(_row(*row) for row in rows)


def _row(  # noqa: PLR0917  # one argument for each column
    target: str,
    tool: str,
    fingerprint: str,
    content: str,
    definition: str,
    size: int,
    state: str,
    why: str,
    other: str,
    sight: int,
    duplicate: int,
    first_at: float,
    approved_by: str,
    approved_at: float | None,
) -> PinRow:
    about = (target, tool, fingerprint, content, definition, size)
    return PinRow(*about, PinState(state), why, other, sight, duplicate, first_at, approved_by, approved_at)
