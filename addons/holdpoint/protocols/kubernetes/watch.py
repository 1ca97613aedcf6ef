"""A watch: JSON events one after another (`{"type": …, "object": …}`), each taken whole.

The API server writes a line feed after each; clients read them by their brackets (client-go's `jsonFrameReader`), and
so does this. https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from typing import Final

from holdpoint.domain.values import JsonObject
from holdpoint.protocols.kubernetes.scanning import Scanner
from holdpoint.protocols.sse import TooLarge

_SPACE: Final = b" \t\r\n"
_REASONS: Final = {401: "Unauthorized", 403: "Forbidden", 410: "Expired", 500: "InternalError"}
"""Codes that a watch ends with."""


class NotEvents(ValueError):  # noqa: N818  # named after what happened
    """What came is no event of a watch, or the end cut one short."""


class Splitter:
    """Turns chunks into whole events; the same ones however the bytes are cut."""

    def __init__(self, max_bytes: int) -> None:
        self._limit = max_bytes
        self._scanner = Scanner()
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the events that `chunk` completes, each as it was sent. Raises TooLarge and NotEvents."""
        found: list[bytes] = []
        at = 0
        while at < len(chunk):
            if not self._scanner.is_inside:
                at = len(chunk) - len(chunk[at:].lstrip(_SPACE))
                if at == len(chunk):
                    break
                if chunk[at : at + 1] != b"{":
                    raise NotEvents("expected an event of a watch")
            start = at
            at = self._scanner.advance(chunk, start)
            self._size += at - start
            if self._size > self._limit:
                raise TooLarge(f"an event is larger than {self._limit} bytes")
            self._pieces.append(chunk[start:at])
            if not self._scanner.is_inside:
                found.append(b"".join(self._pieces))
                self._pieces.clear()
                self._size = 0
        return found

    def end(self) -> list[bytes]:
        """Finish. Always empty. Raises NotEvents where the end cut an event short."""
        if self._scanner.is_inside:
            raise NotEvents("the end cut an event short")
        return []


def error_event(status: JsonObject, *, code: int) -> JsonObject:
    """Return the event that ends a watch: client-go hands its object to `apierrors.FromObject`.

    What clients make of the code is written down in docs/reference/kubernetes-answers.md.
    """
    return {"type": "ERROR", "object": {**status, "code": code, "reason": _REASONS[code]}}
