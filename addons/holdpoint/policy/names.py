"""Read names that can stand in logs and links."""

import re

from holdpoint.located_yaml import Located

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


def read_name(node: Located) -> str:
    """Return a name that can stand in logs and links. Raises ConfigError."""
    text = node.text()
    if not _NAME.fullmatch(text):
        raise node.error(f"`{text}` is no name; use lower-case letters, digits, `-`, `_` and `.`, at most 63")
    return text
