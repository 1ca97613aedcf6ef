"""Output of a terminal, masked as it is shown.

What passes is what the masker leaves of the visible text, read together with what was shown just before, so that a
secret is found though it comes in pieces or changes its colour in the middle. The end of what came, where it may be the
beginning of a secret, is kept back until more comes or until `flush`: whoever feeds this calls it FLUSH_AFTER seconds
after the last piece. What then was shown cannot be taken back; what follows of the same secret is still masked.

Bytes in which nothing is found pass unchanged, text or not.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from holdpoint.masking.ansi import Visible, visible
from holdpoint.masking.marks import MARK, MASKED
from holdpoint.masking.masker import Masker

FLUSH_AFTER = 0.05
"""Seconds for which anything may be kept back."""
_CONTEXT = 4 << 10
"""Bytes of what was shown that are read again with what comes: a private key of RSA 4096 fits."""
_MAX_CONTEXT = 64 << 10
"""Bytes, where a masked value goes on and on."""
_MAX_HELD = 64 << 10
_MAX_TAIL = 4 << 10
"""Bytes of an unfinished line that wait for more."""
_BULK = 1 << 10
"""Bytes that nobody types or prompts with: where such a piece ends says nothing."""
_ECHO = 3
"""Bytes of the echo of one key."""
_QUOTED_MARK = re.compile(rb"\"?(?:" + MARK.pattern + rb")\"?")
"""In text that may be YAML the masker puts a mark in quotes."""
_TOKEN = re.compile(rb"[^\s]*\Z")
_PROMPT = re.compile(rb"[$#>%:?)\]]\Z")
_ASCII = bytes(byte if byte < 0x80 else 0x1A for byte in range(256))  # noqa: PLR2004  # where ASCII ends
"""Puts the control SUBSTITUTE (ECMA-48) in place of whatever is no ASCII."""
_BEGINS = re.compile(
    rb"AKIA|ASIA|ABIA|ACCA|k8s-aws|e[wy][A-Za-z0-9_-]{2}|-----B|AGE-S|PuTTY-U|gh[pousr]_|github_p|gl[a-z]{2,6}-|xox[a-z]"
    rb"|xapp-|AIza|ya29|GOCSPX|[sr]k_(?:live|test)|whsec_|sk-|hf_|npm_|pypi-A|dckr_|rubygems_|hv[sbr]\.|do[oprt]_v|SG\."
    rb"|://[^\s/]*:"
)
"""How secrets begin that are told by their beginning."""


type Hide = Callable[[bytes], tuple[bytes, int]]
"""Returns bytes with marks in place of what is to be hidden, and how many there are."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A part of the text that something else stands for."""

    start: int
    end: int
    by: bytes


