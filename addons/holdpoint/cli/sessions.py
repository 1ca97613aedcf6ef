"""`holdpoint sessions list|show|replay`."""

from holdpoint.cli.common import Commands


def add(commands: Commands) -> None:
    """Add the commands of this group."""
