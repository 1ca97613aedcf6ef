"""Plain HTTP targets: method, host, path and JSON body, where each can be read one way only."""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from holdpoint.domain.access import Action, HttpPath, Protocol
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Call, Rendered, Undecodable
from holdpoint.protocols.headers import Headers, Index

READS = frozenset({"get", "head", "options"})
BODY = "$body"
"""Argument that holds a JSON body that is not an object."""

_METHOD = re.compile(r"[A-Z]{1,20}")
_NEVER = frozenset({"CONNECT", "TRACE"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_TARGET = re.compile(r"[!-~]*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN_ESCAPE = re.compile(r"%(2[EFef]|5[Cc]|25|3[Bb]|[01][0-9A-Fa-f]|7[Ff])")
_MAX_TARGET = 16 << 10


def decode(
    *,
    method: str,
    host: str,
    path: str,
    headers: Headers,
    body: bytes,
    reads: frozenset[str] = READS,
    max_bytes: int = strict_json.MAX_BYTES,
) -> Call:
    """Return what a request asks. Raises Undecodable, and nothing else.

    `path` is the request target from the slash on, with its query; `reads` are the verbs that change nothing.
    The path in the resource is percent-decoded; the intent keeps the query as it was sent.
    """
    if not _METHOD.fullmatch(method) or method in _NEVER:
        raise Undecodable("this HTTP method is not accepted here", status=405)
    verb = method.lower()
    name = host.lower()
    if not _HOST.fullmatch(name):
        raise Undecodable("not a host name")
    index = Index(headers)
    raw_path, _, raw_query = path.partition("?")
    place = HttpPath(name, _path(raw_path, len(path)), _query(raw_query))
    said = _body(method, index, body, max_bytes)
    intent: JsonObject = {"method": verb, "host": name, "path": place.path}
    if raw_query:
        intent["query"] = raw_query
    if body:
        intent["body"] = said
    if deciding := index.intent():
        intent["headers"] = deciding
    return Call(
        action=Action(Protocol.HTTP, verb),
        resource=place,
        arguments=said if isinstance(said, dict) else {BODY: said},
        intent=intent,
        is_write=verb not in reads,
        accepts_sse=index.accepts_sse(),
    )


def _path(raw: str, length: int) -> str:
    if length > _MAX_TARGET:
        raise Undecodable("the path is too long", status=414)
    if not raw.startswith("/") or not _TARGET.fullmatch(raw):
        raise Undecodable("the path does not begin with a slash, or holds what no path may hold")
    if "//" in raw or "\\" in raw or ";" in raw or "#" in raw or _FORBIDDEN_ESCAPE.search(raw):
        raise Undecodable("the path can be read in more than one way")
    if any(segment in {".", ".."} for segment in raw.split("/")):
        raise Undecodable("the path holds dot segments")
    return plain(raw)


def _query(raw: str) -> tuple[tuple[str, str], ...]:
    if not _TARGET.fullmatch(raw) or "#" in raw:
        raise Undecodable("the query holds what no query may hold")
    pairs: list[tuple[str, str]] = []
    for part in filter(None, raw.split("&")):
        key, _, value = part.partition("=")
        pairs.append((plain(key.replace("+", " ")), plain(value.replace("+", " "))))
    return tuple(pairs)


def plain(raw: str) -> str:
    """Undo percent-encoding. Raises Undecodable where it is broken, or no UTF-8."""
    if "%" not in raw:
        return raw
    if _BROKEN_ESCAPE.search(raw):
        raise Undecodable("a percent sign stands alone")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Undecodable("percent-encoded text is not UTF-8") from None


def _body(method: str, index: Index, body: bytes, max_bytes: int) -> JsonValue:
    if not body:
        return {}
    if method in _BODILESS:
        raise Undecodable("a body is not accepted with this HTTP method")
    index.require_json_body()
    return strict_json.loads(body, max_bytes=max_bytes, exact=True)


def refusal(
    refused: Refusal, *, refusal_id: str, status: int | None = None, extra: Mapping[str, str] | None = None
) -> Rendered:
    """Return problem details (RFC 9457). Never raises. `extra` are headers to add."""
    code = refused.status if status is None else status
    problem: JsonObject = {
        "type": f"urn:holdpoint:refusal:{refused.kind.value}",
        "title": _TITLES[refused.kind],
        "status": code,
        "detail": refused.public.encode("utf-8", "replace").decode(),
        "refusal": refusal_id,
        "kind": refused.kind.value,
    }
    if refused.ticket:
        problem["ticket"] = refused.ticket
    if refused.link:
        problem["link"] = refused.link
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **(extra or {})}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    if refused.challenge:
        headers["WWW-Authenticate"] = refused.challenge
    return Rendered(code, tuple(headers.items()), strict_json.dumps(problem))


def undecodable(error: Undecodable, *, refusal_id: str) -> Rendered:
    """Return problem details for what could not be decoded. Never raises."""
    extra = {"Allow": error.allow} if error.allow else None
    return refusal(error.refusal(), refusal_id=refusal_id, status=error.status, extra=extra)


_TITLES = {
    RefusalKind.UNAUTHENTICATED: "Not authenticated",
    RefusalKind.BAD_REQUEST: "Not a clear request",
    RefusalKind.NOT_FOUND: "Not found",
    RefusalKind.DENIED: "Denied by policy",
    RefusalKind.HELD: "Held for approval",
    RefusalKind.REVIEW_DENIED: "Denied by a reviewer",
    RefusalKind.EXPIRED: "Not approved in time",
    RefusalKind.CONFLICT: "Already sent",
    RefusalKind.TOO_LARGE: "Too large",
    RefusalKind.RATE_LIMITED: "Too many requests",
    RefusalKind.NOT_ACCEPTABLE: "Not acceptable",
    RefusalKind.UPSTREAM: "Upstream failed",
    RefusalKind.WITHHELD: "Answer withheld",
    RefusalKind.UNAVAILABLE: "Unavailable",
    RefusalKind.FAULT: "Fault of the gateway",
}
