"""What a user is shown of one stream: masked, without the gateway's own credentials, and with no pattern of a guard."""

from typing import Final

from holdpoint.credentials.echoes import Echoes
from holdpoint.domain.decision import GuardAnswer
from holdpoint.masking.masker import Masker
from holdpoint.stages.guarding import check_bytes

HOLD_BACK: Final = 0.05
"""Seconds for which the end of an unfinished line is kept back, in case it goes on."""
_MOST: Final = 16 << 10
"""Bytes of a line that are kept back."""
_BEFORE: Final = 4 << 10
"""Bytes before what is new in which a match of a guard may begin."""


class Screen:
    """One stream of output."""

    def __init__(self, masker: Masker, guards: tuple[GuardAnswer, ...], echoes: Echoes) -> None:
        self._masker = masker
        self._guards = guards
        self._echoes = echoes
        self._line = b""
        self._before = b""
        self.masked = 0

    @property
    def holds(self) -> bool:
        """Whether something is kept back."""
        return bool(self._line)

    def feed(self, data: bytes) -> bytes:
        """Return what may be shown after this. Raises Refusal where a guard matches."""
        whole, end, rest = (self._line + data).rpartition(b"\n")
        whole += end
        if len(rest) > _MOST:
            whole, rest = whole + rest, b""
        self._line = rest
        return self._shown(whole)

    def flush(self) -> bytes:
        """Return what was kept back."""
        rest, self._line = self._line, b""
        return self._shown(rest)

    def _shown(self, data: bytes) -> bytes:
        if not data:
            return b""
        if not self._masker.is_empty:
            masked = self._masker.text(data.decode("utf-8", "surrogateescape"))
            self.masked += masked.count
            data = masked.value.encode("utf-8", "surrogateescape")
        data, found = self._echoes.hide(data)
        self.masked += found
        if self._guards:
            seen = self._before + data
            check_bytes(self._guards, seen)
            self._before = seen[-_BEFORE:]
        return data
