"""What a mask profile says, before the masking package compiles it."""

from dataclasses import dataclass
from enum import StrEnum

MARK_PATTERN = r"\[masked(?::hmac:[0-9a-f]{16}|:last4:[A-Za-z0-9_+/=.-]{4})?\]|\[sealed:[0-9a-f]{64}\]"
"""Regular expression of every mark that can stand in place of a value."""


class MaskAction(StrEnum):
    """What takes the place of a value."""

    REDACT = "redact"
    """`[masked]`, nothing else."""
    PARTIAL = "partial"
    """The last four characters stay, where at least twelve are hidden; otherwise as `redact`."""
    HASH = "hash"
    """A keyed hash: equal values look equal, and nothing more is told."""


@dataclass(frozen=True, slots=True)
class PathMask:
    """Mask by place: a JSONPath subset (RFC 9535): `$.a.b[*].c`, `$..key`, `*`, `['quoted']`, `[0]`."""

    path: str
    action: MaskAction = MaskAction.REDACT
    where: str = ""
    """`file:line`."""


@dataclass(frozen=True, slots=True)
class KeyMask:
    """Mask by key name anywhere, case-insensitive, with `*` as wildcard."""

    key: str
    action: MaskAction = MaskAction.REDACT
    where: str = ""


@dataclass(frozen=True, slots=True)
class DetectorMask:
    """Mask by what a string looks like: a built-in detector's name, or an RE2 pattern of one's own."""

    name: str
    pattern: str = ""
    """RE2; empty for a built-in. A group named `secret` masks that part only."""
    action: MaskAction = MaskAction.REDACT
    where: str = ""


@dataclass(frozen=True, slots=True)
class MaskProfile:
    """A named set of masks that rules can ask for."""

    name: str
    paths: tuple[PathMask, ...] = ()
    keys: tuple[KeyMask, ...] = ()
    detectors: tuple[DetectorMask, ...] = ()
    where: str = ""
