"""Log reviewers in: authorization code with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9207), by hand.

NOTE: not by Authlib's Starlette client: it has no types, keeps state and nonce in a signed cookie that the browser can
replay, and hides which checks are made. What is needed here is three requests.
"""

import base64
import hashlib
import ipaddress
from collections.abc import Mapping
from typing import cast
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import httpx
import msgspec

from holdpoint.clock import Clock
from holdpoint.console.id_token import LoginRefused, UnknownKey, login_of, verify
from holdpoint.console.sessions import Login, NewFlow
from holdpoint.domain.statement import NONCE_PREFIX
from holdpoint.domain.values import JsonObject
from holdpoint.settings import Issuer

MOST_BYTES = 1 << 20
METADATA_AGE = 3_600.0
"""Seconds for which the issuer's metadata and keys are kept."""
KEY_COOLDOWN = 30.0
"""Seconds between two looks for an unknown key."""


class _Metadata(msgspec.Struct, frozen=True):
    """OpenID Provider Metadata (OpenID Connect Discovery 1.0, section 3), as far as needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    code_challenge_methods_supported: list[str] | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool | None = None


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, object]]


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class Provider:
    """One issuer as this console's login."""

    def __init__(
        self,
        issuer: Issuer,
        *,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        http: httpx.AsyncClient,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._http = http
        self._clock = clock
        self._metadata: tuple[float, _Metadata] | None = None
        self._keys: tuple[float, list[JsonObject]] | None = None

    @property
    def name(self) -> str:
        """What the issuer is called in the settings."""
        return self._issuer.name

    @property
    def issuer_url(self) -> str:
        """The issuer, exactly as in `iss`."""
        return self._issuer.url

    async def login_url(self, new: NewFlow, *, more: Mapping[str, str] | None = None) -> str:
        """Return where to send the browser. Raises LoginRefused where the issuer cannot be reached or is not fit.

        `more` are further parameters of the request.
        """
        metadata = await self._discover()
        methods = metadata.code_challenge_methods_supported
        if methods is not None and "S256" not in methods:
            raise LoginRefused("the issuer does not offer PKCE with S256")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(new.flow.verifier.encode()).digest()).rstrip(b"=")
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *self._issuer.login_scopes))),
            "state": new.state,
            "nonce": new.flow.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
            **(more or {}),
        }
        parts = urlsplit(metadata.authorization_endpoint)
        joined = "&".join(filter(None, (parts.query, urlencode(query))))
        return urlunsplit((parts.scheme, parts.netloc, parts.path, joined, ""))

    async def check_answer(self, *, iss: str | None, error: str) -> None:
        """Refuse an answer of another issuer (RFC 9207), or one that says no. Raises LoginRefused."""
        required = (await self._discover()).authorization_response_iss_parameter_supported
        if iss != self._issuer.url and (required or iss is not None):
            raise LoginRefused("the answer is of another issuer")
        if error:
            raise LoginRefused(f"the issuer says `{error[:80]}`")

    async def redeem(self, code: str, *, verifier: str, nonce: str, confirms: bool = False) -> Login:
        """Trade the code for an ID token and verify it. Raises LoginRefused.

        A token whose nonce is the digest of a decision confirms that decision (`confirms`), and is no login.
        """
        if nonce.startswith(NONCE_PREFIX) is not confirms:
            raise LoginRefused("what confirms a decision is no login")
        metadata = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
            "client_id": self._client_id,
        }
        headers: dict[str, str] = {}
        if self._client_secret:
            methods = metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
            if "client_secret_basic" in methods:
                pair = f"{quote(self._client_id, safe='')}:{quote(self._client_secret, safe='')}"
                headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
            else:
                form["client_secret"] = self._client_secret
        request = self._http.build_request("POST", metadata.token_endpoint, data=form, headers=headers)
        tokens = await self._read(request, _Tokens)
        try:
            claims = await self._verify(tokens.id_token, nonce)
        except UnknownKey as error:
            raise LoginRefused("the issuer does not publish the key of its ID token") from error
        return login_of(tokens.id_token, claims, self._issuer.claims)

    async def _verify(self, token: str, nonce: str) -> JsonObject:
        try:
            return self._verify_now(token, await self._key_set(max_age=METADATA_AGE), nonce)
        except UnknownKey:
            return self._verify_now(token, await self._key_set(max_age=KEY_COOLDOWN), nonce)

    def _verify_now(self, token: str, keys: list[JsonObject], nonce: str) -> JsonObject:
        return verify(token, keys, issuer=self._issuer, client_id=self._client_id, nonce=nonce, now=self._clock.now())

    async def _discover(self) -> _Metadata:
        now = self._clock.monotonic()
        if self._metadata is not None and now < self._metadata[0] + METADATA_AGE:
            return self._metadata[1]
        url = self._issuer.url.rstrip("/") + "/.well-known/openid-configuration"
        metadata = await self._read(self._http.build_request("GET", url), _Metadata)
        if metadata.issuer != self._issuer.url:
            raise LoginRefused("the issuer calls itself by another name than the settings do")
        for endpoint in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri):
            if not is_protected(endpoint):
                raise LoginRefused("the issuer publishes an address without TLS")
        self._metadata = (now, metadata)
        return metadata

    async def _key_set(self, *, max_age: float) -> list[JsonObject]:
        now = self._clock.monotonic()
        if self._keys is not None and now < self._keys[0] + max_age:
            return self._keys[1]
        url = self._issuer.jwks_url or (await self._discover()).jwks_uri
        found = await self._read(self._http.build_request("GET", url), _KeySet)
        keys = cast("list[JsonObject]", found.keys)
        self._keys = (now, keys)
        return keys

    async def _read[T: msgspec.Struct](self, request: httpx.Request, kind: type[T]) -> T:
        """Send, and read an answer of bounded size into the type it must have."""
        body = bytearray()
        try:
            response = await self._http.send(request, stream=True, follow_redirects=False)
            try:
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise LoginRefused("the issuer's answer is too large")
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise LoginRefused("the issuer cannot be reached") from error
        if not response.is_success:
            raise LoginRefused(f"the issuer answered with status {response.status_code}")
        try:
            return msgspec.json.decode(bytes(body), type=kind)
        except msgspec.MsgspecError as error:
            raise LoginRefused("the issuer's answer cannot be read") from error


def is_protected(url: str) -> bool:
    """Tell whether an address is https, or http that does not leave the machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
