"""`holdpoint login`, for people at a terminal, and the tokens it keeps."""

import argparse
import asyncio
import os
import sys
import webbrowser
from pathlib import Path

from holdpoint.cli.common import Commands, Failure
from holdpoint.cli.login_arguments import add_login_arguments, where
from holdpoint.clock import SystemClock
from holdpoint.identity.errors import LoginError
from holdpoint.identity.login import Logins, Terminal
from holdpoint.identity.token_files import TokenFiles
from holdpoint.settings import Issuer, Settings


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    login = commands.add_parser("login", help="log in, in a browser or with a code")
    add_login_arguments(login)
    login.set_defaults(run=_login)


def token_folder() -> Path:
    """Return where tokens are kept: `$HOLDPOINT_TOKENS`, or the user's configuration folder (XDG Base Directory)."""
    if named := os.environ.get("HOLDPOINT_TOKENS"):
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "holdpoint" / "tokens"


def logins_at(issuer: Issuer) -> Logins:
    """Return the logins at an issuer that this user keeps."""
    return Logins(issuer, TokenFiles(token_folder()), SystemClock())


def _login(arguments: argparse.Namespace) -> int:
    try:
        with where(arguments) as (issuer, resource):
            logins = logins_at(issuer)
            work = (logins.by_code if arguments.device else logins.by_browser)(
                at_terminal(arguments), resource=resource
            )
            asyncio.run(work)
    except LoginError as error:
        raise Failure(str(error)) from error
    print(f"logged in at {issuer.name}", file=sys.stderr)
    return 0


def at_terminal(arguments: argparse.Namespace) -> Terminal:
    """Return how a login reaches the person: by standard error, and a browser unless there is none."""
    opened = None if arguments.no_browser else webbrowser.open
    return Terminal(lambda line: print(line, file=sys.stderr, flush=True), opened)


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
            return asyncio.run(logins_at(issuer).id_token(max_age=settings.reviewers.max_age))
        except LoginError as error:
            failure = error
    raise Failure(f"{failure}")
