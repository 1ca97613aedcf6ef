"""`holdpoint principals suspend|resume|list`."""

import argparse
import json
from typing import Final

from holdpoint.cli.common import Commands, Failure, ask, moment, settings_of, shown, table
from holdpoint.cli.login import reviewer_token
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.settings import Settings
from holdpoint.visible_text import spelled_out

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_ALIVE: Final = (
    ("held", "request held", "requests held"),
    ("grants", "grant", "grants"),
    ("streams", "stream", "streams"),
    ("requests", "request under way", "requests under way"),
    ("calls", "token of a tool call", "tokens of tool calls"),
)


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("principals", help="who is turned away at once: suspend, resume, list")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    suspend = actions.add_parser("suspend", help="turn somebody away, and end all that lives of theirs")
    suspend.add_argument("who", help="person, principal's id, subject, or subject of an agent; person:NAME alone")
    suspend.add_argument("--reason", default="", help="one line that those whom it concerns will read")
    suspend.add_argument("--for", dest="seconds", default="", help="how long (30m, 8h, 7d; default: until resumed)")
    suspend.add_argument("--dry-run", action="store_true", help="say what would end, and end nothing")
    suspend.set_defaults(run=_suspend)
    resume = actions.add_parser("resume", help="let somebody in again")
    resume.add_argument("who", help="as they were suspended")
    resume.set_defaults(run=_resume)
    listing = actions.add_parser("list", help="list who is suspended, the oldest first")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_list)
    for parser in (suspend, resume, listing):
        parser.add_argument(
            "--issuer", default="", help="do it by your login at this issuer, not as this machine's user"
        )


def as_operator(arguments: argparse.Namespace, settings: Settings, params: JsonObject) -> JsonObject:
    """Add the login that was asked for; without one the machine's user asks."""
    return {**params, "id_token": reviewer_token(arguments, settings)} if arguments.issuer else params


def seconds_of(text: str) -> float:
    """Return seconds from `30s`, `10m`, `8h`, `7d`. Raises Failure."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or int(number) == 0:
        raise Failure(f"`{shown(text)}` is no duration: write `30m`, `8h` or `7d`")
    return float(int(number) * _UNITS[unit])


def _suspend(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    params: JsonObject = {"who": arguments.who}
    if arguments.seconds:
        params["for"] = seconds_of(arguments.seconds)
    found = as_object(ask(settings, "principals.match", as_operator(arguments, settings, {"who": arguments.who})))
    print(f"{shown(arguments.who)} matches {counted(as_object(found.get('alive')))}")
    if arguments.dry_run:
        return 0
    asked = as_operator(arguments, settings, {**params, "reason": arguments.reason})
    made = as_object(ask(settings, "principals.suspend", asked))
    until = moment(made.get("until"))
    print(f"suspended {shown(arguments.who)} {f'until {until}' if until else 'until resumed'}")
    print(f"ended {counted(as_object(made.get('ended')))}")
    return 0


def _resume(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    answer = as_object(ask(settings, "principals.resume", as_operator(arguments, settings, {"who": arguments.who})))
    resumed = answer.get("resumed")
    for one in resumed if isinstance(resumed, list) else []:
        print(f"resumed {shown(as_text(as_object(one).get('who')))}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    found = as_object(ask(settings, "principals.list", as_operator(arguments, settings, {}))).get("suspensions")
    suspensions = [as_object(s) for s in found] if isinstance(found, list) else []
    if arguments.json:
        print(spelled_out(json.dumps(suspensions, indent=2, ensure_ascii=True), keep="\n"))
        return 0
    if not suspensions:
        print("nobody is suspended")
        return 0
    print(table([("WHO", "SINCE", "UNTIL", "BY", "REASON"), *map(_row, suspensions)]))
    return 0


def _row(suspension: JsonObject) -> tuple[str, ...]:
    return (
        shown(as_text(suspension.get("who"))),
        moment(suspension.get("at")),
        moment(suspension.get("until")) or "-",
        shown(as_text(suspension.get("by"))),
        shown(as_text(suspension.get("reason"))),
    )


def counted(alive: JsonObject, *, nothing: str = "nothing: no request, grant or stream") -> str:
    """Say how much lives, or did; `nothing` where it is nothing."""
    said: list[str] = []
    for name, one, many in _ALIVE:
        number = alive.get(name)
        if isinstance(number, int) and number:
            said.append(f"{number} {one if number == 1 else many}")
    return ", ".join(said) or nothing