class TerminalMasker:
    """Masks one stream, stdout or stderr, in one direction."""

    def __init__(self, masker: Masker, *, also: Hide | None = None) -> None:
        """`also` masks what no profile knows, such as the gateway's own credentials, in the same window."""
        self._masker = masker
        self._also = also
        self._held = b""
        self._context = b""
        """Visible text that was shown, before it was masked."""
        self._open = False
        """The last that was shown is a mark whose value goes on."""
        self.count = 0
        """How many values were masked so far."""

    @property
    def pending(self) -> bool:
        """Whether something is kept back: call `flush` in FLUSH_AFTER seconds, if nothing comes before."""
        return bool(self._held)

    def feed(self, data: bytes) -> bytes:
        """Return what may be shown now."""
        if self._masker.is_empty and self._also is None:
            return data
        is_first = not self._held
        self._held += data
        return self._show(len(data) if is_first else _BULK, everything=len(self._held) > _MAX_HELD)

    def flush(self) -> bytes:
        """Return what was kept back, masked as far as it is known. At the end of the stream, and when time is up."""
        return self._show(0, everything=True) if self._held else b""

    def _show(self, size: int, *, everything: bool) -> bytes:
        seen = visible(self._held)
        begin = len(self._context)
        whole = self._context + seen.text
        if not everything:
            whole = whole[: len(whole) - _half_a_character(whole)]
        changes = self._changes(_as_text(whole), begin)
        hold = len(whole) if everything else min(self._hold_from(seen.text, size) + begin, len(whole))
        if changes and changes[-1].end == len(whole) and not everything:
            # The value may go on.
            hold = max(begin, min(hold, changes[-1].start))
        changes = [c for c in changes if c.end > begin and c.start < hold] if hold > begin else []
        ends = len(self._held) if everything else seen.raw_at(hold - begin)
        shown = self._written(seen, changes, begin, hold, ends)
        if hold > begin:
            self.count += sum(c.start >= begin or not self._open for c in changes)
            self._remember(whole, hold, changes)
        self._held = self._held[ends:]
        return shown

    def _changes(self, whole: bytes, begin: int) -> list[_Change]:
        if self._masker.is_plain(whole) and (self._also is None or not self._also(whole)[1]):
            return []
        made, count = self._mask(whole)
        if not count:
            return []
        if (changes := _aligned(whole, made)) is not None:
            return changes
        # A document was written anew. Where that was in what was shown before, what comes after is as it was.
        before, _ = self._mask(whole[:begin])
        if made.startswith(before):
            changes = _aligned(whole[begin:], made[len(before) :])
        if changes is None:
            alone, count = self._mask(whole[begin:])
            return [_Change(begin, len(whole), alone if count else MASKED.encode())]
        return [_Change(c.start + begin, c.end + begin, c.by) for c in changes]

    def _mask(self, text: bytes) -> tuple[bytes, int]:
        masked = self._masker.text(text.decode())
        made, count = (masked.value.encode(), masked.count) if masked.count else (text, 0)
        if self._also is not None:
            made, more = self._also(made)
            count += more
        return made, count

    def _hold_from(self, text: bytes, size: int) -> int:
        """Return from where on the text is kept back."""
        line = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if line == len(text):
            return line
        if size >= _BULK:
            return max(line, len(text) - _MAX_TAIL)
        found = _TOKEN.search(self._context[-256:] + text if not line else text, max(0, line))
        token = found.group() if found else b""
        is_candidate = _BEGINS.search(token) is not None
        if len(text) > _ECHO and not _PROMPT.search(token):
            is_candidate = True
        return max(line, len(text) - len(token)) if is_candidate else len(text)

    def _written(self, seen: Visible, changes: list[_Change], begin: int, hold: int, ends: int) -> bytes:
        if not changes:
            return seen.raw[:ends]
        out: list[bytes] = []
        at = 0
        for change in changes:
            start = seen.raw_at(max(change.start, begin) - begin) if change.start < hold else ends
            end = min(seen.raw_at(min(change.end, hold) - begin), ends)
            out += (seen.raw[at:start], b"" if change.start < begin and self._open else change.by)
            # Colours that change inside stay, so that what follows looks as it should.
            out.append(seen.controls(start, end))
            at = end
        out.append(seen.raw[at:ends])
        return b"".join(out)

    def _remember(self, whole: bytes, hold: int, changes: list[_Change]) -> None:
        self._open = bool(changes) and changes[-1].end >= hold
        begin = hold - _CONTEXT
        if self._open:
            begin = max(min(begin, changes[-1].start), hold - _MAX_CONTEXT)
        begin = max(0, begin)
        while begin and begin < hold and whole[begin] & 0xC0 == 0x80:  # noqa: PLR2004  # a byte inside a character
            begin += 1
        self._context = whole[begin:hold]


def _as_text(data: bytes) -> bytes:
    """Return what may be read as UTF-8, byte for byte as long: where it is not, all but ASCII is made one character."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.translate(_ASCII)
    return data


def _half_a_character(text: bytes) -> int:
    """Return how many bytes at the end begin a character of UTF-8 that is not whole."""
    for back in range(1, min(4, len(text) + 1)):
        byte = text[-back]
        if byte < 0x80:  # noqa: PLR2004  # ASCII
            break
        if byte >= 0xC0:  # noqa: PLR2004  # the first byte of a character says how long it is
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4  # noqa: PLR2004  # as above
            return back if back < length else 0
    return 0


def _aligned(plain: bytes, masked: bytes) -> list[_Change] | None:
    """Find what the marks in `masked` stand for; None where the text between them is not that of `plain`.

    Whatever is found, the text between and the marks are those of `masked`: an error in here can show nothing else.
    """
    found = _aligned_by(MARK, plain, masked)
    return found if found is not None else _aligned_by(_QUOTED_MARK, plain, masked)


def _aligned_by(pattern: re.Pattern[bytes], plain: bytes, masked: bytes) -> list[_Change] | None:
    changes: list[_Change] = []
    at = done = 0
    for mark in pattern.finditer(masked):
        literal = masked[done : mark.start()]
        # Everything before the first mark is as it was; what a later one stands for ends where the text goes on.
        place = plain.find(literal, at) if changes else (0 if plain.startswith(literal) else -1)
        if place < 0:
            return None
        if changes:
            changes[-1] = _Change(changes[-1].start, place, changes[-1].by)
        at = place + len(literal)
        changes.append(_Change(at, at, mark.group()))
        done = mark.end()
    last = masked[done:]
    place = len(plain) - len(last)
    if not changes:
        return [] if plain == masked else None
    if place < at or not plain.endswith(last):
        return None
    changes[-1] = _Change(changes[-1].start, place, changes[-1].by)
    return changes
