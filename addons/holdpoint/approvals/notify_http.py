"""One bounded POST to a sink: https only (loopback excepted), no redirects, no proxies, no cookies, not for long."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import httpx

TIMEOUT: Final = 10.0
"""Seconds for one attempt, from the connection to the last byte."""
AT_ONCE: Final = 2
"""Attempts at one sink at the same time."""
MAX_ANSWER: Final = 16 << 10
_TOO_MANY: Final = frozenset({429, 503})
_GONE: Final = 410
_MOST_RETRY_AFTER: Final = 6 * 3_600.0


class SendFailed(Exception):  # noqa: N818  # named after what it is
    """A notice did not arrive. The message quotes neither an address that is secret nor an answer."""

    def __init__(self, message: str, *, retry_after: float = 0.0, is_gone: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the sink asked for; 0: it did not."""
        self.is_gone = is_gone
        """Whether the sink wants no more of them, ever."""


@dataclass(slots=True)
class Line:
    """The connections to one sink."""

    url: str
    ca_file: Path | None = None
    timeout: float = TIMEOUT
    _client: httpx.AsyncClient | None = None

    async def post(self, body: bytes, headers: Mapping[str, str], *, now: float, read: bool = False) -> bytes:
        """Send, and return the answer of a 2xx where `read`. Raises SendFailed on anything else."""
        if not is_trustworthy(self.url):
            raise SendFailed("its address is not https")
        try:
            client = await self._connected()
            own = {"accept-encoding": "identity", "user-agent": "holdpoint", **headers}
            async with client.stream("POST", self.url, content=body, headers=own) as answer:
                _check(answer, now)
                return await _body(answer) if read else b""
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SendFailed(f"cannot be reached: {type(error).__name__}") from error
        except (OSError, ssl.SSLError) as error:
            raise SendFailed(f"cannot be reached: {error.strerror or type(error).__name__}") from error

    async def _connected(self) -> httpx.AsyncClient:
        if self._client is not None:
            return self._client
        # Loading authorities takes tens of milliseconds: not on the loop.
        return self._made(await asyncio.to_thread(_context, self.ca_file))

    def _made(self, context: ssl.SSLContext) -> httpx.AsyncClient:
        if self._client is None:
            # NOTE: trust_env is off because HTTPS_PROXY may name this very gateway, and .netrc would add credentials.
            self._client = httpx.AsyncClient(
                verify=context,
                trust_env=False,
                follow_redirects=False,
                timeout=self.timeout,
                limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=1, keepalive_expiry=30.0),
            )
        return self._client

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def is_trustworthy(url: str) -> bool:
    """Tell whether notices may go to a URL: https, or http that does not leave the machine, and no password in it."""
    try:
        # The very parser that the request goes by.
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    if not parts.host or parts.userinfo or parts.fragment or not url.isascii() or not url.isprintable():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.host))


def is_loopback(host: str) -> bool:
    """Tell whether a host never leaves this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check(answer: httpx.Response, now: float) -> None:
    status = answer.status_code
    if answer.is_success:
        return
    if status == _GONE:
        raise SendFailed("it answered 410: it wants no more notices", is_gone=True)
    if answer.is_redirect:
        raise SendFailed(f"it answered {status}: redirects are not followed")
    after = _retry_after(answer.headers.get("retry-after", ""), now) if status in _TOO_MANY else 0.0
    raise SendFailed(f"it answered {status}", retry_after=after)


def _retry_after(text: str, now: float) -> float:
    """Read `Retry-After` (RFC 9110 section 10.2.3): seconds or a date. 0 where it says nothing that can be used."""
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), _MOST_RETRY_AFTER)
    try:
        at: datetime = parsedate_to_datetime(text)
        return min(max(at.timestamp() - now, 0.0), _MOST_RETRY_AFTER)
    except (ValueError, OverflowError):
        return 0.0


async def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise SendFailed(f"it answered more than {MAX_ANSWER} bytes")
    return bytes(body)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
