"""`holdpoint approvals watch`: one line for each thing that happens to the requests that somebody may see."""

import argparse
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from holdpoint.admin.client import AdminClient
from holdpoint.admin.errors import AdminError
from holdpoint.cli.approvals_list import add_filters, filters, what, who
from holdpoint.cli.approvals_show import said
from holdpoint.cli.common import Commands, Failure, moment, settings_of
from holdpoint.cli.login import reviewer_token
from holdpoint.clock import Clock, SystemClock
from holdpoint.domain.values import JsonObject, as_object, as_text

_MOST: Final = 500
_PAUSE: Final = 2.0
"""Seconds before a gateway that is away is asked again."""
_PATIENCE: Final = 150
"""How often."""


def add(group: Commands) -> None:
    """Add the command to the group `approvals`."""
    watch = group.add_parser("watch", help="follow requests, one line for each change; Ctrl-C ends it")
    add_filters(watch)
    watch.set_defaults(run=_watch)


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a request a line is written for."""

    state: str
    votes: int
    reason: str
    dry_run: str
    glass: str

    @classmethod
    def of(cls, request: JsonObject) -> "Standing":
        """Take it out of a request."""
        votes = request.get("votes")
        return cls(
            state=as_text(request.get("state")),
            votes=len(votes) if isinstance(votes, list) else 0,
            reason=as_text(request.get("reason")),
            dry_run=as_text(as_object(request.get("dry_run")).get("state")),
            glass=as_text(request.get("glass")),
        )


def changes(before: Standing | None, request: JsonObject) -> Iterator[tuple[str, str]]:
    """Give what happened to a request since it stood so, in a word and in its detail. Nothing is said twice."""
    now = Standing.of(request)
    if before is None:
        yield ("held" if now.state == "pending" else now.state), as_text(request.get("resolution"))
        return
    if now.reason != before.reason:
        yield "reason", f"(the requester's own words) {now.reason}"
    if now.dry_run != before.dry_run:
        yield "preview", now.dry_run
    if now.state != before.state:
        yield now.state, as_text(request.get("resolution"))
    elif now.votes > before.votes:
        yield "voted", _vote(request)
    if now.glass != before.glass:
        yield "glass", now.glass


def _vote(request: JsonObject) -> str:
    votes = request.get("votes")
    last = as_object(votes[-1]) if isinstance(votes, list) and votes else {}
    comment = as_text(last.get("comment"))
    name = as_text(last.get("name")) or as_text(last.get("person"))
    return f"{as_text(last.get('verdict'))} by {name}{f': {comment}' if comment else ''}"


def line(at: float, word: str, request: JsonObject, detail: str) -> str:
    """Write one line. `at` is Unix seconds."""
    parts = [moment(at), f"{said(word):<9}", said(as_text(request.get("id"))), said(who(request))]
    parts += [said(as_text(request.get("target"))), what(request)]
    return "  ".join(parts) + (f"  [{said(detail)}]" if detail else "")


def _watch(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    clock: Clock = SystemClock()
    client, pause, failures = AdminClient(settings.admin_socket), threading.Event(), 0
    known: dict[str, Standing] | None = None
    version = 0
    while True:
        try:
            # Not a reviewer's console: silence is no consent because somebody watches.
            waited = as_object(client.call_sync("approvals.wait_change", {"since": version, "console": False}))
            asked: JsonObject = {
                "id_token": reviewer_token(arguments, settings),
                "limit": _MOST,
                **filters(arguments, clock.now()),
            }
            answer = as_object(client.call_sync("approvals.list", asked))
        except AdminError as error:
            failures += 1
            if error.code != "unavailable" or failures > _PATIENCE:
                raise Failure(error.message) from error
            if failures == 1:
                print(f"holdpoint: {error.message}; trying again", file=sys.stderr)
            pause.wait(_PAUSE)
            continue
        found, failures = waited.get("version"), 0
        version = found if isinstance(found, int) else 0
        listed = answer.get("requests")
        requests = [as_object(r) for r in listed] if isinstance(listed, list) else []
        for request in reversed(requests):
            ticket = as_text(request.get("id"))
            is_old = known is None and as_text(request.get("state")) != "pending"
            for word, detail in () if is_old else changes((known or {}).get(ticket), request):
                print(line(clock.now(), word, request, detail), flush=True)
        known = {as_text(r.get("id")): Standing.of(r) for r in requests}
