"""Terminal output with its control sequences (ECMA-48, xterm) told apart from what a person reads."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

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
_SEQUENCES = re.compile(rb"(\x1b(?:" + _SEQUENCE + rb")?)")
_QUIET_BYTES = _UNSEEN.replace(b"\x1b", b"")
_SEEN = bytes(set(range(256)) - set(_UNSEEN))
_BINARY = 8
"""Where more than one byte in so many is a control, nobody reads it: such bytes then stand for themselves."""
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]{0,4096}\x1b?|[ -/]*)?\Z")
"""A sequence of which the end has not come."""


class Visible:
    """The bytes that a person reads, and where each of them stood.

    Where they stood is found out when it is asked for: of most output nobody asks.
    """

    __slots__ = ("_parts", "_quiet", "_raw_starts", "_starts", "ends", "raw", "text")

    def __init__(self, raw: bytes, ends: int, parts: Sequence[bytes], quiet: bytes) -> None:
        """`parts`: runs without sequences, and the sequences between them; in the runs `quiet` is not seen."""
        self.raw = raw
        self.ends = ends
        """Where in `raw` a sequence begins that is not whole; the length of `raw` where there is none."""
        self._parts = parts
        self._quiet = quiet
        self._starts: list[int] = []
        """Where runs begin, in `text`."""
        self._raw_starts: list[int] = []
        """Where they begin in `raw`."""
        text = parts[0] if len(parts) == 1 else b"".join(parts[::2])
        self.text = text.translate(None, quiet) if quiet else text

    def raw_at(self, index: int) -> int:
        """Return where in `raw` the byte stands that is at `index` of `text`; past the last one: where `raw` ends."""
        if index >= len(self.text):
            return self.ends
        runs = self._parts[::2]
        if not self._starts:
            seen = (run.translate(None, self._quiet) for run in runs) if self._quiet else runs
            self._starts = list(accumulate(map(len, seen), initial=0))[:-1]
            self._raw_starts = list(accumulate(map(len, self._parts), initial=0))[:-1:2]
        run = bisect_right(self._starts, index) - 1
        return self._raw_starts[run] + _nth(runs[run], index - self._starts[run], self._quiet)

    def controls(self, begin: int, end: int) -> bytes:
        """Return the control sequences between two places of `raw`."""
        return b"".join(CONTROLS.findall(self.raw, begin, end))


def visible(raw: bytes) -> Visible:
    """Tell apart. Nothing is lost: `raw` can be written again from the result."""
    unseen = raw.translate(None, _SEEN)
    if not unseen:
        return Visible(raw, len(raw), (raw,), b"")
    last = raw.rfind(b"\x1b")
    # A sequence that ends with ESC and a backslash may have come up to its ESC.
    begun = _BEGUN.search(raw, max(raw.rfind(b"\x1b", 0, last), 0)) if last >= 0 else None
    ends = begun.start() if begun else len(raw)
    quiet = len(unseen) - unseen.count(b"\x1b")
    is_binary = quiet * _BINARY > len(raw)
    whole = raw[:ends]
    parts = _SEQUENCES.split(whole) if last >= 0 else (whole,)
    return Visible(raw, ends, parts, _QUIET_BYTES if quiet and not is_binary else b"")


def _nth(run: bytes, index: int, quiet: bytes) -> int:
    """Return where in `run` the byte stands that is at `index` once `quiet` is taken out."""
    if not quiet:
        return index
    low, high = 0, len(run)
    while high - low > 1:
        middle = (low + high) // 2
        seen = len(run[low:middle].translate(None, quiet))
        if seen <= index:
            low, index = middle, index - seen
        else:
            high = middle
    return low
