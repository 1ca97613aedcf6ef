"""Where a PostgreSQL server is, and how the road to it is kept private. Parameters: libpq, "Parameter Key Words".

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import conninfo

from holdpoint.domain.refusal import ConfigError

_ALLOWED = frozenset(
    {
        *("host", "hostaddr", "port", "dbname", "user", "password", "passfile", "connect_timeout"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslnegotiation", "channel_binding", "require_auth"),
        "target_session_attrs",
    }
)
"""What a URL may say. Anything else (`options`, `service`) would change a session behind the gateway's back."""
_FIXED = {
    # An empty address is no address: without it, PGHOSTADDR would lead elsewhere than the URL says.
    "hostaddr": "",
    "gssencmode": "disable",
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    # With several hosts: the one that takes writes, wherever it is after a failover.
    "target_session_attrs": "read-write",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A database and a schema in it."""

    conninfo: str = field(repr=False)
    """For libpq. Holds the password: never shown."""
    password: str = field(repr=False)
    """Empty: none, or one of the environment's or a password file's."""
    name: str
    """For messages: host, port, database, schema."""
    schema: str
    private: bool
    """Whether it is reached without a network: a Unix socket, or loopback."""


def read_place(url: str, schema: str, ca_file: Path | None) -> Place:
    """Check a connection URL and complete it. Raises ConfigError, whose message never holds the URL."""
    try:
        given = {k: str(v) for k, v in conninfo.conninfo_to_dict(url).items() if v is not None}
    except psycopg.Error:
        # NOTE: what libpq says repeats parts of the URL, the password among them.
        raise ConfigError("the URL of the PostgreSQL store cannot be read: percent-encode what is special") from None
    if unknown := sorted(given.keys() - _ALLOWED):
        raise ConfigError(f"the URL of the PostgreSQL store may not say `{unknown[0]}`")
    if not given.get("host"):
        raise ConfigError("the URL of the PostgreSQL store names no host")
    hosts = [*given["host"].split(","), *given.get("hostaddr", "").split(",")]
    private = all(_is_private(host) for host in hosts if host)
    if not private and given.setdefault("sslmode", "verify-full") != "verify-full":
        raise ConfigError(
            f"the URL of the PostgreSQL store says `sslmode={given['sslmode']}`, which lets others read or answer in "
            "its place: over a network, only `verify-full` will do"
        )
    if ca_file is not None:
        given["sslrootcert"] = str(ca_file)
    elif not private:
        given.setdefault("sslrootcert", "system")
    shown = f"{given['host']}:{given.get('port') or '5432'}/{given.get('dbname') or given.get('user') or ''}"
    text = conninfo.make_conninfo("", **{**_FIXED, **given, "application_name": "holdpoint"})
    return Place(text, given.get("password", ""), f"{shown} ({schema})", schema, private)


def _is_private(host: str) -> bool:
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
