"""Text that is no document: detectors and key text, over and over until nothing more is found."""

from holdpoint.masking.detectors import Detectors, Span
from holdpoint.masking.keytext import KeyText
from holdpoint.masking.marks import MARK, MASKED, Marker

_ROUNDS = 6


class PlainText:
    """Masks bytes of UTF-8 text. What comes out holds nothing that would be masked again."""

    def __init__(self, detectors: Detectors, keytext: KeyText, marker: Marker) -> None:
        self._detectors = detectors
        self._keytext = keytext
        self._marker = marker

    def mask(self, text: bytes, *, keys: bool = True) -> tuple[bytes, int]:
        """Mask. Returns the text and how many values were masked; `keys=False` leaves keys in text alone."""
        count = 0
        for _ in range(_ROUNDS):
            # Detectors first: key text may cut off the first line of a private key that they still need.
            text, found = self._detect(text)
            if keys:
                text, masked = self._keytext.mask(text)
                found += masked
            if not found:
                return text, count
            count += found
        # A pattern that matches beside every mark it makes never comes to rest.
        return MASKED.encode(), count

    def _detect(self, text: bytes) -> tuple[bytes, int]:
        if not self._detectors:
            return text, 0
        out: list[bytes] = []
        count = start = 0
        for mark in (*MARK.finditer(text), None):
            end = mark.start() if mark else len(text)
            part = text[start:end]
            done = 0
            for span in self._detectors.find(part):
                out += (part[done : span.start], self._render(part, span))
                done = span.end
                count += 1
            out.append(part[done:])
            if mark:
                out.append(mark.group())
                start = mark.end()
        return (b"".join(out), count) if count else (text, 0)

    def _render(self, text: bytes, span: Span) -> bytes:
        return self._marker.mark(text[span.start : span.end].decode("utf-8", "replace"), span.action).encode()
