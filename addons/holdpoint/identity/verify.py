"""From a token to a Principal or a Reviewer. The one edge at which a bad token becomes a Refusal."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from holdpoint.clock import Clock
from holdpoint.domain.access import Principal
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.refusal import ConfigError, Refusal, RefusalKind
from holdpoint.domain.values import JsonObject
from holdpoint.identity.claims import audiences_of, check_times, principal_of
from holdpoint.identity.cluster_keys import fetch_for
from holdpoint.identity.fetch import Fetch, fetch, is_trustworthy
from holdpoint.identity.jwks import KeySource, KeysUnavailable, UnknownKey
from holdpoint.identity.keys import ALGORITHMS, KeySet, VerificationKey, printable, public_jwk
from holdpoint.identity.reviewer import (
    Confirmation,
    check_confirmation,
    check_id_token,
    check_id_token_type,
    check_is_login,
    reviewer_of,
)
from holdpoint.identity.service_accounts import principal_of_service_account
from holdpoint.identity.token_review import Ask, TokenReviews, ask_api_server
from holdpoint.identity.tokens import BadToken, UnverifiedToken, take_apart, token_digest, verify_signature
from holdpoint.settings import Issuer

CACHE_FOR = 60.0
"""Seconds for which a verification is believed without doing it again, at most."""
CACHE_SIZE = 4_096
RETRY_AFTER = 5


@dataclass(frozen=True, slots=True)
class _Entry:
    principal: Principal
    source: KeySource
    keys: KeySet
    audiences: frozenset[str]
    until: float
    """Monotonic seconds."""


class Verifier:
    """Checks tokens of the configured issuers.

    `audiences` empty means the issuer's own, `issuers` (names) empty means all configured ones, as in the settings of a
    target; `own` are audiences beside those, which name the very resource that is asked for. An issuer without
    audiences accepts nothing else. Raises ConfigError on settings that could not be safe.
    """

    def __init__(
        self,
        issuers: Sequence[Issuer],
        clock: Clock,
        *,
        fetch: Fetch = fetch,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        review: Ask = ask_api_server,
    ) -> None:
        self._clock = clock
        self._reviews = {i.url: TokenReviews(i.token_review, clock, ask=review) for i in issuers if i.token_review}
        self._sources: dict[str, KeySource] = {}
        for issuer in issuers:
            _check_settings(issuer)
            if issuer.url in self._sources:
                raise ConfigError(f"two issuers have the url `{issuer.url}`")
            self._sources[issuer.url] = KeySource(issuer, clock, fetch=fetch_for(issuer, fetch), sleep=sleep)
        self._cache: OrderedDict[bytes, _Entry] = OrderedDict()

    async def start(self) -> None:
        """Begin to fetch keys in the background. Returns at once: an issuer that is down does not stop the gateway."""
        for source in self._sources.values():
            source.start()

    async def close(self) -> None:
        """Stop fetching and forget every verification."""
        self._cache.clear()
        await asyncio.gather(*(source.close() for source in self._sources.values()))
        await asyncio.gather(*(reviews.close() for reviews in self._reviews.values()))

    def unavailable(self) -> dict[str, str]:
        """Return the issuers, by name, whose tokens cannot be verified now, and why."""
        return {s.issuer.name: s.last_error for s in self._sources.values() if not s.is_usable}

    def cached(
        self, token: str, *, audiences: frozenset[str], issuers: frozenset[str], own: frozenset[str] = frozenset()
    ) -> Principal | None:
        """Return the principal if this very token was verified within `CACHE_FOR` and nothing changed since.

        No I/O. None says nothing about the token: call `verify`.
        """
        digest = token_digest(token)
        entry = self._cache.get(digest)
        if entry is None:
            return None
        now = self._clock.monotonic()
        source = entry.source
        issuer = source.issuer
        if (
            now >= entry.until
            or now >= source.usable_until
            or source.current is not entry.keys
            or self._clock.now() >= entry.principal.expires_at
        ):
            del self._cache[digest]
            return None
        # What the token is for is compared anew for each resource: verified for one, it is not verified for another.
        if issuers and issuer.name not in issuers:
            return None
        if entry.audiences.isdisjoint(own) and entry.audiences.isdisjoint(audiences or issuer.audiences):
            return None
        self._cache.move_to_end(digest)
        return entry.principal

    async def verify(
        self, token: str, *, audiences: frozenset[str], issuers: frozenset[str], own: frozenset[str] = frozenset()
    ) -> Principal:
        """Return the principal of an access token.

        Raises Refusal: UNAUTHENTICATED for any fault of the token, UNAVAILABLE where the issuer's keys cannot be had.
        """
        found = self.cached(token, audiences=audiences, issuers=issuers, own=own)
        if found is not None:
            return found
        try:
            return await self._verify(token, audiences, issuers, own)
        except (BadToken, UnknownKey) as error:
            raise _not_accepted("the access token was not accepted", error) from None
        except KeysUnavailable as error:
            raise _unavailable(error) from None

    async def verify_reviewer(
        self, id_token: str, *, client_ids: frozenset[str], issuers: frozenset[str], max_age: float
    ) -> Reviewer:
        """Return the reviewer of an ID token that was issued to one of `client_ids`, at most `max_age` seconds ago.

        `issuers` empty means those with a `login_client_id`. Never cached. Raises Refusal as `verify` does.
        """
        allowed = issuers or frozenset(s.issuer.name for s in self._sources.values() if s.issuer.login_client_id)
        # A cluster vouches for workloads, and those review nothing.
        allowed -= {s.issuer.name for s in self._sources.values() if s.issuer.kind == "kubernetes"}
        try:
            parts = take_apart(id_token)
            source = self._source_of(parts, allowed)
            check_id_token_type(parts.typ)
            claims, _ = await _signed_claims(parts, source)
            check_is_login(claims)
            subject = check_id_token(
                claims, source.issuer, client_ids=client_ids, now=self._clock.now(), max_age=max_age
            )
            return reviewer_of(claims, source.issuer, subject)
        except (BadToken, UnknownKey) as error:
            raise _not_accepted("the login was not accepted, log in again", error) from None
        except KeysUnavailable as error:
            raise _unavailable(error) from None

    async def verify_confirmation(
        self, id_token: str, *, reviewer: Reviewer, client_ids: frozenset[str], digest: str, again: bool
    ) -> Confirmation:
        """Return who confirms the decision with `digest`, by an ID token that was issued for it to one of our clients.

        It must be of the very account that `reviewer` logged in with; `again` as in `check_confirmation`. Never cached.
        Raises Refusal as `verify` does, and says what is wrong: it is the reviewer's own token.
        """
        try:
            parts = take_apart(id_token)
            allowed = frozenset(s.issuer.name for s in self._sources.values() if s.issuer.url == reviewer.issuer)
            source = self._source_of(parts, allowed)
            check_id_token_type(parts.typ)
            claims, key = await _signed_claims(parts, source)
            found = check_confirmation(
                claims,
                source.issuer,
                client_ids=client_ids,
                reviewer=reviewer,
                digest=digest,
                now=self._clock.now(),
                again=again,
            )
        except (BadToken, UnknownKey) as error:
            raise _not_accepted(f"the confirmation of your decision does not count: {error}", error) from None
        except KeysUnavailable as error:
            raise _unavailable(error) from None
        return Confirmation(found, public_jwk(key))

    async def _verify(
        self, token: str, audiences: frozenset[str], issuers: frozenset[str], own: frozenset[str]
    ) -> Principal:
        parts = take_apart(token)
        source = self._source_of(parts, issuers or frozenset(s.issuer.name for s in self._sources.values()))
        issuer = source.issuer
        if parts.typ not in issuer.types:
            raise BadToken(f"header `typ` is `{printable(parts.typ)}`, which issuer `{issuer.name}` is not set to use")
        claims, _ = await _signed_claims(parts, source)
        keys = source.current
        times = check_times(claims, now=self._clock.now(), max_lifetime=issuer.max_lifetime)
        named = audiences_of(claims)
        accepted = (audiences or issuer.audiences) | own
        if named.isdisjoint(accepted):
            wanted = ", ".join(f"`{a}`" for a in sorted(accepted)) or "nothing"
            raise BadToken(f"claim `aud` does not name this gateway: accepted here is {wanted}")
        digest = token_digest(token)
        make = principal_of_service_account if issuer.kind == "kubernetes" else principal_of
        principal = make(claims, issuer, token_id=digest.hex(), expires_at=times.expires)
        # Counted from before the API server is asked: what it says is believed for no longer than the settings allow.
        until = self._clock.monotonic() + CACHE_FOR
        if (reviews := self._reviews.get(issuer.url)) is not None:
            until = await reviews.check(token, digest, claims, named & accepted)
        if keys is not None:
            self._remember(digest, _Entry(principal, source, keys, named, until))
        return principal

    def _source_of(self, parts: UnverifiedToken, allowed: frozenset[str]) -> KeySource:
        """Let the unverified `iss` choose among our issuers, and nothing else."""
        iss = parts.unverified_claims.get("iss")
        source = self._sources.get(iss) if isinstance(iss, str) else None
        if source is None or source.issuer.name not in allowed:
            raise BadToken(f"issuer `{printable(str(iss))}` is not accepted here")
        if parts.algorithm not in source.issuer.algorithms:
            raise BadToken(f"algorithm `{printable(parts.algorithm)}` is not pinned for issuer `{source.issuer.name}`")
        return source

    def _remember(self, digest: bytes, entry: _Entry) -> None:
        self._cache[digest] = entry
        self._cache.move_to_end(digest)
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)


async def _signed_claims(parts: UnverifiedToken, source: KeySource) -> tuple[JsonObject, VerificationKey]:
    key = await source.find(parts.kid)
    claims = verify_signature(parts, key, algorithms=source.issuer.algorithms).values
    # INVARIANT: what the signature covers names the issuer whose key it is (RFC 8725 section 3.8).
    if claims.get("iss") != source.issuer.url:
        raise BadToken("claim `iss` is not the issuer whose key signed it")
    return claims, key


def _check_settings(issuer: Issuer) -> None:
    for url in (issuer.url, issuer.jwks_url):
        if url and not is_trustworthy(url):
            raise ConfigError(f"issuer `{issuer.name}`: `{url}` is neither https nor http on loopback")
    if not issuer.algorithms or not issuer.algorithms <= ALGORITHMS:
        raise ConfigError(f"issuer `{issuer.name}`: algorithms must be some of {', '.join(sorted(ALGORITHMS))}")
    if not issuer.types:
        raise ConfigError(f"issuer `{issuer.name}`: no `typ` is allowed, so no token would be")
    if not issuer.url:
        raise ConfigError(f"issuer `{issuer.name}`: no url")


def _not_accepted(public: str, error: Exception) -> Refusal:
    challenge = 'Bearer error="invalid_token"'
    return Refusal(RefusalKind.UNAUTHENTICATED, public, detail=str(error), challenge=challenge)


def _unavailable(error: Exception) -> Refusal:
    return Refusal(
        RefusalKind.UNAVAILABLE,
        "the identity provider cannot be asked now, try again",
        detail=str(error),
        retry_after=RETRY_AFTER,
    )
