"""The compact JWS around a token (RFC 7515) and what RFC 8725 says about its header."""

import hashlib
from dataclasses import dataclass

from jwt import get_algorithm_by_name

from holdpoint.domain.values import JsonObject
from holdpoint.identity.documents import BadDocument, parse_object
from holdpoint.identity.keys import MAX_KID, VerificationKey, decode_base64url, printable

MAX_BYTES = 16 * 1024
_SEGMENTS = 3
FORBIDDEN_HEADERS = frozenset({"jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "enc"})
"""Parameters by which a token would choose its own key, or ask for processing that is not done here."""


class BadToken(Exception):  # noqa: N818  # a token that does not count, not an error of the program
    """The token proves nothing. The message is for the audit log; it may quote claims, never the token."""


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A token taken apart. Its signature was not checked: it may decide which key to ask for, and nothing else."""

    algorithm: str
    kid: str
    typ: str
    """Lower case, without `application/`. A header without `typ` counts as `jwt`: EKS signs its tokens so."""
    unverified_claims: JsonObject
    signed: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class VerifiedClaims:
    """Claims under a signature of the issuer's key. Made only by `verify_signature`."""

    values: JsonObject


def token_digest(token: str) -> bytes:
    """Return the SHA-256 of a token: it names the token and opens nothing."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def take_apart(token: str) -> UnverifiedToken:
    """Split and decode a token and check its header. Raises BadToken."""
    if len(token) > MAX_BYTES:
        raise BadToken(f"longer than {MAX_BYTES} bytes")
    if not token.isascii():
        raise BadToken("not ASCII")
    segments = token.split(".")
    if len(segments) != _SEGMENTS or not all(segments):
        raise BadToken(f"not of {_SEGMENTS} segments")
    header = _segment_object(segments[0], "header")
    claims = _segment_object(segments[1], "payload")
    try:
        signature = decode_base64url(segments[2])
    except ValueError:
        raise BadToken("the signature is not base64url") from None
    for name in sorted(FORBIDDEN_HEADERS & header.keys()):
        raise BadToken(f"header `{name}` is not allowed")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str):
        raise BadToken("header `alg` is missing or no text")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        raise BadToken("header `kid` is missing or not usable")
    if not isinstance(typ, str):
        raise BadToken("header `typ` is no text")
    typ = typ.lower().removeprefix("application/")
    signed = f"{segments[0]}.{segments[1]}".encode("ascii")
    return UnverifiedToken(algorithm, kid, typ, claims, signed, signature)


def verify_signature(token: UnverifiedToken, key: VerificationKey, *, algorithms: frozenset[str]) -> VerifiedClaims:
    """Check the signature under a key and the pinned algorithms. Raises BadToken."""
    if token.algorithm not in algorithms:
        raise BadToken(f"algorithm `{printable(token.algorithm)}` is not pinned for this issuer")
    if token.algorithm not in key.algorithms:
        raise BadToken(f"algorithm `{token.algorithm}` does not fit key `{printable(key.kid)}`")
    if not get_algorithm_by_name(token.algorithm).verify(token.signed, key.public, token.signature):
        raise BadToken("the signature does not verify")
    return VerifiedClaims(token.unverified_claims)


def _segment_object(segment: str, name: str) -> JsonObject:
    try:
        return parse_object(decode_base64url(segment))
    except BadDocument as error:
        raise BadToken(f"{name}: {error}") from None
    except ValueError:
        raise BadToken(f"the {name} is not base64url") from None
