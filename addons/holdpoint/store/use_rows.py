"""How often grants were used. Every function runs inside the writer's transaction."""

from collections.abc import Sequence

from holdpoint.store.rows import Connection


def count(connection: Connection, grants: Sequence[str]) -> dict[str, int]:
    """Return, by grant, how many dispatches it was taken for and that were not given back. None: it is left out."""
    if not grants:
        return {}
    marks = ", ".join("?" * len(grants))
    sql = f"SELECT grant_id, count(*) FROM spends WHERE grant_id IN ({marks}) GROUP BY grant_id"  # noqa: S608  # question marks
    return {str(grant): int(uses) for grant, uses in connection.execute(sql, tuple(grants)).fetchall()}
