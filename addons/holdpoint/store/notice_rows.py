"""Notices as rows: what is due, who took it to deliver, how it ended. Every function runs inside the transaction."""

from collections.abc import Mapping, Sequence

from holdpoint.domain.notice import NoticeEvent
from holdpoint.store.protocol import NoticeRow
from holdpoint.store.rows import Connection

MOST_DUE = 5_000
"""Notices that may wait for one sink. What comes on top is kept as dead."""
MOST_DUE_EACH = 500
"""Of them, about requests of one person: nobody keeps others from being told of. Does not hold for what is urgent."""
MOST_KEPT = 50_000
MAX_ERROR = 300
TOO_MANY = "too many notices wait for this sink"
TOO_MANY_EACH = "too many notices of one person wait for this sink"
TOO_OLD = "not delivered within a day"
_URGENT = (NoticeEvent.BREAK_GLASS.value, NoticeEvent.VIOLATION.value)
"""Goes out before all else."""
_PERSON = "CASE WHEN a.person <> '' THEN a.person ELSE a.principal END"
"""Whose request it is."""
_COLUMNS = "id, sink, kind, approval, body, created_at, due_at, attempts, state, error"


def add(connection: Connection, rows: Sequence[NoticeRow]) -> int:
    """Insert notices; one that is there already, by its id, stays as it is. Returns how many are new."""
    waiting: dict[str, int] = {}
    each: dict[tuple[str, str], int] = {}
    persons: dict[str, str] = {"": ""}
    new = 0
    for row in rows:
        if row.sink not in waiting:
            waiting[row.sink] = _due(connection, row.sink)
        if row.approval not in persons:
            persons[row.approval] = _person(connection, row.approval)
        whose = row.sink, persons[row.approval]
        if whose not in each:
            each[whose] = _due_of(connection, *whose)
        why = TOO_MANY if waiting[row.sink] >= MOST_DUE else ""
        if persons[row.approval] and each[whose] >= MOST_DUE_EACH and row.kind not in _URGENT:
            why = TOO_MANY_EACH
        cursor = connection.execute(
            f"INSERT INTO notices ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT (id) DO NOTHING",  # noqa: S608  # constants
            (
                *(row.id, row.sink, row.kind, row.approval, row.body, row.created_at, row.due_at),
                *(("dead", why) if why else ("due", "")),
            ),
        )
        if cursor.rowcount == 1:
            new += 1
            waiting[row.sink] += not why
            each[whose] += not why
    return new


def claim(connection: Connection, sink: str, now: float, until: float, limit: int) -> tuple[NoticeRow, ...]:
    """Take what is due for a sink: until that time nobody else does.

    What is urgent first, and then the oldest of each person, so that who asks for much makes nobody else wait.
    """
    rows = connection.execute(
        # The outer condition again: with two writers at once, only it is looked at anew for a row that changed.
        "UPDATE notices SET attempts = attempts + 1, due_at = ? WHERE state = 'due' AND due_at <= ? AND id IN"  # noqa: S608  # constants
        f" (SELECT id FROM (SELECT n.id, n.due_at, n.seq, n.kind IN (?, ?) AS urgent, row_number() OVER"
        f" (PARTITION BY {_PERSON} ORDER BY n.due_at, n.seq) AS turn FROM notices n"
        " LEFT JOIN approvals a ON a.id = n.approval WHERE n.sink = ? AND n.state = 'due' AND n.due_at <= ?) AS waiting"
        " ORDER BY urgent DESC, turn, due_at, seq LIMIT ?)"
        f" RETURNING seq, {_COLUMNS}",
        (until, now, *_URGENT, sink, now, limit),
    ).fetchall()
    found = [(int(seq), _row(tuple(rest))) for seq, *rest in rows]
    return tuple(row for _, row in sorted(found, key=lambda f: (f[1].created_at, f[0])))


def settle(connection: Connection, row: NoticeRow) -> bool:
    """Note how an attempt ended: state, next time, error. False where the claim was no longer this one's."""
    cursor = connection.execute(
        "UPDATE notices SET state = ?, due_at = ?, error = ? WHERE id = ? AND state = 'due' AND attempts = ?",
        (row.state, row.due_at, row.error[:MAX_ERROR], row.id, row.attempts),
    )
    return cursor.rowcount == 1


