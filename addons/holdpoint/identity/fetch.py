"""HTTP to an issuer: one bounded exchange, https only (loopback excepted), no redirects, no proxies, no cookies."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx

MAX_BYTES = 64 * 1024
TIMEOUT = 5.0
"""Seconds for one exchange, from the connection to the last byte."""
_OK = 200


class FetchError(Exception):
    """The issuer could not be asked, or answered something unusable. The message quotes no body."""


class Fetch(Protocol):
    """How a document is fetched: the whole body of a 200, or FetchError."""

    async def __call__(self, url: str, *, ca_file: Path | None) -> bytes:
        """GET the document. Raises FetchError."""
        ...


class Post(Protocol):
    """How a form is sent to an issuer's endpoint."""

    async def __call__(self, url: str, fields: Mapping[str, str], *, ca_file: Path | None) -> tuple[int, bytes]:
        """POST the form; return status and body. Raises FetchError."""
        ...


def is_trustworthy(url: str) -> bool:
    """Tell whether keys or codes may travel to this URL: https, or http that does not leave the machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # raises on a port that is none
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def fetch(url: str, *, ca_file: Path | None = None, bearer: str = "") -> bytes:
    """GET a document. Raises FetchError on anything but a 200 of at most `MAX_BYTES` within `TIMEOUT`."""
    status, body = await _exchange("GET", url, None, ca_file, bearer)
    if status != _OK:
        raise FetchError(f"`{url}` answered {status}")
    return body


async def post(url: str, fields: Mapping[str, str], *, ca_file: Path | None = None) -> tuple[int, bytes]:
    """POST a form; return status and body. Raises FetchError."""
    return await _exchange("POST", url, fields, ca_file, "")


async def _exchange(
    method: str, url: str, fields: Mapping[str, str] | None, ca_file: Path | None, bearer: str
) -> tuple[int, bytes]:
    if not is_trustworthy(url):
        raise FetchError(f"`{url}` is not https")
    try:
        async with asyncio.timeout(TIMEOUT):
            # Loading authorities takes tens of milliseconds: not on the loop.
            context = await asyncio.to_thread(_context, ca_file)
            return await _read(method, url, fields, context, bearer)
    except TimeoutError:
        raise FetchError(f"`{url}` did not answer within {TIMEOUT:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(f"`{url}` cannot be reached: {type(error).__name__}") from error
    except (OSError, ssl.SSLError) as error:
        raise FetchError(f"`{url}` cannot be asked: {error.strerror or type(error).__name__}") from error


async def _read(
    method: str, url: str, fields: Mapping[str, str] | None, context: ssl.SSLContext, bearer: str
) -> tuple[int, bytes]:
    # NOTE: trust_env is off because HTTPS_PROXY may name this very gateway, and .netrc would add credentials.
    # NOTE: compressed answers are not asked for and not read: 64 KB of gzip unpack to 64 MB.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    async with (
        httpx.AsyncClient(verify=context, trust_env=False, follow_redirects=False, timeout=TIMEOUT) as client,
        client.stream(method, url, data=fields, headers=headers) as response,
    ):
        if response.headers.get("content-encoding", "identity") != "identity":
            raise FetchError(f"`{url}` answered with an encoding that was not asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BYTES:
                raise FetchError(f"`{url}` answered more than {MAX_BYTES} bytes")
        return response.status_code, bytes(body)


@cache
def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
