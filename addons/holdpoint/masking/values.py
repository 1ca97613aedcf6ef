"""How far a value reaches in text that nobody parsed. In doubt further."""

import re
from base64 import b64decode
from dataclasses import dataclass

from holdpoint.masking.marks import MARK

_LEAD = re.compile(rb"[ \t]*(?:(?:[-+?>#$*]|export|set|ENV)[ \t]+|[-+])*\\*[\"']?")
_OPEN_QUOTE = re.compile(rb"\\*(?:\"\"\"|'''|\"|')")
_AFTER_QUOTE = re.compile(rb"[ \t]*(?:[,;&>}\])]|/>|#|\\n|\r?\n|\r?\Z)")
BLANK = re.compile(rb"[ \t]*")
_TOKEN = re.compile(
    # Up to a blank; a separator before the next `name=`, and a quote that closes, end it too.
    rb"(?:[^\s\"'&;]|[&;](?!\s*[\w.%\[\]\-]{1,64}=|\s|\Z)|[\"'](?![\s,}\])>;&]|\Z))*",
)
_NOTHING = frozenset({b"", b"{}", b"[]"})
_SCHEME = re.compile(rb"(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)\Z", re.IGNORECASE)
_ENCODED = b"W21hc2tlZ"
"""What marks in base64 begin with."""
_FLOW_END = re.compile(rb"[,}\]\r\n]")


@dataclass(frozen=True, slots=True)
class Value:
    """A value in a text."""

    start: int
    end: int
    quote: bytes
    """The quote to put around what takes its place; empty for none."""
    content: bytes
    """The value without its quotes."""

    @property
    def is_masked(self) -> bool:
        """Whether the value is a mark already, or there is nothing in it."""
        bare = self.content.strip(b" \t\r\n\"'")
        return bare in _NOTHING or MARK.fullmatch(bare) is not None

    @property
    def is_masked_bytes(self) -> bool:
        """Whether the value is a mark in base64, as the data of a Secret has it: masked before, on another road."""
        return _is_encoded_mark(self.content.strip(b" \t\r\n\"'"))


def _is_encoded_mark(bare: bytes) -> bool:
    if not bare.startswith(_ENCODED):
        return False
    try:
        return MARK.fullmatch(b64decode(bare, validate=True)) is not None
    except ValueError:
        return False


def line_end(text: bytes, at: int) -> int:
    """Return where the line that holds `at` ends, before its line end."""
    end = text.find(b"\n", at)
    return len(text) if end < 0 else end


def block_end(text: bytes, at: int, column: int, *, with_items: bool = False) -> int:
    """Return where the value that starts on the line of `at` ends: deeper lines belong to it.

    `with_items`: list items at the key's own column belong to it too (YAML lets an empty value start that way).
    """
    end = line_end(text, at)
    start = end + 1
    while start < len(text):
        stop = line_end(text, start)
        line = text[start:stop]
        inner = line.lstrip(b" \t")
        if inner.strip():
            indent = len(line) - len(inner)
            is_item = with_items and indent == column and (inner.startswith(b"- ") or inner.rstrip() == b"-")
            if indent <= column and not is_item:
                break
            end = stop
        start = stop + 1
    return end


def balanced_end(text: bytes, at: int) -> int:
    """Return where the bracket at `at` is closed; the end of the text if it is not."""
    depth = 0
    i = at
    while i < len(text):
        match = _BRACKET.search(text, i)
        if match is None:
            break
        c = match.group()
        i = match.end()
        if c in b"{[":
            depth += 1
        elif c in b"}]":
            depth -= 1
            if depth == 0:
                return i
        else:
            i = closing_quote(text, match.start(), c)
    return len(text)


_BRACKET = re.compile(rb"[{}\[\]]|\\*\"|(?<=[\s:,\[{])'")


def closing_quote(text: bytes, at: int, quote: bytes) -> int:
    """Return the offset after the quote that closes the one at `at`; the end of the text if none does."""
    i = at + len(quote)
    bare = quote.lstrip(b"\\")
    while (i := text.find(quote, i)) >= 0:
        after = i + len(quote)
        slashes = _slashes_before(text, i, at)
        if quote == b"'" and text[after : after + 1] == b"'":
            i = after + 1
        elif quote == b"'" or (slashes % 2 == 0 if bare == quote else slashes == 0):
            return after
        else:
            i += 1
    return len(text)


def _slashes_before(text: bytes, at: int, floor: int) -> int:
    count = 0
    while at - count - 1 > floor and text[at - count - 1 : at - count] == b"\\":
        count += 1
    return count


def value_at(text: bytes, key_at: int, key_quote: bytes, separator: bytes, after: int) -> Value:
    """Return the value of the key at `key_at`, whose separator ends at `after`."""
    line = text.rfind(b"\n", 0, key_at) + 1
    lead = _LEAD.fullmatch(text, line, key_at) is not None
    start = _end(BLANK, text, after)
    if quote := _OPEN_QUOTE.match(text, start):
        return _quoted(text, start, quote.group(), lead=lead, column=key_at - len(key_quote) - line)
    outer = (key_quote or b'"') if separator == b":" else b""
    mark = MARK.match(text, start)
    if text[start : start + 1] in {b"{", b"["} and mark is None:
        end = balanced_end(text, start)
        if _AFTER_QUOTE.match(text, end) is None:
            end = block_end(text, end, key_at - len(key_quote) - line) if lead else _token_end(text, end)
        return Value(start, end, outer, text[start:end])
    if lead:
        column = key_at - len(key_quote) - line
        end = block_end(text, start, column, with_items=not text[start : line_end(text, start)].strip())
        if key_quote and text[start:end].rstrip().endswith(b","):
            end = start + len(text[start:end].rstrip()) - 1
    elif separator == b":":
        is_flow = bool(key_quote) or b"{" in text[line:key_at]
        end = line_end(text, start)
        if is_flow and (stop := _FLOW_END.search(text, mark.end() if mark else start)):
            end = stop.start()
    else:
        end = _token_end(text, start)
    end = start + len(text[start:end].rstrip())
    return Value(start, end, outer, text[start:end])


def _quoted(text: bytes, start: int, quote: bytes, *, lead: bool, column: int) -> Value:
    end = closing_quote(text, start, quote)
    inner = text[start + len(quote) : max(end - len(quote), start + len(quote))]
    tail = _AFTER_QUOTE.match(text, end)
    if tail is None:
        # `"a"b c`: the value goes on after its quote.
        further = block_end(text, end, column) if lead else _token_end(text, end)
        if further > end:
            end, inner = further, text[start:further]
    return Value(start, end, quote, inner)


def _token_end(text: bytes, start: int) -> int:
    end = _end(_TOKEN, text, start)
    if _SCHEME.search(text[start:end]):
        end = _end(_TOKEN, text, _end(BLANK, text, end))
    return end


def _end(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def xml_value(text: bytes, key: bytes, after: int) -> Value:
    """Return the content of the element whose start tag ends at `after`."""
    close = re.compile(rb"</(?:[\w.\-]+:)?" + re.escape(key) + rb"\s*>", re.IGNORECASE)
    match = close.search(text, after)
    end = match.start() if match else len(text)
    return Value(after, end, b"", text[after:end])
