"""Labels of few values: what callers and servers make up must not fill the memory, nor drown what is real."""

from dataclasses import replace
from typing import Final

from holdpoint.telemetry.ended import Ended

OTHER: Final = "other"
MOST_TOOLS: Final = 500
"""Tools with figures of their own, in the whole gateway. As many prompts."""
MOST_ERRORS: Final = 50
"""Kinds of errors with figures of their own, of one target: servers choose the codes of theirs."""


class Few:
    """Puts `other` in place of what is unknown, was not let through, or comes too late. For one thread."""

    def __init__(self, known_methods: frozenset[str]) -> None:
        self._methods = known_methods
        self._tools: set[tuple[str, str]] = set()
        self._prompts: set[tuple[str, str]] = set()
        self._errors: dict[str, set[str]] = {}

    def __call__(self, what: Ended) -> Ended:
        """Return an exchange as figures are kept of it."""
        return replace(
            what,
            method=what.method if not what.method or what.method in self._methods else OTHER,
            tool=_named(self._tools, what, what.tool),
            prompt=_named(self._prompts, what, what.prompt),
            error=self._error(what),
        )

    def _error(self, what: Ended) -> str:
        known = self._errors.setdefault(what.target, set())
        if what.error and what.error not in known:
            if len(known) >= MOST_ERRORS:
                return OTHER
            known.add(what.error)
        return what.error


def _named(known: set[tuple[str, str]], what: Ended, name: str) -> str:
    if not name:
        return ""
    if (what.target, name) not in known:
        if not what.permitted or len(known) >= MOST_TOOLS:
            return OTHER
        known.add((what.target, name))
    return name
