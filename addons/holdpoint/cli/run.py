"""`holdpoint run`, `console` and `status`: the gateway is mitmdump, with every option set from the first instant."""

import argparse
import os
import sys
from pathlib import Path

from holdpoint.admin.client import AdminClient
from holdpoint.cli.common import Commands, ask, settings_of, shown
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.values import JsonValue, as_object
from holdpoint.keys import open_console_key
from holdpoint.secrets import read_secret
from holdpoint.settings_file import resolve_settings_path


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    run = commands.add_parser("run", help="run the gateway")
    run.set_defaults(run=_run)
    console = commands.add_parser("console", help="run the reviewers' web console")
    console.set_defaults(run=_console)
    status = commands.add_parser("status", help="ask the running gateway how it is")
    status.set_defaults(run=_status)


def gateway_script() -> Path:
    """Return the entry script: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    for script in (package / "scripts" / "gateway.py", package.parent / "gateway.py"):
        if script.is_file():
            return script
    raise ConfigError("the gateway script is missing: install holdpoint again")


def command(config: Path) -> list[str]:
    """Return the command that starts the gateway. Nothing is bound before the settings are read (`server=false`)."""
    options = {
        "holdpoint_config": str(config),
        "server": "false",
        "connection_strategy": "lazy",
        "rawtcp": "false",
        "onboarding": "false",
        "flow_detail": "0",
    }
    flags = [flag for name, value in options.items() for flag in ("--set", f"{name}={value}")]
    return [
        sys.executable,
        "-c",
        "from mitmproxy.tools.main import mitmdump; mitmdump()",
        "-s",
        str(gateway_script()),
        *flags,
    ]


def _run(arguments: argparse.Namespace) -> int:
    config = resolve_settings_path(arguments.config, os.environ).resolve()
    argv = command(config)
    os.execv(argv[0], argv)  # noqa: S606  # the gateway takes the place of this process: one process, one life


def _console(arguments: argparse.Namespace) -> int:
    from holdpoint.console import serve  # noqa: PLC0415  # the web stack is for this command only
    from holdpoint.console.signing import Signing  # noqa: PLC0415  # as above

    settings = settings_of(arguments)
    console = settings.console
    if console is None:
        raise ConfigError("no `console:` in the settings", where=str(settings.file))
    secret = read_secret(console.client_secret, os.environ).reveal() if console.client_secret else ""
    serve.run(
        console,
        settings.issuer(console.issuer),
        AdminClient(settings.admin_socket),
        client_secret=secret,
        reviewers=settings.reviewers,
        signing=Signing(
            open_console_key(console.signing[0]) if console.signing else None,
            required=settings.reviewers.signed,
            again=settings.reviewers.confirm == "login",
        ),
        on_ready=lambda: print(f"holdpoint: the console is at {console.url}", flush=True),
    )
    return 0


def _status(arguments: argparse.Namespace) -> int:
    answer = as_object(ask(settings_of(arguments), "status", {}))
    for name, value in answer.items():
        print(f"{name}: {shown(_in_words(value))}")
    return 0 if answer.get("healthy") else 1


def _in_words(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items()) or "none"
    return str(value) if value not in ("", None) else "none"
