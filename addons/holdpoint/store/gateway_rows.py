"""What gateways that share a store see of one another. Every function runs inside the writer's transaction."""

from collections.abc import Iterable

from holdpoint.store.grant_rows import open_spends
from holdpoint.store.protocol import Spend
from holdpoint.store.rows import Connection


def pending_versions(connection: Connection) -> dict[str, int]:
    """Read which requests are pending, at which versions."""
    rows = connection.execute("SELECT id, version FROM approvals WHERE state = 'pending'").fetchall()
    return {str(approval_id): int(version) for approval_id, version in rows}


def active_grant_ids(connection: Connection) -> frozenset[str]:
    """Read which grants are active."""
    rows = connection.execute("SELECT id FROM grants WHERE state = 'active'").fetchall()
    return frozenset(str(grant_id) for (grant_id,) in rows)


def spending(connection: Connection) -> frozenset[str]:
    """Read which gateways have dispatches whose outcome is not known yet."""
    rows = connection.execute("SELECT DISTINCT gateway FROM spends WHERE state = 'spent'").fetchall()
    return frozenset(str(gateway) for (gateway,) in rows)


def take_over(connection: Connection, gone: Iterable[str], gateway: str) -> tuple[Spend, ...]:
    """Make the open spends of those gateways this one's. Of two that try, one gets each."""
    taken: set[tuple[str, str]] = set()
    for name in sorted(gone):
        rows = connection.execute(
            "UPDATE spends SET gateway = ? WHERE gateway = ? AND state = 'spent' RETURNING grant_id, exchange",
            (gateway, name),
        ).fetchall()
        taken |= {(str(grant), str(exchange)) for grant, exchange in rows}
    return tuple(s for s in open_spends(connection) if (s.grant, s.exchange) in taken) if taken else ()
