"""Server-sent events, masked as they come: the same output however the bytes are cut."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol

from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import Masker
from holdpoint.masking.strict import NotJson, dumps, loads
from holdpoint.masking.strings import Unmaskable

type Transform = Callable[[JsonValue], JsonValue | None]
"""Sees each message before it is masked, and returns it, another one, or None to withhold the event."""


class StreamEvent(Protocol):
    """One event of a stream (WHATWG HTML, section 9.2), a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def type(self) -> str:
        """Its `event` field."""
        ...

    @property
    def data(self) -> str | None:
        """Its `data` lines, joined by line feeds; None without any."""
        ...

    @property
    def id(self) -> str | None:
        """Its `id` field."""
        ...

    @property
    def comments(self) -> Sequence[str]:
        """Its comments."""
        ...


class EventParser[E: StreamEvent](Protocol):
    """Turns bytes into events; the same events however the bytes are cut."""

    def feed(self, chunk: bytes, /) -> Sequence[E]:
        """Return the events that this chunk completes."""
        ...

    def end(self) -> Sequence[E]:
        """Return what the end of the stream completes."""
        ...


class SseMasker[E: StreamEvent]:
    """Masks one event stream. After an error nothing passes any more."""

    def __init__(
        self, masker: Masker, transform: Transform, *, parser: EventParser[E], encode: Callable[[E], bytes]
    ) -> None:
        self._masker = masker
        self._transform = transform
        self._parser = parser
        self._encode = encode
        self._broken = False
        self.count = 0
        """How many values were masked so far."""

    def feed(self, chunk: bytes) -> bytes:
        """Return what may pass on; empty where no event is complete.

        Raises, once, what the parser, the transform or the masker raise (Unmaskable); ever after it returns nothing.
        """
        return self.show(self.parse(chunk))

    def end(self) -> bytes:
        """Return what is left. Raises as `feed` does."""
        return self.show(self.finish())

    def finish(self) -> Sequence[E]:
        """Return the events that the end of the stream completes, none of them looked at. Raises as `feed` does."""
        return () if self._broken else self._guarded(self._parser.end)

    def parse(self, chunk: bytes) -> Sequence[E]:
        """Return the events that `chunk` completes, none of them looked at. Raises as `feed` does."""
        return () if self._broken else self._guarded(lambda: self._parser.feed(chunk))

    def show(self, events: Sequence[E]) -> bytes:
        """Return what may pass on of events, in their order. May run in a thread. Raises as `feed` does."""
        return b"" if self._broken or not events else self._guarded(lambda: b"".join([self._event(e) for e in events]))

    def _guarded[T](self, work: Callable[[], T]) -> T:
        # INVARIANT: broken until proven whole, so that not even a KeyboardInterrupt leaves the stream open.
        self._broken = True
        made = work()
        self._broken = False
        return made

    def _event(self, event: E) -> bytes:
        changes: dict[str, object] = {}
        if event.data is not None:
            data = self._data(event.data)
            if data is None:
                return b""
            changes["data"] = data
        if event.type:
            changes["type"] = self._text(event.type)
        if event.id:
            changes["id"] = self._text(event.id)
        if event.comments:
            changes["comments"] = tuple(self._text(c) for c in event.comments)
        return self._encode(replace(event, **changes))

    def _data(self, data: str) -> str | None:
        if data.lstrip()[:1] not in {"{", "["}:
            return self._text(data)
        try:
            value = loads(data.encode("utf-8", "strict"), exact=False)
        except (NotJson, UnicodeEncodeError):
            # As text it would slip past the transform, while a lenient client still reads it as a message.
            raise Unmaskable("an event whose data is no strict JSON") from None
        made = self._transform(value)
        if made is None:
            return None
        masked = self._masker.mcp(made)
        self.count += masked.count
        return data if made is value and not masked.count else dumps(masked.value).decode()

    def _text(self, text: str) -> str:
        masked = self._masker.text(text)
        self.count += masked.count
        return masked.value
