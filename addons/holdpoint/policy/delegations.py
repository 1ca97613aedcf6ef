"""Who stands in for whom, from when until when: absence, written down before it begins."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delegation:
    """One person's or group's say, lent for a time."""

    lent: str
    """`group:NAME` or `person:NAME`: in whose name others may approve."""
    to: frozenset[str]
    """`group:NAME` or `person:NAME`."""
    start: float
    end: float
    """Unix seconds; at `end` it is over."""
    reason: str
    where: str = ""
    """`file:line`."""


@dataclass(frozen=True, slots=True)
class Delegations:
    """All delegations of a bundle. They do not add up: what is lent cannot be lent on."""

    all: tuple[Delegation, ...] = ()

    def acting_for(self, person: str, groups: Iterable[str], at: float) -> frozenset[str]:
        """Return in whose names a person may approve at a time (Unix seconds). Nobody's without a person."""
        if not person:
            return frozenset()
        own = {f"person:{person}", *(f"group:{g}" for g in groups)}
        return frozenset(d.lent for d in self.all if d.start <= at < d.end and own & d.to) - own
