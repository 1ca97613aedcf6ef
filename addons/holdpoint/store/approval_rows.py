"""Approval requests and votes as rows. Every function runs inside the writer's transaction.

What a page of requests shows is in small columns; large previews are apart, and read for one request alone.
"""

from collections.abc import Sequence
from typing import Final

from holdpoint.domain.access import describe_resource
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, DryRun, Glass, Vote, preview_digest
from holdpoint.domain.grant import Grant
from holdpoint.domain.values import as_text
from holdpoint.store import grant_rows
from holdpoint.store.approval_texts import Row, ask_texts, dry_run_texts, request_of
from holdpoint.store.codec import from_text, to_text
from holdpoint.store.protocol import Key, Resolution, StaleWrite
from holdpoint.store.rows import Connection
from holdpoint.store.wanted import Wanted

_LISTED: Final = (
    "id, state, ask, dry_run, created_at, deadline, resolution, resolved_at, grant_id, reason, glass, version,"
    " read_digest, resource"
)
_WHOLE: Final = f"{_LISTED}, arguments, preview, shown"


def add(connection: Connection, request: ApprovalRequest, key: Key, session: str) -> None:
    """Insert a pending request. Raises StaleWrite where one with that key and session is pending."""
    ask, preview, arguments = ask_texts(request.ask)
    dry_run, shown = dry_run_texts(request.dry_run)
    access = request.ask.access
    values = {
        "id": request.id,
        "principal": key.principal,
        "actor": key.actor,
        "target": key.target,
        "intent": key.intent,
        "session": session,
        "state": request.state.value,
        "ask": ask,
        "arguments": arguments,
        "created_at": request.created_at,
        "deadline": request.deadline,
        "dry_run": dry_run,
        "reason": request.reason,
        "person": access.principal.person or "",
        "verb": access.action.verb,
        "resource": as_text(request.ask.preview.get("resource")) or describe_resource(access.resource),
        "version": request.version,
        "preview": preview,
        "shown": shown,
        "read_digest": preview_digest(request),
    }
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    cursor = connection.execute(
        f"INSERT INTO approvals ({columns}) VALUES ({marks})"  # noqa: S608  # constants and question marks
        " ON CONFLICT (principal, actor, target, intent, session) WHERE state = 'pending' DO NOTHING",
        tuple(values.values()),
    )
    if cursor.rowcount != 1:
        raise StaleWrite("the same request is pending already", found=ApprovalState.PENDING)
    _set_readers(connection, request.id, request.ask)


def get(connection: Connection, approval_id: str) -> ApprovalRequest | None:
    """Read one request with its votes."""
    rows = connection.execute(f"SELECT {_WHOLE} FROM approvals WHERE id = ?", (approval_id,)).fetchall()  # noqa: S608  # constants
    return next(iter(_requests(connection, rows)), None)


def pending(connection: Connection) -> tuple[ApprovalRequest, ...]:
    """Read every pending request, oldest first."""
    rows = connection.execute(f"SELECT {_WHOLE} FROM approvals WHERE state = 'pending' ORDER BY seq").fetchall()  # noqa: S608  # constants
    return _requests(connection, rows)


def page(connection: Connection, wanted: Wanted, limit: int, before: str) -> tuple[ApprovalRequest, ...]:
    """Read requests, newest first, without arguments and without what of a preview is large."""
    where, parameters = _where(wanted)
    if before:
        where += " AND seq < (SELECT seq FROM approvals WHERE id = ?)"
        parameters.append(before)
    sql = f"SELECT {_LISTED} FROM approvals WHERE {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608  # as below
    return _requests(connection, connection.execute(sql, (*parameters, limit)).fetchall())


def add_vote(connection: Connection, approval_id: str, vote: Vote, version: int | None = None) -> None:
    """Insert a vote. Raises StaleWrite unless the request is pending."""
    _step(connection, approval_id, version, {})
    _insert_vote(connection, approval_id, vote)


def set_dry_run(
    connection: Connection, approval_id: str, dry_run: DryRun, read: str, version: int | None = None
) -> None:
    """Note what a pending request would change. Raises StaleWrite unless it is pending."""
    text, shown = dry_run_texts(dry_run)
    _step(connection, approval_id, version, {"dry_run": text, "shown": shown, "read_digest": read})


