"""One string: a document inside it, keys and secrets in its text, and what is hidden by base64 or escapes."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from holdpoint.domain.values import JsonValue
from holdpoint.masking.marks import MASKED, is_mark
from holdpoint.masking.regex import any_of
from holdpoint.masking.rules import Rules
from holdpoint.masking.strict import NotJson, dumps, loads
from holdpoint.masking.validators import decode_base64
from holdpoint.masking.yamlpaths import YamlPaths

MAX_EMBEDDED = 5
"""Documents within strings of documents. A document below that is masked whole."""
_SEPARATOR = "\0"
_BASE64 = re.compile(
    rb"[A-Za-z0-9+/]{16,}(?:\r?\n[ \t]*[A-Za-z0-9+/]{4,})*={0,2}|[A-Za-z0-9_\-]{40,}={0,2}",
)
_PRINTABLE = bytes((*range(0x20, 0x7F), 0x09, 0x0A, 0x0D))
_ESCAPE = re.compile(rb"\\(?:u00([2-7][0-9a-fA-F])|x([2-7][0-9a-fA-F])|u\{([2-7][0-9a-fA-F])\})")
_LINE_DOCUMENT = re.compile(rb"(?m)^[ \t]*[\[{].*[\]}][ \t\r]*$")
_SHAPES = (
    r"\x00[ \t\r\n]*[\[{\"]",
    r"\n[ \t]*[\[{]",
    r"\x00[A-Za-z0-9+/]{16,}={0,2}\x00",
    r"[A-Za-z0-9+/]{24,}",
    r"[A-Za-z0-9_\-]{40,}",
    r"\\(?:u00|x|u\{)[2-7]",
    r"\[sealed:",
)
"""What a string may look like that hides something: a document, base64, escapes."""
_TELLTALES = (r"\n[ \t]*[\[{][^\n]*[\]}][ \t\r]*(?:\n|\z)", r"\\(?:u00|x|u\{)[2-7]", r"\[sealed:")
"""The same of one text alone, without base64, and without what its first byte says."""
_CODED = (r"[A-Za-z0-9+/]{16}", r"[A-Za-z0-9_\-]{40}")
"""How a match of `_BASE64` begins."""
_CHUNK = 4 << 10
_MOST_OPEN = 3
"""Bytes that a character of UTF-8 may lack."""

type Tree = Callable[[JsonValue, int], tuple[JsonValue, int]]
"""Masks a document found at this depth; returns it, and how many values were masked."""


class Unmaskable(ValueError):  # noqa: N818  # named after what happens next
    """What cannot be looked into, and so must be withheld. The message holds nothing of the content."""


class Strings:
    """Masks strings."""

    def __init__(self, rules: Rules, tree: Tree) -> None:
        self._plain = rules.plain
        self._tree = tree
        self._anchored = rules.detectors.anchored
        self._yaml = YamlPaths(rules)
        self.probes: list[str] = [*self._yaml.probes, *rules.detectors.probes, *rules.keytext.probes]
        """Patterns without anchors: where none matches, no rule says anything of a text as it stands."""
        self._suspect = any_of([*_SHAPES, *self.probes])
        self._telltale = any_of([*_TELLTALES, *self.probes])
        self._coded = any_of(_CODED)

    def suspects(self, texts: Sequence[str]) -> Iterator[int]:
        """Yield the indexes of the texts that `mask` may change, from one scan over all of them joined."""
        if self._anchored:
            yield from range(len(texts))
            return
        if self._suspect is None:
            return
        blob = f"{_SEPARATOR}{_SEPARATOR.join(texts)}{_SEPARATOR}".encode("utf-8", "surrogatepass")
        lengths: Iterable[int] = map(len, texts)
        if not blob.isascii():
            lengths = (len(t) if t.isascii() else len(t.encode("utf-8", "surrogatepass")) for t in texts)
        # starts[i] is where text i starts in the joined bytes.
        starts = list(accumulate((n + 1 for n in lengths), initial=1))
        at = 0
        while (match := self._suspect.search(blob, at)) is not None:
            # A match may start at the separator before its text, and run on into the next: that one is searched anew.
            index = bisect_right(starts, match.start() + 1) - 1
            if index >= len(texts):
                return
            yield index
            at = starts[index + 1] - 1

    def is_plain(self, raw: bytes) -> bool:
        """Tell that `mask` surely changes nothing in this text, of UTF-8, from two scans and a look into its base64."""
        if self._anchored or self._telltale is None or self._coded is None:
            return False
        if raw.lstrip()[:1] in {b"{", b"[", b'"'}:
            return False
        if self._telltale.search(raw) is not None:
            return False
        return self._coded.search(raw) is None or not self._encoded(raw, 0)[1]

    def mask(self, text: str, depth: int = 0) -> tuple[str, int]:
        """Mask one string. `depth` counts the documents around it. Returns it, and how many values were masked."""
        if is_mark(text):
            return text, 0
        try:
            raw = text.encode("utf-8", "strict")
        except UnicodeEncodeError:
            return MASKED, 1
        if raw.lstrip()[:1] in {b"{", b"[", b'"'} and (document := _document(raw)) is not None:
            made, count = self._embedded(document, depth)
            # Detectors see the document as text too: a pattern of one's own may reach over quotes and commas.
            raw, more = self._plain.mask(dumps(made) if count else raw, keys=False)
            return (raw.decode("utf-8", "replace"), count + more) if count + more else (text, 0)
        raw, count = self._text(raw, depth)
        return (raw.decode("utf-8", "replace"), count) if count else (text, 0)

    def _embedded(self, document: JsonValue, depth: int) -> tuple[JsonValue, int]:
        if depth >= MAX_EMBEDDED:
            return MASKED, 1
        try:
            return self._tree(document, depth + 1)
        except Unmaskable:
            return MASKED, 1

    def _text(self, raw: bytes, depth: int) -> tuple[bytes, int]:
        count = 0
        if _LINE_DOCUMENT.search(raw):
            raw, count = self._lines(raw, depth)
        raw, placed = self._yaml.mask(raw)
        raw, more = self._plain.mask(raw)
        raw, escaped = self._escapes(raw)
        raw, encoded = self._encoded(raw, depth)
        return raw, count + placed + more + escaped + encoded

    def _lines(self, raw: bytes, depth: int) -> tuple[bytes, int]:
        """Mask lines that are documents by themselves, as in logs."""
        lines = raw.split(b"\n")
        count = 0
        for index, line in enumerate(lines):
            inner = line.strip()
            if inner[:1] in {b"{", b"["} and (document := _document(inner)) is not None:
                made, masked = self._embedded(document, depth)
                if masked:
                    lines[index] = line[: len(line) - len(line.lstrip())] + dumps(made)
                    count += masked
        return (b"\n".join(lines), count) if count else (raw, 0)

    def _escapes(self, raw: bytes) -> tuple[bytes, int]:
        """Mask whole every line that holds something to mask once its escapes are undone."""
        if _ESCAPE.search(raw) is None:
            return raw, 0
        lines = raw.split(b"\n")
        count = 0
        for index, line in enumerate(lines):
            undone = _ESCAPE.sub(_unescape, line)
            if undone != line and self._plain.mask(undone)[1]:
                lines[index] = MASKED.encode()
                count += 1
        return (b"\n".join(lines), count) if count else (raw, 0)

    def _encoded(self, raw: bytes, depth: int) -> tuple[bytes, int]:
        """Mask whole every piece of base64 that decodes to text with something to mask."""
        out: list[bytes] = []
        done = count = 0
        for match in _BASE64.finditer(raw):
            made, masked = self._wrapped(match.group(), depth)
            if masked:
                out += (raw[done : match.start()], made)
                done = match.end()
                count += masked
        if not count:
            return raw, 0
        out.append(raw[done:])
        return b"".join(out), count

    def _wrapped(self, token: bytes, depth: int) -> tuple[bytes, int]:
        """Mask base64 that may be wrapped into lines, and may be several pieces."""
        if b"\n" not in token:
            return (MASKED.encode(), 1) if self._hides(token, depth) else (token, 0)
        lines = token.splitlines(keepends=True)
        if self._holds_nothing(lines, depth):
            return token, 0
        out: list[bytes] = []
        at = count = 0
        while at < len(lines):
            size = next((n for n in _sizes(lines, at) if self._hides(b"".join(lines[at : at + n]), depth)), 0)
            last = lines[at + max(size, 1) - 1]
            out.append(MASKED.encode() + last[len(last.rstrip()) :] if size else last)
            count += size > 0
            at += max(size, 1)
        return b"".join(out), count

    def hides(self, raw: bytes, depth: int) -> bool:
        """Tell whether a piece of a text holds base64 with something to mask in it."""
        return self._encoded(raw, depth)[1] > 0

    def _holds_nothing(self, lines: list[bytes], depth: int) -> bool:
        """Tell that nothing wrapped hides in these lines, whichever of them belong together.

        A line that breaks UTF-8 within itself breaks every piece that it is in, and what is unprintable adds up. So
        each line is looked at once; where that does not tell, False. Pieces are those of `_sizes`.
        """
        before = before_unseen = 0
        above = -1
        for at, line in enumerate(lines):
            width = len(line.strip())
            goes_on = at + 1 < len(lines) and len(lines[at + 1].strip()) <= width
            if goes_on and width % 4:
                return False
            decoded = decode_base64(line)
            size = 0 if decoded is None else len(decoded)
            unseen = 0 if decoded is None else len(decoded.translate(None, _PRINTABLE))
            if decoded is None or unseen * 4 <= size or not _is_broken(decoded):
                # It may still be the end of what stands before it, but the beginning of nothing.
                if goes_on or self._hides(line, depth):
                    return False
                if width <= above and (before_unseen + unseen) * 4 <= before + size:
                    return False
            before, before_unseen, above = size, unseen, width
        return True

    def _hides(self, token: bytes, depth: int) -> bool:
        if len(token) > _CHUNK and _begins_binary(token):
            return False
        decoded = decode_base64(token)
        if decoded is None:
            return False
        try:
            text = decoded.decode("utf-8", "strict")
        except UnicodeDecodeError:
            # Text with a few bytes of something else: the token ran on into what stood behind it.
            if len(decoded.translate(None, _PRINTABLE)) * 4 > len(decoded):
                return False
            text = decoded.decode("utf-8", "replace")
        if depth >= MAX_EMBEDDED:
            return text.isprintable()
        return self.mask(text, depth + 1)[1] > 0


def _begins_binary(token: bytes) -> bool:
    """Tell, from no more of a long token than it takes, that it decodes to no text, nor to text with a little else."""
    if b"\n" in token:
        return False
    most, unseen = len(token) * 3 // 4, 0
    for at in range(0, len(token), _CHUNK):
        # Four characters are three bytes, wherever in the token they stand.
        decoded = decode_base64(token[at : at + _CHUNK])
        if decoded is None or (not at and not _is_broken(decoded)):
            return False
        unseen += len(decoded.translate(None, _PRINTABLE))
        if unseen * 4 > most:
            return True
    return False


def _is_broken(raw: bytes) -> bool:
    """Tell whether no text of UTF-8 can hold these bytes, whatever stands before and after them."""
    begin = 0
    while begin < min(_MOST_OPEN, len(raw)) and raw[begin] & 0xC0 == 0x80:  # noqa: PLR2004  # inside a character
        begin += 1
    try:
        raw[begin:].decode()
    except UnicodeDecodeError as error:
        return error.reason != "unexpected end of data"
    return False


def _sizes(lines: list[bytes], at: int) -> tuple[int, ...]:
    """Return how many lines from `at` on may be one wrapped piece: equal lengths with a shorter last, or fewer."""
    width = len(lines[at].strip())
    end = at + 1
    while end < len(lines) and len(lines[end].strip()) == width:
        end += 1
    with_last = end + 1 if end < len(lines) and len(lines[end].strip()) < width else end
    return tuple(dict.fromkeys((with_last - at, end - at, 1)))


def _document(raw: bytes) -> JsonValue:
    try:
        return loads(raw)
    except NotJson:
        return None


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex((match.group(1) or match.group(2) or match.group(3)).decode("ascii"))
