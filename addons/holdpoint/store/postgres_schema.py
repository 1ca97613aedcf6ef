"""The schema of a PostgreSQL store: made and brought up to date under a lock."""

import hashlib

import psycopg
from psycopg import sql

from holdpoint.store.postgres_place import Place
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.store.schema import migrations

OLDEST = 13_00_00
"""`server_version`; PostgreSQL 13."""
SETTINGS = {
    # Temporary tables last: nobody can put one in front of ours.
    "search_path": '"{schema}", pg_temp',
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "default_transaction_isolation": "read committed",
}
"""Of every session of a gateway, whatever role and database say."""
_MIGRATING = {"statement_timeout": "10min", "lock_timeout": "1min"}


def lock_key(schema: str, name: str) -> int:
    """Return the number of an advisory lock: 63 bits, different for each schema and name."""
    digest = hashlib.sha256(f"holdpoint\n{schema}\n{name}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def prepare(connection: "psycopg.Connection", place: Place) -> None:
    """Settle what holds for a session. Raises StoreUnavailable on a server that will not do, or psycopg.Error."""
    name = place.name
    if not place.private and not connection.pgconn.ssl_in_use:
        raise StoreUnavailable(f"store `{name}` does not speak TLS")
    for setting, value in SETTINGS.items():
        _set(connection, setting, value.format(schema=place.schema))
    # A commit that is told must be on disk: a spend that a crash forgets could be sent again.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    )
    if connection.info.server_version < OLDEST:
        raise StoreUnavailable(f"store `{name}` is older than PostgreSQL {OLDEST // 10_000}; use a newer server")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreUnavailable(f"store `{name}` keeps text as {encoding}; create the database with ENCODING 'UTF8'")


def migrate(connection: "psycopg.Connection", schema: str, name: str, now: float) -> int:
    """Apply every migration that is missing, each in a transaction; two gateways at once take turns.

    Returns the version reached. A role that may not create anything is enough where nothing is missing.
    Raises StoreUnavailable, psycopg.Error.
    """
    steps = migrations("postgres")
    if _reached(connection, schema) == len(steps):
        return len(steps)
    key = lock_key(schema, "migrations")
    for setting, value in _MIGRATING.items():
        _set(connection, setting, value)
    connection.execute("SELECT pg_advisory_lock($1::bigint)", (key,))
    try:
        reached = _reached(connection, schema)
        if reached > len(steps):
            raise StoreUnavailable(
                f"store `{name}` has schema version {reached}, this version knows {len(steps)}; run the newer "
                "version again"
            )
        for version, script in enumerate(steps[reached:], start=reached + 1):
            with connection.transaction():
                if version == 1:
                    _create(connection, schema)
                connection.execute(script.encode())
                connection.execute("INSERT INTO schema_version VALUES ($1, $2)", (version, now))
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock($1::bigint)", (key,))
            for setting in _MIGRATING:
                _set(connection, setting, SETTINGS[setting])
    return len(steps)


def _create(connection: "psycopg.Connection", schema: str) -> None:
    found = connection.execute("SELECT to_regnamespace($1)::oid", (f'"{schema}"',)).fetchall()
    if found[0][0] is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    connection.execute("CREATE TABLE schema_version (version BIGINT PRIMARY KEY, at DOUBLE PRECISION NOT NULL)")


def _reached(connection: "psycopg.Connection", schema: str) -> int:
    known = connection.execute("SELECT to_regclass($1)::oid", (f'"{schema}".schema_version',)).fetchall()
    if known[0][0] is None:
        return 0
    (row,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchall()
    return int(row[0])


def _set(connection: "psycopg.Connection", setting: str, value: str) -> None:
    connection.execute("SELECT set_config($1, $2, false)", (setting, value))
