r"""JSON texts in which nothing is to be masked, told without decoding them.

The answer errs on one side alone: what is called clean is nothing that `Masker` would change, and what is not may be.
A text is laid open first: its escapes are undone and each quote that delimits a string becomes `\0`, so that every
string stands in it as `\0string\0`, letter by letter. What looks like anything that a rule, a shape or an embedded
document begins with is not clean, wherever it stands. A text that is no JSON may be called anything: whoever passes
clean ones on checks them with a parser first.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from holdpoint.masking.paths import Step
from holdpoint.masking.regex import any_of, literal
from holdpoint.masking.rules import Rules
from holdpoint.masking.strings import Strings
from holdpoint.masking.walk import MAX_DEPTH

_BETWEEN: Final = b"\x03"
"""Stands between texts. In none of them: JSON has no control characters but blanks."""
_SLASH, _QUOTE = b"\x01", b"\x02"
_UNDONE: Final = {b"n": b"\n", b"t": b"\t", b"/": b"/"}
_OPEN: Final = bytes.maketrans(b'"' + _SLASH + _QUOTE, b'\0\\"')
_WS: Final = r"[ \t\r\n]*"
_COLON: Final = rf"{_WS}:"
_IS: Final = rf"\x00{_WS}:{_WS}\x00"
_HIDES: Final = (
    r" error found in #",
    rf"\x00{_WS}\"",
    r"\n[ \t]*[\[{]",
    r"\\(?:u00|x|u\{)[2-7]",
    r"[A-Za-z0-9+/]{16}\r?\n[ \t]*[A-Za-z0-9+/]{4}",
)
"""Where something may be hidden in a string: a document within quotes or on a line, escapes, base64 on many lines,
and pieces of an object that an error quotes."""
_SECRETS: Final = (
    rf"\x00kind{_IS}(?i:secret|token)",
    rf"\x00type{_IS}(?:Opaque|kubernetes\.io/|bootstrap\.kubernetes\.io/token|helm\.sh/release)",
    r"\x00binaryData\x00",
    r"sh\.helm\.release\.",
)
_WRAPPERS: Final = ("items", "rows")
_MAX_EMBEDDED: Final = 1
"""Documents within strings of documents. Deeper ones are not clean."""
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BASE64: Final = tuple(
    (bytes(97 if c in _ALPHABET + more else 32 for c in range(256)), b"a" * least)
    for more, least in ((b"+/", 16), (b"-_", 40))
)
"""What makes `a` of an alphabet and blanks of the rest, and how much of it may hide something."""
_EITHER: Final = bytes(97 if c in _ALPHABET + b"+/-_" else 32 for c in range(256))
_MAX_REMEMBERED: Final = 4_096
_MAX_REMEMBERED_LENGTH: Final = 96
_SCALAR: Final = rb"\0[\w.-]*\0:(?:\0[^\0{}]*\0|true|false|null|-?\d+)"
_FLAT: Final = rb"\{(?:" + _SCALAR + rb",?)*\}"
_INNER: Final = rb"\{(?:(?:" + _SCALAR + rb"|\0[\w.-]*\0:" + _FLAT + rb"),?)*\}"
_SMALL: Final = re.compile(rb"\{(?:(?:" + _SCALAR + rb"|\0[\w.-]*\0:" + _INNER + rb"),?)*\}")
"""A small object of few levels: a reference to a key, or an environment variable from one."""


class Clean:
    """Tells the texts that are clean under compiled rules."""

    def __init__(self, rules: Rules, strings: Strings) -> None:
        self._strings = strings
        self._harmless: tuple[set[bytes], ...] = tuple(set() for _ in range(_MAX_EMBEDDED + 1))
        """Pieces of base64 that hide nothing, by the level at which they stand."""
        ends = [_last_name(steps) for steps in rules.paths]
        self.is_able: bool = not (
            rules.detectors.anchored
            or any(end is None or end in _WRAPPERS for end in ends)
            or any(rules.key_action(name) for name in _WRAPPERS)
        )
        """Whether it can tell at all. A pattern with an anchor must see each string by itself."""
        pairs = rules.keys.whole
        patterns = [*_HIDES, *strings.probes, *(rf"\x00{literal(end or '')}\x00{_COLON}" for end in ends)]
        if rules.secrets is not None:
            patterns += _SECRETS
        if pairs:
            patterns.append(rf"(?is:(?:{pairs}){_COLON})")
        self._any = any_of(patterns)
        named = rf"(?is:\x00(?-i:name|key)\x00{_WS}:{_WS}(?:\x00[^\x00]*)?(?:{pairs}))"
        self._pair = any_of([named]) if pairs else None
        self._document = any_of([rf"\x00{_WS}[\[{{]"])

    def unclean(self, texts: Sequence[bytes]) -> set[int]:
        """Return the indexes of texts in which something may be to mask."""
        if not self.is_able or not texts:
            return set(range(len(texts)))
        return self._unclean(texts, 0)

    def _unclean(self, texts: Sequence[bytes], level: int) -> set[int]:
        blob = _undone(_BETWEEN.join(texts))
        ends = list(accumulate(len(part) + 1 for part in blob.split(_BETWEEN)))
        if len(ends) != len(texts) or not _is_utf8(blob):
            return set(range(len(texts)))
        found: set[int] = set()
        # Of the rest of the escapes nothing is known.
        self._note(_places(blob, b"\\"), ends, found)
        text = blob.translate(_OPEN)
        at = 0
        while self._any is not None and (match := self._any.search(text, at)) is not None:
            index = bisect_right(ends, match.start())
            if index >= len(ends):
                break
            found.add(index)
            at = ends[index]
        for places in (self._pairs(text), self._documents(text, level), self._encoded(text, level)):
            if len(found) < len(texts):
                self._note(places, ends, found)
        return found

    @staticmethod
    def _note(places: Iterator[int], ends: list[int], found: set[int]) -> None:
        for place in places:
            found.add(min(bisect_right(ends, place), len(ends) - 1))

    def _pairs(self, text: bytes) -> Iterator[int]:
        """Yield where a member called `name` or `key` has a masked name beside a `value`, or may have one."""
        if self._pair is None or b"\0value\0" not in text:
            return
        at = 0
        while (match := self._pair.search(text, at)) is not None:
            start = text.rfind(b"{", 0, match.start() + 1)
            whole = _SMALL.match(text, start) if start >= 0 else None
            if whole is None or whole.end() < match.end() or b"\0value\0" in whole.group():
                yield match.start()
            at = match.end() - 1

    def _documents(self, text: bytes, level: int) -> Iterator[int]:
        """Yield where a string may be a document with something to mask in it."""
        if self._document is None:
            return
        at = 0
        while (match := self._document.search(text, at)) is not None:
            at = text.find(b"\0", match.end())
            at = len(text) if at < 0 else at
            inner = text[match.start() + 1 : at]
            is_deep = level >= _MAX_EMBEDDED or inner.count(b"{") + inner.count(b"[") > MAX_DEPTH
            if is_deep or self._unclean([inner], level + 1):
                yield match.start()

    def _encoded(self, text: bytes, level: int) -> Iterator[int]:
        """Yield where a string may hold base64 with something to mask in it."""
        harmless = self._harmless[level]
        either = b""
        for table, least in _BASE64:
            letters = text.translate(table)
            at = 0
            while (found := letters.find(least, at)) >= 0:
                either = either or text.translate(_EITHER)
                at = either.find(b" ", found)
                at = len(text) if at < 0 else at
                if text[at : at + 2] == b"\0:":
                    continue  # the name of a member
                piece = text[either.rfind(b" ", 0, found) + 1 : at]
                if piece in harmless:
                    continue
                if self._strings.hides(piece, level):
                    yield found
                elif len(piece) <= _MAX_REMEMBERED_LENGTH:
                    if len(harmless) >= _MAX_REMEMBERED:
                        harmless.clear()
                    harmless.add(piece)


def _undone(blob: bytes) -> bytes:
    """Undo the usual escapes. Where a backslash is left, there is another; those that stood for one are kept apart."""
    if b"\\" not in blob:
        return blob
    # A pass for each escape costs as much as all the patterns do; quotes alone are many.
    if b"\\\\" in blob:
        blob = blob.replace(b"\\\\", _SLASH)
    first, *rest = blob.replace(b'\\"', _QUOTE).split(b"\\")
    parts = [first]
    for part in rest:
        character = _UNDONE.get(part[:1])
        parts.append(character + part[1:] if character else b"\\" + part)
    return b"".join(parts)


def _is_utf8(blob: bytes) -> bool:
    try:
        return blob.isascii() or bool(blob.decode("utf-8", "strict"))
    except UnicodeDecodeError:
        return False


def _places(data: bytes, part: bytes) -> Iterator[int]:
    at = data.find(part)
    while at >= 0:
        yield at
        at = data.find(part, at + 1)


def _last_name(steps: tuple[Step, ...]) -> str | None:
    """Return the last name on a path: it must be met, as a member's, for the path to lead anywhere."""
    names = [step.name for step in steps if isinstance(step.name, str)]
    return names[-1] if names else None
