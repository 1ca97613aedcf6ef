"""What the gateway gives out for callers to bring back: they can neither read nor change it, nor make one of their own.

AES-256-GCM (NIST SP 800-38D) under keys derived from the gateway's digest key (HKDF, RFC 5869). Whose a thing is, for
what it may be used and how often is for its payload and for whoever opens it: a seal proves only that it is our own
word, for one purpose, not yet too old. A text looks like `hp1.` and base64url (RFC 4648 section 5) without padding,
with a dot after every ten characters: no run in it is long enough to be taken for a secret, and masked.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from holdpoint.clock import Clock
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable

type Random = Callable[[int], bytes]

PREFIX: Final = "hp1."
SHAPE: Final = rb"hp1\.[A-Za-z0-9_~.]+"
"""Pattern of every text that may be a seal."""
_NONCE_BYTES = 12
_RUN = 10


class SealBroken(ValueError):  # noqa: N818  # named after what happened
    """No seal of ours, or of another purpose, or too old. The text says which, and is for the log only."""


class Seals:
    """Seals and opens. One key; safe to share between threads."""

    def __init__(self, key: bytes, clock: Clock, *, random: Random = secrets.token_bytes) -> None:
        """`key` is secret, at least 16 bytes; seals made under another one do not open."""
        self._cipher = AESGCM(_derived(key, b"holdpoint seals 1"))
        self._nonce_key = _derived(key, b"holdpoint stamps 1")
        self._clock = clock
        self._random = random

    def seal(self, payload: JsonObject, *, purpose: str, expires_at: float) -> str:
        """Return the sealed payload: visible ASCII, fit for headers and JSON. `expires_at` is Unix seconds.

        Raises ValueError for a payload that JSON cannot hold.
        """
        data = strict_json.dumps({"until": expires_at, "payload": payload})
        nonce = self._random(_NONCE_BYTES)
        return PREFIX + _to_text(nonce + self._cipher.encrypt(nonce, data, _context(purpose)))

    def open(self, text: str, purpose: str) -> JsonObject:
        """Return the payload of a seal. Raises SealBroken, and nothing else."""
        value = self._opened(text, _context(purpose))
        match value:
            case {"until": float() | int() as until, "payload": dict() as payload}:
                if self._clock.now() >= until:
                    raise SealBroken("expired")
                return payload
            case _:
                raise SealBroken("sealed by a version that this one does not know")

    def stamp(self, payload: JsonObject, *, purpose: str) -> str:
        """Return the sealed payload, the same each time, and good for as long as the key is: for what streams carry.

        The nonce is a MAC over what is sealed, so that none ever serves two payloads (as in RFC 8452). That two stamps
        are of the same payload shows.
        """
        data = strict_json.dumps(payload)
        context = _context(purpose, stamp=True)
        nonce = hmac.digest(self._nonce_key, len(context).to_bytes(8) + context + data, "sha256")[:_NONCE_BYTES]
        return PREFIX + _to_text(nonce + self._cipher.encrypt(nonce, data, context))

    def read(self, text: str, purpose: str) -> JsonObject:
        """Return the payload of a stamp. Raises SealBroken, and nothing else."""
        value = self._opened(text, _context(purpose, stamp=True))
        if not isinstance(value, dict):
            raise SealBroken("stamped by a version that this one does not know")
        return value

    def _opened(self, text: str, context: bytes) -> JsonValue:
        if not text.startswith(PREFIX):
            raise SealBroken("not a seal of this gateway")
        raw = _from_text(text.removeprefix(PREFIX))
        if raw is None or len(raw) <= _NONCE_BYTES:
            raise SealBroken("not a whole seal")
        try:
            data = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context)
            return strict_json.loads(data, max_bytes=len(data))
        except (InvalidTag, Undecodable):
            raise SealBroken("forged, changed, or sealed for something else or under another key") from None


def _derived(key: bytes, label: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=label).derive(key)


def _context(purpose: str, *, stamp: bool = False) -> bytes:
    return f"{PREFIX}{'stamp' if stamp else 'seal'}.{purpose}".encode("utf-8", "surrogatepass")


def _to_text(data: bytes) -> str:
    plain = urlsafe_b64encode(data).rstrip(b"=").decode("ascii").replace("-", "~")
    return ".".join(plain[at : at + _RUN] for at in range(0, len(plain), _RUN))


def _from_text(text: str) -> bytes | None:
    """Return the bytes of base64url in its one spelling; None for anything else."""
    try:
        plain = text.replace(".", "").replace("~", "-").encode("ascii")
        data = urlsafe_b64decode(plain + b"=" * (-len(plain) % 4))
    except ValueError:
        return None
    return data if _to_text(data) == text else None
