"""The request target: path and query, percent-decoded as Go does, where nobody can read them in another way."""

import re
from dataclasses import dataclass

from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.http import plain

MAX_TARGET = 512 << 10
"""Bytes. The API server takes a head of 1 MiB (net/http, `DefaultMaxHeaderBytes`); `argv` is in the query."""
MAX_PAIRS = 20_000

type Pairs = tuple[tuple[str, str], ...]

_TARGET = re.compile(r"[!-~]*")
_FORBIDDEN_ESCAPE = re.compile(r"%(2[EFef]|5[Cc]|25|3[Bb]|[01][0-9A-Fa-f]|7[Ff])")
"""Dot, slash, backslash, percent sign, semicolon and control characters: escaped, they are none for some readers."""


@dataclass(frozen=True, slots=True)
class Address:
    """A request target."""

    path: str
    """Percent-decoded. Begins with one slash, and has neither empty nor dot segments; it may end with a slash."""
    query: Pairs
    """Percent-decoded pairs, in order, `+` read as a blank (net/url, `ParseQuery`)."""


def read(target: str) -> Address:
    """Read a request target. Raises Undecodable where two readers could read two different ones."""
    if len(target) > MAX_TARGET:
        raise Undecodable("the request target is too long", status=414)
    if not _TARGET.fullmatch(target) or "#" in target:
        raise Undecodable("the request target holds what none may hold")
    raw_path, _, raw_query = target.partition("?")
    return Address(_path(raw_path), _query(raw_query))


def _path(raw: str) -> str:
    if not raw.startswith("/"):
        raise Undecodable("the path does not begin with a slash")
    if "//" in raw or "\\" in raw or ";" in raw or _FORBIDDEN_ESCAPE.search(raw):
        raise Undecodable("the path can be read in more than one way")
    if any(segment in {".", ".."} for segment in raw.split("/")):
        raise Undecodable("the path holds dot segments")
    path = plain(raw)
    if not path.isprintable():
        raise Undecodable("the path holds control characters")
    return path


def _query(raw: str) -> Pairs:
    if ";" in raw:
        # Go drops such a pair, others split there.
        raise Undecodable("the query can be read in more than one way")
    parts = [part for part in raw.split("&") if part]
    if len(parts) > MAX_PAIRS:
        raise Undecodable("the query holds too many parameters", status=414)
    pairs: list[tuple[str, str]] = []
    for part in parts:
        key, _, value = part.partition("=")
        pairs.append((plain(key.replace("+", " ")), plain(value.replace("+", " "))))
    return tuple(pairs)
