"""`holdpoint approvals list|show|approve|deny` and `holdpoint explain ID`."""

import argparse
import json

from holdpoint.cli import decide, verify
from holdpoint.cli.common import Commands, Failure, ask, moment, settings_of, shown, table
from holdpoint.cli.login import reviewer_token
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.recording import browse
from holdpoint.recording.browse import LineError
from holdpoint.settings import Settings

WIDTH = 100
"""Characters of what a request would do, in a list."""
_MORE = " ... (cut)"
_TIMES = frozenset({"at", "created_at", "deadline", "resolved_at"})
"""Keys of Unix seconds."""


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("approvals", help="held requests: list, show, approve, deny").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    listing = group.add_parser("list", help="list requests that you may review or made yourself")
    listing.add_argument("--all", action="store_true", help="those that have ended, too")
    listing.set_defaults(run=_list)
    show = group.add_parser("show", help="show one request, whole")
    show.add_argument("id")
    show.set_defaults(run=_show)
    decide.add(group)
    for parser in group.choices.values():
        parser.add_argument("--issuer", default="", help="issuer that you are logged in at")
    verify.add(group)
    explain = commands.add_parser("explain", help="say why a request was refused")
    explain.add_argument("id")
    explain.set_defaults(run=_explain)


def _list(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    params: JsonObject = {"id_token": reviewer_token(arguments, settings)}
    if not arguments.all:
        params["state"] = ["pending"]
    found = as_object(ask(settings, "approvals.list", params)).get("requests")
    requests = [as_object(r) for r in found] if isinstance(found, list) else []
    if not requests:
        print("nothing is waiting" if not arguments.all else "no requests")
        return 0
    rows = [("ID", "STATE", "UNTIL", "WHO", "TARGET", "WHAT")]
    rows += [
        (
            as_text(r.get("id")),
            as_text(r.get("state")),
            moment(r.get("deadline")),
            shown(_who(r)),
            as_text(r.get("target")),
            what(r),
        )
        for r in requests
    ]
    print(table(rows))
    return 0


def what(request: JsonObject) -> str:
    """Say on one line what a request would do, cut where it is long: `approvals show` has all of it."""
    text = as_text(request.get("summary")) or f"{as_text(request.get('action'))} {as_text(request.get('resource'))}"
    line = shown(text)
    return line if len(line) <= WIDTH else f"{line[: WIDTH - len(_MORE)]}{_MORE}"


def _who(request: JsonObject) -> str:
    principal = as_object(request.get("principal"))
    actor = as_text(principal.get("actor"))
    who = as_text(principal.get("person")) or as_text(principal.get("id"))
    return f"{who} by {actor}" if actor else who


def _show(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    print(_pretty(_get(settings, arguments.id, reviewer_token(arguments, settings))))
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
