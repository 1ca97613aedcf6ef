"""What row modules need of a database: the same for SQLite and PostgreSQL.

SQL in row modules is what both understand: `?` marks parameters (never inside quotes), `ON CONFLICT` and `RETURNING`
are there, booleans are 0 and 1, JSON is text. Of functions: coalesce, count, max, min, lower.
"""

from collections.abc import Sequence
from typing import Any, Protocol

type Value = str | bytes | int | float | None
"""What a column holds."""


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows an INSERT, UPDATE or DELETE touched; with RETURNING only after `fetchall`."""
        ...

    def fetchall(self) -> list[Any]:
        """Return every row that is left, as tuples."""
        ...


class Connection(Protocol):
    """Runs statements, inside a transaction that is somebody else's care."""

    def execute(self, sql: str, parameters: Sequence[Value] = (), /) -> Cursor:
        """Run one statement. Raises what the driver raises: row modules let it pass."""
        ...
