"""Request headers that decide something: each at most once, and read one way only."""

import base64
import binascii
import re
from collections.abc import Sequence
from enum import Enum, auto
from functools import lru_cache

from holdpoint.domain.values import JsonObject
from holdpoint.protocols.call import Undecodable

type Headers = Sequence[tuple[bytes, bytes]]

HEADER_MISMATCH = -32020
"""JSON-RPC code of MCP 2026-07-28 for headers that are missing, broken, or at odds with the body."""

_SINGLE = frozenset({b"content-type", b"content-encoding", b"content-length", b"host", b"last-event-id"})
_METHOD_OVERRIDES = frozenset({b"x-http-method", b"x-http-method-override", b"x-method-override"})
_MCP = b"mcp-"
_PARAM = b"mcp-param-"
_SAYS_NOTHING = frozenset(
    {
        *(b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"authorization", b"baggage"),
        *(b"cache-control", b"connection", b"content-encoding", b"content-length", b"content-type", b"cookie", b"date"),
        *(b"mcp-method", b"mcp-name", b"mcp-protocol-version", b"mcp-session-id"),
        *(b"dnt", b"expect", b"forwarded", b"host", b"if-range", b"keep-alive", b"origin", b"pragma", b"priority"),
        *(b"proxy-authorization", b"proxy-connection", b"range", b"referer", b"sentry-trace", b"te", b"traceparent"),
        *(b"tracestate", b"transfer-encoding", b"upgrade-insecure-requests", b"user-agent", b"via"),
        *(b"x-correlation-id", b"x-real-ip", b"x-request-id"),
    }
)
"""Headers that are checked elsewhere, never sent on, or differ between retries of a call and decide nothing."""
_SAY_NOTHING = (b"mcp-param-", b"sec-", b"x-forwarded-", b"impersonate-", b"x-remote-")
_SENTINEL = re.compile(r"=\?base64\?(.*)\?=", re.DOTALL)
_NOT_AT_ALL = re.compile(r"q=0(\.0*)?")

_USUAL_NAME = 64
"""Bytes of a header's name that is worth remembering."""


class _Kind(Enum):
    """What a header is here."""

    OTHER = auto()
    ONCE = auto()
    """Looked at, and there at most once."""
    ACCEPT = auto()
    OVERRIDE = auto()
    PARAM = auto()


_ONCE = _Kind.ONCE


class Index:
    """The headers that this package looks at, by lower-case name."""

    __slots__ = ("accept", "deciding", "params", "single")

    def __init__(self, headers: Headers) -> None:
        """Read `headers`. Raises Undecodable on a method override, and where one stands twice that may stand once."""
        self.single: dict[bytes, str] = {}
        self.params: dict[str, str] = {}
        """`Mcp-Param-*`, decoded."""
        self.deciding: JsonObject = {}
        """Every other header that goes upstream, by name: what it does there nobody here knows."""
        self.accept = ""
        for raw, value in headers:
            name, kind, says = _read_name(raw) if len(raw) <= _USUAL_NAME else _read_name.__wrapped__(raw)
            if kind is _ONCE:
                if name in self.single:
                    raise _broken(f"header `{_text(name)}` is there twice")
                self.single[name] = _text(value)
            elif kind is not _Kind.OTHER:
                self._take(kind, name, value)
            if says is not None:
                self._add(says, value.decode("latin-1"))

    def get(self, name: bytes) -> str | None:
        """Return a header's value without surrounding blanks, or None."""
        return self.single.get(name)

    def _add(self, name: str, value: str) -> None:
        known = self.deciding.setdefault(name, [])
        if isinstance(known, list):
            known.append(value)

    def intent(self) -> JsonObject:
        """Return the headers that a reviewer reads, by name."""
        return {**self.deciding, **self.params}

    def _take(self, kind: _Kind, name: bytes, value: bytes) -> None:
        if kind is _Kind.ACCEPT:
            self.accept += f",{_text(value).lower()}"
        elif kind is _Kind.OVERRIDE:
            raise _broken("a method override is not accepted")
        else:
            key = _text(name)
            if key in self.params:
                raise _broken("an `Mcp-Param` header is there twice")
            self.params[key] = sentinel(_text(value))

    def accepts_sse(self) -> bool:
        """Tell whether the caller takes an event stream (RFC 9110 section 12.5.1)."""
        return _accepts_sse(self.accept)

    def require_json_body(self) -> None:
        """Raise Undecodable unless the body is plain, unencoded JSON by its headers."""
        # The gateway decides on the bytes as they are sent.
        if (self.get(b"content-encoding") or "identity").lower() != "identity":
            raise Undecodable("a body with `Content-Encoding` is not accepted", status=415)
        if not _is_json(self.get(b"content-type") or ""):
            raise Undecodable("`Content-Type` is not `application/json` in UTF-8", status=415)


@lru_cache(maxsize=1024)
def _read_name(raw: bytes) -> tuple[bytes, _Kind, str | None]:
    """Return the name to compare with, whether it is looked at, and the name under which it is told to a reviewer."""
    low = raw.lower()
    # Behind WSGI and CGI `Mcp_Name` is `Mcp-Name`.
    name = low.replace(b"_", b"-")
    kind = _Kind.OTHER
    if name.startswith(_PARAM):
        kind = _Kind.PARAM
    elif name in _SINGLE or name.startswith(_MCP):
        kind = _Kind.ONCE
    elif name == b"accept":
        kind = _Kind.ACCEPT
    elif name in _METHOD_OVERRIDES:
        kind = _Kind.OVERRIDE
    is_told = low not in _SAYS_NOTHING and not low.startswith(_SAY_NOTHING)
    return name, kind, low.decode("latin-1") if is_told else None


@lru_cache(maxsize=256)
def _accepts_sse(accept: str) -> bool:
    for item in accept.split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        if media in {"text/event-stream", "text/*", "*/*"}:
            return not any(_NOT_AT_ALL.fullmatch(p) for p in parameters)
    return False


@lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if media != "application/json":
        return False
    charsets = [p.partition("=")[2] for p in parameters if p.startswith("charset")]
    return all(charset.strip(' "') in {"utf-8", "utf8"} for charset in charsets)


def sentinel(value: str) -> str:
    """Decode `=?base64?...?=` (MCP 2026-07-28, transports). Raises Undecodable unless it is canonical."""
    match = _SENTINEL.fullmatch(value)
    if match is None:
        return value
    payload = match[1]
    try:
        raw = base64.b64decode(payload, validate=True)
        if base64.b64encode(raw).decode() == payload:
            return raw.decode()
    except (binascii.Error, ValueError):
        pass
    raise _broken("a header holds broken base64")


def _text(value: bytes) -> str:
    text = value.strip(b" \t").decode("latin-1")
    if not (text.isascii() and text.isprintable()):
        raise _broken("a header holds characters outside visible ASCII")
    return text


def _broken(message: str) -> Undecodable:
    return Undecodable(message, code=HEADER_MISMATCH)
