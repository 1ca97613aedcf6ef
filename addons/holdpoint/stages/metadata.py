"""What the gateway says of its targets to whoever asks: metadata, challenges, and who may call from a browser."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from mitmproxy import http

from holdpoint.domain.access import Protocol
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity import metadata
from holdpoint.identity.metadata import Resource
from holdpoint.protocols import cors, strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.settings import Settings, Target
from holdpoint.stages.describe import who_asks
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.fields import values

CACHE_SECONDS = 300
"""How long others may keep a metadata document: as long as it takes for a change of settings to reach everybody."""
_NO_CONTENT = 204
_CHALLENGED = frozenset({RefusalKind.UNAUTHENTICATED, RefusalKind.DENIED})


def is_preflight(request: http.Request) -> bool:
    """Tell whether a browser asks whether a page may call (WHATWG Fetch, "CORS-preflight request")."""
    return (
        request.method == "OPTIONS"
        and "origin" in request.headers
        and "access-control-request-method" in request.headers
    )


def check_origin(request: http.Request, target: Target, resource: Resource) -> str:
    """Return the origin whose pages may read the answer, or nothing where no other page asked. Raises Refusal.

    Whoever is no browser sends no `Origin`. A page of the gateway's own origin needs nobody's leave; any other must be
    listed (MCP, "Streamable HTTP", "Security": an invalid `Origin` is answered with 403).
    """
    named = [value.decode("utf-8", "surrogateescape") for value in values(request.headers, b"origin")]
    if not named:
        return ""
    if len(named) > 1:
        raise Refusal(RefusalKind.BAD_REQUEST, "header `origin` is given more than once")
    if named[0] in target.origins:
        return named[0]
    if named[0] == resource.origin:
        return ""
    raise Refusal(RefusalKind.DENIED, "pages of this origin may not call", detail="the `Origin` header is not listed")


def reply_preflight(request: http.Request, origin: str, protocol: Protocol | None) -> http.Response:
    """Return the answer to a preflight. `protocol` None: for metadata."""
    asked = request.headers.get("access-control-request-headers", "")
    return _answer(_NO_CONTENT, b"", cors.preflight_fields(origin, protocol, asked))


def reply_metadata(
    request: http.Request, target: Target, resource: Resource, settings: Settings, scopes: frozenset[str]
) -> http.Response:
    """Return the metadata document of a target. `scopes` are those that policies ask for there."""
    # A cluster signs tokens of its own pods, and nobody logs in there.
    oidc = [i for i in settings.issuers if i.kind == "oidc"]
    taken = [i.url for i in oidc if not target.issuers or i.name in target.issuers]
    said = metadata.document(resource, name=target.name, issuers=taken, scopes=scopes | target.scopes)
    body = strict_json.dumps(said)
    fields = [
        (b"Content-Type", b"application/json"),
        (b"Cache-Control", b"public, max-age=%d" % CACHE_SECONDS),
        *cors.answer_fields(cors.ANYBODY),
    ]
    answer = _answer(200, body, fields)
    if request.method == "HEAD":
        answer.content = b""
        answer.headers["content-length"] = str(len(body))
    return answer


def check_metadata_request(request: http.Request) -> None:
    """Refuse what is no plain question for metadata. Raises Refusal."""
    if request.method not in ("GET", "HEAD") and not is_preflight(request):
        error = Undecodable("metadata is read with GET", status=405, allow="GET, HEAD, OPTIONS")
        raise error.refusal() from error
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        raise Refusal(RefusalKind.BAD_REQUEST, "a body is not accepted here")


def with_challenge(refusal: Refusal, exchange: Exchange, scopes: frozenset[str]) -> Refusal:
    """Return a refusal whose challenge says where to log in and what to ask for; others as they are.

    `scopes` are those that policies ask for at this target. A 401 asks for the target's own. A step-up asks for all
    that this request needs, and beside it for what the target always asks for and for what of it all the token has:
    clients of 2025-11-25 ask for exactly what they are told, and would lose the rest.
    """
    base = refusal.challenge
    if refusal.kind is RefusalKind.UNAUTHENTICATED:
        base = base or 'Bearer error="invalid_token"'
    if not base:
        return refusal
    wanted: set[str] = set()
    if exchange.target is not None and refusal.kind in _CHALLENGED:
        wanted |= exchange.target.scopes
    if refusal.scopes:
        who = who_asks(exchange.state)
        wanted |= refusal.scopes | (who.scopes & scopes if who else frozenset[str]())
    said = Refusal(
        refusal.kind,
        refusal.public,
        detail=refusal.detail,
        ticket=refusal.ticket,
        link=refusal.link,
        retry_after=refusal.retry_after,
        challenge=metadata.challenge(base, resource=exchange.resource, scopes=wanted),
        scopes=refusal.scopes,
    )
    said.__cause__ = refusal.__cause__
    return said


def let_read(answer: http.Response | None, exchange: Exchange) -> None:
    """Take out what an upstream says about who may read its answer, and say it ourselves."""
    if answer is not None:
        answer.headers = http.Headers(cors.dressed(answer.headers.fields, exchange.readable_by))


def _answer(status: int, body: bytes, fields: cors.Fields) -> http.Response:
    answer = http.Response.make(status, body, fields)
    if status == _NO_CONTENT:
        del answer.headers["content-length"]  # RFC 9110 section 8.6
    return answer
