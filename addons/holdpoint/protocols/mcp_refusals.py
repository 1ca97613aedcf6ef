"""Refusals in the words of MCP: JSON-RPC errors, and tool results where a model should read them.

docs/reference/refusals.md describes each kind to those who receive it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.protocols import jsonrpc, mcp_version, sse, strict_json
from holdpoint.protocols.call import Rendered, Undecodable
from holdpoint.protocols.headers import HEADER_MISMATCH

CODES: dict[RefusalKind, int] = {
    RefusalKind.UNAUTHENTICATED: 4010,
    RefusalKind.BAD_REQUEST: jsonrpc.INVALID_REQUEST,
    RefusalKind.NOT_FOUND: 4040,
    RefusalKind.DENIED: 4030,
    RefusalKind.HELD: 4031,
    RefusalKind.REVIEW_DENIED: 4032,
    RefusalKind.EXPIRED: 4033,
    RefusalKind.CONFLICT: 4090,
    RefusalKind.TOO_LARGE: 4130,
    RefusalKind.RATE_LIMITED: 4290,
    RefusalKind.NOT_ACCEPTABLE: 4060,
    RefusalKind.UPSTREAM: 5020,
    RefusalKind.WITHHELD: 5021,
    RefusalKind.UNAVAILABLE: 5030,
    RefusalKind.FAULT: 5031,
}
"""JSON-RPC error codes: ten times the HTTP status and a number. JSON-RPC keeps -32768 to -32000 for itself and MCP.

`bad_request` has the protocol's own code, because clients must recognise it.
"""

META_KEY = "holdpoint/refusal"
"""Member of a tool result's `_meta` that holds what `error.data` holds elsewhere."""

_READ_BY_MODELS = frozenset({RefusalKind.HELD, RefusalKind.EXPIRED, RefusalKind.REVIEW_DENIED})

_STATUS_MATTERS = frozenset(
    {
        RefusalKind.UNAUTHENTICATED,
        RefusalKind.BAD_REQUEST,
        RefusalKind.NOT_FOUND,
        RefusalKind.TOO_LARGE,
        RefusalKind.NOT_ACCEPTABLE,
        RefusalKind.RATE_LIMITED,
    }
)
"""Kinds whose HTTP status clients of every version act on: to log in, to start anew, to send less, to wait."""

_SHOWN_IN_BODY = frozenset({jsonrpc.INVALID_PARAMS, jsonrpc.METHOD_NOT_FOUND})
"""Codes that servers with sessions send with status 200: no client shows them with another."""
_UNSUPPORTED_MEDIA_TYPE = 415

_ADVICE = {
    RefusalKind.HELD: "Nothing was done yet: the call waits for a reviewer. Once it is approved, "
    "call again with the same arguments and it goes through.",
    RefusalKind.EXPIRED: "Nothing was done: nobody approved in time. "
    "To ask once more, call again with the same arguments.",
    RefusalKind.REVIEW_DENIED: "Nothing was done: a reviewer said no. "
    "Do not call again with the same arguments unless the reviewer asks for it.",
}


NOT_SENT = "not sent: another message of the batch was refused"


@dataclass(frozen=True, slots=True)
class Owed:
    """One request of a batch that was refused, and what its caller is told."""

    id: str | int
    verb: str
    public: str | None = None
    """Words of its own in place of the refusal's."""


