"""Makes the store that the settings name."""

from collections.abc import Mapping
from pathlib import Path

from holdpoint.clock import Clock
from holdpoint.domain.refusal import ConfigError
from holdpoint.secrets import read_secret
from holdpoint.settings import Settings
from holdpoint.store.sql import SqlStore
from holdpoint.store.sqlite import SqliteStore


def make_store(settings: Settings, environ: Mapping[str, str], clock: Clock) -> SqlStore:
    """Return the store, not open yet. Raises ConfigError."""
    where = settings.store
    if isinstance(where, Path):
        return SqliteStore(where, clock)
    try:
        from holdpoint.store.postgres import PostgresStore  # noqa: PLC0415  # an extra: only who uses it needs it
        from holdpoint.store.postgres_place import read_place  # noqa: PLC0415  # as above
    except ImportError as error:
        raise ConfigError(
            f"`store.postgres` needs the package `psycopg`, which the extra `holdpoint[postgres]` brings ({error})"
        ) from error
    url = read_secret(where.url, environ)
    return PostgresStore(read_place(url.reveal(), where.schema, where.ca_file), clock)
