"""`holdpoint approvals list`, and which requests it and `watch` are about."""

import argparse
import json
from datetime import UTC, datetime
from typing import Final

from holdpoint.cli.common import Commands, Failure, ask, moment, settings_of, shown, table
from holdpoint.cli.login import reviewer_token
from holdpoint.clock import SystemClock
from holdpoint.domain.approval import ApprovalState
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.visible_text import spelled_out

WIDTH: Final = 100
"""Characters of what a request would do, in a list."""
_MORE: Final = " ... (cut)"
_UNITS: Final = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}


def add(group: Commands) -> None:
    """Add the command to the group `approvals`."""
    listing = group.add_parser("list", help="list requests that you may review or made yourself")
    listing.add_argument("--all", action="store_true", help="those that have ended, too")
    add_filters(listing)
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_list)


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add what says which requests are meant."""
    parser.add_argument("--state", action="append", default=[], help="only those in this state; may be repeated")
    parser.add_argument("--target", default="", help="only those for this target")
    parser.add_argument("--person", default="", help="only those that this person made")
    parser.add_argument("--mine", action="store_true", help="only those that you made, or answer for")
    parser.add_argument("--text", default="", help="only those with this in the resource's or the person's name")
    parser.add_argument("--since", default="", help="only those held since then (2h, 7d, or 2026-12-31)")


def filters(arguments: argparse.Namespace, now: float = 0.0) -> JsonObject:
    """Return what `approvals.list` is asked for. `now` is Unix seconds. Raises Failure."""
    params: JsonObject = {}
    states = sorted({_state(name) for name in arguments.state})
    if states:
        params["state"] = [*states]
    for name in ("target", "person", "text"):
        if value := getattr(arguments, name):
            params[name] = value
    if arguments.mine:
        params["mine"] = True
    if arguments.since:
        params["from"] = _since(arguments.since, now)
    return params


def _state(name: str) -> str:
    try:
        return ApprovalState(name).value
    except ValueError:
        known = ", ".join(f"`{s.value}`" for s in ApprovalState)
        raise Failure(f"`{shown(name)}` is no state of a request: {known}") from None


def _since(text: str, now: float) -> float:
    number, unit = text[:-1], text[-1:]
    if unit in _UNITS and number.isascii() and number.isdigit():
        return now - int(number) * _UNITS[unit]
    try:
        moment_ = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(f"`{shown(text)}` is no time: write `2h`, `7d`, or `2026-12-31`") from None
    return (moment_ if moment_.tzinfo else moment_.replace(tzinfo=UTC)).timestamp()


def what(request: JsonObject) -> str:
    """Say on one line what a request would do, cut where it is long: `approvals show` has all of it."""
    text = as_text(request.get("summary")) or f"{as_text(request.get('action'))} {as_text(request.get('resource'))}"
    line = spelled_out(shown(text))
    return line if len(line) <= WIDTH else f"{line[: WIDTH - len(_MORE)]}{_MORE}"


def who(request: JsonObject) -> str:
    """Say whose request it is, and which agent's."""
    principal = as_object(request.get("principal"))
    actor = as_text(as_object(principal.get("actor")).get("subject"))
    name = as_text(principal.get("person")) or as_text(principal.get("id"))
    return f"{name} by {actor}" if actor else name


def _list(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    params = filters(arguments, SystemClock().now())
    if not arguments.all and "state" not in params:
        params["state"] = ["pending"]
    asked: JsonObject = {**params, "id_token": reviewer_token(arguments, settings)}
    found = as_object(ask(settings, "approvals.list", asked)).get("requests")
    requests: list[JsonValue] = [*found] if isinstance(found, list) else []
    if arguments.json:
        print(spelled_out(json.dumps(requests, indent=2, ensure_ascii=True), keep="\n"))
        return 0
    if not requests:
        print("nothing is waiting" if params.get("state") == ["pending"] else "no requests")
        return 0
    print(table([("ID", "STATE", "UNTIL", "WHO", "TARGET", "WHAT"), *(_row(as_object(r)) for r in requests)]))
    return 0


def _marked(request: JsonObject) -> str:
    """Say what a request would do, and whether somebody has to do something before, or afterwards."""
    glass, blocked = as_text(request.get("glass")), as_text(request.get("blocked"))
    mark = {"broken": "glass broken, not reviewed", "reviewed": "glass broken, reviewed"}.get(glass, "")
    if request.get("state") == "pending":
        mark = blocked
    return f"{what(request)}  [{shown(mark)}]" if mark else what(request)


def _row(request: JsonObject) -> tuple[str, ...]:
    return (
        as_text(request.get("id")),
        as_text(request.get("state")),
        moment(request.get("deadline")),
        shown(who(request)),
        shown(as_text(request.get("target"))),
        _marked(request),
    )
