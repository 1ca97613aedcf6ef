"""Event streams as in the WHATWG HTML standard, section 9.2 (server-sent events), in both directions.

Unlike a browser, the parser keeps what a proxy must pass on: comments (keepalives), and events without data (an id that
primes a resumption). Like a browser, it drops unknown fields and an event that the stream's end cut short.
"""

import re
from dataclasses import dataclass, field, replace

MAX_EVENT_BYTES = 8 << 20

_BREAKS = re.compile(r"\r\n|\r|\n")
_OTHER_BREAKS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""Where Python's `str.splitlines` breaks lines too, and with it httpx-sse before 0.4.1."""
_BOM = b"\xef\xbb\xbf"


class TooLarge(ValueError):  # noqa: N818  # named after what happened, as the other outcomes are
    """An event outgrew its limit. Whatever follows cannot be told apart any more: end the stream."""


@dataclass(frozen=True, slots=True)
class Event:
    """What stood between two blank lines; or one comment outside of any event, at once."""

    type: str = ""
    """Empty means `message`."""
    data: str | None = None
    """Lines joined by line feeds. None: the event has no `data` at all, and a client dispatches nothing."""
    id: str | None = None
    """None: the last id stays. Empty: it is cleared."""
    retry: int | None = None
    """Milliseconds."""
    comments: tuple[str, ...] = ()
    """Each as it stood after the colon."""


@dataclass(slots=True)
class _Pending:
    type: str = ""
    data: list[str] = field(default_factory=list[str])
    id: str | None = None
    retry: int | None = None
    comments: list[str] = field(default_factory=list[str])
    touched: bool = False

    def event(self) -> Event:
        data = "\n".join(self.data) if self.data else None
        return Event(self.type, data, self.id, self.retry, tuple(self.comments))


class Parser:
    """Turns chunks into events; the same events however the bytes are cut."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, *, strict: bool = False) -> None:
        """With `strict`, bytes that are no UTF-8 are refused; otherwise they are replaced, as a browser does."""
        self._limit = max_event_bytes
        self._errors = "strict" if strict else "replace"
        self._start: bytes | None = b""
        """The first bytes, until it is known whether they are a BOM."""
        self._line: list[bytes] = []
        """Pieces of a line that has not ended."""
        self._size = 0
        """Bytes of the event that has not ended."""
        self._skip_lf = False
        self._now = _Pending()
        self._too_large = False

    @property
    def pending(self) -> bool:
        """Whether an event has begun and not ended."""
        return self._now.touched or bool(self._line) or bool(self._start)

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes. Raises TooLarge, and from then on always; UnicodeDecodeError."""
        if self._too_large:
            raise TooLarge(f"an event is larger than {self._limit} bytes")
        if not chunk:
            return []
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return []
            self._start = None
            chunk = chunk.removeprefix(_BOM)
        if self._skip_lf:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        return self._lines(chunk)

    def end(self) -> list[Event]:
        """Finish. Always empty: an event that the end cut short is none (HTML standard, section 9.2.6)."""
        self._line.clear()
        self._now = _Pending()
        self._start = None
        return []

    def _lines(self, chunk: bytes) -> list[Event]:
        events: list[Event] = []
        for piece in chunk.splitlines(keepends=True):
            self._size += len(piece)
            if self._size > self._limit:
                self._too_large = True
                raise TooLarge(f"an event is larger than {self._limit} bytes")
            if piece[-1:] not in b"\r\n":
                self._line.append(piece)
                continue
            if self._line:
                self._line.append(piece)
                piece = b"".join(self._line)  # noqa: PLW2901  # the whole line takes the place of its last piece
                self._line.clear()
            self._take(piece.rstrip(b"\r\n"), events)
        # A line feed that starts the next chunk belongs to this carriage return.
        self._skip_lf = chunk[-1:] == b"\r"
        return events

    def _take(self, line: bytes, events: list[Event]) -> None:
        now = self._now
        if not line:
            if now.touched:
                events.append(now.event())
                self._now = _Pending()
            self._size = 0
            return
        name, _, rest = line.decode("utf-8", self._errors).partition(":")
        value = rest.removeprefix(" ")
        match name:
            case "":
                if not now.touched:
                    # A keepalive must not wait for a blank line.
                    events.append(Event(comments=(rest,)))
                    self._size = 0
                    return
                now.comments.append(rest)
            case "data":
                now.data.append(value)
            case "event":
                now.type = value
            case "id" if "\0" not in value:
                now.id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) < 16:  # noqa: PLR2004  # beyond any delay
                now.retry = int(value)
            case _:
                return
        now.touched = True


def _has_break(text: str) -> bool:
    return "\n" in text or "\r" in text


def for_every_reader(event: Event) -> Event:
    """Return an event of which no part is a line of its own for readers that break lines wherever Unicode has a break.

    In data that is JSON such a character can only stand in a string, and is escaped there; elsewhere it becomes a
    blank.
    """
    texts = (event.data or "", event.type, event.id or "", *event.comments)
    if all(text.isascii() and text.isprintable() for text in texts):
        return event
    return replace(
        event,
        data=one_line(event.data) if event.data else event.data,
        type=_OTHER_BREAKS.sub(" ", event.type),
        id=_OTHER_BREAKS.sub(" ", event.id) if event.id else event.id,
        comments=tuple(_OTHER_BREAKS.sub(" ", comment) for comment in event.comments),
    )


def one_line(data: str) -> str:
    """Return data without the breaks that not everybody takes for one; JSON says the same as before."""
    if data.lstrip()[:1] not in {"{", "["}:
        return _OTHER_BREAKS.sub(" ", data)
    return _OTHER_BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", data)


def encode(event: Event) -> bytes:
    """Write an event. Raises ValueError where `type`, `id` or a comment would break out of its line.

    Line breaks within data become further `data` lines. Comments come last: ahead of the fields they would be read as
    standing alone.
    """
    for text in (event.type, event.id or "", *event.comments):
        if _has_break(text) or "\0" in text:
            raise ValueError("an event's type, id or comment holds a line break or NUL")
    lines: list[str] = []
    if event.type:
        lines.append(f"event: {event.type}")
    if event.id is not None:
        lines.append(f"id: {event.id}")
    if event.retry is not None:
        lines.append(f"retry: {event.retry}")
    if event.data is not None:
        # To split by the pattern costs three times as much as to mask, and JSON on one line has nothing to split.
        parts = _BREAKS.split(event.data) if _has_break(event.data) else [event.data]
        lines.extend(f"data: {line}" for line in parts)
    lines.extend(f":{comment}" for comment in event.comments)
    return ("\n".join(lines) + "\n\n").encode() if lines else b""
