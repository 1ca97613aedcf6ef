"""Identifiers that sort by time and cannot be guessed."""

import os
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BYTES = 10
_AT_A_TIME = 256
"""Identifiers whose random bits are asked of the kernel at once: each time costs more than all the rest."""

_lock = threading.Lock()
_pool = bytearray()


def _base32(number: int, width: int) -> str:
    digits: list[str] = []
    for _ in range(width):
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))


def _random() -> int:
    with _lock:
        if not _pool:
            _pool.extend(os.urandom(_RANDOM_BYTES * _AT_A_TIME))
        taken = int.from_bytes(_pool[-_RANDOM_BYTES:])
        # INVARIANT: bits are given out once.
        del _pool[-_RANDOM_BYTES:]
    return taken


os.register_at_fork(after_in_child=_pool.clear)


def new_id(prefix: str) -> str:
    """Return `prefix-` and 26 characters: 48 bits of time in milliseconds, 80 random bits (as a ULID, lower case)."""
    return f"{prefix}-{_base32(time.time_ns() // 1_000_000, 10)}{_base32(_random(), 16)}"


def made_at(name: str) -> float:
    """Return when an identifier was made (Unix seconds), by what it says itself; 0 where it is none of ours."""
    digits = name.rpartition("-")[2]
    if len(digits) != 26 or any(d not in _ALPHABET for d in digits):  # noqa: PLR2004  # see `new_id`
        return 0.0
    number = 0
    for digit in digits[:10]:
        number = number * 32 + _ALPHABET.index(digit)
    return number / 1_000
