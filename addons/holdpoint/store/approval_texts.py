"""An approval request as the texts of its row, and back."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from holdpoint.domain.access import McpMethod, Resource
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, DryRun, Glass, Vote
from holdpoint.domain.values import JsonMapping, JsonObject, as_object
from holdpoint.store.codec import from_text, json_from_text, to_text

SMALL: Final = 2_048
"""Characters of a preview, as JSON, that a list carries along."""
_KEPT: Final = ("summary", "resource", "verb", "protocol", "target")


class Row(NamedTuple):
    """The columns of one request; the last three are not read for a list, and None or empty there."""

    id: str
    state: str
    ask: str
    dry_run: str
    created_at: float
    deadline: float
    resolution: str
    resolved_at: float | None
    grant: str
    reason: str
    glass: str
    version: int
    read_digest: str
    resource: str
    arguments: str | None = None
    preview: str | None = None
    shown: str = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked, unmasked: for deciding again, and forgotten with the last chance to be sent."""

    arguments: JsonMapping
    resource: Resource


def ask_texts(ask: Ask) -> tuple[str, str, str]:
    """Return the ask without what is large, the preview where it is large, and what was asked, unmasked."""
    access, preview = ask.access, to_text(ask.preview)
    is_small = len(preview) <= SMALL
    short: JsonObject = {n: v for n in _KEPT if isinstance(v := ask.preview.get(n), str) and len(v) <= SMALL}
    kept = replace(
        ask, access=replace(access, arguments={}, resource=McpMethod()), preview=ask.preview if is_small else short
    )
    return to_text(kept), "" if is_small else preview, to_text(_Asked(access.arguments, access.resource))


def dry_run_texts(dry_run: DryRun) -> tuple[str, str]:
    """Return the dry run without what is large, and what it shows where that is large. Both empty: there is none."""
    if dry_run == DryRun():
        return "", ""
    shown = to_text(dry_run.shown)
    if len(shown) <= SMALL:
        return to_text(dry_run), ""
    return to_text(replace(dry_run, shown={})), shown


def request_of(row: Row, votes: tuple[Vote, ...]) -> ApprovalRequest:
    """Put a request together again. Raises Unreadable."""
    ask = from_text(Ask, row.ask)
    if row.arguments is not None:
        asked = from_text(_Asked, row.arguments)
        ask = replace(ask, access=replace(ask.access, arguments=asked.arguments, resource=asked.resource))
    is_listed = row.preview is None
    if row.preview:
        ask = replace(ask, preview=_object(row.preview))
    elif is_listed and "resource" not in ask.preview:
        ask = replace(ask, preview={**ask.preview, "resource": row.resource})
    dry_run = from_text(DryRun, row.dry_run) if row.dry_run else DryRun()
    if row.shown:
        dry_run = replace(dry_run, shown=_object(row.shown))
    return ApprovalRequest(
        id=row.id,
        ask=ask,
        state=ApprovalState(row.state),
        created_at=row.created_at,
        deadline=row.deadline,
        votes=votes,
        resolution=row.resolution,
        resolved_at=row.resolved_at,
        grant=row.grant,
        dry_run=dry_run,
        reason=row.reason,
        glass=Glass(row.glass),
        version=row.version,
        abridged=row.read_digest if is_listed else "",
    )


def _object(text: str) -> JsonObject:
    return as_object(json_from_text(text))
