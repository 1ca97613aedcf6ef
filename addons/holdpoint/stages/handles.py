"""Whose the sessions and tasks of upstreams are: to an upstream every caller is the gateway, and only the id counts.

Known at once in memory, and soon in the store, so that a restart forgets nobody. Of an id only a digest is kept.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from holdpoint.clock import Clock
from holdpoint.domain.values import JsonMapping, JsonObject, as_object, as_text
from holdpoint.store.protocol import HandleRecord

logger = logging.getLogger(__name__)

type Kind = Literal["session", "task"]

UNUSED_FOR: Final = 30 * 86_400.0
"""Seconds after which a handle that nobody used is forgotten."""
MOST: Final = 200_000
"""Handles at a time; beyond, the one unused for longest is forgotten."""
MOST_EACH: Final = 2_000
"""Handles of one principal; beyond, the one of theirs unused for longest is forgotten, and nobody else's."""
_WRITE_USE: Final = 3_600.0
"""Seconds: how exactly the store knows when a handle was last used."""


class HandleStore(Protocol):
    """Where handles outlive the process."""

    def submit_handle(self, record: HandleRecord) -> bool:
        """Store one, without waiting. Returns False where it cannot be stored."""
        ...

    def submit_handle_end(self, digests: tuple[bytes, ...]) -> bool:
        """Forget some, without waiting."""
        ...


class ForeignHandle(Exception):  # noqa: N818  # says what happened
    """An upstream gave out a handle that it had given to somebody else."""


@dataclass(slots=True)
class _Held:
    record: HandleRecord
    used_at: float


class Handles:
    """The handles that are known. Safe to use from several threads."""

    def __init__(self, store: HandleStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._of: dict[tuple[str, Kind], OrderedDict[bytes, None]] = {}
        self._lock = threading.Lock()

    def load(self, records: tuple[HandleRecord, ...]) -> None:
        """Take over what an earlier process stored, longest unused first."""
        with self._lock:
            for record in records:
                self._put(record)

    def began(
        self, kind: Kind, target: str, handle: str, principal_id: str, facts: Callable[[], JsonObject] | None = None
    ) -> None:
        """Note to whom an upstream gave a handle. `facts` is called where it is new.

        Raises ForeignHandle where it is somebody else's: both would be one to the upstream.
        """
        key = _key(kind, target, handle)
        with self._lock:
            known = self._live(key)
            if known is not None and known.record.principal != principal_id:
                raise ForeignHandle(f"the upstream gave a {kind} of one principal to another")
            if known is not None:
                self._used(key, known)
                return
            now = self._clock.now()
            record = HandleRecord(key, kind, principal_id, facts() if facts else {}, now, now)
            gone = self._put(record)
        self._submit(record)
        if gone:
            self._store.submit_handle_end(gone)

    def learned(self, kind: Kind, target: str, handle: str, facts: JsonObject) -> None:
        """Add to the facts of a handle. One that is not known is none."""
        key = _key(kind, target, handle)
        with self._lock:
            known = self._live(key)
            if known is None or {**known.record.facts, **facts} == known.record.facts:
                return
            known.record = record = replace(known.record, facts={**known.record.facts, **facts})
        self._submit(record)

    def is_of(self, kind: Kind, target: str, handle: str, principal_id: str) -> bool:
        """Tell whether a handle is this principal's, and count that as a use. An unknown one is nobody's."""
        key = _key(kind, target, handle)
        with self._lock:
            known = self._live(key)
            if known is None or known.record.principal != principal_id:
                return False
            stale = self._used(key, known)
        if stale is not None:
            self._submit(stale)
        return True

    def is_of_another(self, kind: Kind, target: str, handle: str, principal_id: str) -> bool:
        """Tell whether a handle is known to be somebody else's."""
        with self._lock:
            known = self._live(_key(kind, target, handle))
            return known is not None and known.record.principal != principal_id

    def facts(self, kind: Kind, target: str, handle: str) -> JsonMapping:
        """Return what was noted of a handle; empty if it is not known."""
        with self._lock:
            known = self._live(_key(kind, target, handle))
            return known.record.facts if known else {}

    def session_facts(self, target: str, session: str) -> tuple[JsonMapping, str]:
        """Return what the client can do, and the protocol version, as agreed when a session began; empty if unknown."""
        facts: JsonMapping = self.facts("session", target, session) if session else {}
        return as_object(facts.get("capabilities")), as_text(facts.get("version"))

    def ended(self, kind: Kind, target: str, handle: str) -> None:
        """Forget a handle that its upstream has ended."""
        key = _key(kind, target, handle)
        with self._lock:
            if self._drop(key) is None:
                return
        self._store.submit_handle_end((key,))

    def _submit(self, record: HandleRecord) -> None:
        if not self._store.submit_handle(record):
            logger.warning("a %s will not survive a restart: the store is closed or overrun", record.kind)

    # Below, the lock is held.

    def _live(self, key: bytes) -> _Held | None:
        known = self._held.get(key)
        if known is not None and self._clock.now() - known.used_at > UNUSED_FOR:
            self._drop(key)
            return None
        return known

    def _used(self, key: bytes, known: _Held) -> HandleRecord | None:
        """Note a use. Returns what the store should learn of it, where that is due."""
        known.used_at = now = self._clock.now()
        self._held.move_to_end(key)
        self._of[known.record.principal, known.record.kind].move_to_end(key)
        if now - known.record.used_at < _WRITE_USE:
            return None
        known.record = replace(known.record, used_at=now)
        return known.record

    def _put(self, record: HandleRecord) -> tuple[bytes, ...]:
        """Take one in. Returns the digests of those that had to go for it."""
        self._drop(record.digest)
        self._held[record.digest] = _Held(record, record.used_at)
        mine = self._of.setdefault((record.principal, record.kind), OrderedDict())
        mine[record.digest] = None
        gone: list[bytes] = []
        if len(mine) > MOST_EACH:
            gone.append(next(iter(mine)))
        elif len(self._held) > MOST:
            gone.append(next(iter(self._held)))
        for key in gone:
            self._drop(key)
        return tuple(gone)

    def _drop(self, key: bytes) -> _Held | None:
        known = self._held.pop(key, None)
        if known is not None:
            owner = (known.record.principal, known.record.kind)
            mine = self._of[owner]
            del mine[key]
            if not mine:
                del self._of[owner]
        return known


def _key(kind: Kind, target: str, handle: str) -> bytes:
    # Never the id itself: it opens what it names.
    return hashlib.sha256(f"{kind}\n{target}\n{handle}".encode("utf-8", "surrogatepass")).digest()
