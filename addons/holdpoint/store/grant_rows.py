"""Grants and their spends as rows. Every function runs inside the writer's transaction."""

from collections.abc import Sequence
from typing import Any

from holdpoint.domain.decision import Scope
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.store.protocol import Key, Spend, StaleWrite
from holdpoint.store.rows import Connection

_COLUMNS = (
    "id, approval, principal, target, intent, scope, state, created_at, expires_at, session, wire, exchange,"
    " pinned, opens, stream_until, ended_at, ended_why"
)
_FIELDS = (
    *("id", "approval", "principal", "target", "intent", "scope", "state", "created_at", "expires_at", "session"),
    *("wire", "exchange", "window", "opens", "stream_until", "ended_at", "ended_why"),
)


def add(connection: Connection, grant: Grant) -> None:
    """Insert a grant; the actor is that of its approval."""
    row = (
        *(grant.id, grant.approval, grant.principal, grant.target, grant.intent, grant.scope.value, grant.state.value),
        *(grant.created_at, grant.expires_at, grant.session, grant.window, grant.opens, grant.stream_until),
        grant.approval,
    )
    connection.execute(
        "INSERT INTO grants"
        " (id, approval, principal, target, intent, scope, state, created_at, expires_at, session, pinned, opens,"
        " stream_until, actor)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT actor FROM approvals WHERE id = ?))",
        row,
    )


def get(connection: Connection, grant_id: str) -> Grant | None:
    """Read one grant."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM grants WHERE id = ?", (grant_id,)).fetchall()  # noqa: S608  # constants
    return _grant(rows[0]) if rows else None


def active(connection: Connection) -> tuple[Grant, ...]:
    """Read every active grant, oldest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM grants WHERE state = 'active' ORDER BY seq").fetchall()  # noqa: S608  # constants
    return tuple(_grant(r) for r in rows)


def active_for(connection: Connection, key: Key, window: str = "") -> tuple[Grant, ...]:
    """Read the active grants of a key, and those of its principal and agent that pin that window, newest first."""
    owner = f"SELECT {_COLUMNS} FROM grants WHERE state = 'active' AND principal = ? AND actor = ? AND target = ?"  # noqa: S608  # constants
    mine = (key.principal, key.actor, key.target)
    rows = connection.execute(f"{owner} AND intent = ? ORDER BY seq DESC", (*mine, key.intent)).fetchall()
    found = tuple(_grant(r) for r in rows)
    if not window:
        return found
    rows = connection.execute(f"{owner} AND pinned = ? ORDER BY seq DESC", (*mine, window)).fetchall()
    known = {grant.id for grant in found}
    return (*found, *(grant for r in rows if (grant := _grant(r)).id not in known))


def page(  # noqa: PLR0917  # what a page may be about
    connection: Connection,
    states: frozenset[GrantState] | None,
    principal: str,
    person: str,
    limit: int,
    before: str,
) -> tuple[Grant, ...]:
    """Read grants, newest first; those of a requester are all that he, or a workload that he owns, asked for."""
    names = sorted(s.value for s in (GrantState if states is None else states))
    marks = ", ".join("?" * len(names)) or "NULL"
    sql = f"SELECT {_COLUMNS} FROM grants WHERE state IN ({marks})"  # noqa: S608  # constants and question marks
    parameters: list[str | int] = [*names]
    if principal:
        sql += " AND principal = ?"
        parameters.append(principal)
    if person:
        sql += " AND EXISTS (SELECT 1 FROM readers r WHERE r.approval = grants.approval AND r.name = ?)"
        parameters.append(f"requester:{person}")
    if before:
        sql += " AND seq < (SELECT g.seq FROM grants g WHERE g.id = ?)"
        parameters.append(before)
    rows = connection.execute(f"{sql} ORDER BY seq DESC LIMIT ?", (*parameters, limit)).fetchall()
    return tuple(_grant(r) for r in rows)


def spend(  # noqa: PLR0917  # one row's worth
    connection: Connection, grant_id: str, wire: str, exchange: str, at: float, gateway: str = ""
) -> Grant:
    """Take an active grant for one dispatch by that gateway. Raises StaleWrite."""
    rows = connection.execute(
        "UPDATE grants SET state = CASE scope WHEN 'request' THEN 'spent' ELSE state END, wire = ?, exchange = ?"  # noqa: S608  # constants
        f" WHERE id = ? AND state = 'active' RETURNING {_COLUMNS}",
        (wire, exchange, grant_id),
    ).fetchall()
    if not rows:
        raise _stale(connection, grant_id)
    cursor = connection.execute(
        "INSERT INTO spends (grant_id, exchange, wire, at, state, gateway) VALUES (?, ?, ?, ?, 'spent', ?)"
        " ON CONFLICT DO NOTHING",
        (grant_id, exchange, wire, at, gateway),
    )
    if cursor.rowcount != 1:
        raise StaleWrite(f"exchange `{exchange}` has spent grant `{grant_id}` before", found=GrantState.SPENT)
    return _grant(rows[0])


