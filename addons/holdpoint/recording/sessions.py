"""Which recording a request belongs to: one principal on one target, by protocol session or until idle for too long."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from holdpoint.ids import new_id
from holdpoint.recording.flowfiles import Session

MOST = 4_096
"""Sessions at a time. Callers choose the ids: beyond, the one used longest ago ends early."""


@dataclass(slots=True)
class _Live:
    session: Session
    seen: float


class Sessions:
    """The sessions that are going on. For the event loop alone."""

    def __init__(self, idle: float, *, make_id: Callable[[str], str] = new_id) -> None:
        self._idle = idle
        self._make_id = make_id
        self._live: OrderedDict[tuple[str, str, str], _Live] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are going on."""
        return len(self._live)

    def session_for(self, principal_id: str, target: str, protocol_session: str, now: float) -> Session:
        """Return the session of a request that comes in now (Unix seconds); a new one where the last was left idle.

        `protocol_session` is what the caller said: it divides one principal's recordings, and joins nobody else's.
        """
        while self._live:
            key, oldest = next(iter(self._live.items()))
            if abs(now - oldest.seen) <= self._idle:
                break
            del self._live[key]
        key = (principal_id, target, protocol_session)
        live = self._live.get(key)
        if live is None or abs(now - live.seen) > self._idle:
            live = self._live[key] = _Live(Session(self._make_id("ses"), now), now)
            while len(self._live) > MOST:
                self._live.popitem(last=False)
        live.seen = now
        self._live.move_to_end(key)
        return live.session

    def join(self, principal_id: str, target: str, protocol_session: str, also: str) -> None:
        """Let requests under `also` go into the same recording: an answer named the session that its request began."""
        live = self._live.get((principal_id, target, protocol_session))
        if live is not None:
            self._live.setdefault((principal_id, target, also), live)
