"""Which approval requests somebody may see, and which of them a page is about."""

import re

from holdpoint.admin.errors import AdminError
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Reviewer, may_review, reviewer_names
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.store.wanted import Wanted

SEES_ALL = frozenset({"auditor", "admin"})
"""Roles. They decide nothing."""
_MOST = 500
_NAMES = re.compile(r"[^\0\ud800-\udfff]*")
_LATEST = 1e12
"""Unix seconds."""


def may_see(reviewer: Reviewer, request: ApprovalRequest) -> bool:
    """Tell whether somebody may read a request: a reviewer of it, a person who made it, or an auditor."""
    if reviewer.roles & SEES_ALL or any(may_review(reviewer, term) for term in request.ask.terms):
        return True
    return bool(reviewer.person) and reviewer.person in request.ask.access.principal.requesters


def page_wanted(params: JsonObject, reviewer: Reviewer) -> Wanted:
    """Return what a page is about.

    By `state` (list), `target`, `person`, `verb`, `text`, `from` and `until` (Unix seconds), `mine`.
    Raises AdminError.
    """
    states = params.get("state")
    return Wanted(
        states=frozenset(_state(s) for s in states) if isinstance(states, list) else None,
        target=_word(params, "target"),
        person=_word(params, "person"),
        verb=_word(params, "verb"),
        text=_word(params, "text"),
        since=_time(params, "from"),
        until=_time(params, "until"),
        readers=_readers(reviewer, mine=params.get("mine") is True),
    )


def _readers(reviewer: Reviewer, *, mine: bool) -> frozenset[str] | None:
    if mine:
        return frozenset({f"requester:{reviewer.person}"}) if reviewer.person else frozenset()
    return None if reviewer.roles & SEES_ALL else _names(reviewer)


def _names(reviewer: Reviewer) -> frozenset[str]:
    own = frozenset({f"requester:{reviewer.person}"}) if reviewer.person else frozenset[str]()
    return reviewer_names(reviewer) | own


def _word(params: JsonObject, name: str) -> str:
    word = as_text(params.get(name))
    if len(word) > _MOST:
        raise AdminError("bad_request", f"`{name}` is longer than {_MOST} characters")
    if not _NAMES.fullmatch(word):
        # PostgreSQL has no place for it, not even in a question.
        raise AdminError("bad_request", f"`{name}` holds a character that no name has")
    return word


def _time(params: JsonObject, name: str) -> float:
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    if abs(value) > _LATEST:
        raise AdminError("bad_request", f"`{name}` is no time in Unix seconds")
    return float(value)


def _state(value: JsonValue) -> ApprovalState:
    try:
        return ApprovalState(as_text(value))
    except ValueError:
        raise AdminError("bad_request", "unknown state of an approval request") from None
