"""Signed heads: what makes a chain that was recomputed without the key stand out (Ed25519, RFC 8032)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from holdpoint.domain.canonical import canonical
from holdpoint.domain.values import JsonObject, as_object
from holdpoint.recording.json_text import read

type KeyRing = Mapping[str, Ed25519PublicKey]
"""Public keys by id."""

_CONTEXT = b"holdpoint audit head 1\n"
_HEX = re.compile(r"[0-9a-f]{64}")


class Signer(Protocol):
    """Whoever holds the private key."""

    @property
    def key_id(self) -> str:
        """Id of the key, as in the ring."""
        ...

    def sign(self, data: bytes, /) -> bytes:
        """Return the Ed25519 signature of `data`."""
        ...


class HeadError(ValueError):
    """A head that proves nothing: the message says why."""


class UnknownKeyError(HeadError):
    """A head of a key that is not in the ring: the key may be missing, not the proof."""


@dataclass(frozen=True, slots=True)
class Head:
    """The state of the log at one moment, as its key's holder saw it."""

    log: str
    size: int
    """Lines, counted over all segments."""
    hash: str
    """Hash of the last line, hexadecimal."""
    root: str
    """Merkle root over all lines, hexadecimal."""
    at: float
    """Unix seconds."""
    key: str
    """Id of the key that signed."""

    def as_json(self) -> JsonObject:
        """Return what is signed."""
        return {
            "at": self.at,
            "hash": self.hash,
            "key": self.key,
            "log": self.log,
            "root": self.root,
            "size": self.size,
        }


def sign(head: Head, signer: Signer) -> bytes:
    """Return the line that says and proves `head`, without a line feed."""
    signature = signer.sign(_CONTEXT + canonical(head.as_json()))
    return canonical({"head": head.as_json(), "signature": signature.hex()})


def _shape(line: bytes) -> tuple[Head, bytes]:
    try:
        value = as_object(read(line))
    except ValueError:
        raise HeadError("not a signed head") from None
    match value:
        case {
            "head": {
                "at": int() | float() as at,
                "hash": str(last),
                "key": str(key),
                "log": str(log),
                "root": str(root),
                "size": int(size),
            },
            "signature": str(signature),
        } if _HEX.fullmatch(last) and _HEX.fullmatch(root) and size > 0:
            head = Head(log=log, size=size, hash=last, root=root, at=float(at), key=key)
        case _:
            raise HeadError("not a signed head")
    try:
        return head, bytes.fromhex(signature)
    except ValueError:
        raise HeadError("not a signed head") from None


def check(line: bytes, ring: KeyRing) -> Head:
    """Return the head that a line proves. Raises HeadError: another shape, an unknown key, a wrong signature."""
    head, signature = _shape(line)
    if line != canonical({"head": head.as_json(), "signature": signature.hex()}):
        raise HeadError("says more than what is signed")
    public = ring.get(head.key)
    if public is None:
        raise UnknownKeyError(f"signed with key `{head.key}`, which is not in the ring")
    try:
        public.verify(signature, _CONTEXT + canonical(head.as_json()))
    except InvalidSignature:
        raise HeadError(f"the signature of key `{head.key}` is wrong") from None
    return head
