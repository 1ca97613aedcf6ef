"""What a verified token says: the registered claims (RFC 7519, RFC 9068) and the Principal they make."""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple

from holdpoint.domain.access import Actor, Principal, person_name
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.identity.keys import printable
from holdpoint.identity.tokens import BadToken
from holdpoint.settings import Issuer

LEEWAY = 30.0
"""Seconds by which the issuer's clock and ours may differ. The one such constant."""
MAX_TEXT = 512
MAX_ACTORS = 8
ID_TOKEN_CLAIMS = frozenset({"nonce", "at_hash", "c_hash", "s_hash"})
"""Claims that only an ID token carries (OpenID Connect Core section 2)."""


class Times(NamedTuple):
    """When a token was issued and when it ends, Unix seconds."""

    issued: float
    expires: float


def lookup(claims: JsonObject, path: str) -> JsonValue:
    """Return a claim by dotted path, None where it is absent. A claim whose own name has dots in it comes first."""
    if path in claims:
        return claims[path]
    for position in range(len(path) - 1, 0, -1):
        if path[position] == "." and isinstance(inner := claims.get(path[:position]), dict):
            return lookup(inner, path[position + 1 :])
    return None


def text_claim(claims: JsonObject, path: str) -> str:
    """Return a claim that must be text if it is there; empty where it is absent. Raises BadToken."""
    value = lookup(claims, path)
    if value is None:
        return ""
    return _text(value, path)


def required_text(claims: JsonObject, name: str) -> str:
    """Return a claim that must be there and be text. Raises BadToken."""
    if name not in claims:
        raise BadToken(f"claim `{name}` is missing")
    return _text(claims[name], name)


def check_times(claims: JsonObject, *, now: float, max_lifetime: float) -> Times:
    """Check `exp`, `iat` and `nbf` against Unix seconds. Raises BadToken."""
    expires, issued = _date(claims, "exp"), _date(claims, "iat")
    if now >= expires + LEEWAY:
        raise BadToken(f"expired {now - expires:.0f} s ago")
    if issued > now + LEEWAY:
        raise BadToken(f"issued {issued - now:.0f} s in the future")
    if "nbf" in claims and (begins := _date(claims, "nbf")) > now + LEEWAY:
        raise BadToken(f"not valid for another {begins - now:.0f} s")
    if expires <= issued:
        raise BadToken("it expires before it was issued")
    if expires - issued > max_lifetime:
        raise BadToken(f"its lifetime of {expires - issued:.0f} s is longer than {max_lifetime:.0f} s")
    return Times(issued, expires)


def audiences_of(claims: JsonObject) -> frozenset[str]:
    """Return the audiences. Raises BadToken where there is none."""
    value = claims.get("aud")
    values = value if isinstance(value, list) else [value]
    found = frozenset(_text(v, "aud") for v in values)
    if not found:
        raise BadToken("claim `aud` is empty")
    return found


def check_access_token(claims: JsonObject) -> None:
    """Refuse what another kind of token would say. Raises BadToken."""
    for name in sorted(ID_TOKEN_CLAIMS & claims.keys()):
        raise BadToken(f"claim `{name}` is that of an ID token")
    if "events" in claims:
        raise BadToken("claim `events` is that of a security event or logout token")
    # Keycloak and Cognito name the kind of a token in the payload.
    for name, kinds in (("typ", {"bearer", "at+jwt", "dpop"}), ("token_use", {"access"})):
        if name in claims and _text(claims[name], name).lower() not in kinds:
            raise BadToken(f"claim `{name}` says that it is no access token")


def check_distributed(claims: JsonObject) -> None:
    """Refuse claims that were left out of the token: groups that are unknown are not no groups. Raises BadToken."""
    for name in ("_claim_names", "_claim_sources", "hasgroups"):
        if name in claims:
            raise BadToken(f"claim `{name}` says that claims were left out of the token")


def client_of(claims: JsonObject, issuer: Issuer) -> str:
    """Return the client that asked for the token, and check it against the issuer's list. Raises BadToken."""
    named = [c for c in (text_claim(claims, issuer.claims.client_id), text_claim(claims, "azp")) if c]
    if issuer.clients and not (named and issuer.clients.issuperset(named)):
        raise BadToken(f"client `{printable(named[0]) if named else ''}` is not on the issuer's list")
    return named[0] if named else ""


def groups_of(claims: JsonObject, issuer: Issuer) -> frozenset[str]:
    """Return the groups, empty where there is no such claim. Raises BadToken where it is no list of names."""
    value = lookup(claims, issuer.claims.groups)
    if value is None:
        return frozenset()
    if not isinstance(value, list):
        raise BadToken(f"claim `{issuer.claims.groups}` is no list")
    return frozenset(_text(v, issuer.claims.groups) for v in value)


