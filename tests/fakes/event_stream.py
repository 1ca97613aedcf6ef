"""A small event stream parser (WHATWG HTML, section 9.2), enough to drive a masker of streams."""

import re
from dataclasses import dataclass, field

_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    type: str = ""
    data: str | None = None
    id: str | None = None
    comments: tuple[str, ...] = ()


@dataclass
class Parser:
    buffer: bytes = b""
    lines: list[str] = field(default_factory=list)

    def feed(self, chunk: bytes, /) -> list[Event]:
        self.buffer += chunk
        events = []
        # A carriage return at the very end may be half of a line end.
        while (match := _END.search(self.buffer)) and (match.group() != b"\r" or match.end() < len(self.buffer)):
            line = self.buffer[: match.start()].decode()
            self.buffer = self.buffer[match.end() :]
            if line:
                self.lines.append(line)
            elif self.lines:
                events.append(self._event())
        return events

    def end(self) -> list[Event]:
        return []

    def _event(self) -> Event:
        fields = [line.partition(":") for line in self.lines]
        self.lines = []
        values: dict[str, list[str]] = {}
        for name, _, value in fields:
            values.setdefault(name, []).append(value.removeprefix(" "))
        data = values.get("data")
        return Event(
            values.get("event", [""])[-1],
            None if data is None else "\n".join(data),
            values.get("id", [None])[-1],  # type: ignore[list-item]
            tuple(values.get("", ())),
        )


def encode(event: Event) -> bytes:
    lines = [f": {c}" for c in event.comments]
    lines += [f"event: {event.type}"] if event.type else []
    lines += [f"id: {event.id}"] if event.id is not None else []
    lines += [f"data: {line}" for line in event.data.split("\n")] if event.data is not None else []
    return ("\n".join(lines) + "\n\n").encode()
