"""Header fields as they are on the wire: bytes, in order, repeated where they were repeated."""

from mitmproxy import http

type Fields = tuple[tuple[bytes, bytes], ...]


def raw(headers: http.Headers) -> Fields:
    """Return the fields of `headers`."""
    return headers.fields