def set_reason(connection: Connection, approval_id: str, reason: str, read: str, version: int | None = None) -> None:
    """Note why a pending request is made. Raises StaleWrite unless it is pending."""
    _step(connection, approval_id, version, {"reason": reason, "read_digest": read})


def resolve(  # noqa: PLR0917  # all of one transaction
    connection: Connection,
    approval_id: str,
    resolution: Resolution,
    vote: Vote | None,
    grant: Grant | None,
    glass_by: str = "",
    version: int | None = None,
) -> None:
    """End a pending request. Raises StaleWrite unless it is pending, or where that person broke another glass."""
    if resolution.state is ApprovalState.PENDING:
        raise ValueError("pending is not a way to end")
    if (resolution.state is ApprovalState.APPROVED) is not (grant is not None):
        raise ValueError("an approval makes a grant, and nothing else does")
    if glass_by and (other := broken_glass(connection, glass_by)):
        raise StaleWrite(f"`{other}` was opened so, and nobody has reviewed it yet", found=Glass.BROKEN)
    change: dict[str, str | float] = {
        "state": resolution.state.value,
        "resolution": resolution.reason,
        "resolved_at": resolution.at,
        "grant_id": grant.id if grant else "",
    }
    broken: dict[str, str | float] = {"glass": Glass.BROKEN.value, "glass_by": glass_by} if glass_by else {}
    _step(connection, approval_id, version, change | broken)
    if vote is not None:
        _insert_vote(connection, approval_id, vote)
    if grant is None:
        grant_rows.forget_arguments(connection, approval_id)
    else:
        grant_rows.add(connection, grant)


def review_glass(connection: Connection, approval_id: str, vote: Vote) -> None:
    """Note that what was opened by breaking the glass was looked at. Raises StaleWrite where there is no such thing."""
    cursor = connection.execute(
        "UPDATE approvals SET glass = ?, version = version + 1 WHERE id = ? AND glass = ?",
        (Glass.REVIEWED.value, approval_id, Glass.BROKEN.value),
    )
    if cursor.rowcount != 1:
        rows = connection.execute("SELECT glass FROM approvals WHERE id = ?", (approval_id,)).fetchall()
        raise StaleWrite(f"no broken glass of request `{approval_id}` waits", found=str(rows[0][0]) if rows else "")
    _insert_vote(connection, approval_id, vote)


def broken_glass(connection: Connection, person: str) -> str:
    """Return the id of what this person opened by breaking the glass and nobody reviewed yet, or an empty string."""
    rows = connection.execute(
        "SELECT id FROM approvals WHERE glass_by = ? AND glass = 'broken' LIMIT 1", (person,)
    ).fetchall()
    return str(rows[0][0]) if rows else ""


def replace_ask(  # noqa: PLR0917  # one row's worth
    connection: Connection,
    approval_id: str,
    ask: Ask,
    deadline: float,
    read: str = "",
    version: int | None = None,
) -> None:
    """Change what a pending request asks for. Raises StaleWrite unless it is pending."""
    text, preview, arguments = ask_texts(ask)
    change: dict[str, str | float] = {"ask": text, "preview": preview, "arguments": arguments, "deadline": deadline}
    if read:
        change["read_digest"] = read
    _step(connection, approval_id, version, change)
    _set_readers(connection, approval_id, ask)


def complete(connection: Connection) -> int:
    """Fill in what requests of earlier versions lack to be listed and searched. Returns how many."""
    rows = connection.execute(f"SELECT {_WHOLE} FROM approvals WHERE version = 0").fetchall()  # noqa: S608  # constants
    for request in _requests(connection, rows):
        access, ask = request.ask.access, request.ask
        resource = as_text(ask.preview.get("resource")) or describe_resource(access.resource)
        text, preview, _ = ask_texts(ask)
        values = (access.principal.person or "", access.action.verb, resource, text, preview, preview_digest(request))
        connection.execute(
            "UPDATE approvals SET person = ?, verb = ?, resource = ?, ask = ?, preview = ?, read_digest = ?,"
            " version = 1 WHERE id = ?",
            (*values, request.id),
        )
        _set_readers(connection, request.id, ask)
    return len(rows)


