"""Terminal output with its control sequences (ECMA-48, xterm) told apart from what a person reads."""

import re
from bisect import bisect_right
from dataclasses import dataclass

_SEQUENCE = (
    rb"\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    rb"|\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)"  # OSC: titles, links
    rb"|[PX^_][^\x1b\n]{0,4096}\x1b\\"  # DCS, SOS, PM, APC
    rb"|[ -/]*[0-Z\\^-~]"  # the rest, two or three bytes
)
_UNSEEN = bytes((*range(9), 0x0E, 0x0F, 0x1B, 0x7F))
_QUIET = rb"[\x00-\x08\x0e\x0f\x7f]"
CONTROLS = re.compile(rb"[\x00-\x08\x0e\x0f\x1b\x7f](?:(?<=\x1b)(?:" + _SEQUENCE + rb")|(?<!\x1b)" + _QUIET + rb"+)?")
"""What leaves no mark on the screen of its own. It begins with a class of bytes, by which it is searched fast."""
_SEQUENCES = re.compile(rb"\x1b(?:" + _SEQUENCE + rb")?")
_SEEN = bytes(set(range(256)) - set(_UNSEEN))
_BINARY = 8
"""Where more than one byte in so many is a control, nobody reads it: such bytes then stand for themselves."""
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]{0,4096}\x1b?|[ -/]*)?\Z")
"""A sequence of which the end has not come."""


@dataclass(frozen=True, slots=True)
class Visible:
    """The bytes that a person reads, and where each of them stood."""

    raw: bytes
    text: bytes
    ends: int
    """Where in `raw` a sequence begins that is not whole; the length of `raw` where there is none."""
    _starts: tuple[int, ...]
    """Where runs without controls begin, in `text`."""
    _raw_starts: tuple[int, ...]
    """Where they begin in `raw`."""

    def raw_at(self, index: int) -> int:
        """Return where in `raw` the byte stands that is at `index` of `text`; past the last one: where `raw` ends."""
        if index >= len(self.text):
            return self.ends
        run = bisect_right(self._starts, index) - 1
        return self._raw_starts[run] + index - self._starts[run]

    def controls(self, begin: int, end: int) -> bytes:
        """Return the control sequences between two places of `raw`."""
        return b"".join(CONTROLS.findall(self.raw, begin, end))


def visible(raw: bytes) -> Visible:
    """Tell apart. Nothing is lost: `raw` can be written again from the result."""
    unseen = raw.translate(None, _SEEN)
    if not unseen:
        return Visible(raw, raw, len(raw), (0,), (0,))
    last = raw.rfind(b"\x1b")
    # A sequence that ends with ESC and a backslash may have come up to its ESC.
    begun = _BEGUN.search(raw, max(raw.rfind(b"\x1b", 0, last), 0)) if last >= 0 else None
    ends = begun.start() if begun else len(raw)
    parts: list[bytes] = []
    starts: list[int] = []
    raw_starts: list[int] = []
    at = size = 0
    is_binary = (len(unseen) - unseen.count(b"\x1b")) * _BINARY > len(raw)
    for found in (_SEQUENCES if is_binary else CONTROLS).finditer(raw, 0, ends):
        if found.start() > at:
            starts.append(size)
            raw_starts.append(at)
            parts.append(raw[at : found.start()])
            size += found.start() - at
        at = found.end()
    if ends > at:
        starts.append(size)
        raw_starts.append(at)
        parts.append(raw[at:ends])
    text = parts[0] if len(parts) == 1 else b"".join(parts)
    return Visible(raw, text, ends, tuple(starts), tuple(raw_starts))
