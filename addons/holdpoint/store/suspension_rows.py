"""Who is suspended, as rows. Every function runs inside the writer's transaction."""

from holdpoint.domain.suspension import Suspension
from holdpoint.store.rows import Connection


def put(connection: Connection, suspension: Suspension) -> None:
    """Insert a suspension, or replace that of the same name."""
    connection.execute(
        "INSERT INTO suspensions (who, reason, by_whom, at, until) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (who) DO UPDATE SET"
        " reason = excluded.reason, by_whom = excluded.by_whom, at = excluded.at, until = excluded.until",
        (suspension.who, suspension.reason, suspension.by, suspension.at, suspension.until),
    )


def delete(connection: Connection, suspension: Suspension) -> bool:
    """Delete one as it was read. Returns False where it is gone, or was replaced by another of the same name."""
    done = connection.execute(
        "DELETE FROM suspensions WHERE who = ? AND at = ? AND until = ?",
        (suspension.who, suspension.at, suspension.until),
    )
    return done.rowcount == 1


def everything(connection: Connection) -> tuple[Suspension, ...]:
    """Read all, the oldest first."""
    rows = connection.execute("SELECT who, reason, by_whom, at, until FROM suspensions ORDER BY at, who").fetchall()
    return tuple(Suspension(who, reason, by, at, until) for who, reason, by, at, until in rows)
