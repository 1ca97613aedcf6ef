"""`holdpoint kubeconfig TARGET`: what kubectl needs to go through the gateway."""

import argparse
import base64
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdpoint.cli.common import Commands, Failure, settings_of
from holdpoint.cli.exec_credential import VERSIONS
from holdpoint.cli.kubeconfig_file import Entry, merged, new
from holdpoint.cli.kubeconfig_trust import authority_of_forward, authority_of_reverse
from holdpoint.cli.kubeconfig_write import change, default_path
from holdpoint.cli.login_arguments import login_arguments
from holdpoint.domain.access import Protocol
from holdpoint.identity.errors import LoginError
from holdpoint.identity.login import where_to_log_in
from holdpoint.private_files import create_private
from holdpoint.settings import Listener, Settings, Target

TOKEN_FILE = "/var/run/secrets/holdpoint/token"  # noqa: S105  # a path
"""Where the manifests under docs/manifests mount the projected service-account token."""


def add(commands: Commands) -> None:
    """Add the command of this group."""
    command = commands.add_parser("kubeconfig", help="write a kubeconfig that goes through the gateway")
    command.add_argument("target", help="target with `protocol: kubernetes`")
    command.add_argument("--proxy", action="store_true", help="the cluster's own URL through the forward listener")
    command.add_argument("--listener", default="", help="listener to come in by (default: the only one that fits)")
    command.add_argument("--in-pod", action="store_true", help="for a pod: a projected service-account token, no login")
    command.add_argument("--token-file", default=TOKEN_FILE, help="with --in-pod: where the token is mounted")
    command.add_argument("--issuer", default="", help="issuer to log in at (default: the only one that fits)")
    command.add_argument("--device", action="store_true", help="log in with a code on another machine")
    command.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    command.add_argument("--program", default="holdpoint", help="how kubectl starts this program")
    command.add_argument("--ca", type=Path, help="PEM of the authority of the listener's certificate")
    command.add_argument("--context", default="", help="name of context, cluster and user (default: holdpoint-TARGET)")
    command.add_argument("--namespace", default="", help="namespace of the context")
    place = command.add_mutually_exclusive_group()
    place.add_argument("--output", type=Path, help="a new file (default: standard output)")
    place.add_argument(
        "--merge", type=Path, nargs="?", const=default_path(), help="an existing file, and keep the rest"
    )
    command.add_argument("--replace", action="store_true", help="with --merge: replace entries of the same name")
    command.add_argument("--use", action="store_true", help="with --merge: make it the current context")
    command.set_defaults(run=_kubeconfig)


def _kubeconfig(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    target = _target(settings, arguments.target)
    entry = Entry(
        name=arguments.context or f"holdpoint-{target.name}",
        cluster=_cluster(arguments, settings, target),
        user={"tokenFile": arguments.token_file} if arguments.in_pod else _plugin(arguments, settings, target),
        namespace=arguments.namespace,
    )
    if arguments.merge is not None:
        file: Path = arguments.merge
        change(file, lambda text: merged(text, entry, replace=arguments.replace, use=arguments.use, where=str(file)))
        print(f"context `{entry.name}` is in {file}", file=sys.stderr)
    elif arguments.output is not None:
        create_private(arguments.output, new(entry).encode())
    else:
        print(new(entry), end="")
    return 0


def _target(settings: Settings, name: str) -> Target:
    of_kubernetes = {t.name: t for t in settings.targets if t.protocol is Protocol.KUBERNETES}
    if name not in of_kubernetes:
        known = ", ".join(f"`{each}`" for each in of_kubernetes)
        raise Failure(
            f"there is no target `{name}` with `protocol: kubernetes`" + (f"; known: {known}" if known else "")
        )
    return of_kubernetes[name]


def _cluster(arguments: argparse.Namespace, settings: Settings, target: Target) -> dict[str, Any]:
    listener = _listener(settings, "forward" if arguments.proxy else "reverse", arguments.listener)
    made: dict[str, Any] = {}
    if arguments.proxy:
        if target.scheme != "https":
            raise Failure(f"target `{target.name}` speaks plain HTTP, and kubectl sends no token over it")
        authority = authority_of_forward(settings.keys.ca_folder, listener, arguments.ca)
        made = {"server": _url_of(target), "proxy-url": listener.url}
    else:
        if listener.tls is None:
            # clientcmd leaves credentials out of a configuration whose server is not https.
            raise Failure(
                f"listener `{listener.name}` speaks plain HTTP, and kubectl sends no token over it: give it `tls`, or "
                "use --proxy"
            )
        authority = authority_of_reverse(listener, arguments.ca)
        made = {"server": _entry_of(listener, target)}
        if not authority:
            print(
                f"holdpoint: the certificate of listener `{listener.name}` has no authority in its file: clients trust "
                "those of their system, or the one that --ca names",
                file=sys.stderr,
            )
    if authority:
        made["certificate-authority-data"] = base64.b64encode(authority).decode()
    return made


def _listener(settings: Settings, mode: str, name: str) -> Listener:
    fit = [each for each in settings.listeners if each.mode == mode and name in ("", each.name)]
    if len(fit) == 1:
        return fit[0]
    if not fit:
        raise Failure(f"no listener `{name}` with `mode: {mode}`" if name else f"no listener has `mode: {mode}`")
    secure = [each for each in fit if each.tls is not None]
    if mode == "reverse" and len(secure) == 1:
        return secure[0]
    raise Failure(f"say which listener with --listener: {', '.join(f'`{each.name}`' for each in fit)}")


def _entry_of(listener: Listener, target: Target) -> str:
    if target.routes:
        return f"{listener.url}{target.routes[0]}"
    if not target.hosts:
        raise Failure(f"target `{target.name}` has neither `routes` nor `hosts` on reverse listeners: use --proxy")
    return f"https://{target.hosts[0]}:{listener.address.port}"


def _url_of(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    port = "" if target.port == (443 if target.scheme == "https" else 80) else f":{target.port}"
    return f"{target.scheme}://{host}{port}{target.path}"


def _plugin(arguments: argparse.Namespace, settings: Settings, target: Target) -> dict[str, Any]:
    try:
        issuer, resource = where_to_log_in(settings, target.name, issuer=arguments.issuer)
        said = ["token", *login_arguments(issuer, resource)]
    except LoginError as error:
        raise Failure(f"{error}; for a pod there is --in-pod") from error
    except OSError as error:
        raise Failure(f"the authority of the issuer cannot be read: {error.strerror}") from error
    said += [option for option in ("--device", "--no-browser") if getattr(arguments, option[2:].replace("-", "_"))]
    return {"exec": _exec(arguments.program, said)}


def _exec(program: str, said: Sequence[str]) -> dict[str, Any]:
    return {
        "apiVersion": VERSIONS[0],
        "command": program,
        "args": list(said),
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": False,
        # No index is named: what stands there under this name may be somebody else's, and would be given credentials.
        "installHint": "kubectl logs in to this cluster by `holdpoint token`: install the wheel that your platform "
        "team gives out, or run `pip install .` in a clone of its repository, and see that it is on your PATH. The "
        "package of this name on PyPI is another program",
    }
