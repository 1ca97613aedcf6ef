"""`holdpoint login` and `holdpoint token`, for people at a terminal."""

import argparse
import asyncio
import os
import sys
import webbrowser
from pathlib import Path

from holdpoint.cli.common import Commands, Failure, settings_of
from holdpoint.clock import SystemClock
from holdpoint.identity.errors import LoginError
from holdpoint.identity.login import Logins, Terminal, where_to_log_in
from holdpoint.identity.token_files import TokenFiles
from holdpoint.settings import Issuer, Settings


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    login = commands.add_parser("login", help="log in, in a browser or with a code")
    login.add_argument("--target", default="", help="target to get a token for (default: the only one)")
    login.add_argument("--issuer", default="", help="issuer to log in at (default: the only one that fits)")
    login.add_argument("--device", action="store_true", help="log in with a code on another machine")
    login.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    login.set_defaults(run=_login)
    token = commands.add_parser("token", help="print an access token for a target, refreshed if needed")
    token.add_argument("--target", default="", help="target that the token is for (default: the only one)")
    token.add_argument("--issuer", default="", help="issuer to use (default: the only one that fits)")
    token.set_defaults(run=_token)


def token_folder() -> Path:
    """Return where tokens are kept: `$HOLDPOINT_TOKENS`, or the user's configuration folder (XDG Base Directory)."""
    if named := os.environ.get("HOLDPOINT_TOKENS"):
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "holdpoint" / "tokens"


def _target(arguments: argparse.Namespace, settings: Settings) -> str:
    if arguments.target:
        return str(arguments.target)
    if len(settings.targets) == 1:
        return settings.targets[0].name
    names = ", ".join(f"`{t.name}`" for t in settings.targets)
    raise Failure(f"say which target with --target: {names}")


def _logins(issuer: Issuer) -> Logins:
    return Logins(issuer, TokenFiles(token_folder()), SystemClock())


def _login(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    try:
        issuer, resource = where_to_log_in(settings, _target(arguments, settings), issuer=arguments.issuer)
        logins = _logins(issuer)
        opened = None if arguments.no_browser else webbrowser.open
        terminal = Terminal(lambda line: print(line, file=sys.stderr, flush=True), opened)
        work = (logins.by_code if arguments.device else logins.by_browser)(terminal, resource=resource)
        asyncio.run(work)
    except LoginError as error:
        raise Failure(str(error)) from error
    print(f"logged in at {issuer.name}", file=sys.stderr)
    return 0


def _token(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    try:
        issuer, resource = where_to_log_in(settings, _target(arguments, settings), issuer=arguments.issuer)
        print(asyncio.run(_logins(issuer).access_token(resource=resource)))
    except LoginError as error:
        raise Failure(str(error)) from error
    return 0


def reviewer_token(arguments: argparse.Namespace, settings: Settings) -> str:
    """Return the ID token of the reviewer who is logged in. Raises Failure."""
    named = settings.reviewers.issuers
    fit = [
        i
        for i in settings.issuers
        if i.login_client_id and (not named or i.name in named) and arguments.issuer in ("", i.name)
    ]
    if not fit:
        raise Failure("no issuer in the settings offers a login for reviewers")
    failure: LoginError | None = None
    for issuer in fit:
        try:
            return asyncio.run(_logins(issuer).id_token(max_age=settings.reviewers.max_age))
        except LoginError as error:
            failure = error
    raise Failure(f"{failure}")
