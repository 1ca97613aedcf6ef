"""`holdpoint streams [list|end]`."""

import argparse
import json

from holdpoint.cli.common import Commands, ask, moment, settings_of, shown, table
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.visible_text import spelled_out


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("streams", help="watches, logs and terminals that are open: list, end")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the streams that are open, the oldest first")
    listing.add_argument("--target", default="", help="only those of this target")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_list)
    end = actions.add_parser("end", help="end one stream; its caller is told why")
    end.add_argument("id", help="of its exchange")
    end.add_argument("--reason", default="", help="one line for its caller")
    end.set_defaults(run=_end)


def _list(arguments: argparse.Namespace) -> int:
    found = as_object(ask(settings_of(arguments), "streams.list", {"target": arguments.target})).get("streams")
    streams = [as_object(s) for s in found] if isinstance(found, list) else []
    if arguments.json:
        print(spelled_out(json.dumps(streams, indent=2, ensure_ascii=True), keep="\n"))
        return 0
    if not streams:
        print("no stream is open")
        return 0
    rows = [("ID", "WHO", "TARGET", "WHAT", "SINCE", "UNTIL"), *map(_row, streams)]
    print(table(rows))
    return 0


def _row(stream: JsonObject) -> tuple[str, ...]:
    who, actor = shown(stream.get("name")), shown(stream.get("actor"))
    return (
        as_text(stream.get("exchange")),
        f"{who} by {actor}" if actor else who,
        shown(stream.get("target")),
        shown(f"{as_text(stream.get('verb'))} {as_text(stream.get('resource'))}"),
        moment(stream.get("since")),
        moment(stream.get("until")) if stream.get("until") is not None else "-",
    )


def _end(arguments: argparse.Namespace) -> int:
    ask(settings_of(arguments), "streams.end", {"id": arguments.id, "reason": arguments.reason})
    print(f"ended {shown(arguments.id)}")
    return 0
