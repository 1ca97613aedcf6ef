"""What takes the place of a value: a mark to show, or a seal to digest."""

from typing import Protocol

from holdpoint.domain.mask import MaskAction
from holdpoint.domain.values import JsonValue
from holdpoint.masking.marks import Marker, needs_seal


class Render(Protocol):
    """Makes what stands in for a value."""

    def leaf(self, value: JsonValue, action: MaskAction) -> JsonValue:
        """Return what takes the place of a leaf under a masked path or key; the leaf itself to leave it."""
        ...

    def text(self, old: JsonValue, new: str, count: int) -> JsonValue:
        """Return what takes the place of a leaf in which `count` things were masked, which made it `new`."""
        ...

    def name(self, old: str, new: str) -> str:
        """Return what takes the place of a member's name."""
        ...


class Seal:
    """Replaces every masked leaf whole, by its keyed hash: for digests."""

    def __init__(self, marker: Marker) -> None:
        self._marker = marker

    def leaf(self, value: JsonValue, action: MaskAction) -> JsonValue:
        """Seal anything but null. A mark is sealed too: it is not the value it may stand for."""
        del action
        return None if value is None else self._marker.seal(value)

    def text(self, old: JsonValue, new: str, count: int) -> JsonValue:
        """Seal what holds something to mask, and what looks sealed: else two requests could share a digest."""
        return self._marker.seal(old) if count or needs_seal(new) else old

    def name(self, old: str, new: str) -> str:
        """Seal a name."""
        del new
        return self._marker.seal(old)


class Show:
    """Replaces masked values by marks."""

    def __init__(self, marker: Marker) -> None:
        self._marker = marker

    def leaf(self, value: JsonValue, action: MaskAction) -> JsonValue:
        """Mark anything but null and marks."""
        return self._marker.leaf(value, action)

    def text(self, old: JsonValue, new: str, count: int) -> JsonValue:
        """Take the masked text."""
        return new if count else old

    def name(self, old: str, new: str) -> str:
        """Take the masked name."""
        del old
        return new
