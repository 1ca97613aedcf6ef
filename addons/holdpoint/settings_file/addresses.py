"""Reads URLs, host names and listening addresses, and refuses every form that two programs could read differently."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from holdpoint.located_yaml import Located
from holdpoint.settings import Address

_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?")
_APPLICATION = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9][a-z0-9._-]*")
_DEFAULT_PORT = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Url:
    """A URL that was checked."""

    text: str
    """Exactly as written."""
    scheme: Literal["http", "https"]
    host: str
    """Lower case, without brackets."""
    port: int
    path: str
    """Without a trailing slash."""

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORT[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def is_loopback(host: str) -> bool:
    """Tell whether a host, by name or address, never leaves this machine. The empty one is every interface."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Tell whether listening on this host means every interface."""
    return host in ("", "0.0.0.0", "::")  # noqa: S104  # recognised in order to be refused without TLS


def read_url(value: Located, *, what: str, path: bool = True) -> Url:
    """Read an `https` URL, or an `http` one on loopback.

    Raises ConfigError on anything else, and never repeats a URL that may hold a password.
    """
    text = value.text()
    if not text.isascii() or any(c <= " " or c in '\\"<>^`{|}\x7f' for c in text):
        raise value.error(f"the URL of {what} holds a blank or a character outside URLs; write names in punycode")
    parts = _split(value, text, what)
    scheme = parts.scheme
    if scheme not in ("http", "https") or not text.startswith(f"{scheme}://"):
        raise value.error(f"the URL of {what} starts with neither `https://` nor `http://`")
    if "@" in parts.netloc:
        raise value.error(
            f"a URL holds no user or password: take them out of the URL of {what} and change the password"
        )
    if "?" in text or "#" in text:
        raise value.error(f"the URL of {what} has neither query nor fragment: take them out")
    host, port = _host_and_port(value, parts, what)
    clean = _check_path(value, parts.path, what)
    if clean and not path:
        raise value.error(f"the URL of {what} has no path: write `{scheme}://{parts.netloc}`")
    if scheme == "http" and not is_loopback(host):
        raise value.error(f"plain HTTP is for loopback only: {what} needs `https://`")
    return Url(text, "http" if scheme == "http" else "https", host, port, clean)


def _split(value: Located, text: str, what: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise value.error(f"the URL of {what} cannot be read; write an IPv6 address in brackets") from None


def _host_and_port(value: Located, parts: SplitResult, what: str) -> tuple[str, int]:
    try:
        port = parts.port
    except ValueError:
        raise value.error(f"the port of {what} is none; write 1 to 65535") from None
    if port == 0 or parts.netloc.endswith(":"):
        raise value.error(f"the port of {what} is none; write 1 to 65535 or leave the colon out")
    host = _check_host(value, parts.hostname or "", what, bracketed=parts.netloc.startswith("["))
    return host, port if port is not None else _DEFAULT_PORT[parts.scheme]


def _check_host(value: Located, host: str, what: str, *, bracketed: bool) -> str:
    if bracketed:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise value.error(f"`{host}` is no IPv6 address") from None
        if address.scope_id is not None:
            raise value.error(f"an IPv6 address with a zone is not supported for {what}")
        if address.ipv4_mapped is not None:
            raise value.error(f"write the IPv4 address `{address.ipv4_mapped}` as such")
        return str(address)
    if not host:
        raise value.error(f"the host of {what} is missing")
    if _NUMERIC.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise value.error(
                f"`{host}` is no IPv4 address: write four decimal numbers without leading zeros"
            ) from None
    if not _HOST_NAME.fullmatch(host):
        raise value.error(f"`{host}` is no host name")
    return host


def _check_path(value: Located, path: str, what: str) -> str:
    if not _PATH.fullmatch(path) or any(s in (".", "..") for s in path.split("/")):
        raise value.error(
            f"the path of {what} is ambiguous: no `//`, no `.` or `..`, no `;`, and nothing percent-encoded"
        )
    return path.removesuffix("/")


def read_host(value: Located) -> str:
    """Read a host name or IP address without a port, lower case. Raises ConfigError."""
    text = value.text().lower()
    if "*" in text:
        raise value.error("wildcards are not supported: list every host name")
    if text.count(":") == 1 or "]:" in text:
        raise value.error("a host stands here without its port")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return _check_host(value, bare, "a target", bracketed=":" in bare or bare != text)


def read_origin(value: Located) -> str:
    """Read an origin as browsers send it: scheme and host, the port only where it is not the scheme's own; or `null`.

    Schemes of applications (`vscode-webview://…`) are taken as they are. Raises ConfigError.
    """
    text = value.text()
    if text == "null":
        return text
    if "*" in text:
        raise value.error("wildcards are not supported: list every origin")
    if text.startswith(("http://", "https://")):
        origin = read_url(value, what="an origin", path=False).origin
        if origin != text:
            raise value.error(f"browsers send this origin as `{origin}`: write it so")
        return text
    if not _APPLICATION.fullmatch(text):
        raise value.error("expected an origin such as `https://app.example.com`: lower case, no path, no slash last")
    return text


def read_listen(value: Located) -> Address:
    """Read `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` or `*:8443`. Raises ConfigError."""
    text = value.text()
    match = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*):([0-9]{1,5})", text)
    if match is None:
        raise value.error(
            f"`{text}` is no listening address; write `127.0.0.1:8080`, `[::1]:8080`, or `*:8443` for every interface"
        )
    port = int(match[2])
    if not 1 <= port <= 65_535 or match[2].startswith("0"):  # noqa: PLR2004  # a port has 16 bits
        raise value.error(f"`{match[2]}` is no port; write 1 to 65535")
    host = match[1]
    if host == "*":
        return Address("", port)
    if host == "localhost":
        return Address(host, port)
    bracketed = host.startswith("[")
    if not bracketed and not _NUMERIC.fullmatch(host):
        raise value.error("listen on an IP address, `localhost`, or `*`: a name may lead anywhere tomorrow")
    return Address(_check_host(value, host.strip("[]"), "a listener", bracketed=bracketed), port)
