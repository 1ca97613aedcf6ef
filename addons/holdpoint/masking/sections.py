"""Kubernetes Secrets printed as YAML: `data` and `stringData` beside `kind: Secret`, whatever the keys are called."""

import re
from collections.abc import Iterator
from enum import Enum

from holdpoint.domain.mask import MaskAction
from holdpoint.masking.marks import Marker
from holdpoint.masking.regex import compile_regex
from holdpoint.masking.values import BLANK, Value, balanced_end, block_end, line_end

_QUOTE = r"\\*[\"']?"
_KIND = rf"(?i:kind{_QUOTE}\s*:\s*{_QUOTE}secret(?:list)?(?:[^A-Za-z0-9]|\z))"
_TYPE = (
    rf"type{_QUOTE}\s*:\s*{_QUOTE}(?:Opaque|kubernetes\.io/(?:service-account-token|dockercfg|dockerconfigjson|basic-auth"
    r"|ssh-auth|tls)|bootstrap\.kubernetes\.io/token|helm\.sh/release)"
)
_SECRET = rf"{_KIND}|{_TYPE}"
_LIST = rf"(?i)kind{_QUOTE}\s*:\s*{_QUOTE}secretlist"
_DATA = rf"(?:^|[^A-Za-z0-9_.\-])(data|stringData){_QUOTE}[ \t]*(:)"
_LEAD = re.compile(rb"[ \t]*(?:[-+][ \t]+|[-+])*")
_LINE_LEAD = re.compile(rb"[ \t]*(?:-[ \t]+)*")
_ENTRY = re.compile(rb"[ \t]*(?:\"(?:[^\"\\\r\n]|\\.)*\"|'[^'\r\n]*'|[^\s:#\"'][^:\r\n]*):(?=[ \t]|\r?\Z)")
_BUDGET = 50_000
"""Lines looked at in search of a `kind`. Beyond, every section counts as a Secret's."""


class Sections:
    """Masks the data of Secrets in text."""

    probes: tuple[str, ...] = (rf"(?i:kind{_QUOTE}\s*:\s*{_QUOTE}secret)", _TYPE)
    """Patterns without anchors: where none matches, there is no Secret."""

    def __init__(self, action: MaskAction, marker: Marker) -> None:
        self._action = action
        self._marker = marker
        self._secret = compile_regex(_SECRET)
        self._list = compile_regex(_LIST)
        self._data = compile_regex(_DATA)

    def mask(self, text: bytes) -> tuple[bytes, int]:
        """Mask. Returns the text and how many values were masked."""
        if self._secret.search(text) is None:
            return text, 0
        # The items of a SecretList carry no `kind` of their own.
        budget = 0 if self._list.search(text) is not None else _BUDGET
        out: list[bytes] = []
        done = at = count = 0
        while (match := self._data.search(text, at)) is not None:
            at = match.end()
            key_at = match.start(1)
            quote = text[match.end(1) : match.start(2)].strip()
            line = text.rfind(b"\n", 0, key_at) + 1
            column = key_at - len(quote) - line
            lead = _LEAD.match(text, line)
            if lead is None or lead.end() != line + column:
                values = _flow(text, quote, at)
            else:
                if budget > 0:
                    is_secret, cost = self._is_secret(text, line, column)
                    budget -= cost
                    if not is_secret:
                        continue
                values = _section(text, at, column)
            for value in values:
                if not value.is_masked:
                    mark = self._marker.mark(value.content.strip(b" \t\r\n\"'").decode(), self._action).encode()
                    out += (
                        text[done : value.start],
                        b" " if value.start == at else b"",
                        value.quote,
                        mark,
                        value.quote,
                    )
                    done = value.end
                    count += 1
                at = max(at, value.end)
        out.append(text[done:])
        return b"".join(out), count

    def _is_secret(self, text: bytes, line: int, column: int) -> tuple[bool, int]:
        """Tell whether `kind` or `type` beside the key at `column` says Secret, and how many lines that took."""
        cost = 0
        for sibling in _siblings(text, line, column):
            cost += 1
            if sibling and self._secret.search(sibling) is not None:
                return True, cost
        return False, cost


def _flow(text: bytes, quote: bytes, at: int) -> list[Value]:
    blank = BLANK.match(text, at)
    start = blank.end() if blank else at
    if text[start : start + 1] != b"{":
        return []
    end = balanced_end(text, start)
    return [Value(start, end, quote or b'"', text[start:end])]


def _section(text: bytes, at: int, column: int) -> list[Value]:
    """Return the values of a section that starts after the colon at `at`: one each, or one for all of it."""
    eol = line_end(text, at)
    first = text[at:eol].strip()
    end = block_end(text, at, column)
    if first and not first.startswith(b"#"):
        if first.startswith(b"{"):
            end = max(end, balanced_end(text, text.index(b"{", at)))
        return [Value(at, end, b'"', text[at:end])]
    values: list[Value] = []
    deeper: int | None = None
    start = eol + 1
    while start < end:
        stop = line_end(text, start)
        line = text[start:stop]
        inner = line.lstrip(b" \t")
        if inner.strip() and not inner.startswith(b"#"):
            deeper = len(line) - len(inner) if deeper is None else deeper
            entry = _ENTRY.match(line)
            if entry is None or len(line) - len(inner) != deeper:
                return [Value(at, end, b'"', text[at:end])]
            key_end = start + entry.end()
            stop = min(block_end(text, start, deeper), end)
            blank = BLANK.match(text, key_end)
            value_at = blank.end() if blank else key_end
            if value_at < stop:
                values.append(Value(value_at, stop, b'"', text[value_at:stop]))
        start = stop + 1
    return values


def _siblings(text: bytes, line: int, column: int) -> Iterator[bytes]:
    """Yield what may be a key of the mapping in which a key stands at `column` of the line that starts at `line`.

    Lines that lie deeper are yielded empty, so that one can count.
    """
    place = _place(text[line : line_end(text, line)], column)
    end = line - 1
    while place is not _Place.FIRST and end >= 0:
        start = text.rfind(b"\n", 0, end) + 1
        place = _place(text[start:end], column)
        if place is _Place.OUT:
            break
        yield text[start + column : end] if place is not _Place.DEEPER else b""
        end = start - 1
    start = line_end(text, line) + 1
    while start < len(text):
        stop = line_end(text, start)
        place = _place(text[start:stop], column)
        if place in {_Place.FIRST, _Place.OUT}:
            break
        yield text[start + column : stop] if place is _Place.KEY else b""
        start = stop + 1


class _Place(Enum):
    KEY = 1
    FIRST = 2
    """The first key of a list item that is a mapping."""
    DEEPER = 3
    OUT = 4


def _place(line: bytes, column: int) -> _Place:
    """Tell how a line stands to a mapping whose keys stand at `column`."""
    inner = line.lstrip(b" \t")
    if not inner.strip() or inner.startswith(b"#"):
        return _Place.DEEPER
    indent = len(line) - len(inner)
    lead = _LINE_LEAD.match(line)
    if line.startswith(b"---"):
        return _Place.OUT
    if (lead.end() if lead else indent) == column:
        return _Place.FIRST if indent < column else _Place.KEY
    return _Place.OUT if indent < column else _Place.DEEPER
