"""Text without an end, such as a log that is followed: masked line by line, in a window.

A secret that is cut by chunks is found, for a line is looked at whole. So is a private key, which has many lines: what
follows its first line waits for its last. A line longer than the window is looked at in pieces that are cut where no
secret goes on; where one does, the rest of that line is left out.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from holdpoint.masking.masker import Masker

WINDOW: Final = 64 << 10
"""Bytes of a line that are looked at together, and of a key that wait for its end."""
_OVERLAP: Final = 8 << 10
"""Bytes at the end of a window in which it is cut."""
_BEGIN: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_END: Final = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY")
_SAMPLE: Final = "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----"
_CUT_OFF: Final = b"[masked]\n"
_GAP: Final = re.compile(rb"[\s,;\"'](?=[^\s,;\"']*\Z)")


class LineMasker:
    """Masks one text. The same bytes come out however those that go in are cut."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._holds_keys = masker.text(_SAMPLE).count > 0
        self._pending: list[bytes] = []
        """Of a line that has not ended."""
        self._size = 0
        self._key: list[bytes] = []
        """Lines of a private key that has not ended."""
        self._key_size = 0
        self._swallowed = 0
        """Bytes of a key without an end that were left out so far."""
        self._is_cut_off = False
        """Whether the rest of a line is left out: a secret in it has no end in sight."""
        self.count = 0

    def feed(self, chunk: bytes) -> Sequence[bytes]:
        """Return the lines that `chunk` completes, with their ends, and pieces of those that are too long."""
        found: list[bytes] = []
        at = 0
        while (end := chunk.find(b"\n", at)) >= 0:
            found += self._long(chunk[at : end + 1], ends=True)
            at = end + 1
        if at < len(chunk):
            found += self._long(chunk[at:], ends=False)
        return found

    def end(self) -> Sequence[bytes]:
        """Return what has no end. `show` is to be called with it, and with nothing after."""
        rest = _CUT_OFF if self._is_cut_off else b"".join(self._pending)
        self._pending, self._size = [], 0
        return [rest, b""] if rest else [b""]

    def show(self, lines: Sequence[bytes]) -> bytes:
        """Return lines, masked. An empty one is the end of all."""
        shown: list[bytes] = []
        plain: list[bytes] = []
        for line in lines:
            if self._is_of_key(line):
                shown += self._masked(plain)
                plain = []
                shown += self._through_key(line)
            else:
                plain.append(line)
        shown += self._masked(plain)
        return b"".join(shown)

    def _long(self, part: bytes, *, ends: bool) -> Iterator[bytes]:
        """Yield a line, or pieces of one that outgrows the window: cut by its own bytes, whatever came together."""
        self._pending.append(part)
        self._size += len(part)
        if self._size > WINDOW:
            line = b"".join(self._pending)
            while len(line) > WINDOW:
                if self._is_cut_off:
                    line = line[-1:]
                    break
                cut = self._cut(line[:WINDOW])
                self._is_cut_off = cut == 0
                yield line[: cut or WINDOW]
                line = line[cut or WINDOW :]
            self._pending, self._size = [line], len(line)
        if ends:
            rest = b"".join(self._pending)
            yield _CUT_OFF if self._is_cut_off else rest
            self._pending, self._size, self._is_cut_off = [], 0, False

    def _cut(self, window: bytes) -> int:
        """Return where a window can be cut without a difference to what is masked in it; 0: nowhere."""
        gap = _GAP.search(window, WINDOW - _OVERLAP)
        whole = self._mask(window)[0]
        for cut in (gap.end() if gap else 0, WINDOW - _OVERLAP, WINDOW // 2):
            if cut and self._mask(window[:cut])[0] + self._mask(window[cut:])[0] == whole:
                return cut
        return 0

    def _is_of_key(self, line: bytes) -> bool:
        if not self._holds_keys:
            return False
        if self._key or self._swallowed:
            return True
        begun = [found.end() for found in _BEGIN.finditer(line)]
        return bool(begun) and _END.search(line, begun[-1]) is None

    def _through_key(self, line: bytes) -> Iterator[bytes]:
        """Keep a line of a private key until the key ends; leave out what goes on for too long."""
        is_last = not line or _END.search(line) is not None
        if self._swallowed:
            self._swallowed += len(line)
            if is_last or self._swallowed > WINDOW:
                self._swallowed = 0
            return
        self._key.append(line)
        self._key_size += len(line)
        if is_last or self._key_size > WINDOW:
            text, self._key, self._key_size = b"".join(self._key), [], 0
            self._swallowed = 0 if is_last else 1
            shown, count = self._mask(text)
            self.count += count
            yield shown if is_last or shown.endswith(b"\n") else shown + b"\n"

    def _masked(self, lines: Sequence[bytes]) -> list[bytes]:
        """Mask lines one by one: what is found must not depend on which came together."""
        if not lines or self._masker.is_empty:
            return [*lines]
        # As far as it is no UTF-8 it is looked at byte by byte: what secrets look like is ASCII.
        texts = [_text(line) for line in lines]
        masked = self._masker.texts([text for text, _ in texts])
        if not masked.count:
            return [*lines]
        self.count += masked.count
        return [
            line if text == shown else shown.encode(coding)
            for line, (text, coding), shown in zip(lines, texts, masked.value, strict=True)
        ]

    def _mask(self, raw: bytes) -> tuple[bytes, int]:
        text, coding = _text(raw)
        masked = self._masker.text(text)
        return (masked.value.encode(coding), masked.count) if masked.count else (raw, 0)


def _text(raw: bytes) -> tuple[str, str]:
    try:
        return raw.decode("utf-8", "strict"), "utf-8"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


def last_line(reason: str, refusal_id: str, shown: bytes) -> bytes:
    """Return the line that says why a text ends here, after what was shown of it."""
    gap = b"" if not shown or shown.endswith(b"\n") else b"\n"
    return gap + f"error: the gateway ended this log: {reason} ({refusal_id})\n".encode()
