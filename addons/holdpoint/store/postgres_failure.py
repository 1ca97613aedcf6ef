"""What PostgreSQL says, in words that tell the operator what to do.

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html. The server's own words are not repeated where a
statement failed: they quote values. They are where no connection was made, without the password.
"""

import psycopg

from holdpoint.store.protocol import StoreUnavailable

_ADVICE: dict[str, str] = {
    "28": "refuses this login; check user, password and pg_hba.conf",
    "3D000": "does not exist; create the database, or name another one",
    "42501": "may not be used so by this role; see `holdpoint store grants` for what it needs",
    "3F000": "has no such schema; let a role that may create it start a gateway once",
    "42P01": "lacks a table; let a role that may create it start a gateway once",
    "53100": "cannot be written because the server's disk is full; free some space",
    "53200": "is out of memory; look at the server",
    "53300": "takes no more connections; raise max_connections (a gateway needs three)",
    "25006": "is read-only, perhaps a standby; name the primary in the URL",
    "57014": "took too long to answer; look at what else the server does",
    "55P03": "waited too long for a lock; look at what else uses these tables",
    "57P01": "is shutting down; start the server again",
    "57P02": "has crashed; look at the server's log",
    "57P03": "is starting up; wait for it",
    "25P03": "gave up a transaction that took too long; look at the gateway's load",
    "58": "reports an error of its system; look at the server's log",
    "XX": "reports damage; look at the server's log",
    "54000": "cannot index a value that long",
}
RETRIED = frozenset({"40001", "40P01", "23505"})
"""Serialization failure, deadlock, and a row that another gateway wrote first where this one had seen none: the
transaction had no effect, and sees what there is when it is run again."""


def is_retried(error: BaseException) -> bool:
    """Tell whether the whole transaction may simply be run again."""
    return isinstance(error, psycopg.Error) and error.sqlstate in RETRIED


def unavailable(error: psycopg.Error, name: str) -> StoreUnavailable:
    """Say what is wrong with the store and what to do."""
    code = error.sqlstate or ""
    advice = _ADVICE.get(code) or _ADVICE.get(code[:2])
    if advice:
        return StoreUnavailable(f"store `{name}` {advice}")
    if code and not code.startswith("08"):
        return StoreUnavailable(f"store `{name}` failed with SQLSTATE {code}; look at the server's log")
    return away(name)


def away(name: str) -> StoreUnavailable:
    """Say that there is no connection."""
    return StoreUnavailable(f"store `{name}` cannot be reached; look at the server and the network")


def unreachable(error: psycopg.Error, name: str, password: str) -> StoreUnavailable:
    """Say why no connection was made."""
    words = " ".join(str(error).split())
    if password:
        words = words.replace(password, "…")
    if "FATAL:" in words:  # the server answered; libpq hands on its words alone, no code
        return StoreUnavailable(f"store `{name}` turns this gateway away ({words})")
    said = unavailable(error, name)
    return StoreUnavailable(f"{said} ({words})" if words else str(said))


def in_doubt(name: str) -> StoreUnavailable:
    """Say that nobody knows whether the last commit took effect."""
    return StoreUnavailable(
        f"store `{name}` was lost while it committed: what was asked may be stored or not; look again when it is back"
    )
