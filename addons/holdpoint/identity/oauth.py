"""The endpoints of an issuer as a native app uses them (RFC 6749, RFC 7636, RFC 8628, RFC 8252, RFC 9207)."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from holdpoint.domain.values import JsonObject, as_text
from holdpoint.identity.discovery import Metadata
from holdpoint.identity.documents import BadDocument, parse_object
from holdpoint.identity.errors import LoginError
from holdpoint.identity.fetch import FetchError, Post, is_trustworthy
from holdpoint.identity.keys import printable
from holdpoint.settings import Issuer

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_LIFETIME = 300.0
"""Seconds for which an access token is kept where the issuer does not say."""
_OK = 200


class RefusedByIssuer(LoginError):  # noqa: N818  # named after what happened
    """An error of RFC 6749 section 5.2, by its code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the identity provider refused: `{printable(code)}`")
        self.code = code


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What the token endpoint gave. Nothing in it was verified."""

    access_token: str = field(repr=False)
    lifetime: float
    """Seconds."""
    id_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """What the device authorization endpoint gave."""

    device_code: str = field(repr=False)
    user_code: str
    page: str
    page_with_code: str
    lifetime: float
    interval: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """The secrets of one authorization request: none of them is used twice."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier (RFC 7636 section 4.2)."""
        return urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


def authorization_url(
    metadata: Metadata,
    issuer: Issuer,
    attempt: Attempt,
    *,
    redirect_uri: str,
    resource: str,
    more: Mapping[str, str] | None = None,
) -> str:
    """Return the page at which the person logs in; `more` are further parameters. Raises LoginError without one."""
    if not metadata.authorization_endpoint:
        raise LoginError(f"issuer `{issuer.name}` offers no login by browser")
    fields = {
        "response_type": "code",
        "client_id": issuer.login_client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(issuer.login_scopes),
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
    }
    fields |= with_resource(resource) | dict(more or {})
    mark = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
    return metadata.authorization_endpoint + mark + urlencode(fields)


def with_resource(resource: str) -> dict[str, str]:
    """Return the parameter that asks for an audience (RFC 8707 section 2), none where none is asked for."""
    return {"resource": resource} if resource else {}


def code_of(answer: Mapping[str, str], metadata: Metadata) -> str:
    """Return the code of an authorization response whose state was checked. Raises LoginError."""
    # Another issuer's answer at our redirect would send its code, and our verifier, to the wrong one (RFC 9207).
    if answer.get("iss", metadata.issuer) != metadata.issuer or (metadata.iss_in_response and "iss" not in answer):
        raise LoginError("the answer came from another identity provider than the one that was asked")
    if "error" in answer:
        raise RefusedByIssuer(answer["error"])
    if not answer.get("code"):
        raise LoginError("the identity provider sent no code")
    return answer["code"]


async def request_tokens(metadata: Metadata, issuer: Issuer, fields: Mapping[str, str], *, post: Post) -> TokenAnswer:
    """Ask the token endpoint as the public login client. Raises LoginError; RefusedByIssuer for an error it names."""
    form = {**fields, "client_id": issuer.login_client_id}
    document = await _ask(metadata.token_endpoint, issuer, form, post)
    access_token = as_text(document.get("access_token"))
    if not access_token or as_text(document.get("token_type")).lower() != "bearer":
        raise LoginError("the identity provider sent no bearer token")
    return TokenAnswer(
        access_token=access_token,
        lifetime=_seconds(document, "expires_in", DEFAULT_LIFETIME),
        id_token=as_text(document.get("id_token")),
        refresh_token=as_text(document.get("refresh_token")),
    )


async def request_device(metadata: Metadata, issuer: Issuer, *, resource: str, post: Post) -> DeviceAnswer:
    """Begin a device grant (RFC 8628 section 3.1). Raises LoginError."""
    if not metadata.device_authorization_endpoint:
        raise LoginError(f"issuer `{issuer.name}` offers no login by code")
    form = {"client_id": issuer.login_client_id, "scope": " ".join(issuer.login_scopes)} | with_resource(resource)
    document = await _ask(metadata.device_authorization_endpoint, issuer, form, post)
    page = as_text(document.get("verification_uri"))
    complete = as_text(document.get("verification_uri_complete"))
    answer = DeviceAnswer(
        device_code=as_text(document.get("device_code")),
        user_code=as_text(document.get("user_code")),
        page=page,
        page_with_code=complete if is_trustworthy(complete) else "",
        lifetime=_seconds(document, "expires_in", 0.0),
        interval=max(_seconds(document, "interval", 5.0), 1.0),
    )
    if not answer.device_code or not answer.user_code.isprintable() or not answer.user_code or not is_trustworthy(page):
        raise LoginError("the identity provider's answer to the login by code is not usable")
    return answer


async def _ask(url: str, issuer: Issuer, form: Mapping[str, str], post: Post) -> JsonObject:
    if not url:
        raise LoginError(f"issuer `{issuer.name}` names no endpoint for this")
    try:
        status, body = await post(url, form, ca_file=issuer.ca_file)
        document = parse_object(body)
    except FetchError as error:
        raise LoginError(str(error)) from error
    except BadDocument as error:
        raise LoginError(f"`{url}` answered something that is {error}") from error
    if status != _OK:
        raise RefusedByIssuer(as_text(document.get("error")) or str(status))
    return document


def _seconds(document: JsonObject, name: str, default: float) -> float:
    value = document.get(name, default)
    # Some providers send numbers as text.
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        return default
    return float(value)
