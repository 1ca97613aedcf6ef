"""`holdpoint grants list|revoke`."""

import argparse
import json

from holdpoint.cli.approvals_show import said
from holdpoint.cli.common import Commands, ask, moment, settings_of, table
from holdpoint.cli.login import reviewer_token
from holdpoint.cli.principals import as_operator, counted
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.visible_text import spelled_out


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("grants", help="what approvals opened: list, revoke")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list what is open by an approval, the newest first")
    listing.add_argument("--mine", action="store_true", help="only what was given to you, or to what you answer for")
    listing.add_argument("--all", action="store_true", help="what has ended, too")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_list)
    revoke = actions.add_parser("revoke", help="end a grant, and all that it opened; callers are told why")
    revoke.add_argument("id")
    revoke.add_argument("--reason", default="", help="one line for those whose streams and requests end")
    revoke.set_defaults(run=_revoke)
    for parser in (listing, revoke):
        parser.add_argument(
            "--issuer", default="", help="do it by your login at this issuer, not as this machine's user"
        )


def _list(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    params: JsonObject = {"state": "all"} if arguments.all else {}
    params = as_operator(arguments, settings, params)
    if arguments.mine:
        params = {**params, "mine": True, "id_token": reviewer_token(arguments, settings)}
    found = as_object(ask(settings, "grants.list", params)).get("grants")
    grants = [as_object(g) for g in found] if isinstance(found, list) else []
    if arguments.json:
        print(spelled_out(json.dumps(grants, indent=2, ensure_ascii=True), keep="\n"))
        return 0
    if not grants:
        print("no grants" if arguments.all else "nothing is open by an approval")
        return 0
    print(table([("ID", "STATE", "UNTIL", "USES", "WHO", "TARGET", "OPENS"), *map(_row, grants)]))
    return 0


def _row(grant: JsonObject) -> tuple[str, ...]:
    person, actor = as_text(grant.get("person")) or as_text(grant.get("principal")), as_text(grant.get("actor"))
    why = as_text(grant.get("ended_why"))
    return (
        said(as_text(grant.get("id"))),
        said(as_text(grant.get("state"))),
        moment(grant.get("expires_at")),
        said(grant.get("uses")),
        said(f"{person} by {actor}" if actor else person),
        said(as_text(grant.get("target"))),
        said(as_text(grant.get("opens"))) + (f" [{said(why)}]" if why else ""),
    )


def _revoke(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    params = as_operator(arguments, settings, {"id": arguments.id, "reason": arguments.reason})
    answer = as_object(ask(settings, "grants.revoke", params))
    print(f"{said(arguments.id)}: {said(as_text(answer.get('state')))}")
    nothing = "nothing else: no request or stream was open under it"
    print(f"ended {counted(as_object(answer.get('ended')), nothing=nothing)}")
    return 0
