"""Refusals as `metav1.Status`, which every client of Kubernetes shows."""

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Rendered, Undecodable
from holdpoint.visible_text import spelled_out

RETRY_AFTER = 1
"""Seconds after which client-go asks again by itself, ten times, when it is told 429 (rest/with_retry.go)."""

_HELD = 429
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    413: "RequestEntityTooLarge",
    414: "RequestURITooLong",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    502: "BadGateway",
    503: "ServiceUnavailable",
}
"""`StatusReason` of apimachinery where it has one; kubectl shows any other as it shows these."""


def code(refused: Refusal) -> int:
    """Return the status of a refusal: what is held is tried again by the client's own library."""
    cause = refused.__cause__
    if isinstance(cause, Undecodable):
        return cause.status
    return _HELD if refused.kind is RefusalKind.HELD else refused.status


def document(refused: Refusal, *, refusal_id: str) -> JsonObject:
    """Return the Status, for an answer, an event of a watch, or the error channel of an exec."""
    status = code(refused)
    causes: list[JsonValue] = [_cause("Refusal", refusal_id), _cause("Kind", refused.kind.value)]
    if refused.ticket:
        causes.append(_cause("Ticket", refused.ticket))
    if refused.link:
        causes.append(_cause("Link", refused.link))
    details: JsonObject = {"causes": causes}
    if (after := retry_after(refused)) is not None:
        details["retryAfterSeconds"] = after
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message(refused, refusal_id=refusal_id),
        "reason": _REASONS.get(status, "InternalError"),
        "details": details,
        "code": status,
    }


def message(refused: Refusal, *, refusal_id: str) -> str:
    """Return the one line that kubectl shows: what happened, where it is reviewed, and the id to ask about."""
    # It ends up on a terminal, and may hold what a reviewer or an upstream wrote.
    said = spelled_out(refused.public)
    where = refused.link or refused.ticket
    if refused.kind is RefusalKind.HELD:
        said += f" at {where}; run the same command again to wait on" if where else ""
    elif where:
        said += f" ({where})"
    return f"holdpoint: {said} [{refusal_id}]"


def retry_after(refused: Refusal) -> int | None:
    """Return the seconds of `Retry-After`. None: client-go does not ask again by itself."""
    return RETRY_AFTER if refused.kind is RefusalKind.HELD else refused.retry_after


def refusal(refused: Refusal, *, refusal_id: str) -> Rendered:
    """Return the answer that carries a refusal. Never raises."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if (after := retry_after(refused)) is not None:
        headers["Retry-After"] = str(after)
    if refused.challenge:
        headers["WWW-Authenticate"] = refused.challenge
    cause = refused.__cause__
    if isinstance(cause, Undecodable) and cause.allow:
        headers["Allow"] = cause.allow
    body = strict_json.dumps(document(refused, refusal_id=refusal_id))
    return Rendered(code(refused), tuple(headers.items()), body)


def _cause(reason: str, text: str) -> JsonObject:
    return {"reason": f"Holdpoint{reason}", "message": text}
