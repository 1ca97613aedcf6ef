"""The access token of a request: exactly one, in the `Authorization` header, nowhere else (RFC 6750 section 2.1)."""

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

from holdpoint.domain.refusal import Refusal, RefusalKind

# b64token of RFC 6750 section 2.1 (= token68 of RFC 9110): no comma, so that two joined credentials never pass.
_CREDENTIALS = re.compile(rb"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*) *")
_IN_QUERY = "access_token"
_IN_SUBPROTOCOL = b"base64url.bearer.authorization.k8s.io"
_PAIRS = re.compile(r"[&;]")
_SCHEME = re.compile(rb"(?i:bearer)(?: |$)")


def bearer_token(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Return the token as sent. Nothing about it is verified.

    Raises Refusal: UNAUTHENTICATED where there is none, BAD_REQUEST where there are several or it is malformed.
    """
    values = [value for name, value in headers if name.lower() == b"authorization"]
    if not values:
        raise Refusal(RefusalKind.UNAUTHENTICATED, "an access token is required", challenge="Bearer")
    if len(values) > 1:
        raise _malformed("more than one authorization header")
    found = _CREDENTIALS.fullmatch(values[0])
    if found:
        return found[1].decode("ascii")
    if _SCHEME.match(values[0]):
        raise _malformed("bearer credentials that are no token68")
    raise Refusal(
        RefusalKind.UNAUTHENTICATED,
        "an access token is required",
        detail="the authorization header is not of scheme bearer",
        challenge="Bearer",
    )


def refuse_token_in_subprotocol(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse a WebSocket that brings a token where the API server reads one too: in the name of a subprotocol.

    It would be an identity that nobody looked at (apiserver, pkg/authentication/request/websocket). Raises Refusal.
    """
    for name, value in headers:
        if name.lower().replace(b"_", b"-") == b"sec-websocket-protocol" and _IN_SUBPROTOCOL in value.lower():
            raise Refusal(
                RefusalKind.BAD_REQUEST,
                "an access token belongs in the authorization header",
                detail="a subprotocol holds an access token",
                challenge='Bearer error="invalid_request"',
            )


def refuse_token_in_query(target: str) -> None:
    """Refuse a request target whose query holds an access token (RFC 6750 section 2.3, which OAuth 2.1 took out).

    It would stand in logs on the way, and go upstream with the rest of the query. Raises Refusal.
    """
    query = target.partition("?")[2]
    # As most readers of queries read it: any case, `;` between pairs, percent-encoded.
    if query and any(_name(pair) == _IN_QUERY for pair in _PAIRS.split(query)):
        raise Refusal(
            RefusalKind.BAD_REQUEST,
            "an access token belongs in the authorization header",
            detail="the query holds an access token",
            challenge='Bearer error="invalid_request"',
        )


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0]).strip().lower()


def _malformed(detail: str) -> Refusal:
    return Refusal(
        RefusalKind.BAD_REQUEST,
        "the authorization header is malformed",
        detail=detail,
        challenge='Bearer error="invalid_request"',
    )
