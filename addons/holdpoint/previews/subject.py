"""What a request touches, and lines about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdpoint.domain.access import KubeObject
from holdpoint.domain.values import JsonObject

NAMES: Final = 10
"""Names in one line."""

type Lines = list[JsonObject]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is touched."""

    what: KubeObject
    verb: str
    live: JsonObject
    then: JsonObject
    """The object as it would be, empty where it would be gone."""
    propagation: str = ""
    """`Orphan`, `Foreground`, `Background`, or empty."""

    @property
    def is_removed(self) -> bool:
        """Whether it would be gone."""
        return not self.then

    @property
    def kind(self) -> tuple[str, str]:
        """Group and resource."""
        return self.what.group, self.what.resource


def line(what: str, text: str) -> JsonObject:
    """Return one line."""
    return {"what": what, "text": text}


def listed(names: Sequence[str], total: str = "") -> str:
    """Return names, the first of many."""
    shown = ", ".join(names[:NAMES])
    return f"{shown} and others" if len(names) > NAMES or (total and total != str(len(names))) else shown
