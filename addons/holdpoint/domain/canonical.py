"""Canonical JSON and the digests over it (RFC 8785, restricted to what strict JSON lets in).

Two values have the same canonical form exactly when they are the same value: the order of keys does not count, and
everything else does. Integers keep every digit, unlike RFC 8785, which rounds them to doubles: two amounts that differ
beyond 2**53 must not share an approval.
"""

import hashlib
import json

from holdpoint.domain.values import JsonValue

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


def canonical(value: JsonValue) -> bytes:
    """Return the canonical form, UTF-8. Raises ValueError on NaN, infinities and lone surrogates."""
    return _encode(value).encode("utf-8", "strict")


def digest(value: JsonValue) -> str:
    """Return `sha256:` and the hexadecimal SHA-256 of the canonical form."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """Return `sha256:` and the hexadecimal SHA-256 of the bytes as they are."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
