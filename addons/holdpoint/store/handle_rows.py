"""Handles as rows: whose a session or task is. Every function runs inside the writer's transaction."""

from holdpoint.domain.values import JsonObject, as_object
from holdpoint.store.codec import json_from_text, to_text
from holdpoint.store.protocol import HandleRecord
from holdpoint.store.rows import Connection

MAX_FACTS = 64 << 10
"""Characters; a client that declares more than that is remembered as one that declares nothing."""


def put(connection: Connection, record: HandleRecord) -> None:
    """Insert a handle, or replace it."""
    connection.execute(
        "INSERT INTO handles VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET "
        "principal = excluded.principal, facts = excluded.facts, used_at = excluded.used_at",
        (record.digest, record.kind, record.principal, _facts(record.facts), record.created_at, record.used_at),
    )


def delete(connection: Connection, digests: tuple[bytes, ...]) -> None:
    """Delete handles."""
    for digest in digests:
        connection.execute("DELETE FROM handles WHERE digest = ?", (digest,))


def load(connection: Connection, unused_since: float) -> tuple[HandleRecord, ...]:
    """Drop what was not used since that time (Unix seconds), and read the rest, longest unused first."""
    connection.execute("DELETE FROM handles WHERE used_at < ?", (unused_since,))
    rows = connection.execute(
        "SELECT digest, kind, principal, facts, created_at, used_at FROM handles ORDER BY used_at"
    ).fetchall()
    return tuple(
        HandleRecord(digest, kind, principal, as_object(json_from_text(facts)), created_at, used_at)
        for digest, kind, principal, facts, created_at, used_at in rows
    )


def _facts(facts: JsonObject) -> str:
    text = to_text(facts)
    return text if len(text) <= MAX_FACTS else "{}"
