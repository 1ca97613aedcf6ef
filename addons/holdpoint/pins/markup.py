"""Markup that a client hides and a model reads (CommonMark 0.31, HTML), data in text, and blanks that push text away.

Code spans and fenced blocks are taken out first: a description may talk about markup. The patterns are RE2's, which
takes linear time whatever a server sends.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final, Protocol

from holdpoint.pins.invisible import Kind


class _Match(Protocol):
    def span(self) -> tuple[int, int]: ...


class _Pattern(Protocol):
    def search(self, text: bytes) -> _Match | None: ...
    def finditer(self, text: bytes) -> Iterator[_Match]: ...


# The package ships no types; what is used of it is described above.
_re2: Any = import_module("re2")


def _compile(pattern: str) -> _Pattern:
    options = _re2.Options()
    options.case_sensitive = False
    options.dot_nl = True
    options.log_errors = False
    compiled: _Pattern = _re2.compile(pattern.encode(), options)
    return compiled


_BLANK = r" \t\r\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{2800}\x{3000}"
_CODE = _compile(r"```.*?```|~~~.*?~~~|`[^`\n]+`")
_MARKUP: Final = (
    _compile(
        r"<!--"
        + "".join(
            rf"|<{tag}\b[^>]*>\s*[^<\s].*?</{tag}\b"
            for tag in ("script", "style", "template", "noscript", "iframe", "object")
        )
        + r"|<details\b[^>]*>\s*\S"
        r"|<[a-z][^<>]*\s(?:hidden(?:[\s=>/])|aria-hidden\s*=\s*[\"']?true)"
        r"|<[a-z][^<>]*\sstyle\s*=[^<>]*(?:display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?:[^.\d]|$)"
        r"|font-size\s*:\s*0(?:[^.\d]|$)|color\s*:\s*(?:transparent|white|#fff))"
    ),
    # A link reference that nothing refers to: how Markdown writes a comment.
    _compile(r"(?m)^[ ]{0,3}\[[^\]\n]+\]:\s*(?:#|<>|about:blank)\s*[\"'(]\s*\S"),
    # Titles of links and what stands for an image are seen by who points at them, if at all.
    _compile(r"\]\([^()\s]*\s+(?:\"[^\"]{41}|'[^']{41}|\([^)]{41})"),
    _compile(r"!\[[^\]]{81}"),
)
_PROMPT: Final = (_compile(r"<\|[a-z_]{2,32}\|>|\[/?INST\]|<</?SYS>>|</?(?:system|system-reminder|important)>"),)
_DATA: Final = (
    _compile(
        r"\bdata:(?:text/[\w.+-]+|application/(?:json|xml|javascript|xhtml\+xml))?(?:;[\w=-]+)*,[^\s\"'<>]{24}"
        r"|\bdata:[\w.+-]+/[\w.+-]+(?:;[\w=-]+)*,[^\s\"'<>]{256}"
    ),
)
_BLANKS: Final = (
    _compile(rf"(?:[{_BLANK}]*\n){{9}}[{_BLANK}\n]*[^\s{_BLANK}]"),
    _compile(rf"[{_BLANK}]{{96}}[{_BLANK}]*[^\s{_BLANK}]"),
)
_AROUND: Final = 60
"""Bytes that are shown of what was found, and after it."""


def hiding(text: str) -> Iterator[tuple[Kind, str]]:
    """Yield what hides text from people, with the text around it. At most one finding of each kind."""
    raw = text.encode("utf-8", "surrogatepass")
    yield from _first(Kind.BLANKS, _BLANKS, raw, raw)
    bare = _without_code(raw)
    yield from _first(Kind.MARKUP, _MARKUP, bare, raw)
    yield from _first(Kind.PROMPT, _PROMPT, bare, raw)


def embedded_data(text: str) -> Iterator[tuple[Kind, str]]:
    """Yield a `data:` URI of some size: text that a model decodes and nobody else reads."""
    raw = text.encode("utf-8", "surrogatepass")
    return _first(Kind.DATA, _DATA, raw, raw)


def _first(kind: Kind, patterns: tuple[_Pattern, ...], searched: bytes, raw: bytes) -> Iterator[tuple[Kind, str]]:
    for pattern in patterns:
        found = pattern.search(searched)
        if found is not None:
            start, end = found.span()
            yield kind, raw[max(0, start - 8) : max(end, start + _AROUND)].decode("utf-8", "replace").strip("\ufffd")
            return


def _without_code(raw: bytes) -> bytes:
    """Blank out code spans and fences, which show markup instead of obeying it."""
    if b"`" not in raw and b"~~~" not in raw:
        return raw
    bare = bytearray(raw)
    for code in _CODE.finditer(raw):
        start, end = code.span()
        bare[start:end] = b"." * (end - start)
    return bytes(bare)
