"""HTTP to an API server, for previews: bounded answers and time, no proxies, no redirects, no cookies.

Not the road of the callers: these requests are the gateway's own, and each is written down before it is sent.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import certifi
import httpx

from holdpoint.domain.refusal import Refusal
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.previews.errors import Rejected, Trouble
from holdpoint.previews.requests import Asking, check
from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable

MAX_BYTES: Final = 4 << 20
"""Of one answer. An object has 1.5 MiB at most in etcd."""
MAX_DEPTH: Final = 128
PER_REQUEST: Final = 8.0
"""Seconds for one exchange, from the connection to the last byte."""
_MOST_WARNINGS: Final = 20
_LONGEST_WARNING: Final = 1_000
_OK, _BAD = 200, 300
_UNSURE: Final = frozenset({401, 403, 408, 429})
"""Statuses that say nothing of the object: who asks may not, or not now."""

# It would log every address with its query, selectors and all, unmasked.
logging.getLogger("httpx").setLevel(logging.WARNING)

type Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where an API server is."""

    scheme: str
    host: str
    port: int
    path: str = ""
    """Base path, without a trailing slash."""
    ca_file: Path | None = None

    @property
    def base(self) -> str:
        """URL up to the base path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A document that came, and what the API server warns of."""

    status: int
    document: JsonObject
    warnings: tuple[str, ...] = field(default=())


class Client:
    """Requests for one preview. An async context manager."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        credential: Callable[[], Awaitable[Fields]],
        before: Callable[[Asking], Awaitable[None]],
        hide: Callable[[bytes], bytes],
        patience: float = PER_REQUEST,
    ) -> None:
        """`credential` returns the headers that open the road; `before` writes a request down, durably.

        Both may raise Refusal: then nothing is sent. `hide` takes the credential out of what comes back. `patience`
        is in seconds, for each request.
        """
        self._upstream = upstream
        self._credential = credential
        self._before = before
        self._hide = hide
        self._patience = patience
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        try:
            # Loading authorities takes tens of milliseconds: not on the loop.
            trust = await asyncio.to_thread(_trust, self._upstream.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Trouble(f"the authority of the API server cannot be read: {type(error).__name__}") from error
        # NOTE: trust_env is off because HTTPS_PROXY may name this very gateway, and .netrc would add credentials.
        self._http = httpx.AsyncClient(verify=trust, trust_env=False, follow_redirects=False, timeout=self._patience)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def send(self, asking: Asking) -> Answer:
        """Send one request. Raises Rejected where the API server says no, Trouble where nobody knows."""
        try:
            fields = await self._credential()
            await self._before(asking)
        except Refusal as refused:
            detail = f" ({refused.detail})" if refused.detail else ""
            raise Trouble(f"{refused.public}{detail}") from refused
        try:
            async with asyncio.timeout(self._patience):
                return await self._send(asking, fields)
        except TimeoutError:
            raise Trouble(f"the API server did not answer within {self._patience:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Trouble(f"the API server cannot be reached: {_cause(error)}") from error

    async def _send(self, asking: Asking, fields: Fields) -> Answer:
        if self._http is None:
            raise Trouble("the preview is over")
        # NOTE: compressed answers are not asked for and not read: a megabyte of gzip unpacks to a thousand.
        own = [(b"accept", asking.accept), (b"accept-encoding", "identity"), (b"user-agent", "holdpoint-preview")]
        if asking.content_type:
            own.append((b"content-type", asking.content_type))
        headers = [*((name, value.encode("ascii")) for name, value in own), *fields]
        url = self._upstream.base + asking.target
        request = self._http.build_request(asking.method, url, headers=headers, content=asking.body or None)
        # INVARIANT: what is looked at here is what is sent.
        check(request.method, str(request.url), request.content, base=self._upstream.path)
        response = await self._http.send(request, stream=True)
        try:
            body = self._hide(await _bounded(response))
        finally:
            await response.aclose()
            self._http.cookies.clear()
        return _answer(response.status_code, response.headers, body)


async def _bounded(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Trouble("the API server answered in an encoding that was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            raise Trouble(f"the API server answered more than {MAX_BYTES >> 20} MiB")
    return bytes(body)


def _answer(status: int, headers: httpx.Headers, body: bytes) -> Answer:
    warnings = tuple(headers.get_list("warning"))
    try:
        document: JsonValue = strict_json.loads(body, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except Undecodable as error:
        document = None
        if _OK <= status < _BAD:
            raise Trouble(f"the API server answered what is no object: {error}") from None
    if not _OK <= status < _BAD:
        raise _failure(status, as_object(document))
    if not isinstance(document, dict):
        raise Trouble("the API server answered what is no object")
    return Answer(status, document, tuple(_warning(text) for text in warnings[:_MOST_WARNINGS]))


def _failure(status: int, document: Mapping[str, JsonValue]) -> Exception:
    reason = as_text(document.get("reason"))
    # A name of apimachinery; anything else is nobody's word.
    named = f" {reason}" if reason.isascii() and reason.isalpha() else ""
    if status in _UNSURE or not 400 <= status < 500:  # noqa: PLR2004  # RFC 9110 section 15.5
        return _Unsure(f"the API server answered {status}{named}", dict(document))
    return Rejected(f"the API server refuses this: {status}{named}", status=status, said=dict(document))


class _Unsure(Trouble):
    """An error that says nothing of the object."""

    def __init__(self, why: str, said: JsonObject) -> None:
        super().__init__(why)
        self.said = said


def said_by(error: Exception) -> JsonObject:
    """Return the document of an error that came from the API server. Unmasked. Empty where there is none."""
    return error.said if isinstance(error, Rejected | _Unsure) else {}


def _warning(text: str) -> str:
    """Return the words of a `Warning` header (RFC 7234 section 5.5): `299 - "words"`."""
    _, quote, rest = text.partition('"')
    words = rest.rpartition('"')[0] if quote else text
    return words.replace('\\"', '"').replace("\\\\", "\\")[:_LONGEST_WARNING]


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    # The same authorities as on the callers' own road, where mitmproxy takes certifi's in place of the system's.
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As on the callers' own road: authorities of clusters lack extensions that RFC 5280 asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _cause(error: Exception) -> str:
    """Name what went wrong, without a text of the other side's: `SSLCertVerificationError`, `ConnectError`."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted ({found.verify_message})"
        if isinstance(found, ssl.SSLError):
            return f"TLS failed ({found.reason or type(found).__name__})"
        found = found.__cause__ or found.__context__
    return type(error).__name__
