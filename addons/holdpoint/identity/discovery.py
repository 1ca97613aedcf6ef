"""What an issuer says of itself (OpenID Connect Discovery 1.0 section 4)."""

from dataclasses import dataclass

from holdpoint.domain.values import JsonObject
from holdpoint.identity.documents import BadDocument, parse_object
from holdpoint.identity.fetch import Fetch, FetchError, is_trustworthy
from holdpoint.settings import Issuer


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints of an issuer, each https or on loopback, empty where there is none."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    device_authorization_endpoint: str = ""
    iss_in_response: bool = False
    """Whether every authorization response carries `iss` (RFC 9207 section 3)."""


async def discover(issuer: Issuer, fetch: Fetch) -> Metadata:
    """Fetch and check the document. Raises FetchError, also where it speaks for another issuer."""
    # A terminating slash is removed before appending (section 4.1); the comparison below keeps it.
    url = issuer.url.removesuffix("/") + "/.well-known/openid-configuration"
    try:
        document = parse_object(await fetch(url, ca_file=issuer.ca_file))
    except BadDocument as error:
        raise FetchError(f"`{url}`: {error}") from error
    if document.get("issuer") != issuer.url:
        raise FetchError(f"`{url}` speaks for another issuer than `{issuer.url}`")
    if not document.get("jwks_uri"):
        raise FetchError(f"`{url}` names no `jwks_uri`")
    return Metadata(
        issuer=issuer.url,
        jwks_uri=_endpoint(document, "jwks_uri", url),
        authorization_endpoint=_endpoint(document, "authorization_endpoint", url),
        token_endpoint=_endpoint(document, "token_endpoint", url),
        device_authorization_endpoint=_endpoint(document, "device_authorization_endpoint", url),
        iss_in_response=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(document: JsonObject, name: str, url: str) -> str:
    value = document.get(name, "")
    if not isinstance(value, str):
        raise FetchError(f"`{url}`: `{name}` is no text")
    if value and not is_trustworthy(value):
        raise FetchError(f"`{url}`: `{name}` is not https")
    return value
