"""The grants of the fake issuer: who may have which token. For tests and the demo only."""

import base64
import binascii
import hashlib
import html
import secrets
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from starlette.responses import HTMLResponse

from holdpoint.clock import Clock

CODE_FOR = 60
DEVICE_FOR = 300
REGISTERED = ("authorization_code", "refresh_token")
"""Grants that whoever registers by themselves may have."""
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class OAuthError(Exception):
    """An error of RFC 6749 section 5.2."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(description or code)
        self.code = code


class Minter(Protocol):
    """What the grants need of the issuer."""

    url: str
    audience: str
    clock: Clock
    id_token_on_refresh: bool

    def mint(self, claims: dict[str, Any]) -> str: ...
    def mint_id_token(self, claims: dict[str, Any]) -> str: ...


@dataclass
class Authorization:
    """What was granted: to which client, for whom, for which resource."""

    client_id: str
    user: dict[str, Any]
    scope: str
    resource: str
    expires_at: float
    redirect_uri: str = ""
    challenge: str = ""
    nonce: str = ""
    family: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass
class Device:
    """A device that waits for its user."""

    user_code: str
    client_id: str
    scope: str
    resource: str
    expires_at: float
    user: dict[str, Any] | None = None


class Grants:
    """Codes, refresh tokens and devices, in memory."""

    def __init__(self, issuer: Minter, users: list[dict[str, Any]], clients: list[dict[str, Any]]) -> None:
        self.issuer = issuer
        self.users = users
        self.clients = {c["client_id"]: c for c in clients}
        self.codes: dict[str, Authorization] = {}
        self.refresh: dict[str, Authorization] = {}
        self.spent: dict[str, str] = {}
        self.devices: dict[str, Device] = {}

    def register(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Register a client by RFC 7591: whoever asks, for loopback and public clients' grants only."""
        redirects = asked.get("redirect_uris")
        if not isinstance(redirects, list) or not redirects:
            raise OAuthError("invalid_redirect_uri")
        method = asked.get("token_endpoint_auth_method") or "none"
        if method not in ("none", "client_secret_basic", "client_secret_post"):
            raise OAuthError("invalid_client_metadata")
        client = {
            "client_id": f"registered-{secrets.token_hex(8)}",
            "redirect_uris": redirects,
            "grant_types": [g for g in asked.get("grant_types", REGISTERED) if g in REGISTERED],
            "response_types": ["code"],
            "token_endpoint_auth_method": method,
        }
        if method != "none":
            client["client_secret"] = secrets.token_urlsafe(24)
        for known in ("client_name", "scope"):
            if known in asked:
                client[known] = asked[known]
        self.clients[client["client_id"]] = client
        return client

    def user_by_password(self, form: dict[str, str]) -> dict[str, Any] | None:
        for user in self.users:
            known = user["email"] == form.get("email") and user.get("password")
            if known and secrets.compare_digest(str(user["password"]), form.get("password", "")):
                return user
        return None

    def check_authorization(self, query: dict[str, str]) -> str:
        """Check an authorization request; return the redirect URI."""
        client = self._client(query.get("client_id", ""), "authorization_code")
        redirect = query.get("redirect_uri", "")
        if not any(_same_redirect(redirect, r) for r in client.get("redirect_uris", [])):
            raise OAuthError("invalid_request", "redirect_uri is not registered")
        if query.get("response_type") != "code":
            raise OAuthError("unsupported_response_type")
        if query.get("code_challenge_method") != "S256" or len(query.get("code_challenge", "")) != 43:
            raise OAuthError("invalid_request", "PKCE with S256 is required")
        return redirect

    def issue_code(self, query: dict[str, str], user: dict[str, Any]) -> str:
        code = secrets.token_urlsafe(24)
        self.codes[code] = Authorization(
            client_id=query["client_id"],
            user=user,
            scope=query.get("scope", ""),
            resource=query.get("resource", ""),
            expires_at=self.issuer.clock.now() + CODE_FOR,
            redirect_uri=query["redirect_uri"],
            challenge=query["code_challenge"],
            nonce=query.get("nonce", ""),
        )
        return code

    def issue_device_code(self, form: dict[str, str]) -> dict[str, Any]:
        client = self._client(form.get("client_id", ""), DEVICE_GRANT)
        code, user_code = secrets.token_urlsafe(24), secrets.token_hex(4).upper()
        expires_at = self.issuer.clock.now() + DEVICE_FOR
        self.devices[code] = Device(
            user_code, client["client_id"], form.get("scope", ""), form.get("resource", ""), expires_at
        )
        page = f"{self.issuer.url}/device"
        return {
            "device_code": code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?{urlencode({'user_code': user_code})}",
            "expires_in": DEVICE_FOR,
            "interval": 1,
        }

    def answer_device(self, user_code: str, user: dict[str, Any]) -> bool:
        for device in self.devices.values():
            if device.user_code == user_code and device.user is None:
                device.user = user
                return True
        return False

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any]:
        client_id, secret = _credentials(form, authorization)
        grant = form.get("grant_type", "")
        client = self._client(client_id, grant)
        if not secrets.compare_digest(client.get("client_secret", ""), secret):
            raise OAuthError("invalid_client")
        match grant:
            case "authorization_code":
                return self._by_code(form, client_id)
            case "refresh_token":
                return self._by_refresh(form, client_id)
            case "client_credentials":
                return self._by_client(form, client)
            case _ if grant == DEVICE_GRANT:
                return self._by_device(form, client_id)
            case _:
                raise OAuthError("unsupported_grant_type")

    def _client(self, client_id: str, grant: str) -> dict[str, Any]:
        client = self.clients.get(client_id)
        if client is None:
            raise OAuthError("invalid_client")
        if grant not in client.get("grant_types", ["authorization_code", "refresh_token", DEVICE_GRANT]):
            raise OAuthError("unauthorized_client")
        return client

    def _by_code(self, form: dict[str, str], client_id: str) -> dict[str, Any]:
        granted = self.codes.pop(form.get("code", ""), None)
        if granted is None or granted.client_id != client_id or self.issuer.clock.now() >= granted.expires_at:
            raise OAuthError("invalid_grant")
        if form.get("redirect_uri") != granted.redirect_uri:
            raise OAuthError("invalid_grant", "redirect_uri differs")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != granted.challenge:
            raise OAuthError("invalid_grant", "code_verifier does not fit")
        return self._answer(granted, form.get("resource", ""), with_id_token=True)

    def _by_refresh(self, form: dict[str, str], client_id: str) -> dict[str, Any]:
        token = form.get("refresh_token", "")
        if token in self.spent:  # used twice: somebody stole it, the whole family ends
            family = self.spent[token]
            self.refresh = {t: a for t, a in self.refresh.items() if a.family != family}
        granted = self.refresh.pop(token, None)
        if granted is None or granted.client_id != client_id:
            raise OAuthError("invalid_grant")
        self.spent[token] = granted.family
        return self._answer(granted, form.get("resource", ""), with_id_token=self.issuer.id_token_on_refresh)

    def _by_device(self, form: dict[str, str], client_id: str) -> dict[str, Any]:
        device = self.devices.get(form.get("device_code", ""))
        if device is None or device.client_id != client_id:
            raise OAuthError("invalid_grant")
        if self.issuer.clock.now() >= device.expires_at:
            raise OAuthError("expired_token")
        if device.user is None:
            raise OAuthError("authorization_pending")
        del self.devices[form["device_code"]]
        granted = Authorization(client_id, device.user, device.scope, device.resource, device.expires_at)
        return self._answer(granted, form.get("resource", ""), with_id_token=True)

    def _by_client(self, form: dict[str, str], client: dict[str, Any]) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "sub": client["client_id"],
            "client_id": client["client_id"],
            "aud": form.get("resource") or self.issuer.audience,
            "scope": form.get("scope") or None,
            "email": None,
            "name": client.get("name"),
            "groups": None,
        }
        token = self.issuer.mint(claims | client.get("claims", {}))
        return {"access_token": token, "token_type": "Bearer", "expires_in": 600}

    def _answer(self, granted: Authorization, resource: str, *, with_id_token: bool) -> dict[str, Any]:
        if resource and granted.resource and resource != granted.resource:
            raise OAuthError("invalid_target")
        user = granted.user
        person = {
            "sub": user["sub"],
            "email": user.get("email"),
            "email_verified": user.get("email_verified", True),
            "name": user.get("name"),
            "groups": user.get("groups"),
        }
        audience = granted.resource or resource or self.issuer.audience
        access = {"aud": audience, "client_id": granted.client_id, "scope": granted.scope or None}
        answer = {
            "access_token": self.issuer.mint(person | access),
            "token_type": "Bearer",
            "expires_in": 600,
            "scope": granted.scope,
        }
        if "refresh_token" in self.clients[granted.client_id].get("grant_types", REGISTERED):
            refresh = answer["refresh_token"] = secrets.token_urlsafe(24)
            self.refresh[refresh] = granted
        if with_id_token and "openid" in granted.scope.split():
            claims = person | {"aud": granted.client_id, "nonce": granted.nonce or None}
            answer["id_token"] = self.issuer.mint_id_token(claims)
        return answer