def forget(connection: Connection, before: float) -> int:
    """Delete what ended before that time and can have no effect any more. A broken glass waits for its review."""
    return connection.execute(
        "DELETE FROM approvals WHERE state != 'pending' AND resolved_at < ? AND glass != 'broken'"
        " AND NOT EXISTS (SELECT 1 FROM grants WHERE approval = approvals.id AND"
        " (state IN ('active', 'spent')"
        " OR EXISTS (SELECT 1 FROM spends WHERE grant_id = grants.id AND state = 'spent')))",
        (before,),
    ).rowcount


def _step(connection: Connection, approval_id: str, version: int | None, change: dict[str, str | float]) -> None:
    """Change a pending row by compare-and-swap: nobody's change is overwritten by one who had not seen it."""
    assigned = "".join(f", {column} = ?" for column in change)
    sql = f"UPDATE approvals SET version = version + 1{assigned} WHERE id = ? AND state = 'pending'"  # noqa: S608  # constants
    parameters: list[str | float] = [*change.values(), approval_id]
    if version is not None:
        sql += " AND version = ?"
        parameters.append(version)
    if connection.execute(sql, parameters).rowcount == 1:
        return
    rows = connection.execute("SELECT state, version FROM approvals WHERE id = ?", (approval_id,)).fetchall()
    found = str(rows[0][0]) if rows else ""
    at = f" at version {rows[0][1]}" if rows else ""
    raise StaleWrite(f"request `{approval_id}` is {found or 'unknown'}{at}", found=found)


def _insert_vote(connection: Connection, approval_id: str, vote: Vote) -> None:
    connection.execute(
        "INSERT INTO votes SELECT ?, 1 + count(*), ? FROM votes WHERE approval = ?",
        (approval_id, to_text(vote), approval_id),
    )


def _set_readers(connection: Connection, approval_id: str, ask: Ask) -> None:
    names = {name for term in ask.terms for clause in term.clauses for name in clause.reviewers}
    names |= {f"requester:{person}" for person in ask.access.principal.requesters}
    connection.execute("DELETE FROM readers WHERE approval = ?", (approval_id,))
    for name in sorted(names):
        connection.execute("INSERT INTO readers (approval, name) VALUES (?, ?)", (approval_id, name))


def _where(wanted: Wanted) -> tuple[str, list[str | float]]:
    states = sorted(s.value for s in (ApprovalState if wanted.states is None else wanted.states))
    clauses, parameters = [f"state IN ({_marks(states)})"], [*states]
    found: list[str | float] = [*parameters]
    for column, value in (("target", wanted.target), ("person", wanted.person), ("verb", wanted.verb)):
        if value:
            clauses.append(f"{column} = ?")
            found.append(value)
    if wanted.text:
        escaped = wanted.text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        clauses.append("(lower(resource) LIKE ? ESCAPE '\\' OR lower(person) LIKE ? ESCAPE '\\')")
        found += [f"%{escaped}%"] * 2
    if wanted.since:
        clauses.append("created_at >= ?")
        found.append(wanted.since)
    if wanted.until:
        clauses.append("created_at < ?")
        found.append(wanted.until)
    if wanted.readers is not None:
        readers = sorted(wanted.readers)
        clauses.append(
            f"EXISTS (SELECT 1 FROM readers WHERE approval = approvals.id AND name IN ({_marks(readers)}))"  # noqa: S608  # question marks
        )
        found += readers
    return " AND ".join(clauses), found


def _marks(values: Sequence[str]) -> str:
    # No member at all: a list that nothing is in. An empty one is not SQL everywhere.
    return ", ".join("?" * len(values)) or "NULL"


def _requests(connection: Connection, rows: Sequence[Sequence[object]]) -> tuple[ApprovalRequest, ...]:
    if not rows:
        return ()
    found = [Row(*row) for row in rows]  # type: ignore[arg-type]  # the columns of the query
    votes = _votes(connection, [row.id for row in found])
    return tuple(request_of(row, votes.get(row.id, ())) for row in found)


def _votes(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[Vote, ...]]:
    found: dict[str, tuple[Vote, ...]] = {}
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        rows = connection.execute(
            f"SELECT approval, vote FROM votes WHERE approval IN ({_marks(some)}) ORDER BY approval, number",  # noqa: S608  # question marks
            some,
        ).fetchall()
        for approval_id, text in rows:
            found[approval_id] = (*found.get(approval_id, ()), from_text(Vote, text))
    return found
