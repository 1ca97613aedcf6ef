"""What stands where a value was: the marks, how they are recognised, and the keyed hashes."""

import hashlib
import hmac
import re
from decimal import Decimal

from holdpoint.domain.canonical import canonical
from holdpoint.domain.mask import MARK_PATTERN, MaskAction
from holdpoint.domain.values import JsonValue

MASKED = "[masked]"
"""The mark of a redacted value."""
KEEP = 4
"""Characters that `partial` leaves."""
HIDE = 12
"""Characters that `partial` must at least hide."""

MARK = re.compile(MARK_PATTERN.encode("ascii"))
"""Every mark that this module makes. A mark is never masked again."""
_TAIL = re.compile(r"[A-Za-z0-9_+/=.-]{4}")
_STRICTNESS = {MaskAction.REDACT: 2, MaskAction.HASH: 1, MaskAction.PARTIAL: 0}
_SEALED = "[sealed:"


def stricter(one: MaskAction | None, other: MaskAction | None) -> MaskAction | None:
    """Return the action that tells less: redact, then hash, then partial, then none."""
    if one is None or other is None:
        return one or other
    return one if _STRICTNESS[one] >= _STRICTNESS[other] else other


def is_mark(text: str) -> bool:
    """Whether this is one mark and nothing else."""
    return text.startswith("[") and text.isascii() and MARK.fullmatch(text.encode()) is not None


class Marker:
    """Makes the marks. `key` is the secret of every hash: at least 16 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:  # noqa: PLR2004  # RFC 2104 section 3 advises the hash's length; 16 bytes is the floor here
            raise ValueError("the key of masks is shorter than 16 bytes")
        self._key = key

    def leaf(self, value: JsonValue, action: MaskAction) -> JsonValue:
        """Return what takes the place of a leaf; the leaf itself where there is nothing to hide (null, a mark)."""
        if value is None or (isinstance(value, str) and is_mark(value)):
            return value
        return self.mark(value, action)

    def mark(self, value: JsonValue, action: MaskAction) -> str:
        """Return the mark for a value."""
        if action is MaskAction.HASH:
            return f"[masked:hmac:{self._hash('mask', value)[:16]}]"
        if action is MaskAction.PARTIAL and isinstance(value, str | int) and not isinstance(value, bool):
            text = str(value)
            if len(text) >= KEEP + HIDE and _TAIL.fullmatch(text[-KEEP:]):
                return f"[masked:last4:{text[-KEEP:]}]"
        return MASKED

    def seal(self, value: JsonValue) -> str:
        """Return the keyed hash that stands for a masked leaf inside a digest."""
        return f"{_SEALED}{self._hash('seal', value)}]"

    def _hash(self, purpose: str, value: JsonValue | Decimal) -> str:
        # The canonical form tells "1" from 1 and true; the purpose keeps what is shown from opening what is sealed.
        if isinstance(value, Decimal):  # a float of a document that was decoded digit by digit
            value = float(value)
        try:
            form = canonical(value)
        except ValueError:
            form = repr(value).encode("ascii", "backslashreplace")
        return hmac.new(self._key, purpose.encode() + b"\0" + form, hashlib.sha256).hexdigest()


def needs_seal(text: str) -> bool:
    """Whether a text could be taken for a sealed leaf, and so must be sealed itself."""
    return text.startswith(_SEALED)
