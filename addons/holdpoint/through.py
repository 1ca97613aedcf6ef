"""What the bytes of an upgraded connection pass through, as the wire sees it and the stages make it."""

from dataclasses import dataclass
from typing import Protocol

from holdpoint.domain.refusal import Refusal
from holdpoint.domain.values import JsonObject
from holdpoint.protocols.kubernetes.frames import Ending, Side


@dataclass(frozen=True, slots=True)
class Passed:
    """What is to be done after something arrived."""

    client: bytes = b""
    """What the client gets."""
    server: bytes = b""
    """What the server gets."""
    closes: bool = False
    """One side said that it is done with the connection."""
    wake: float | None = None
    """Seconds after which `tick` is called, if nothing else arrives."""
    ending: Ending | None = None
    """The last words for both: the gateway ends it."""


class Through(Protocol):
    """What the bytes of an upgraded connection pass through. No method raises, whatever happens in it."""

    def receive(self, side: Side, data: bytes) -> Passed:
        """Return what may pass on after these bytes of that side."""
        ...

    def tick(self) -> Passed:
        """Return what may pass on because some time went by."""
        ...

    def closed(self, side: Side) -> Passed:
        """Return what may pass on although its sender is gone. Nothing is asked after that."""
        ...

    def over(self) -> None:
        """Both connections end. Called once, and last."""
        ...


class Upgraded(Protocol):
    """An upgraded connection, as those see it who end it and write it down."""

    def last_words(self, refusal: Refusal) -> Ending:
        """Return what both sides are told last where the gateway ends it. Never raises; nothing passes after it."""
        ...

    def summary(self) -> JsonObject:
        """Return what the audit keeps of it."""
        ...

    def messages(self) -> dict[str, object]:
        """Return what the record keeps of what passed, as the state of a `mitmproxy.websocket.WebSocketData`."""
        ...
