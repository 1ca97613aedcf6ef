"""The command line: `holdpoint COMMAND`."""

from holdpoint.cli.commands import main

__all__ = ["main"]
