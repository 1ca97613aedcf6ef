"""Header fields as they are on the wire: bytes, in order, repeated where they were repeated."""

from mitmproxy import http

type Fields = tuple[tuple[bytes, bytes], ...]


def raw(headers: http.Headers) -> Fields:
    """Return the fields of `headers`."""
    return headers.fields


def values(headers: http.Headers, name: bytes) -> list[bytes]:
    """Return the values of every field of that name, given in lower case, in order."""
    return [value for given, value in headers.fields if given.lower() == name]


def text(headers: http.Headers, name: bytes, default: str = "") -> str:
    """Return what `headers.get` does, several times as fast. The name is given in lower case."""
    found = values(headers, name)
    return b", ".join(found).decode("utf-8", "surrogateescape") if found else default
