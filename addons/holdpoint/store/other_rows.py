"""Refusals, notes and used rounds as rows. Every function runs inside the writer's transaction."""

from holdpoint.store.codec import json_from_text, to_text
from holdpoint.store.protocol import RefusalRecord, StaleWrite
from holdpoint.store.rows import Connection

MAX_REFUSALS = 100_000
MAX_AGE = 30 * 86_400.0
MAX_TEXT = 4_000


def add_refusal(connection: Connection, record: RefusalRecord, now: float) -> None:
    """Insert a refusal and drop those too many or too old. A second one with the same id changes nothing."""
    row = (
        *(_plain(record.id), record.at, _plain(record.kind), _plain(record.public), _plain(record.detail)),
        *(_plain(record.exchange), _plain(record.principal), _plain(record.target)),
        to_text([_plain(r) for r in record.rules]),
    )
    made = connection.execute(
        "INSERT INTO refusals (id, at, kind, public, detail, exchange, principal, target, rules)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING seq",
        row,
    ).fetchall()
    for (seq,) in made:
        connection.execute("DELETE FROM refusals WHERE seq <= ?", (seq - MAX_REFUSALS,))
    connection.execute("DELETE FROM refusals WHERE at < ?", (now - MAX_AGE,))


def refusal(connection: Connection, refusal_id: str) -> RefusalRecord | None:
    """Read one refusal."""
    rows = connection.execute(
        "SELECT id, at, kind, public, detail, exchange, principal, target, rules FROM refusals WHERE id = ?",
        (_plain(refusal_id),),
    ).fetchall()
    if not rows:
        return None
    found, at, kind, public, detail, exchange, principal, target, rules = rows[0]
    names = json_from_text(rules)
    return RefusalRecord(
        id=found,
        at=at,
        kind=kind,
        public=public,
        detail=detail,
        exchange=exchange,
        principal=principal,
        target=target,
        rules=tuple(str(n) for n in names) if isinstance(names, list) else (),
    )


def set_note(connection: Connection, name: str, value: str, now: float) -> None:
    """Insert or replace a note."""
    connection.execute(
        "INSERT INTO notes VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at",
        (name, value, now),
    )


def note(connection: Connection, name: str) -> str | None:
    """Read a note."""
    rows = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchall()
    return str(rows[0][0]) if rows else None


def spend_round(connection: Connection, round_id: str, until: float, now: float) -> None:
    """Insert a round that is used up and drop those that are too old to be used. Raises StaleWrite."""
    connection.execute("DELETE FROM spent_rounds WHERE until < ?", (now,))
    made = connection.execute("INSERT INTO spent_rounds VALUES (?, ?) ON CONFLICT DO NOTHING", (round_id, until))
    if made.rowcount != 1:
        raise StaleWrite("this round was used before", found="spent")


def _plain(text: str) -> str:
    """Bound a text, and spell out what no database takes: what callers send ends up here."""
    return text[:MAX_TEXT].replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
