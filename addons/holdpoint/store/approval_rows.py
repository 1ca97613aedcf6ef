"""Approval requests and votes as rows. Every function runs inside the writer's transaction."""

from dataclasses import dataclass, replace

from holdpoint.domain.access import McpMethod, Resource
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, Vote
from holdpoint.domain.grant import Grant
from holdpoint.domain.values import JsonMapping
from holdpoint.store import grant_rows
from holdpoint.store.codec import from_text, to_text
from holdpoint.store.protocol import Key, Resolution, StaleWrite
from holdpoint.store.rows import Connection

_COLUMNS = "id, state, ask, arguments, created_at, deadline, resolution, resolved_at, grant_id"


def add(connection: Connection, request: ApprovalRequest, key: Key, session: str) -> None:
    """Insert a pending request. Raises StaleWrite where one with that key and session is pending."""
    ask, arguments = _ask_texts(request.ask)
    row = (
        *(request.id, key.principal, key.actor, key.target, key.intent, session, request.state.value),
        *(ask, arguments, request.created_at, request.deadline),
    )
    cursor = connection.execute(
        "INSERT INTO approvals"
        " (id, principal, actor, target, intent, session, state, ask, arguments, created_at, deadline)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (principal, actor, target, intent, session) WHERE state = 'pending' DO NOTHING",
        row,
    )
    if cursor.rowcount != 1:
        raise StaleWrite("the same request is pending already", found=ApprovalState.PENDING)


def get(connection: Connection, approval_id: str) -> ApprovalRequest | None:
    """Read one request with its votes."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM approvals WHERE id = ?", (approval_id,)).fetchall()  # noqa: S608  # constants
    return _request(connection, rows[0]) if rows else None


def pending(connection: Connection) -> tuple[ApprovalRequest, ...]:
    """Read every pending request, oldest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM approvals WHERE state = 'pending' ORDER BY seq").fetchall()  # noqa: S608  # constants
    return tuple(_request(connection, r) for r in rows)


def page(
    connection: Connection, states: frozenset[ApprovalState] | None, limit: int, before: str
) -> tuple[ApprovalRequest, ...]:
    """Read requests, newest first."""
    wanted = sorted(s.value for s in (ApprovalState if states is None else states))
    marks = ", ".join("?" * len(wanted))
    sql = f"SELECT {_COLUMNS} FROM approvals WHERE state IN ({marks})"  # noqa: S608  # constants and question marks
    parameters: list[str | int] = [*wanted]
    if before:
        sql += " AND seq < (SELECT seq FROM approvals WHERE id = ?)"
        parameters.append(before)
    parameters.append(limit)
    rows = connection.execute(sql + " ORDER BY seq DESC LIMIT ?", parameters).fetchall()
    return tuple(_request(connection, r) for r in rows)


def add_vote(connection: Connection, approval_id: str, vote: Vote) -> None:
    """Insert a vote. Raises StaleWrite unless the request is pending."""
    _require_pending(connection, approval_id)
    connection.execute(
        "INSERT INTO votes SELECT ?, 1 + count(*), ? FROM votes WHERE approval = ?",
        (approval_id, to_text(vote), approval_id),
    )


def resolve(
    connection: Connection, approval_id: str, resolution: Resolution, vote: Vote | None, grant: Grant | None
) -> None:
    """End a pending request. Raises StaleWrite unless it is pending."""
    if resolution.state is ApprovalState.PENDING:
        raise ValueError("pending is not a way to end")
    if (resolution.state is ApprovalState.APPROVED) is not (grant is not None):
        raise ValueError("an approval makes a grant, and nothing else does")
    _require_pending(connection, approval_id)
    if vote is not None:
        add_vote(connection, approval_id, vote)
    connection.execute(
        "UPDATE approvals SET state = ?, resolution = ?, resolved_at = ?, grant_id = ?"
        " WHERE id = ? AND state = 'pending'",
        (resolution.state.value, resolution.reason, resolution.at, grant.id if grant else "", approval_id),
    )
    if grant is None:
        grant_rows.forget_arguments(connection, approval_id)
    else:
        grant_rows.add(connection, grant)


def replace_ask(connection: Connection, approval_id: str, ask: Ask, deadline: float) -> None:
    """Change what a pending request asks for. Raises StaleWrite unless it is pending."""
    _require_pending(connection, approval_id)
    text, arguments = _ask_texts(ask)
    connection.execute(
        "UPDATE approvals SET ask = ?, arguments = ?, deadline = ? WHERE id = ?",
        (text, arguments, deadline, approval_id),
    )


def forget(connection: Connection, before: float) -> int:
    """Delete what ended before that time and can have no effect any more."""
    return connection.execute(
        "DELETE FROM approvals WHERE state != 'pending' AND resolved_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM grants WHERE approval = approvals.id AND"
        " (state IN ('active', 'spent')"
        " OR EXISTS (SELECT 1 FROM spends WHERE grant_id = grants.id AND state = 'spent')))",
        (before,),
    ).rowcount


def _require_pending(connection: Connection, approval_id: str) -> None:
    rows = connection.execute("SELECT state FROM approvals WHERE id = ?", (approval_id,)).fetchall()
    found = str(rows[0][0]) if rows else ""
    if found != ApprovalState.PENDING:
        raise StaleWrite(f"request `{approval_id}` is {found or 'unknown'}", found=found)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked, unmasked: for deciding again, and forgotten with the last chance to be sent."""

    arguments: JsonMapping
    resource: Resource


def _ask_texts(ask: Ask) -> tuple[str, str]:
    access = ask.access
    kept = replace(ask, access=replace(access, arguments={}, resource=McpMethod()))
    return to_text(kept), to_text(_Asked(access.arguments, access.resource))


def _request(
    connection: Connection, row: tuple[str, str, str, str | None, float, float, str, float | None, str]
) -> ApprovalRequest:
    approval_id, state, ask_text, arguments, created_at, deadline, resolution, resolved_at, grant_id = row
    ask = from_text(Ask, ask_text)
    if arguments is not None:
        asked = from_text(_Asked, arguments)
        ask = replace(ask, access=replace(ask.access, arguments=asked.arguments, resource=asked.resource))
    votes = connection.execute("SELECT vote FROM votes WHERE approval = ? ORDER BY number", (approval_id,)).fetchall()
    return ApprovalRequest(
        id=approval_id,
        ask=ask,
        state=ApprovalState(state),
        created_at=created_at,
        deadline=deadline,
        votes=tuple(from_text(Vote, text) for (text,) in votes),
        resolution=resolution,
        resolved_at=resolved_at,
        grant=grant_id,
    )
