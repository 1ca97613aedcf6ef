"""Read a list of targets by name."""

from collections.abc import Mapping

from holdpoint.domain.access import Protocol
from holdpoint.located_yaml import Located


def read_targets(node: Located, known: Mapping[str, Protocol], *, none: str = "no targets") -> tuple[str, ...]:
    """Return names of known targets, each once. Raises ConfigError; `none` is what it says of an empty list."""
    found: list[str] = []
    for element in node.elements():
        text = element.text()
        if text not in known:
            names = ", ".join(f"`{t}`" for t in sorted(known)) or "none"
            raise element.error(f"unknown target `{text}`; known: {names}")
        if text in found:
            raise element.error(f"`{text}` is listed twice")
        found.append(text)
    if not found:
        raise node.error(none)
    return tuple(found)
