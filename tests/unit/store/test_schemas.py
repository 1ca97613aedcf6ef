"""SQLite and PostgreSQL hold the same tables, by migrations of the same numbers."""

import sqlite3
from pathlib import Path

from tests.fakes.postgres import Server

from holdpoint.store import schema


def sqlite_columns(path: Path) -> dict[str, list[tuple[str, bool]]]:
    connection = sqlite3.connect(path, isolation_level=None)
    schema.migrate(connection, path, 0.0)
    tables = [r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {
        table: [(str(r[1]), bool(r[3] or r[5])) for r in connection.execute(f"PRAGMA table_info({table})")]
        for table in tables
        if not table.startswith("sqlite_")
    }
    connection.close()
    return found


def postgres_columns(server: Server, name: str) -> dict[str, list[tuple[str, bool]]]:
    found: dict[str, list[tuple[str, bool]]] = {}
    with server.connect(name) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        connection.execute("CREATE TABLE schema_version (version BIGINT PRIMARY KEY, at DOUBLE PRECISION NOT NULL)")
        for script in schema.migrations("postgres"):
            connection.execute(script)
        rows = connection.execute(
            "SELECT table_name, column_name, is_nullable = 'NO' FROM information_schema.columns"
            " WHERE table_schema = %s ORDER BY table_name, ordinal_position",
            (name,),
        )
        for table, column, required in rows:
            found.setdefault(table, []).append((column, required))
    return found


def sqlite_indexes(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    found = {r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    connection.close()
    return {name for name in found if not name.startswith("sqlite_autoindex")}


def postgres_indexes(server: Server, name: str) -> set[str]:
    with server.connect() as connection:
        rows = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = %s", (name,)).fetchall()
    return {index for (index,) in rows if not index.endswith(("_pkey", "_key"))}


def test_both_dialects_have_the_same_tables_columns_and_indexes(tmp_path: Path, postgres_server: Server) -> None:
    name = postgres_server.new_schema()
    try:
        theirs = postgres_columns(postgres_server, name)
        assert sqlite_columns(tmp_path / "s.db") == theirs
        assert sqlite_indexes(tmp_path / "s.db") == postgres_indexes(postgres_server, name)
    finally:
        postgres_server.drop(name)


def test_both_dialects_have_migrations_of_the_same_names() -> None:
    folder = Path(schema.__file__).with_name("migrations")
    names = [sorted(p.name for p in f.glob("*.sql")) for f in (folder, folder / "postgres")]
    assert names[0] == names[1]
    assert len(schema.migrations("postgres")) == len(schema.migrations())
