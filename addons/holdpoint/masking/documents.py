"""Whole bodies, by content type. What cannot be looked into is refused: it must be withheld."""

from collections.abc import Callable
from urllib.parse import quote_plus, unquote_to_bytes

from holdpoint.domain.values import JsonValue
from holdpoint.masking.strict import NotJson, dumps, loads
from holdpoint.masking.strings import Unmaskable

type Tree = Callable[[JsonValue], tuple[JsonValue, int]]
type Text = Callable[[str], tuple[str, int]]

_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
_TEXT = frozenset(
    {
        "application/yaml",
        "application/x-yaml",
        "application/xml",
        "application/toml",
        "application/javascript",
        "application/x-sh",
        "application/x-pem-file",
        "application/graphql",
    }
)
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_FORM = "application/x-www-form-urlencoded"


def mask_document(body: bytes, content_type: str | None, *, tree: Tree, text: Text) -> tuple[bytes, int]:
    """Mask a body that is not empty. Returns it, the very same bytes where nothing was masked, and the count.

    Raises Unmaskable for unknown and binary types, other charsets than UTF-8, event streams (they have a masker of
    their own), and bodies that are not what their type says.
    """
    media, charset = _parse_type(content_type or "")
    if charset not in _CHARSETS:
        raise Unmaskable(f"charset `{charset[:40]}` cannot be masked")
    if media in {"application/json", "text/json"} or media.endswith("+json"):
        return _json(body, tree)
    if media in _LINES:
        return _lines(body, tree)
    if media == _FORM:
        return _form(body, tree)
    if media != "text/event-stream" and (
        media in _TEXT or media.startswith("text/") or media.endswith(("+xml", "+yaml"))
    ):
        return _text(body, text)
    raise Unmaskable(f"content type `{media[:80]}` cannot be masked" if media else "a body without a content type")


def _parse_type(content_type: str) -> tuple[str, str]:
    media, *parameters = content_type.split(";")
    charset = "utf-8"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    return media.strip().lower(), charset


def _json(body: bytes, tree: Tree) -> tuple[bytes, int]:
    try:
        value, count = tree(loads(body))
        return (dumps(value), count) if count else (body, 0)
    except NotJson as error:
        raise Unmaskable(str(error)) from None


def _lines(body: bytes, tree: Tree) -> tuple[bytes, int]:
    lines = body.split(b"\n")
    total = 0
    for index, line in enumerate(lines):
        if line.strip():
            masked, count = _json(line, tree)
            if count:
                lines[index] = masked + (b"\r" if line.endswith(b"\r") else b"")
                total += count
    return (b"\n".join(lines), total) if total else (body, 0)


def _text(body: bytes, text: Text) -> tuple[bytes, int]:
    try:
        masked, count = text(body.decode("utf-8", "strict"))
    except UnicodeDecodeError:
        raise Unmaskable("text that is not UTF-8") from None
    return (masked.encode(), count) if count else (body, 0)


def _form(body: bytes, tree: Tree) -> tuple[bytes, int]:
    fields = body.split(b"&")
    total = 0
    for index, field in enumerate(fields):
        raw_name, equals, raw_value = field.partition(b"=")
        name, value = _unquote(raw_name), _unquote(raw_value)
        made, count = tree({name: value if equals else None})
        if count and isinstance(made, dict):
            for new_name, new_value in made.items():
                fields[index] = b"=".join((_quote(new_name), *((_quote(str(new_value)),) if equals else ())))
            total += count
    return (b"&".join(fields), total) if total else (body, 0)


def _unquote(part: bytes) -> str:
    try:
        return unquote_to_bytes(part.replace(b"+", b" ")).decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Unmaskable("a form field that is not UTF-8") from None


def _quote(part: str) -> bytes:
    return quote_plus(part, safe="[]:").encode("ascii")
