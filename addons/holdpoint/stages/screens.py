"""What a user is shown of one stream: masked, without the gateway's own credentials, and with no pattern of a guard."""

import re
from typing import Final

from holdpoint.credentials.echoes import Echoes
from holdpoint.domain.decision import GuardAnswer
from holdpoint.masking.masker import Masker
from holdpoint.masking.terminal import FLUSH_AFTER, TerminalMasker
from holdpoint.stages.guarding import check_bytes

HOLD_BACK: Final = FLUSH_AFTER
"""Seconds for which the end of what came is kept back, in case it goes on."""
_BEFORE: Final = 4 << 10
"""Bytes before what is new in which a match of a guard may begin."""
_CONTROLS: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\-~]")
"""Control sequences (ECMA-48): what a terminal obeys and does not show."""


class Screen:
    """One stream of output."""

    def __init__(self, masker: Masker, guards: tuple[GuardAnswer, ...], echoes: Echoes) -> None:
        self._masker = TerminalMasker(masker, also=echoes.hide if echoes else None)
        self._guards = guards
        self._before = b""

    @property
    def masked(self) -> int:
        """How many values were masked so far."""
        return self._masker.count

    @property
    def holds(self) -> bool:
        """Whether something is kept back."""
        return self._masker.pending

    def feed(self, data: bytes) -> bytes:
        """Return what may be shown after this. Raises Refusal where a guard matches."""
        return self._shown(self._masker.feed(data))

    def flush(self) -> bytes:
        """Return what was kept back."""
        return self._shown(self._masker.flush())

    def _shown(self, data: bytes) -> bytes:
        if not data:
            return b""
        if self._guards:
            seen = self._before + data
            check_bytes(self._guards, seen)
            if b"\x1b" in seen:
                # Colours in the middle of a word do not hide it.
                check_bytes(self._guards, _CONTROLS.sub(b"", seen))
            self._before = seen[-_BEFORE:]
        return data
