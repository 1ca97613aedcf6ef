"""The screens of one upgraded connection: one for each stream that shows something, as long as that stream lasts."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from holdpoint.protocols.kubernetes.frames import Frame
from holdpoint.stages.screens import Screen


class Screens:
    """By channel, each with the frame that came in last: what is kept back goes out as more of that stream."""

    def __init__(self, make: Callable[[], Screen]) -> None:
        self._make = make
        self._open: dict[int, tuple[Frame, Screen]] = {}
        self._masked = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def masked(self) -> int:
        """How many values were masked so far, on all streams that ever were."""
        return self._masked + sum(screen.masked for _, screen in self._open.values())

    @property
    def hold(self) -> bool:
        """Whether something is kept back."""
        return any(screen.holds for _, screen in self._open.values())

    def of(self, frame: Frame) -> Screen:
        """Return the screen of a frame's stream."""
        known = self._open.get(frame.channel)
        screen = known[1] if known else self._make()
        self._open[frame.channel] = (replace(frame, data=b"", final=False), screen)
        return screen

    def flush(self, channel: int | None = None) -> Iterator[Frame]:
        """Give what is kept back, of one stream or of all."""
        for number, (frame, screen) in self._open.items():
            if (channel is None or number == channel) and (shown := screen.flush()):
                yield replace(frame, data=shown)

    def forget(self, channel: int) -> None:
        """Drop the screen of a stream that is over: a forwarded port has one for each connection that failed."""
        if channel in self._open:
            self._masked += self._open.pop(channel)[1].masked