def refusal(
    refused: Refusal,
    *,
    refusal_id: str,
    request_id: str | int | None = None,
    protocol_version: str = "",
    verb: str = "",
) -> Rendered:
    """Return the HTTP answer. Never raises.

    On any status but 200 a legacy client (2025-*) tears its session down and shows nothing of the body (Python SDK
    1.30): a request of theirs gets its error with 200, except where the status itself makes them act. Without
    `request_id` the status always stands.
    """
    if is_silent(refused):
        return Rendered(200, (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")), b"")
    message = refusal_message(
        refused, refusal_id=refusal_id, request_id=request_id, protocol_version=protocol_version, verb=verb
    )
    status = refused.status
    shown_in_body = (
        mcp_version.is_legacy(protocol_version) and refused.kind not in _STATUS_MATTERS and not refused.challenge
    )
    if "result" in message or (request_id is not None and shown_in_body):
        status = 200
    return Rendered(status, _headers(refused), strict_json.dumps(message))


def is_silent(refused: Refusal) -> bool:
    """Tell whether nothing is said: over HTTP that is an event stream without an event (2025-11-25, transports)."""
    return refused.answer is not None and not refused.answer


def refusal_event(
    refused: Refusal,
    *,
    refusal_id: str,
    request_id: str | int | None = None,
    protocol_version: str = "",
    verb: str = "",
) -> bytes:
    """Return the same answer as one event of a stream that has already begun. Never raises."""
    message = refusal_message(
        refused, refusal_id=refusal_id, request_id=request_id, protocol_version=protocol_version, verb=verb
    )
    return sse.encode(sse.Event(type="message", data=strict_json.dumps(message).decode()))


def batch_refusal(refused: Refusal, *, refusal_id: str, owed: Sequence[Owed], protocol_version: str = "") -> Rendered:
    """Return the HTTP answer to a batch: an array with one answer for each request. Never raises.

    Without requests nobody is owed an answer, and it is an error without an id (2025-03-26, transports).
    """
    if not owed:
        return refusal(refused, refusal_id=refusal_id, protocol_version=protocol_version)
    messages: list[JsonValue] = []
    for one in owed:
        words = refused if one.public is None else _in_other_words(refused, one.public)
        messages.append(
            refusal_message(
                words, refusal_id=refusal_id, request_id=one.id, protocol_version=protocol_version, verb=one.verb
            )
        )
    status = refused.status if refused.kind in _STATUS_MATTERS or refused.challenge else 200
    return Rendered(status, _headers(refused), strict_json.dumps(messages))


def refusal_message(
    refused: Refusal, *, refusal_id: str, request_id: str | int | None, protocol_version: str, verb: str
) -> JsonObject:
    """Return the JSON-RPC message alone."""
    data = _data(refused, refusal_id)
    if refused.answer:
        return {"jsonrpc": "2.0", "id": request_id, **refused.answer}
    if verb == "tools/call" and request_id is not None and refused.kind in _READ_BY_MODELS:
        result: JsonObject = {
            "content": [{"type": "text", "text": _advice(refused, refusal_id)}],
            "isError": True,
            "_meta": {META_KEY: data},
        }
        if not mcp_version.is_legacy(protocol_version):
            result["resultType"] = "complete"
        return {"jsonrpc": "2.0", "id": request_id, "result": result}
    code = CODES[refused.kind]
    if refused.kind is RefusalKind.BAD_REQUEST and protocol_version in mcp_version.MODERN:
        # On a 400 with any other code a client that speaks both eras falls back to `initialize`.
        code = HEADER_MISMATCH
    return _error(code, _clean(refused.public), data, request_id)


def undecodable(error: Undecodable, *, refusal_id: str) -> Rendered:
    """Return the HTTP answer to what could not be decoded. Never raises."""
    refused = error.refusal()
    data = {**(error.data or {}), **_data(refused, refusal_id)}
    code = error.code
    if code is None:
        modern = error.status == 400 and error.protocol_version in mcp_version.MODERN  # noqa: PLR2004  # HTTP
        code = HEADER_MISMATCH if modern else CODES[refused.kind]
    headers = _headers(refused)
    if error.allow:
        headers = (*headers, ("Allow", error.allow))
    if error.status == _UNSUPPORTED_MEDIA_TYPE:
        # What would be taken (RFC 9110 section 15.5.16).
        headers = (*headers, ("Accept", "application/json"), ("Accept-Encoding", "identity"))
    is_owed = error.request_id is not None or bool(error.batch_ids)
    is_shown_in_body = code in _SHOWN_IN_BODY and is_owed and mcp_version.is_legacy(error.protocol_version)
    status = 200 if is_shown_in_body else error.status
    if not error.batch_ids:
        return Rendered(status, headers, strict_json.dumps(_error(code, str(error), data, error.request_id)))
    messages: list[JsonValue] = [
        _error(code, str(error) if one == error.request_id else NOT_SENT, data, one) for one in error.batch_ids
    ]
    return Rendered(status, headers, strict_json.dumps(messages))


def _in_other_words(refused: Refusal, public: str) -> Refusal:
    return Refusal(refused.kind, public, ticket=refused.ticket, link=refused.link, retry_after=refused.retry_after)


def _error(code: int, message: str, data: JsonObject, request_id: str | int | None) -> JsonObject:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message, "data": data}}


def _data(refused: Refusal, refusal_id: str) -> JsonObject:
    data: JsonObject = {"refusal": refusal_id, "kind": refused.kind.value}
    if refused.ticket:
        data["ticket"] = refused.ticket
    if refused.link:
        data["link"] = refused.link
    if refused.retry_after is not None:
        data["retryAfter"] = refused.retry_after
    return data


def _advice(refused: Refusal, refusal_id: str) -> str:
    lines = [f"{_clean(refused.public)}. {_ADVICE[refused.kind]}"]
    if refused.ticket:
        lines.append(f"Ticket: {refused.ticket}")
    if refused.link:
        lines.append(f"Review: {refused.link}")
    if refused.retry_after is not None:
        lines.append(f"Retry after: {refused.retry_after} s")
    lines.append(f"Refusal: {refusal_id}")
    return "\n".join(lines)


def _headers(refused: Refusal) -> tuple[tuple[str, str], ...]:
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if refused.retry_after is not None:
        headers.append(("Retry-After", str(refused.retry_after)))
    if refused.challenge:
        headers.append(("WWW-Authenticate", refused.challenge))
    return tuple(headers)


def _clean(text: str) -> str:
    """Return `text` without what UTF-8 cannot hold: a refusal must not fail for its words."""
    return text.encode("utf-8", "replace").decode()
