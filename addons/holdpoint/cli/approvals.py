"""`holdpoint approvals …` and `holdpoint explain ID`."""

import argparse
import json

from holdpoint.cli import approvals_act, approvals_list, approvals_watch, decide, verify
from holdpoint.cli.approvals_show import text_of
from holdpoint.cli.common import Commands, Failure, ask, moment, settings_of, shown
from holdpoint.cli.login import reviewer_token
from holdpoint.clock import SystemClock
from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.recording import browse
from holdpoint.recording.browse import LineError
from holdpoint.settings import Settings

_TIMES = frozenset({"at", "created_at", "deadline", "resolved_at"})
"""Keys of Unix seconds."""


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("approvals", help="held requests: list, show, approve, deny").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    approvals_list.add(group)
    show = group.add_parser("show", help="show one request, as a reviewer reads it")
    show.add_argument("id")
    show.add_argument("--json", action="store_true", help="as JSON, with nothing left out")
    show.set_defaults(run=_show)
    decide.add(group)
    approvals_act.add(group)
    approvals_watch.add(group)
    for parser in group.choices.values():
        parser.add_argument("--issuer", default="", help="issuer that you are logged in at")
    verify.add(group)
    explain = commands.add_parser("explain", help="say why a request was refused")
    explain.add_argument("id")
    explain.set_defaults(run=_explain)


def _show(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    request = _get(settings, arguments.id, reviewer_token(arguments, settings))
    print(_pretty(request) if arguments.json else text_of(request, SystemClock().now()))
    return 0


def _get(settings: Settings, approval_id: str, token: str) -> JsonObject:
    return as_object(ask(settings, "approvals.get", {"id": approval_id, "id_token": token}))


def _pretty(value: JsonValue) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "\n".join(shown(line) for line in text.split("\n"))


def _explain(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    linked = _linked(settings, arguments.id)
    found: JsonObject = {}
    try:
        found = as_object(ask(settings, "explain", {"id": arguments.id}))
    except Failure:
        # One that was not refused is known to the recordings alone.
        if not linked:
            raise
    print(_pretty(_readable({**found, "linked": linked} if linked else found)))
    return 0


def _readable(value: JsonValue) -> JsonValue:
    """Return the same with its times as people read them."""
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: moment(item) or item if key in _TIMES else _readable(item) for key, item in value.items()}


def _linked(settings: Settings, exchange: str) -> list[JsonValue]:
    """Return the tool call that an exchange served, or the requests that served it, as they were recorded."""
    try:
        found = browse.linked(settings.recordings.folder, exchange)
    except (LineError, OSError):
        return []  # the reason of a refusal is in the store, whatever became of the recordings
    if not any(e.call or e.requests for e in found):
        return []
    return [
        {
            "exchange": e.id,
            "call": e.call,
            "at": e.at,
            "action": e.action,
            "resource": e.resource,
            "outcome": e.outcome,
            "refusal": e.refusal,
        }
        for e in found
    ]
