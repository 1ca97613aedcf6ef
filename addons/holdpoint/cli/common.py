"""What the commands share: settings, the admin socket, and output that a terminal can take."""

import argparse
import os
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

from holdpoint.admin.client import AdminClient
from holdpoint.admin.errors import AdminError
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.settings import Settings
from holdpoint.settings_file import load_settings, resolve_settings_path

type Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001


class Failure(Exception):  # noqa: N818  # what the user reads
    """A command that could not be done. The message says why and what to do."""


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Read the settings that the command was pointed at. Raises ConfigError."""
    return load_settings(resolve_settings_path(arguments.config, os.environ), os.environ, check_machine=False)


def ask(settings: Settings, method: str, params: JsonObject) -> JsonValue:
    """Call one method of the running gateway. Raises Failure."""
    try:
        return AdminClient(settings.admin_socket).call_sync(method, params)
    except AdminError as error:
        # It may quote what a requester or another reviewer wrote: no line of theirs passes for one of ours.
        raise Failure("\n  ".join(map(shown, error.message.split("\n")))) from error


def shown(text: object) -> str:
    """Return text that cannot move the cursor, hide or reorder: what a requester wrote is shown, not obeyed."""
    return "".join(
        c if c.isprintable() and unicodedata.category(c) not in ("Cf", "Cc", "Co", "Cs") else f"<U+{ord(c):04X}>"
        for c in str(text)
    )


def moment(seconds: object) -> str:
    """Return a time in UTC, or nothing."""
    if not isinstance(seconds, int | float):
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Lay out rows in columns."""
    if not rows:
        return ""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)
