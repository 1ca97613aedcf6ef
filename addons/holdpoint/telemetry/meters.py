"""Whoever wants to know of exchanges that ended."""

import logging
from dataclasses import dataclass, field
from typing import Protocol

from holdpoint.telemetry.ended import Ended

logger = logging.getLogger(__name__)


class Meter(Protocol):
    """Takes note of exchanges. It must be quick, and nothing waits for what it does elsewhere."""

    def ended(self, what: Ended, /) -> None:
        """Take note."""
        ...

    def close(self) -> None:
        """Stop, within a few seconds. May block."""
        ...


@dataclass(slots=True)
class Meters:
    """All of them. A meter that fails is heard of in the log, and harms no request."""

    every: list[Meter] = field(default_factory=list[Meter])

    @property
    def wanted(self) -> bool:
        """Whether anybody takes note: without, nothing need be put together."""
        return bool(self.every)

    def ended(self, what: Ended) -> None:
        """Tell every meter."""
        for meter in self.every:
            try:
                meter.ended(what)
            except Exception:
                logger.exception("a meter failed on an exchange with target `%s`", what.target)

    def close(self) -> None:
        """Stop every meter."""
        for meter in self.every:
            try:
                meter.close()
            except Exception:
                logger.exception("a meter could not be closed")
