"""`holdpoint audit verify|export`."""

from holdpoint.cli.common import Commands


def add(commands: Commands) -> None:
    """Add the commands of this group."""
