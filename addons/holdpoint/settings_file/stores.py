"""Reads `store:`: where approvals and grants are kept."""

import re
from pathlib import Path

from holdpoint.located_yaml import Located
from holdpoint.settings import Postgres
from holdpoint.settings_file import schema
from holdpoint.settings_file.places import Places

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,39}")


def read_store(value: Located, places: Places) -> Path | Postgres:
    """Read the place of an embedded store, or of one that several gateways share. Raises ConfigError."""
    fields = schema.STORE.read(value)
    path, shared = fields.get("path"), fields.get("postgres")
    if path is not None and shared is None:
        return places.path(path)
    if shared is None or path is not None:
        raise value.error("a store is either `path`, a file of this gateway's own, or `postgres`, shared by several")
    return _postgres(shared, places)


def _postgres(value: Located, places: Places) -> Postgres:
    fields = schema.POSTGRES.read(value)
    url = places.secret(schema.POSTGRES_URL, fields["url"])
    if url is None:
        raise value.error("`url` says where the URL comes from: `env` or `file`")
    name = fields.get("schema")
    if name is not None and not _SCHEMA.fullmatch(name.text()):
        raise name.error("a schema is named by small letters, digits and `_`, at most 40")
    return Postgres(
        url,
        schema=name.text() if name is not None else "holdpoint",
        ca_file=places.authority(fields.get("ca_file")),
    )
