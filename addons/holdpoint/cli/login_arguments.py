"""Where to log in, as commands are told: by the gateway's settings, or by arguments on a machine that has none."""

import argparse
import base64
import binascii
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from holdpoint.cli.common import Failure, settings_of
from holdpoint.identity.fetch import is_trustworthy
from holdpoint.identity.keys import ALGORITHMS
from holdpoint.identity.login import where_to_log_in
from holdpoint.settings import Issuer, Settings

DEFAULT_SCOPES = ("openid", "email", "profile")


def add_login_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say where to log in."""
    command.add_argument("--target", default="", help="target to get a token for (default: the only one)")
    command.add_argument("--issuer", default="", help="issuer to log in at (default: the only one that fits)")
    command.add_argument("--issuer-url", default="", help="issuer by its URL: no settings are read")
    command.add_argument("--client-id", default="", help="with --issuer-url: the public client to log in as")
    command.add_argument("--resource", default="", help="with --issuer-url: the audience to ask for")
    command.add_argument("--scope", action="append", default=[], help="with --issuer-url: a scope; may be repeated")
    command.add_argument("--algorithm", action="append", default=[], help="with --issuer-url: one that may sign")
    command.add_argument("--issuer-ca-data", default="", help="with --issuer-url: PEM of its authority, in base64")
    command.add_argument("--device", action="store_true", help="log in with a code on another machine")
    command.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")


def login_arguments(issuer: Issuer, resource: str) -> list[str]:
    """Return the arguments by which a machine without settings finds the same login. Raises OSError."""
    said = ["--issuer-url", issuer.url, "--client-id", issuer.login_client_id, "--resource", resource]
    for scope in issuer.login_scopes:
        said += ["--scope", scope]
    for algorithm in sorted(issuer.algorithms):
        said += ["--algorithm", algorithm]
    if issuer.ca_file is not None:
        said += ["--issuer-ca-data", base64.b64encode(issuer.ca_file.read_bytes()).decode()]
    return said


@contextmanager
def where(arguments: argparse.Namespace) -> Generator[tuple[Issuer, str]]:
    """Find the issuer to log in at and the resource to ask for. Raises Failure, ConfigError, LoginError."""
    if not arguments.issuer_url:
        if arguments.client_id or arguments.resource or arguments.issuer_ca_data:
            raise Failure("--client-id, --resource and --issuer-ca-data go with --issuer-url")
        settings = settings_of(arguments)
        yield where_to_log_in(settings, target_of(arguments, settings), issuer=arguments.issuer)
        return
    issuer = _issuer(arguments)
    if not arguments.issuer_ca_data:
        yield issuer, str(arguments.resource)
        return
    with TemporaryDirectory(prefix="holdpoint-") as folder:
        file = Path(folder) / "issuer-ca.pem"
        try:
            file.write_bytes(base64.b64decode(arguments.issuer_ca_data, validate=True))
        except binascii.Error:
            raise Failure("--issuer-ca-data is not base64") from None
        yield replace(issuer, ca_file=file), str(arguments.resource)


def _issuer(arguments: argparse.Namespace) -> Issuer:
    url = str(arguments.issuer_url)
    if not is_trustworthy(url):
        raise Failure("--issuer-url must be https, or on loopback")
    if not arguments.client_id or not arguments.resource:
        raise Failure("--issuer-url needs --client-id and --resource")
    algorithms = frozenset(arguments.algorithm) or ALGORITHMS
    if not algorithms <= ALGORITHMS:
        raise Failure(f"--algorithm must be one of {', '.join(sorted(ALGORITHMS))}")
    return Issuer(
        name=urlsplit(url).netloc,
        url=url,
        algorithms=algorithms,
        audiences=frozenset({str(arguments.resource)}),
        login_client_id=str(arguments.client_id),
        login_scopes=tuple(arguments.scope) or DEFAULT_SCOPES,
    )


def target_of(arguments: argparse.Namespace, settings: Settings) -> str:
    """Return the target that is named, or the only one. Raises Failure."""
    if arguments.target:
        return str(arguments.target)
    if len(settings.targets) == 1:
        return settings.targets[0].name
    names = ", ".join(f"`{t.name}`" for t in settings.targets)
    raise Failure(f"say which target with --target: {names}")
