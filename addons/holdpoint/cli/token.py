"""`holdpoint token`: an access token for scripts, or the credential that kubectl asks its plugin for."""

import argparse
import asyncio
import os
import shlex
import sys
from collections.abc import Generator
from contextlib import contextmanager

from holdpoint.cli import exec_credential
from holdpoint.cli.common import Commands, Failure
from holdpoint.cli.exec_credential import Asked
from holdpoint.cli.login import at_terminal, logins_at
from holdpoint.cli.login_arguments import add_login_arguments, where
from holdpoint.clock import SystemClock
from holdpoint.identity.errors import LoginEnded, LoginError
from holdpoint.identity.login import MARGIN, Logins
from holdpoint.identity.token_files import StoredTokens


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    token = commands.add_parser("token", help="print an access token for a target, refreshed if needed")
    add_login_arguments(token)
    token.set_defaults(run=_token)


def _token(arguments: argparse.Namespace) -> int:
    client = exec_credential.asked(os.environ)
    with _kept_for_the_token() as output:
        try:
            with where(arguments) as (issuer, resource):
                stored = asyncio.run(_tokens(arguments, logins_at(issuer), resource, client))
        except LoginEnded as error:
            if client is None:
                raise Failure(str(error)) from error
            raise Failure(f"nobody is logged in, and nobody is here to: run `{_login_command(arguments)}`") from error
        except LoginError as error:
            raise Failure(str(error)) from error
        line = stored.access_token
        if client is not None:
            line = exec_credential.answer(client.api_version, line, ask_again_at(stored, SystemClock().now()))
        os.write(output, f"{line}\n".encode())
    return 0


async def _tokens(arguments: argparse.Namespace, logins: Logins, resource: str, client: Asked | None) -> StoredTokens:
    if client is None or not client.is_interactive:
        return await logins.current(resource=resource)
    log_in = logins.by_code if arguments.device else logins.by_browser
    return await logins.current(resource=resource, otherwise=lambda: log_in(at_terminal(arguments), resource=resource))


def ask_again_at(stored: StoredTokens, now: float) -> float:
    """Return when the client shall ask for the next token: while this one still holds, where it holds that long."""
    early = stored.expires_at - MARGIN
    return early if early > now + 1 else stored.expires_at


def _login_command(arguments: argparse.Namespace) -> str:
    said = ["holdpoint", *(["--config", arguments.config] if arguments.config else []), "login"]
    for option in ("target", "issuer", "issuer_url", "client_id", "resource", "scope", "algorithm", "issuer_ca_data"):
        value = getattr(arguments, option)
        for each in [value] if isinstance(value, str) else value:
            if each:
                said += [f"--{option.replace('_', '-')}", each]
    return shlex.join([*said, *(["--device"] if arguments.device else [])])


@contextmanager
def _kept_for_the_token() -> Generator[int]:
    """Give the token standard output alone: what a browser prints there would be read as a part of it."""
    sys.stdout.flush()
    output = os.dup(1)
    try:
        os.dup2(2, 1)
        yield output
    finally:
        os.dup2(output, 1)
        os.close(output)