def login_page(query: dict[str, str], *, message: str = "", device: bool = False) -> HTMLResponse:
    """A plain form. It posts to the same address, query and all."""
    code = html.escape(query.get("user_code", ""), quote=True)
    device_field = f'<p><label>Code <input name="user_code" value="{code}"></label></p>' if device else ""
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Log in</title>
<h1>Log in</h1><p>This provider is for tests and the demo only.</p><p role="alert">{html.escape(message)}</p>
<form method="post">{device_field}
<p><label>E-mail <input name="email" autocomplete="username" autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>
<p><button>Log in</button></p></form></html>"""
    return HTMLResponse(page, headers={"Cache-Control": "no-store"})


def _same_redirect(asked: str, registered: str) -> bool:
    """Compare exactly, but for the port on loopback (RFC 8252 section 7.3)."""
    if asked == registered:
        return True
    one, other = urlsplit(asked), urlsplit(registered)
    return (
        one.hostname == other.hostname == "127.0.0.1"
        and (one.scheme, one.path, one.query, one.fragment) == (other.scheme, other.path, other.query, other.fragment)
        and "@" not in one.netloc
    )


def _credentials(form: dict[str, str], authorization: str) -> tuple[str, str]:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise OAuthError("invalid_client") from None
    return client_id, secret
