"""The ID token of a reviewer (OpenID Connect Core section 3.1.3.7): who says yes is a person who logged in lately.

There are two kinds, told apart by the `nonce`: a login, and the confirmation of one decision, whose nonce is that
decision's digest. Neither is ever taken for the other.
"""

import hmac
from dataclasses import dataclass

from holdpoint.domain.approval import Reviewer
from holdpoint.domain.statement import NONCE_PREFIX
from holdpoint.domain.values import JsonObject
from holdpoint.identity.claims import (
    LEEWAY,
    audiences_of,
    check_distributed,
    check_times,
    display_name,
    groups_of,
    is_workload,
    person_of,
    required_text,
    text_claim,
)
from holdpoint.identity.keys import printable
from holdpoint.identity.tokens import BadToken
from holdpoint.settings import Issuer

CONFIRM_WITHIN = 300.0
"""Seconds since a confirming token was issued, at most."""
_ACCESS_TOKEN_CLAIMS = frozenset({"scope", "scp"})


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A decision for which the reviewer's own issuer vouched."""

    reviewer: Reviewer
    """As the confirming token names him."""
    key: JsonObject
    """The issuer's public key (JWK) that it was verified with."""


def check_is_login(claims: JsonObject) -> None:
    """Refuse a token that confirms one decision: it opens nothing else. Raises BadToken."""
    nonce = claims.get("nonce", "")
    if not isinstance(nonce, str):
        raise BadToken("claim `nonce` is no text")
    if nonce.startswith(NONCE_PREFIX):
        raise BadToken("claim `nonce` is the digest of a decision: this is no login")


def check_confirmation(
    claims: JsonObject,
    issuer: Issuer,
    *,
    client_ids: frozenset[str],
    reviewer: Reviewer,
    digest: str,
    now: float,
    again: bool,
) -> Reviewer:
    """Check that this ID token confirms the decision with `digest`, by this very reviewer, and just now.

    `again`: the person must have logged in at the issuer for it, by `auth_time`. `now` in Unix seconds. Returns whom
    the token itself names. Raises BadToken.
    """
    if not hmac.compare_digest(required_text(claims, "nonce").encode(), digest.encode()):
        raise BadToken("claim `nonce` is not the digest of this decision")
    subject = check_id_token(claims, issuer, client_ids=client_ids, now=now, max_age=CONFIRM_WITHIN)
    if again:
        _check_logged_in(claims, now)
    found = reviewer_of(claims, issuer, subject)
    if (found.issuer, found.subject, found.person) != (reviewer.issuer, reviewer.subject, reviewer.person):
        raise BadToken("it is of somebody else than who decides")
    return found


def _check_logged_in(claims: JsonObject, now: float) -> None:
    when = claims.get("auth_time")
    if isinstance(when, bool) or not isinstance(when, int | float):
        raise BadToken("claim `auth_time` is missing: the issuer does not say when the login was")
    if not now - CONFIRM_WITHIN <= when <= now + LEEWAY:
        raise BadToken("claim `auth_time` says that the login was not for this decision")


def check_id_token_type(typ: str) -> None:
    """Check the header's `typ`, which an ID token need not have. Raises BadToken."""
    if typ != "jwt":
        raise BadToken(f"header `typ` is `{printable(typ)}`, not that of an ID token")


def check_id_token(
    claims: JsonObject, issuer: Issuer, *, client_ids: frozenset[str], now: float, max_age: float
) -> str:
    """Check that this is an ID token for exactly one of our own clients; return its `sub`. Raises BadToken.

    `max_age`: seconds since `iat`, at most. The `nonce` belongs to the login that asked for it and is checked there.
    """
    for name in sorted(_ACCESS_TOKEN_CLAIMS & claims.keys()):
        raise BadToken(f"claim `{name}` is that of an access token")
    if "events" in claims:
        raise BadToken("claim `events` is that of a security event or logout token")
    # Keycloak and Cognito name the kind of a token in the payload.
    for name in ("typ", "token_use"):
        if name in claims and required_text(claims, name).lower() != "id":
            raise BadToken(f"claim `{name}` says that it is no ID token")
    age = now - check_times(claims, now=now, max_lifetime=issuer.max_lifetime).issued
    if age > max_age:
        raise BadToken(f"the login is {age:.0f} s old, {max_age:.0f} s is the limit")
    audiences = audiences_of(claims)
    if len(audiences) != 1 or not audiences <= client_ids:
        raise BadToken("claim `aud` is not exactly one of our clients")
    if "azp" in claims and required_text(claims, "azp") not in audiences:
        raise BadToken("claim `azp` names another client")
    return required_text(claims, "sub")


def reviewer_of(claims: JsonObject, issuer: Issuer, subject: str) -> Reviewer:
    """Make the Reviewer of an ID token that was checked. Raises BadToken where no person is known."""
    check_distributed(claims)
    if is_workload(subject, issuer):
        raise BadToken("a workload is no reviewer")
    if "act" in claims:
        raise BadToken("claim `act` says that somebody acts for the reviewer")
    person = person_of(claims, issuer)
    if person is None:
        raise BadToken(f"no person is known: claim `{issuer.claims.person}` is absent or not verified")
    return Reviewer(
        issuer=issuer.url,
        subject=subject,
        person=person,
        groups=groups_of(claims, issuer),
        name=display_name(claims, issuer) or text_claim(claims, "preferred_username") or person,
    )
