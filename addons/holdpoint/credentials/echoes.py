"""The gateway's own credentials in what comes back: an upstream that shows the headers it got must not hand them on.

Looked for as bytes, in every kind of body and whatever the policies mask, in the forms in which an honest upstream
shows what it was sent. An upstream that means harm has the credential anyway.
"""

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Final, Protocol, cast
from urllib.parse import quote

MASKED: Final = b"[masked]"
SHORTEST: Final = 6
"""Characters. What is shorter would be found in every second answer; it is no secret either."""
_BASE64_EDGE = rb"[A-Za-z0-9+/_-]*"


class _Regex(Protocol):
    """What is used of a compiled pattern of RE2, whose package ships no types."""

    def search(self, text: bytes) -> object | None: ...

    def subn(self, repl: bytes, text: bytes) -> tuple[bytes, int]: ...


class Echoes:
    """Finds the secrets it was made of."""

    def __init__(self, secrets: Iterable[str], *, heads: Iterable[str] = ()) -> None:
        """Look for `secrets`, and for every token (RFC 7515, compact) that begins with one of `heads`."""
        heads = tuple(heads)
        known = {form for secret in secrets for form in _parts(secret) if len(form) >= SHORTEST}
        patterns: set[bytes] = {re.escape(form) for secret in known for form in _forms(secret)}
        patterns |= {_BASE64_EDGE + re.escape(core) + _BASE64_EDGE + b"={0,2}" for s in known for core in _cores(s)}
        for head in heads:
            # Base64 of a text with a token in it goes on in the alphabet of base64 to the token's end and beyond.
            patterns.add(re.escape(head.encode("ascii")) + rb"[A-Za-z0-9_.%=-]*")
            patterns |= {_BASE64_EDGE + re.escape(core) + _BASE64_EDGE + b"={0,2}" for core in _cores(head)}
        # What every match has in it, without what may stand around it: several times as fast to look for.
        inside = {re.escape(form) for secret in known for form in _forms(secret)}
        inside |= {re.escape(core) for secret in (*known, *heads) for core in _cores(secret)}
        inside |= {re.escape(head.encode("ascii")) for head in heads}
        self._pattern: _Regex | None = None
        self._inside: _Regex | None = None
        if patterns:
            # RE2: one pass in linear time, about a nanosecond a byte, however many forms there are.
            everything = b"|".join(sorted(patterns, reverse=True))
            engine: Any = import_module("re2")
            options = engine.Options()
            options.encoding = engine.Options.Encoding.LATIN1  # bytes as they are: answers may be no UTF-8
            self._pattern = cast("_Regex", engine.compile(everything, options))
            self._inside = cast("_Regex", engine.compile(b"|".join(sorted(inside)), options))

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return self._pattern is not None

    def hide(self, data: bytes) -> tuple[bytes, int]:
        """Return the data with every secret masked, and how many there were; the very same bytes where none was."""
        if self._pattern is None or self._inside is None or self._inside.search(data) is None:
            return data, 0
        made, count = self._pattern.subn(MASKED, data)
        return made, count

    def hide_text(self, text: str) -> str:
        """Return a text with every secret masked."""
        data = text.encode("utf-8", "surrogateescape")
        made, count = self.hide(data)
        return made.decode("utf-8", "surrogateescape") if count else text


def _parts(secret: str) -> Iterator[str]:
    """Yield a secret and, where it is that of basic authentication (RFC 7617), its password."""
    yield secret
    try:
        plain = base64.b64decode(secret, validate=True).decode("utf-8", "strict")
    except (binascii.Error, ValueError):
        return
    user, colon, password = plain.partition(":")
    if colon and user.isprintable() and password.isprintable():
        yield plain
        yield password


def _forms(secret: str) -> set[bytes]:
    """Return the bytes as which a secret may stand in a text, JSON, JSON in JSON, a form or HTML."""
    texts = {secret, quote(secret), quote(secret, safe=""), html.escape(secret)}
    texts |= {re.sub("%[0-9A-F]{2}", lambda m: m[0].lower(), t) for t in texts}
    for _ in range(2):
        for text in tuple(texts):
            for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
                texts |= {escaped, escaped.replace("/", r"\/")}
    return {text.encode(coding) for text in texts for coding in ("utf-8", "latin-1")}


def _cores(secret: str) -> set[bytes]:
    """Return what base64 of any text with the secret in it holds, wherever in the text it stands."""
    raw = secret.encode()
    found: set[bytes] = set()
    for shift in range(3):
        # Characters that also depend on what stands before or after the secret are left out.
        encoded = base64.b64encode(bytes(shift) + raw + bytes(-(shift + len(raw)) % 3))
        core = encoded[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
        found |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    return found
