"""`holdpoint notices [list|retry|test]`."""

import argparse
import json

from holdpoint.cli.common import Commands, Failure, ask, moment, settings_of, shown, table
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.visible_text import spelled_out


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("notices", help="what people are told: list, retry, test")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list notices, newest first, and what is wrong with their sinks")
    listing.add_argument("--state", default="", choices=("due", "delivered", "dead"), help="only those in this state")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_list)
    retry = actions.add_parser("retry", help="try a notice again that was given up")
    retry.add_argument("id", help="of a notice that is `dead`")
    retry.set_defaults(run=_retry)
    test = actions.add_parser("test", help="send a harmless notice to a sink, and say whether it arrived")
    test.add_argument("name", help="of a sink in the settings")
    test.set_defaults(run=_test)


def _list(arguments: argparse.Namespace) -> int:
    found = as_object(ask(settings_of(arguments), "notices.list", {"state": arguments.state}))
    if arguments.json:
        print(spelled_out(json.dumps(found, indent=2, ensure_ascii=True), keep="\n"))
        return 0
    sinks, notices = _objects(found, "sinks"), _objects(found, "notices")
    if not sinks:
        print("the settings name no sink: nobody is told of anything")
    for sink in sinks:
        if problem := as_text(sink.get("problem")):
            print(f"sink {shown(sink.get('name'))} is not reached: {shown(problem)}")
    if notices:
        print(table([("ID", "SINK", "EVENT", "REQUEST", "STATE", "TRIES", "NEXT", "WHY"), *map(_row, notices)]))
    elif sinks:
        print("there are no notices")
    return 0


def _objects(found: JsonObject, name: str) -> list[JsonObject]:
    listed = found.get(name)
    return [as_object(each) for each in listed] if isinstance(listed, list) else []


def _row(notice: JsonObject) -> tuple[str, ...]:
    state = as_text(notice.get("state"))
    return (
        as_text(notice.get("id")),
        shown(notice.get("sink")),
        shown(notice.get("event")),
        shown(notice.get("approval")) or "-",
        state,
        str(notice.get("attempts")),
        moment(notice.get("due_at")) if state == "due" else "-",
        shown(notice.get("error")),
    )


def _retry(arguments: argparse.Namespace) -> int:
    ask(settings_of(arguments), "notices.retry", {"id": arguments.id})
    print(f"trying {shown(arguments.id)} again")
    return 0


def _test(arguments: argparse.Namespace) -> int:
    said = as_object(ask(settings_of(arguments), "notices.test", {"name": arguments.name}))
    if said.get("delivered") is not True:
        raise Failure(f"sink `{shown(arguments.name)}`: {shown(said.get('problem'))}")
    print(f"sink {shown(arguments.name)} took it")
    return 0
