"""`holdpoint pins list|show|diff|approve|forget|export`."""

import argparse
import json
import sys
from pathlib import Path

from holdpoint.cli.common import Commands, Failure, ask, moment, settings_of, shown, table
from holdpoint.cli.login import reviewer_token
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.settings import Settings
from holdpoint.visible_text import spelled_out

_FINGERPRINT_SHOWN = 19  # `sha256:` and twelve digits: enough to tell two apart, never enough to approve by


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("pins", help="definitions of tools: list, show, diff, approve, forget, export")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the tools of MCP targets, and how their definitions stand")
    listing.add_argument("--target", default="", help="only those of this target")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=_list)
    for name, run, help_text in (
        ("show", _show, "show what a server says of a tool, and what is hidden in it"),
        ("diff", _diff, "show how a tool's definition differs from the approved one"),
    ):
        parser = actions.add_parser(name, help=help_text)
        parser.add_argument("target")
        parser.add_argument("tool")
        parser.add_argument("--json", action="store_true", help="as JSON")
        parser.set_defaults(run=run)
    approve = actions.add_parser("approve", help="approve a tool's definition as it was read")
    approve.add_argument("target")
    approve.add_argument("tool", nargs="?", default="", help="or --all")
    approve.add_argument("--fingerprint", default="", help="definition that you read; without it you are asked")
    approve.add_argument("--also", action="store_true", help="beside those approved before, not in their place")
    approve.add_argument("--all", action="store_true", help="every tool that waits; you are asked for each")
    approve.add_argument("--issuer", default="", help="name yourself by your login at this issuer, not by user alone")
    approve.set_defaults(run=_approve)
    forget = actions.add_parser("forget", help="forget a tool: the next time it is listed is the first")
    forget.add_argument("target")
    forget.add_argument("tool")
    forget.add_argument("--issuer", default="", help="name yourself by your login at this issuer, not by user alone")
    forget.set_defaults(run=_forget)
    export = actions.add_parser("export", help="write a pin file of everything that is approved")
    export.add_argument("target")
    export.add_argument("--output", type=Path, help="a new file (default: standard output)")
    export.set_defaults(run=_export)


def _print_json(value: JsonValue) -> int:
    print(spelled_out(json.dumps(value, indent=2, ensure_ascii=True), keep="\n"))
    return 0


def _tools(settings: Settings, target: str) -> list[JsonObject]:
    found = as_object(ask(settings, "pins.list", {"target": target})).get("tools")
    return [as_object(t) for t in found] if isinstance(found, list) else []


def _list(arguments: argparse.Namespace) -> int:
    tools = _tools(settings_of(arguments), arguments.target)
    if arguments.json:
        return _print_json([*tools])
    if not tools:
        print("no tool was listed yet")
        return 0
    rows = [("TARGET", "TOOL", "STATE", "SINCE", "FINGERPRINT", "WHY")]
    rows += [
        (
            shown(t.get("target")),
            shown(t.get("tool")),
            as_text(t.get("state")),
            moment(t.get("since")),
            as_text(t.get("fingerprint"))[:_FINGERPRINT_SHOWN],
            shown(as_text(t.get("why"))) or f"by {shown(as_text(t.get('approved_by')))}",
        )
        for t in tools
    ]
    print(table(rows))
    waiting = sum(t.get("state") != "pinned" for t in tools)
    if waiting:
        print(f"\n{waiting} of {len(tools)} wait: see `holdpoint pins diff TARGET TOOL`")
    return 0


def _named(arguments: argparse.Namespace) -> JsonObject:
    return {"target": arguments.target, "tool": arguments.tool}


def _show(arguments: argparse.Namespace) -> int:
    answer = as_object(ask(settings_of(arguments), "pins.show", _named(arguments)))
    if arguments.json:
        return _print_json(answer)
    print(f"{shown(answer.get('tool'))} on {shown(answer.get('target'))}: {as_text(answer.get('state'))}")
    definitions = answer.get("definitions")
    for one in map(as_object, definitions if isinstance(definitions, list) else []):
        print(f"\n{as_text(one.get('fingerprint'))}: {as_text(one.get('state'))}, {moment(one.get('first_at'))}")
        if why := as_text(one.get("why")):
            print(f"  {shown(why)}")
        if by := as_text(one.get("approved_by")):
            print(f"  approved by {shown(by)}, {moment(one.get('approved_at'))}")
        _print_hidden(one)
        definition = one.get("definition")
        if definition:
            text = json.dumps(definition, indent=2, ensure_ascii=False)
            print("\n".join(f"  {spelled_out(line)}" for line in text.split("\n")))
        else:
            print(f"  {one.get('size')} bytes: too large to be kept")
    return 0