def person_of(claims: JsonObject, issuer: Issuer) -> str | None:
    """Return the person by the issuer's claim, None where it is absent or an unverified address. Raises BadToken."""
    path = issuer.claims.person
    raw = text_claim(claims, path)
    if not raw:
        return None
    holder, _, leaf = path.rpartition(".")
    flag = f"{holder}.email_verified" if holder else "email_verified"
    # Absent is taken as verified: most enterprise providers never send it. Cognito sends it as text.
    verified = lookup(claims, flag)
    if leaf == "email" and not (verified is None or verified is True or verified == "true"):
        return None
    return person_name(raw)


def display_name(claims: JsonObject, issuer: Issuer) -> str:
    """Return what a reviewer reads, with control and direction characters made visible. Raises BadToken."""
    value = lookup(claims, issuer.claims.name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadToken(f"claim `{issuer.claims.name}` is no text")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value[:MAX_TEXT])


def is_workload(subject: str, issuer: Issuer) -> bool:
    """Tell whether the issuer's settings name this subject as a workload."""
    return any(fnmatchcase(subject, glob) for glob in issuer.workload_subjects)


def principal_of(claims: JsonObject, issuer: Issuer, *, token_id: str, expires_at: float) -> Principal:
    """Make the Principal of an access token whose signature, times and audience were checked. Raises BadToken."""
    check_access_token(claims)
    check_distributed(claims)
    subject = required_text(claims, "sub")
    workload = is_workload(subject, issuer)
    person = None if workload else person_of(claims, issuer)
    text_claim(claims, "jti")
    actor = _actor(claims)
    owners = _owners(subject, issuer) if workload else frozenset[str]()
    if actor is not None and actor.issuer in ("", issuer.url) and (person or owners):
        # Whoever answers for the agent asks, too. Where nobody else is known he does not make somebody known.
        owners |= _owners(actor.subject, issuer)
    return Principal(
        issuer=issuer.url,
        subject=subject,
        kind="workload" if workload else "human",
        person=person,
        name=display_name(claims, issuer) or person or "",
        groups=groups_of(claims, issuer),
        actor=actor,
        owners=owners,
        client_id=client_of(claims, issuer),
        scopes=_scopes(claims),
        claims=_exposed(claims, issuer),
        token_id=token_id,
        expires_at=expires_at,
    )


def _exposed(claims: JsonObject, issuer: Issuer) -> Mapping[str, JsonValue]:
    found = {path: lookup(claims, path) for path in issuer.claims.expose}
    return MappingProxyType({path: value for path, value in found.items() if value is not None})


def _owners(subject: str, issuer: Issuer) -> frozenset[str]:
    named = (persons for glob, persons in issuer.owners.items() if fnmatchcase(subject, glob))
    return frozenset(person_name(p) for persons in named for p in persons)


def _scopes(claims: JsonObject) -> frozenset[str]:
    # `scope` by RFC 9068 section 2.2.3; `scp` is what Entra (text) and Okta (list) send.
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name, "")
        words: list[JsonValue] = (
            [*value.split()] if isinstance(value, str) else value if isinstance(value, list) else [None]
        )
        found |= {_text(w, name) for w in words}
    return frozenset(found)


def _actor(claims: JsonObject) -> Actor | None:
    """Read the chain of actors, the current one outermost (RFC 8693 section 4.1)."""
    if "act" not in claims:
        return None
    chain: list[str] = []
    current = claims["act"]
    issuer = ""
    while True:
        if not isinstance(current, dict) or len(chain) == MAX_ACTORS:
            raise BadToken("claim `act` is no chain of actors")
        chain.append(required_text(current, "sub"))
        if len(chain) == 1:
            issuer = text_claim(current, "iss")
        if "act" not in current:
            return Actor(subject=chain[0], issuer=issuer, chain=tuple(chain[1:]))
        current = current["act"]


def _text(value: JsonValue, name: str) -> str:
    if not isinstance(value, str):
        raise BadToken(f"claim `{name}` is no text")
    if not value or len(value) > MAX_TEXT or not value.isprintable() or value != value.strip():
        raise BadToken(f"claim `{name}` is empty, too long or holds characters that do not show")
    return value


def _date(claims: JsonObject, name: str) -> float:
    """Return a NumericDate (RFC 7519 section 2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"claim `{name}` is missing or no number")
    # Whole numbers of any size are legal JSON and do not all fit a float.
    if not -(2**53) < value < 2**53 or not math.isfinite(value):
        raise BadToken(f"claim `{name}` is out of range")
    return float(value)
