"""Patterns that must not stand in an answer: looked for in what would pass on, after masking.

After, not before: what a mask took out does not pass, and one value that is masked anyway is no reason to keep the
rest of an answer back.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from holdpoint.domain.decision import GuardAnswer
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonValue, as_text
from holdpoint.masking.regex import Regex, any_of
from holdpoint.masking.validators import decode_base64
from holdpoint.protocols import sse, strict_json
from holdpoint.protocols.call import Undecodable

MATCHED = "the answer matched a guard"
_ESCAPES = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.", re.DOTALL)
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/_-]")


def check_value(guards: tuple[GuardAnswer, ...], value: JsonValue) -> None:
    """Refuse a message in which a pattern matches: any string, name, or text in a blob. Raises Refusal."""
    for guard in guards:
        pattern = _compiled(guard.patterns)
        if pattern is not None and any(pattern.search(text) for text in _texts(value)):
            raise _withheld(guard)


def check_text(guards: tuple[GuardAnswer, ...], text: str) -> None:
    """Refuse a text in which a pattern matches, as it stands or, where it is JSON, as it is read. Raises Refusal."""
    if not guards:
        return
    check_bytes(guards, text.encode("utf-8", "surrogatepass"))


def check_bytes(guards: tuple[GuardAnswer, ...], body: bytes) -> None:
    """Refuse a body, as `check_text`. Raises Refusal."""
    for guard in guards:
        pattern = _compiled(guard.patterns)
        if pattern is not None and pattern.search(body):
            raise _withheld(guard)
    if not guards:
        return
    if body.lstrip()[:1] in {b"{", b"[", b'"'}:
        try:
            check_value(guards, strict_json.loads(body, max_bytes=len(body)))
        except Undecodable:
            pass  # lines of JSON, or JSON that lax readers alone can read
        else:
            return
    if b"\\" not in body:
        return
    plain = _ESCAPES.sub(_unescaped, body)
    for guard in guards:
        pattern = _compiled(guard.patterns)
        if pattern is not None and pattern.search(plain):
            raise _withheld(guard)


def _unescaped(found: re.Match[bytes]) -> bytes:
    return _character(found[0])


@lru_cache(maxsize=4096)
def _character(escape: bytes) -> bytes:
    try:
        text = strict_json.loads(b'"' + escape + b'"')
    except Undecodable:
        return escape
    return _bytes(as_text(text))


class Plain:
    """Looks at the answer of a server that does not speak MCP: at nothing but guards."""

    def __init__(self, guards: tuple[GuardAnswer, ...]) -> None:
        self._guards = guards

    def __call__(self, value: JsonValue) -> JsonValue | None:
        """Return a message as it may pass on, before masking. None withholds it."""
        return value

    def encode(self, event: sse.Event) -> bytes:
        """Write an event that was masked. Raises Refusal where a guard matches."""
        if self._guards:
            for text in (event.data or "", event.type, event.id or "", *event.comments):
                check_text(self._guards, text)
        return sse.encode(event)


def _texts(value: JsonValue) -> Iterator[bytes]:
    stack: list[JsonValue] = [value]
    while stack:
        match stack.pop():
            case str() as text:
                yield _bytes(text)
            case list() as items:
                stack.extend(items)
            case dict() as members:
                for key, item in members.items():
                    yield _bytes(key)
                    stack.append(item)
                    if key == "blob" and isinstance(item, str) and (data := _blob(item)):
                        yield data
            case _:
                pass


def _blob(text: str) -> bytes | None:
    """Return what a blob holds, for readers too that pass over what is no base64 (Node.js, Python)."""
    data = decode_base64(_bytes(text))
    if data is not None:
        return data
    rest = _NO_BASE64.sub("", text)
    return decode_base64(_bytes(rest[: len(rest) - (len(rest) % 4 == 1)]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=256)
def _compiled(patterns: tuple[str, ...]) -> Regex | None:
    return any_of(patterns)


def _withheld(guard: GuardAnswer) -> Refusal:
    return Refusal(RefusalKind.WITHHELD, MATCHED, detail=f"guard of rule {guard.rule}")