def release(connection: Connection, grant_id: str, exchange: str) -> Grant:
    """Undo a spend of which nothing was sent. Raises StaleWrite where there is no such open spend."""
    cursor = connection.execute(
        "DELETE FROM spends WHERE grant_id = ? AND exchange = ? AND state = 'spent'", (grant_id, exchange)
    )
    if cursor.rowcount != 1:
        raise _stale(connection, grant_id)
    rows = connection.execute(
        "UPDATE grants SET state = CASE state WHEN 'spent' THEN 'active' ELSE state END, wire = '', exchange = ''"  # noqa: S608  # constants
        f" WHERE id = ? RETURNING {_COLUMNS}",
        (grant_id,),
    ).fetchall()
    return _grant(rows[0])


def settle(connection: Connection, grant_id: str, exchange: str, state: GrantState, at: float) -> Grant:
    """Note the outcome of an open spend, once or again. Raises StaleWrite where there is none, or another outcome."""
    cursor = connection.execute(
        "UPDATE spends SET state = ?, settled_at = ? WHERE grant_id = ? AND exchange = ? AND state = 'spent'",
        (state.value, at, grant_id, exchange),
    )
    if cursor.rowcount != 1:
        known = "SELECT 1 FROM spends WHERE grant_id = ? AND exchange = ? AND state = ?"
        if not connection.execute(known, (grant_id, exchange, state.value)).fetchall():
            raise _stale(connection, grant_id)
    connection.execute("UPDATE grants SET state = ? WHERE id = ? AND state = 'spent'", (state.value, grant_id))
    return _ended(connection, grant_id)


def end(connection: Connection, grant_id: str, state: GrantState, why: str = "", at: float = 0.0) -> Grant:
    """End an active grant. Raises StaleWrite unless it is active."""
    cursor = connection.execute(
        "UPDATE grants SET state = ?, ended_why = ?, ended_at = ? WHERE id = ? AND state = 'active'",
        (state.value, why, at, grant_id),
    )
    if cursor.rowcount != 1:
        raise _stale(connection, grant_id)
    return _ended(connection, grant_id)


def open_spends(connection: Connection) -> tuple[Spend, ...]:
    """Read every spend whose outcome is not known yet, oldest first."""
    rows = connection.execute(
        "SELECT s.grant_id, g.approval, s.exchange, s.wire, s.at, s.state, g.scope"
        " FROM spends s JOIN grants g ON g.id = s.grant_id WHERE s.state = 'spent' ORDER BY s.seq"
    ).fetchall()
    return tuple(_spend(r) for r in rows)


def last_spend(connection: Connection, key: Key) -> Spend | None:
    """Read the newest dispatch of the same request."""
    rows = connection.execute(
        "SELECT s.grant_id, g.approval, s.exchange, s.wire, s.at, s.state, g.scope"
        " FROM spends s JOIN grants g ON g.id = s.grant_id"
        " WHERE g.principal = ? AND g.actor = ? AND g.target = ? AND g.intent = ? ORDER BY s.seq DESC LIMIT 1",
        (key.principal, key.actor, key.target, key.intent),
    ).fetchall()
    return _spend(rows[0]) if rows else None


def forget_arguments(connection: Connection, approval_id: str) -> None:
    """Drop the unmasked arguments of a request that can no longer be dispatched."""
    connection.execute("UPDATE approvals SET arguments = NULL WHERE id = ?", (approval_id,))


def _ended(connection: Connection, grant_id: str) -> Grant:
    grant = get(connection, grant_id)
    if grant is None:
        raise StaleWrite(f"grant `{grant_id}` does not exist")
    if grant.state is not GrantState.ACTIVE:
        forget_arguments(connection, grant.approval)
    return grant


def _stale(connection: Connection, grant_id: str) -> StaleWrite:
    grant = get(connection, grant_id)
    if grant is None:
        return StaleWrite(f"grant `{grant_id}` does not exist")
    return StaleWrite(f"grant `{grant_id}` is {grant.state}", found=grant.state)


def _spend(row: tuple[str, str, str, str, float, str, str]) -> Spend:
    grant_id, approval, exchange, wire, at, state, scope = row
    return Spend(grant_id, approval, exchange, wire, at, GrantState(state), Scope(scope))


def _grant(row: Sequence[Any]) -> Grant:
    named: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    named |= {"scope": Scope(named["scope"]), "state": GrantState(named["state"])}
    return Grant(**named)
