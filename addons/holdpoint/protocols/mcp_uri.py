"""Resource URIs that a server may resolve to something else than they say."""

import re
from urllib.parse import unquote

_SEPARATORS = re.compile(r"[/\\?#]")


def is_ambiguous(uri: str) -> bool:
    r"""Tell whether `uri` has dot segments, plain or percent-encoded, a `\`, blanks, or is encoded more than once.

    A rule about `file:///public/*` must not match `file:///public/../etc/passwd` (RFC 3986 section 6.2.2.3).
    """
    if "\\" in uri or " " in uri or not uri.isprintable():
        return True
    plain = uri
    if "%" in uri:
        plain = unquote(uri)
        if not plain.isprintable() or "\ufffd" in plain or "\\" in plain or re.search(r"%[0-9a-fA-F]{2}", plain):
            return True
    return "." in plain and any(segment in {".", ".."} for segment in _SEPARATORS.split(plain))