def again(connection: Connection, notice_id: str, now: float) -> bool:
    """Let one that was given up be tried from the start. False where it was not given up."""
    cursor = connection.execute(
        "UPDATE notices SET state = 'due', attempts = 0, created_at = ?, due_at = ?, error = ''"
        " WHERE id = ? AND state = 'dead'",
        (now, now, notice_id),
    )
    return cursor.rowcount == 1


def sweep(connection: Connection, now: float, *, give_up: float, keep: float) -> tuple[NoticeRow, ...]:
    """Give up what is older than `give_up` seconds, and forget what is older than `keep`. Returns what was given up."""
    rows = connection.execute(
        "UPDATE notices SET state = 'dead', error = CASE error WHEN '' THEN ? ELSE error END"  # noqa: S608  # constants
        f" WHERE state = 'due' AND created_at < ? AND due_at <= ? RETURNING {_COLUMNS}",
        (TOO_OLD, now - give_up, now),
    ).fetchall()
    connection.execute("DELETE FROM notices WHERE state <> 'due' AND created_at < ?", (now - keep,))
    connection.execute(
        "DELETE FROM notices WHERE state <> 'due' AND seq <= (SELECT coalesce(max(seq), 0) FROM notices) - ?",
        (MOST_KEPT,),
    )
    return tuple(_row(r) for r in rows)


def next_due(connection: Connection) -> Mapping[str, float]:
    """Return, by sink, when the first of its notices is due."""
    rows = connection.execute("SELECT sink, min(due_at) FROM notices WHERE state = 'due' GROUP BY sink").fetchall()
    return {str(sink): float(at) for sink, at in rows}


def count(connection: Connection) -> Mapping[str, int]:
    """Return how many notices there are by state."""
    rows = connection.execute("SELECT state, count(*) FROM notices GROUP BY state").fetchall()
    return {str(state): int(number) for state, number in rows}


def page(connection: Connection, state: str, limit: int) -> tuple[NoticeRow, ...]:
    """Read notices, newest first; an empty state is every one."""
    where, values = (" WHERE state = ?", (state,)) if state else ("", ())
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM notices{where} ORDER BY seq DESC LIMIT ?",  # noqa: S608  # constants
        (*values, limit),
    ).fetchall()
    return tuple(_row(r) for r in rows)


def reached(connection: Connection, kind: str) -> Mapping[str, frozenset[str]]:
    """Return, by pending approval request, the sinks to which its notice of that kind was delivered."""
    rows = connection.execute(
        "SELECT n.approval, n.sink FROM notices n JOIN approvals a ON a.id = n.approval"
        " WHERE a.state = 'pending' AND n.kind = ? AND n.state = 'delivered'",
        (kind,),
    ).fetchall()
    found: dict[str, frozenset[str]] = {}
    for approval, sink in rows:
        found[str(approval)] = found.get(str(approval), frozenset()) | {str(sink)}
    return found


def _due(connection: Connection, sink: str) -> int:
    rows = connection.execute("SELECT count(*) FROM notices WHERE state = 'due' AND sink = ?", (sink,)).fetchall()
    return int(rows[0][0])


def _person(connection: Connection, approval: str) -> str:
    rows = connection.execute(f"SELECT {_PERSON} FROM approvals a WHERE a.id = ?", (approval,)).fetchall()  # noqa: S608  # constants
    return str(rows[0][0]) if rows else ""


def _due_of(connection: Connection, sink: str, person: str) -> int:
    if not person:
        return 0
    rows = connection.execute(
        "SELECT count(*) FROM notices n JOIN approvals a ON a.id = n.approval"  # noqa: S608  # constants
        f" WHERE n.state = 'due' AND n.sink = ? AND {_PERSON} = ?",
        (sink, person),
    ).fetchall()
    return int(rows[0][0])


def _row(row: tuple[str, str, str, str, str, float, float, int, str, str]) -> NoticeRow:
    notice_id, sink, kind, approval, body, created_at, due_at, attempts, state, error = row
    return NoticeRow(notice_id, sink, kind, approval, body, created_at, due_at, attempts, state, error)
