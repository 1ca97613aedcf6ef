"""Browser clients: whose pages may call, and what they may read (WHATWG Fetch, "HTTP CORS protocol").

Answers name one origin and never `*`, but for what is public. Credentials of the browser's own are never allowed.
"""

import re
from collections.abc import Sequence

from holdpoint.domain.access import Protocol

type Fields = list[tuple[bytes, bytes]]

ANYBODY = "*"
MAX_AGE = 600
"""Seconds for which a browser need not ask again."""

_EXPOSED = b"Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After"
_ALWAYS_ALLOWED = (
    *("authorization", "content-type", "accept", "last-event-id"),
    *("mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"),
    *("traceparent", "tracestate", "baggage", "holdpoint-reason"),
)
_METHODS = {
    Protocol.MCP: b"GET, POST, DELETE",
    Protocol.HTTP: b"GET, HEAD, POST, PUT, PATCH, DELETE",
    Protocol.KUBERNETES: b"GET, HEAD, POST, PUT, PATCH, DELETE",
}
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_NAMES_MAX = 64


def answer_fields(origin: str) -> Fields:
    """Return what lets pages of `origin` read an answer. Empty: nobody asked, or nobody may."""
    if not origin:
        return []
    fields = [
        (b"Access-Control-Allow-Origin", origin.encode("ascii")),
        (b"Access-Control-Expose-Headers", _EXPOSED),
    ]
    if origin != ANYBODY:
        fields.append((b"Vary", b"Origin"))
    return fields


def preflight_fields(origin: str, protocol: Protocol | None, asked: str) -> Fields:
    """Return the answer to a preflight; `asked` is its `Access-Control-Request-Headers`. None: public metadata."""
    names = [*_ALWAYS_ALLOWED]
    for name in asked.lower().split(",")[:_NAMES_MAX]:
        bare = name.strip(" \t")
        # Every parameter of an MCP tool may have a header (2026-07-28). What a plain service takes only it knows.
        allowed = bare.startswith("mcp-") if protocol is not Protocol.HTTP else True
        if allowed and bare not in names and _NAME.fullmatch(bare):
            names.append(bare)
    return [
        (b"Access-Control-Allow-Origin", origin.encode("ascii")),
        (b"Access-Control-Allow-Methods", _METHODS[protocol] if protocol else b"GET, HEAD"),
        (b"Access-Control-Allow-Headers", ", ".join(names).encode("ascii")),
        (b"Access-Control-Max-Age", b"%d" % MAX_AGE),
        (b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]


def dressed(fields: Sequence[tuple[bytes, bytes]], origin: str) -> Fields:
    """Return an upstream's headers with our word in place of its own on who may read the answer."""
    kept = [(n, v) for n, v in fields if not n.lower().startswith(b"access-control-")]
    return kept + answer_fields(origin)