def _print_hidden(answer: JsonObject) -> None:
    found = answer.get("hidden")
    for finding in map(as_object, found if isinstance(found, list) else []):
        text = spelled_out(as_text(finding.get("shown")))
        print(f"  HIDDEN {as_text(finding.get('kind'))} in {shown(finding.get('path'))}: {text}")


def _diff(arguments: argparse.Namespace) -> int:
    answer = as_object(ask(settings_of(arguments), "pins.diff", _named(arguments)))
    if arguments.json:
        return _print_json(answer)
    _print_diff(answer)
    return 0


def _print_diff(answer: JsonObject) -> None:
    print(f"{shown(answer.get('tool'))} on {shown(answer.get('target'))}: {as_text(answer.get('state'))}")
    if why := as_text(answer.get("why")):
        print(f"  {shown(why)}")
    _print_hidden(answer)
    print(f"--- {as_text(answer.get('before')) or 'nothing was approved'}")
    print(f"+++ {as_text(answer.get('after'))}")
    lines = answer.get("lines")
    for line in lines if isinstance(lines, list) else []:
        print(spelled_out(as_text(line)))


def _approve(arguments: argparse.Namespace) -> int:
    if bool(arguments.tool) == arguments.all:
        raise Failure("name one tool, or say --all")
    if arguments.all and arguments.fingerprint:
        raise Failure("a fingerprint is one tool's: name it, and leave --all out")
    settings = settings_of(arguments)
    if not arguments.all:
        return _approve_one(arguments, settings, arguments.tool, arguments.fingerprint)
    waiting = [as_text(t.get("tool")) for t in _tools(settings, arguments.target) if t.get("state") != "pinned"]
    if not waiting:
        print("nothing waits")
    return max([_approve_one(arguments, settings, tool, "") for tool in waiting], default=0)


def _approve_one(arguments: argparse.Namespace, settings: Settings, tool: str, fingerprint: str) -> int:
    named: JsonObject = {"target": arguments.target, "tool": tool}
    if not fingerprint:
        fingerprint = _read(settings, named)
        if not fingerprint:
            return 1
    params: JsonObject = {**named, "fingerprint": fingerprint, "also": arguments.also}
    if arguments.issuer:
        params["id_token"] = reviewer_token(arguments, settings)
    answer = as_object(ask(settings, "pins.approve", params))
    if refused := as_text(answer.get("refused")):
        print(spelled_out(as_text(answer.get("entry")), keep="\n"), end="")
        raise Failure(refused)
    print(f"{shown(tool)}: {as_text(answer.get('state'))}")
    if answer.get("state") != "pinned":
        raise Failure("the server has shown another definition since, which nobody has looked at")
    return 0


def _read(settings: Settings, named: JsonObject) -> str:
    """Show a definition to a person, and return its fingerprint if they approve."""
    answer = as_object(ask(settings, "pins.diff", named))
    _print_diff(answer)
    if not sys.stdin.isatty():
        raise Failure("nobody is there to ask: say what was read with --fingerprint")
    said = input("approve this definition? [y/N] ")
    return as_text(answer.get("after")) if said.strip().lower() in ("y", "yes") else ""


def _forget(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    params = _named(arguments)
    if arguments.issuer:
        params["id_token"] = reviewer_token(arguments, settings)
    ask(settings, "pins.forget", params)
    print(f"{shown(arguments.tool)}: forgotten")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    text = as_text(as_object(ask(settings_of(arguments), "pins.export", {"target": arguments.target})).get("file"))
    if arguments.output is None:
        print(text, end="")
        return 0
    try:
        with arguments.output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Failure(f"`{arguments.output}` exists: write a new file and compare the two") from None
    except OSError as error:
        raise Failure(f"`{arguments.output}` cannot be written: {error.strerror}") from error
    print(f"wrote {arguments.output}")
    return 0
