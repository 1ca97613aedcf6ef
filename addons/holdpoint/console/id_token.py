"""Verify the ID token of a login (OpenID Connect Core 1.0, section 3.1.3.7).

The gateway verifies it once more, and its word counts: here it decides whose page is shown.
"""

import hmac
from collections.abc import Sequence
from typing import cast

import jwt

from holdpoint.console.sessions import Login
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.settings import Claims, Issuer

LEEWAY = 30.0
"""Seconds that the issuer's clock and ours may differ."""
MOST_BYTES = 64 << 10
_TYPES = frozenset({"", "jwt", "id_token+jwt", "application/jwt"})


class LoginRefused(Exception):  # noqa: N818  # the outcome of a login
    """A login that did not succeed. The message is for the reviewer: never a token."""


class UnknownKey(Exception):  # noqa: N818  # the caller fetches keys again
    """No key of the set signed this token."""


def verify(
    token: str, keys: Sequence[JsonObject], *, issuer: Issuer, client_id: str, nonce: str, now: float
) -> JsonObject:
    """Return the claims of a genuine ID token of this login. Raises LoginRefused, UnknownKey."""
    if len(token) > MOST_BYTES:
        raise LoginRefused("the ID token is too large")
    try:
        header = cast("JsonObject", jwt.get_unverified_header(token))
    except jwt.PyJWTError as error:
        raise LoginRefused("the ID token cannot be read") from error
    algorithm = as_text(header.get("alg"))
    if algorithm not in issuer.algorithms or algorithm.startswith("HS") or algorithm.lower() == "none":
        raise LoginRefused("the ID token is signed by an algorithm that this issuer may not use")
    if "crit" in header or as_text(header.get("typ")).lower() not in _TYPES:
        raise LoginRefused("the token is not an ID token")
    key = _key(keys, kid=header.get("kid"), algorithm=algorithm)
    try:
        # NOTE: pyjwt reads the machine's clock; times and names are checked below, against ours.
        claims = jwt.decode(
            token,
            key=key,
            algorithms=[algorithm],
            options={
                "verify_signature": True,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except jwt.PyJWTError as error:
        raise LoginRefused("the signature of the ID token is wrong") from error
    checked = cast("JsonObject", claims)
    _check(checked, issuer=issuer, client_id=client_id, nonce=nonce, now=now)
    return checked


def login_of(token: str, claims: JsonObject, mapping: Claims) -> Login:
    """Return what the pages show of a verified login. It decides nothing: the gateway maps the claims itself."""
    person = as_text(_reach(claims, mapping.person))
    groups = _reach(claims, mapping.groups)
    return Login(
        id_token=token,
        name=as_text(_reach(claims, mapping.name)) or person or as_text(claims.get("sub")),
        person=person,
        groups=frozenset(as_text(group) for group in groups) if isinstance(groups, list) else frozenset(),
        owner=as_text(claims.get("sub")),
    )


def _check(claims: JsonObject, *, issuer: Issuer, client_id: str, nonce: str, now: float) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp")
    expires = _seconds(claims.get("exp"))
    issued = _seconds(claims.get("iat"))
    begins = _seconds(claims.get("nbf", 0))
    if claims.get("iss") != issuer.url:
        raise LoginRefused("the ID token is of another issuer")
    if client_id not in audiences or (party is not None and party != client_id) or (len(audiences) > 1 and not party):
        raise LoginRefused("the ID token is for another application")
    if not hmac.compare_digest(as_text(claims.get("nonce")).encode(), nonce.encode()):
        raise LoginRefused("the ID token is of another login")
    if not as_text(claims.get("sub")):
        raise LoginRefused("the ID token names nobody")
    if expires is None or issued is None or begins is None:
        raise LoginRefused("the ID token does not say when it holds")
    if not (begins - LEEWAY <= now < expires + LEEWAY) or issued > now + LEEWAY:
        raise LoginRefused("the ID token does not hold now: is a clock wrong?")


def _key(keys: Sequence[JsonObject], *, kid: JsonValue, algorithm: str) -> jwt.PyJWK:
    fitting = [
        key
        for key in keys
        if key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and key.get("kty") != "oct"
        and (kid is None or key.get("kid") == kid)
    ]
    if len(fitting) != 1:
        raise UnknownKey
    try:
        return jwt.PyJWK(dict(fitting[0]), algorithm=algorithm)
    except jwt.PyJWTError as error:
        raise UnknownKey from error


def _seconds(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _reach(claims: JsonObject, name: str) -> JsonValue:
    """Return a claim by its name, or by a dotted way into objects."""
    if name in claims:
        return claims[name]
    value: JsonValue = claims
    for part in name.split("."):
        value = as_object(value).get(part)
    return value
