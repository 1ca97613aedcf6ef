"""`holdpoint login` and `holdpoint token`: a person at a terminal gets tokens, and keeps them fresh."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from holdpoint.clock import Clock
from holdpoint.domain.values import as_text
from holdpoint.identity.discovery import Metadata, discover
from holdpoint.identity.errors import LoginEnded, LoginError
from holdpoint.identity.fetch import Fetch, FetchError, Post, fetch, post
from holdpoint.identity.jwks import KeySource, KeysUnavailable, UnknownKey
from holdpoint.identity.oauth import (
    DEVICE_GRANT,
    Attempt,
    DeviceAnswer,
    RefusedByIssuer,
    TokenAnswer,
    authorization_url,
    code_of,
    request_device,
    request_tokens,
    with_resource,
)
from holdpoint.identity.redirect import RedirectReceiver
from holdpoint.identity.resources import resource_for
from holdpoint.identity.reviewer import check_id_token, check_id_token_type
from holdpoint.identity.token_files import StoredTokens, TokenFiles, subject_of, times_of
from holdpoint.identity.tokens import BadToken, take_apart, verify_signature
from holdpoint.settings import Issuer, Settings

MARGIN = 60.0
"""Seconds that a token must still hold to be handed out."""
LOGIN_WITHIN = 300.0
"""Seconds that a person has to log in."""


def where_to_log_in(settings: Settings, target: str, *, issuer: str = "") -> tuple[Issuer, str]:
    """Return the issuer to log in at for a target, and the resource to ask for. Raises LoginError if unclear."""
    try:
        wanted = settings.target(target)
    except KeyError:
        known = ", ".join(f"`{t.name}`" for t in settings.targets)
        raise LoginError(f"there is no target `{target}`; known: {known}") from None
    fit = [
        i
        for i in settings.issuers
        if i.login_client_id and (not wanted.issuers or i.name in wanted.issuers) and issuer in ("", i.name)
    ]
    if len(fit) != 1:
        names = ", ".join(f"`{i.name}`" for i in fit)
        raise LoginError(f"say which issuer to use: {names}" if fit else f"no issuer offers a login for `{target}`")
    resource = resource_for(settings, wanted, fit[0])
    if not resource:
        raise LoginError(f"target `{target}` accepts no audience")
    return fit[0], resource


@dataclass(frozen=True, slots=True)
class Terminal:
    """How a login reaches the person."""

    show: Callable[[str], None]
    """Prints a line. Not to standard output where that carries a token."""
    open_browser: Callable[[str], object] | None = None


@dataclass(frozen=True, slots=True)
class Logins:
    """Logins at one issuer by its `login_client_id`. Every method raises LoginError."""

    issuer: Issuer
    files: TokenFiles
    clock: Clock
    fetch: Fetch = fetch
    post: Post = post
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)

    async def by_browser(self, terminal: Terminal, *, resource: str, within: float = LOGIN_WITHIN) -> StoredTokens:
        """Log in by authorization code with PKCE on a loopback redirect, and keep the tokens."""
        attempt = Attempt()
        tokens = await self._by_browser(terminal, attempt, resource=resource, within=within, say="log in at")
        return await self._keep(tokens, resource, nonce=attempt.nonce)

    async def confirm(
        self, terminal: Terminal, *, digest: str, again: bool = False, within: float = LOGIN_WITHIN
    ) -> str:
        """Have the issuer vouch for the decision with this digest: return an ID token whose `nonce` it is.

        `again`: the person has to log in anew for it. Nothing is kept: such a token opens nothing.
        """
        more = {"prompt": "login", "max_age": str(int(LOGIN_WITHIN))} if again else {}
        say = "confirm your decision at"
        tokens = await self._by_browser(terminal, Attempt(nonce=digest), within=within, say=say, more=more)
        if not tokens.id_token:
            raise LoginError("the identity provider sent no ID token")
        await self._check(tokens.id_token, digest)
        return tokens.id_token

    async def _by_browser(
        self,
        terminal: Terminal,
        attempt: Attempt,
        *,
        within: float,
        say: str,
        resource: str = "",
        more: Mapping[str, str] | None = None,
    ) -> TokenAnswer:
        metadata = await self._discover()
        async with RedirectReceiver(attempt.state) as receiver:
            url = authorization_url(
                metadata, self.issuer, attempt, redirect_uri=receiver.uri, resource=resource, more=more
            )
            terminal.show(f"{say} {url}")
            if terminal.open_browser is not None:
                await asyncio.to_thread(terminal.open_browser, url)
            try:
                async with asyncio.timeout(within):
                    answer = await receiver.answer()
            except TimeoutError:
                raise LoginError(f"nobody logged in within {within:.0f} s") from None
        fields = {
            "grant_type": "authorization_code",
            "code": code_of(answer, metadata),
            "redirect_uri": receiver.uri,
            "code_verifier": attempt.verifier,
        }
        return await request_tokens(metadata, self.issuer, fields | with_resource(resource), post=self.post)

    async def by_code(self, terminal: Terminal, *, resource: str) -> StoredTokens:
        """Log in by device grant: on any machine, with a code to type in. Keep the tokens."""
        metadata = await self._discover()
        device = await request_device(metadata, self.issuer, resource=resource, post=self.post)
        terminal.show(f"log in at {device.page} with the code {device.user_code}")
        if device.page_with_code:
            terminal.show(f"or open {device.page_with_code}")
        return await self._keep(await self._poll(metadata, device, resource), resource, nonce=None)

    async def access_token(self, *, resource: str) -> str:
        """Return an access token that holds for `MARGIN` more seconds, refreshed if needed."""
        return (await self.current(resource=resource)).access_token

    async def current(
        self, *, resource: str, otherwise: Callable[[], Awaitable[StoredTokens]] | None = None
    ) -> StoredTokens:
        """Return tokens whose access token holds for `MARGIN` more seconds, refreshed if needed.

        `otherwise` logs in where nobody is, or where the login has ended. Of several processes one does, while the
        others wait for what it gets.
        """
        stored = self.files.read(self.issuer.url, self.issuer.login_client_id, resource)
        if stored is not None and self._holds(stored):
            return stored
        async with self.files.locked():
            try:
                stored = self._stored(resource)  # another process may have refreshed it
                return stored if self._holds(stored) else await self._refresh(stored)
            except LoginEnded:
                if otherwise is None:
                    raise
                return await otherwise()

    def _holds(self, stored: StoredTokens) -> bool:
        return stored.expires_at - self.clock.now() > MARGIN

    async def id_token(self, *, max_age: float) -> str:
        """Return an ID token by which the gateway knows a reviewer, `max_age` seconds old at most. Refreshes it."""
        if found := self._fresh_id_token(max_age):
            return found
        failure: LoginError | None = None
        async with self.files.locked():
            for stored in self._all():
                if found := self._fresh_id_token(max_age):
                    return found
                try:
                    await self._refresh(stored)
                except LoginError as error:
                    failure = error
            if found := self._fresh_id_token(max_age):
                return found
        raise failure or LoginError("the login is too old, run `holdpoint login`")

    def _fresh_id_token(self, max_age: float) -> str:
        now = self.clock.now()
        for stored in self._all():
            issued, expires = times_of(stored.id_token)
            if expires - now > MARGIN and now - issued < max_age - min(MARGIN, max_age / 2):
                return stored.id_token
        return ""

    def _all(self) -> list[StoredTokens]:
        return self.files.all_of(self.issuer.url, self.issuer.login_client_id)

    def _stored(self, resource: str) -> StoredTokens:
        stored = self.files.read(self.issuer.url, self.issuer.login_client_id, resource)
        if stored is None:
            raise LoginEnded("nobody is logged in here, run `holdpoint login`")
        return stored

    async def _refresh(self, stored: StoredTokens) -> StoredTokens:
        """Use the refresh token, once: what comes back replaces it before anything else happens."""
        if not stored.refresh_token:
            raise LoginEnded("the login has ended, run `holdpoint login`")
        metadata = await self._discover()
        fields = {"grant_type": "refresh_token", "refresh_token": stored.refresh_token}
        try:
            answer = await request_tokens(
                metadata, self.issuer, fields | with_resource(stored.resource), post=self.post
            )
        except RefusedByIssuer as error:
            if error.code != "invalid_grant":
                raise
            self.files.forget(stored.issuer, stored.client_id, stored.resource)
            raise LoginEnded("the login has ended, run `holdpoint login`") from error
        self.files.write(replace(stored, refresh_token=answer.refresh_token or stored.refresh_token))
        return await self._keep(answer, stored.resource, nonce=None, before=stored)

    async def _poll(self, metadata: Metadata, device: DeviceAnswer, resource: str) -> TokenAnswer:
        deadline = self.clock.monotonic() + device.lifetime
        interval = device.interval
        fields = {"grant_type": DEVICE_GRANT, "device_code": device.device_code} | with_resource(resource)
        while self.clock.monotonic() < deadline:
            await self.sleep(interval)
            try:
                return await request_tokens(metadata, self.issuer, fields, post=self.post)
            except RefusedByIssuer as error:
                if error.code == "slow_down":
                    interval += 5.0  # RFC 8628 section 3.5
                elif error.code != "authorization_pending":
                    raise
        raise LoginError("nobody logged in before the code ended")

    async def _keep(
        self, answer: TokenAnswer, resource: str, *, nonce: str | None, before: StoredTokens | None = None
    ) -> StoredTokens:
        """Check the ID token, then write everything down."""
        if answer.id_token:
            subject = await self._check(answer.id_token, nonce)
            if before is not None and before.id_token and subject != subject_of(before.id_token):
                raise LoginError("the identity provider answered for somebody else, run `holdpoint login`")
        elif before is None and "openid" in self.issuer.login_scopes:
            raise LoginError("the identity provider sent no ID token")
        tokens = StoredTokens(
            issuer=self.issuer.url,
            client_id=self.issuer.login_client_id,
            resource=resource,
            access_token=answer.access_token,
            expires_at=self.clock.now() + answer.lifetime,
            id_token=answer.id_token or (before.id_token if before else ""),
            refresh_token=answer.refresh_token or (before.refresh_token if before else ""),
        )
        self.files.write(tokens)
        return tokens

    async def _check(self, id_token: str, nonce: str | None) -> str:
        """Verify an ID token as the gateway would, and the nonce that was sent with the request; return its `sub`."""
        source = KeySource(self.issuer, self.clock, fetch=self.fetch)
        try:
            parts = take_apart(id_token)
            check_id_token_type(parts.typ)
            key = await source.find(parts.kid)
            claims = verify_signature(parts, key, algorithms=self.issuer.algorithms).values
            if claims.get("iss") != self.issuer.url:
                raise LoginError("the ID token is of another issuer")
            clients = frozenset({self.issuer.login_client_id})
            subject = check_id_token(
                claims, self.issuer, client_ids=clients, now=self.clock.now(), max_age=float("inf")
            )
        except (BadToken, UnknownKey, KeysUnavailable) as error:
            raise LoginError(f"the identity provider sent an ID token that does not count: {error}") from error
        finally:
            await source.close()
        if nonce is not None and not secrets.compare_digest(as_text(claims.get("nonce")).encode(), nonce.encode()):
            raise LoginError("the ID token answers another login than this one")
        return subject

    async def _discover(self) -> Metadata:
        if not self.issuer.login_client_id:
            raise LoginError(f"issuer `{self.issuer.name}` has no `login_client_id`, so nobody can log in by it")
        try:
            return await discover(self.issuer, self.fetch)
        except FetchError as error:
            raise LoginError(str(error)) from error
