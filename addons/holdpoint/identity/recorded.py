"""Confirming tokens, judged long after: by the key that was recorded with them, or by a key set that was kept."""

from holdpoint.domain.approval import Reviewer
from holdpoint.domain.values import JsonObject
from holdpoint.identity.keys import KeySet, VerificationKey, parse_key, printable
from holdpoint.identity.reviewer import check_confirmation, check_id_token_type
from holdpoint.identity.tokens import BadToken, take_apart, verify_signature
from holdpoint.settings import Issuer


def check_recorded(
    id_token: str,
    *,
    issuer: Issuer,
    client_ids: frozenset[str],
    recorded: JsonObject,
    key_set: KeySet | None,
    reviewer: Reviewer,
    digest: str,
    at: float,
) -> None:
    """Check that a token confirmed the decision with `digest` when it was made, `at` (Unix seconds). Raises BadToken.

    By the key of `key_set` that it names where one is given, and else by the `recorded` one (a JWK), which only the
    record vouches for.
    """
    parts = take_apart(id_token)
    if parts.algorithm not in issuer.algorithms:
        raise BadToken(f"algorithm `{printable(parts.algorithm)}` is not pinned for issuer `{issuer.name}`")
    check_id_token_type(parts.typ)
    key = _key(parts.kid, recorded, key_set)
    claims = verify_signature(parts, key, algorithms=issuer.algorithms).values
    if claims.get("iss") != issuer.url:
        raise BadToken("claim `iss` is not the issuer of the reviewer's login")
    check_confirmation(claims, issuer, client_ids=client_ids, reviewer=reviewer, digest=digest, now=at, again=False)


def audience_of(id_token: str) -> str:
    """Return whom a token says that it is for, where that is one. Nothing of it is checked. Raises BadToken."""
    named = take_apart(id_token).unverified_claims.get("aud")
    if isinstance(named, list) and len(named) == 1:
        named = named[0]
    if not isinstance(named, str):
        raise BadToken("claim `aud` is not exactly one client")
    return named


def _key(kid: str, recorded: JsonObject, key_set: KeySet | None) -> VerificationKey:
    if key_set is not None:
        if kid not in key_set.keys:
            raise BadToken(f"it is signed with key `{printable(kid)}`, which is not in the key set that was given")
        return key_set.keys[kid]
    try:
        key = parse_key(recorded)
    except ValueError as error:
        raise BadToken(f"the key that was recorded with it cannot be used: {error}") from None
    if key.kid != kid:
        raise BadToken("the key that was recorded with it is another than it names")
    return key
