"""Public keys of an issuer (RFC 7517, RFC 7518), each tied to the algorithms it may be used with."""

import hashlib
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidKey, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.identity.documents import BadDocument, parse_object

logger = logging.getLogger(__name__)

ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
"""All that may be pinned: asymmetric, SHA-256 or better."""
MAX_KEYS = 100
MAX_KID = 256
RSA_BITS = range(2_048, 8_193)
"""NIST SP 800-131A below; above, a key that costs the verifier too much."""
_P256_BYTES = 32
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key that signatures are checked with."""

    kid: str
    algorithms: frozenset[str]
    """What a token's `alg` may be for this key."""
    public: RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of an issuer by `kid`. Empty is a key set like any other: nothing verifies."""

    keys: Mapping[str, VerificationKey]
    digest: bytes
    """SHA-256 of the document, to tell whether anything changed."""


def decode_base64url(text: str) -> bytes:
    """Decode base64url without padding (RFC 7515 section 2), in its one canonical spelling. Raises ValueError."""
    raw = text.encode("ascii")
    data = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    # The decoder skips foreign characters and ignores stray bits; spelled differently is not the same token.
    if urlsafe_b64encode(data).rstrip(b"=") != raw:
        raise ValueError("not canonical base64url")
    return data


def parse_key_set(data: bytes) -> KeySet:
    """Read a JWK Set. Raises BadDocument where it is none; a key that cannot be used is left out with a warning."""
    entries = parse_object(data).get("keys")
    if not isinstance(entries, list):
        raise BadDocument("no list of keys")
    if len(entries) > MAX_KEYS:
        raise BadDocument(f"more than {MAX_KEYS} keys")
    found: dict[str, VerificationKey] = {}
    ambiguous: set[str] = set()
    for position, entry in enumerate(entries):
        try:
            key = _parse_key(entry)
        except (ValueError, InvalidKey, UnsupportedAlgorithm) as error:
            logger.warning("key %d of a key set is not used: %s", position, error)
            continue
        if key.kid in found:
            ambiguous.add(key.kid)
        found[key.kid] = key
    for kid in ambiguous:
        logger.warning("key id `%s` names several keys: none of them is used", printable(kid))
        del found[kid]
    return KeySet(found, hashlib.sha256(data).digest())


def public_jwk(key: VerificationKey) -> JsonObject:
    """Return a key as a JWK (RFC 7517) by which a signature can be verified later. Only what is public is in it."""
    told: JsonObject = {"kid": key.kid, "use": "sig"}
    match key.public:
        case RSAPublicKey() as rsa:
            numbers = rsa.public_numbers()
            told |= {"kty": "RSA", "n": _uint(numbers.n), "e": _uint(numbers.e)}
        case EllipticCurvePublicKey() as curve:
            point = curve.public_numbers()
            told |= {"kty": "EC", "crv": "P-256", "x": _uint(point.x, _P256_BYTES), "y": _uint(point.y, _P256_BYTES)}
        case Ed25519PublicKey() as edwards:
            told |= {"kty": "OKP", "crv": "Ed25519", "x": _base64url(edwards.public_bytes_raw())}
    if len(key.algorithms) == 1:
        told["alg"] = min(key.algorithms)
    return told


def parse_key(entry: JsonValue) -> VerificationKey:
    """Read one JWK. Raises ValueError (BadDocument is one) where it cannot be used to verify."""
    try:
        return _parse_key(entry)
    except (InvalidKey, UnsupportedAlgorithm) as error:
        raise BadDocument(f"{error}") from None


def _uint(number: int, size: int = 0) -> str:
    return _base64url(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def printable(text: str) -> str:
    """Return text from outside as it may stand in a message: short and without control characters."""
    return "".join(c if c.isprintable() and c != "`" else "?" for c in text[:80])


def _parse_key(entry: JsonValue) -> VerificationKey:
    if not isinstance(entry, dict):
        raise BadDocument("not an object")
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        raise BadDocument("no usable `kid`")
    if not _PRIVATE.isdisjoint(entry):
        raise BadDocument("it holds a private or symmetric part")
    if entry.get("use", "sig") != "sig":
        raise BadDocument("not for signatures")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise BadDocument("not for verification")
    kind = entry.get("kty")
    load = _LOADERS.get(kind) if isinstance(kind, str) else None
    if load is None:
        raise BadDocument("unsupported `kty`")
    public, algorithms = load(entry)
    if "alg" in entry:
        algorithms &= {a for a in (entry["alg"],) if isinstance(a, str)}
    if not algorithms:
        raise BadDocument("`alg` is unsupported or does not fit `kty`")
    return VerificationKey(kid, frozenset(algorithms), public)


def _number(entry: JsonObject, name: str) -> int:
    return int.from_bytes(_bytes(entry, name), "big")


def _bytes(entry: JsonObject, name: str) -> bytes:
    value = entry.get(name)
    if not isinstance(value, str):
        raise BadDocument(f"no `{name}`")
    try:
        return decode_base64url(value)
    except ValueError:
        raise BadDocument(f"`{name}` is not base64url") from None


type _Loaded = tuple[RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey, set[str]]


def _rsa(entry: JsonObject) -> _Loaded:
    modulus = _number(entry, "n")
    if modulus.bit_length() not in RSA_BITS:
        raise BadDocument(f"RSA of {modulus.bit_length()} bits")
    exponent = _number(entry, "e")
    if exponent.bit_length() > 32 or exponent < 65_537 or exponent % 2 == 0:  # noqa: PLR2004  # FIPS 186-5 A.1.1
        raise BadDocument("unusual RSA exponent")
    return RSAPublicNumbers(exponent, modulus).public_key(), {"RS256", "PS256"}


def _ec(entry: JsonObject) -> _Loaded:
    if entry.get("crv") != "P-256":
        raise BadDocument("unsupported curve")
    x, y = _bytes(entry, "x"), _bytes(entry, "y")
    if len(x) != _P256_BYTES or len(y) != _P256_BYTES:
        raise BadDocument("a coordinate of the wrong length")
    numbers = EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1())
    return numbers.public_key(), {"ES256"}


def _okp(entry: JsonObject) -> _Loaded:
    if entry.get("crv") != "Ed25519":
        raise BadDocument("unsupported curve")
    return Ed25519PublicKey.from_public_bytes(_bytes(entry, "x")), {"EdDSA"}


_LOADERS: Mapping[str, Callable[[JsonObject], _Loaded]] = {"RSA": _rsa, "EC": _ec, "OKP": _okp}
