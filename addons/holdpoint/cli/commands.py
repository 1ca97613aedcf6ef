"""The command line: `holdpoint COMMAND`. Everything it does, it asks of the other packages."""

import argparse
import sys
from collections.abc import Sequence

from holdpoint import __version__
from holdpoint.cli import (
    approvals,
    audit,
    grants,
    kubeconfig,
    login,
    notices,
    pins,
    policy,
    principals,
    run,
    sessions,
    store,
    streams,
    token,
)
from holdpoint.cli.common import Failure
from holdpoint.domain.refusal import ConfigError, Refusal

EXIT_FAILED = 1
EXIT_USAGE = 2


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    top = argparse.ArgumentParser(prog="holdpoint", description="Hold points between agents and production.")
    top.add_argument("--version", action="version", version=f"holdpoint {__version__}")
    top.add_argument("--config", default="", help="path of gateway.yaml (default: $HOLDPOINT_CONFIG)")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    groups = (run, login, token, kubeconfig, approvals, grants, policy, pins, notices, streams, principals, sessions)
    for group in (*groups, store, audit):
        group.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 refused or failed, 2 wrong usage."""
    parsed = parser().parse_args(arguments)
    try:
        status = parsed.run(parsed)
    except (ConfigError, Failure) as error:
        print(f"holdpoint: {error}", file=sys.stderr)
        return EXIT_FAILED
    except Refusal as refusal:
        print(f"holdpoint: {refusal.public}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return EXIT_FAILED
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
