"""Streams that are open now: each ends with what let it begin, and an operator may end it sooner.

A watch, a log that is followed and a terminal may run for hours after they were decided. What decided them may end
before they do: the token, the grant, the policy. Whoever opens one registers it here with a way to end it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from holdpoint.approvals.again import decide_again, why_denied
from holdpoint.approvals.terms import suffices
from holdpoint.clock import Clock
from holdpoint.domain.access import AccessRequest, Principal
from holdpoint.domain.decision import (
    Decision,
    Deny,
    GuardAnswer,
    Limit,
    MaskFields,
    Permit,
    Rate,
    RecordBodies,
    RequireApproval,
    UseCredential,
)
from holdpoint.domain.mask import MaskProfile
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.settings import Target, TargetMode
from holdpoint.stages.policies import Policies
from holdpoint.tasks import spawn

logger = logging.getLogger(__name__)

NO_END: Final = float("inf")
"""`until` of a stream that nothing ends by time."""
GRANT_OVER: Final = "the grant ended while this stream was open"
_LOOK_AGAIN: Final = 15.0
"""Seconds after which the wall clock is read again: it may have been set."""


@dataclass(frozen=True, slots=True)
class LiveStream:
    """One stream, from its first byte to its last."""

    exchange: str
    principal: Principal = field(repr=False)
    access: AccessRequest = field(repr=False)
    """What was asked when it began, and is decided again when the policies change."""
    target: str
    since: float
    """Unix seconds."""
    until: float
    """Unix seconds at which the token or the grant ends, whichever is sooner; NO_END."""
    approval: str
    """Id of the approval request that opened it; empty where none was asked for."""
    end: Callable[[Refusal], None] = field(repr=False)
    """Ends it, and tells its caller why. Called once at most, on the event loop."""
    waits: bool = False
    """Whether its caller is still held: what is held is decided again by those who hold it."""


class LiveStreams:
    """All of them. One for each gateway."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streams: dict[str, LiveStream] = {}
        self._wake = asyncio.Event()
        self._looks_at = NO_END
        """Unix seconds at which the timer looks again by itself."""
        self._opened = False
        """Whether a stream was opened since it looked."""
        self._timer: asyncio.Task[None] | None = None
        self._closing = False

    def __len__(self) -> int:
        return len(self._streams)

    def start(self) -> None:
        """Start the timer."""
        self._timer = self._timer or spawn(self._run(), name="ends of streams")

    async def close(self) -> None:
        """Stop the timer. Streams end with their connections."""
        self._closing = True
        self._wake.set()
        if self._timer is not None:
            await self._timer
            self._timer = None

    def open(self, stream: LiveStream) -> Callable[[], None]:
        """Register a stream. Returns what is to be called when it ended by itself: as often as one likes.

        Raises GatewayFault where its exchange has one already.
        """
        if stream.exchange in self._streams:
            raise GatewayFault(f"exchange `{stream.exchange}` has a stream already")
        self._streams[stream.exchange] = stream
        self._opened = True
        # Most streams are answers to calls, and over in a moment: the timer is not to be woken for each of them.
        if stream.until < self._looks_at:
            self._wake.set()

        def close() -> None:
            if self._streams.get(stream.exchange) is stream:
                del self._streams[stream.exchange]

        return close

    def listed(self) -> tuple[LiveStream, ...]:
        """Return the streams that are open, the oldest first."""
        return tuple(sorted(self._streams.values(), key=lambda s: (s.since, s.exchange)))

    def end(self, exchange: str, refusal: Refusal) -> bool:
        """End the stream of an exchange. Returns False where it has none."""
        stream = self._streams.pop(exchange, None)
        if stream is None:
            return False
        logger.info("stream of %s ends: %s", exchange, refusal.public)
        try:
            stream.end(refusal)
        except Exception:
            # One that cannot be ended must not keep the others alive.
            logger.critical("the stream of `%s` could not be ended", exchange, exc_info=True)
        return True

    def end_where(self, test: Callable[[LiveStream], bool], refusal: Refusal) -> int:
        """End every stream of which `test` is true. Returns how many."""
        return sum(self.end(stream.exchange, refusal) for stream in self.listed() if test(stream))

    def tick(self) -> int:
        """End what is over by the clock. Returns how many."""
        now = self._clock.now()
        return sum(self.end(s.exchange, _over(s)) for s in self.listed() if s.until <= now)

    def redecide(self, before: Policies, now: Policies, targets: Sequence[Target]) -> int:
        """End what the policies of now would not let go on as it began under those of before. Returns how many."""
        changed = _changed(before.bundle.masks, now.bundle.masks)
        by_name = {t.name: t for t in targets}
        ended = 0
        for stream in self.listed():
            if stream.waits:
                continue
            target = by_name.get(stream.target)
            if changed.intersection(target.masks if target else ()):
                why = "a mask profile of the target has changed"
            elif target and target.mode is TargetMode.OBSERVE:
                continue  # policy only watches
            else:
                why = _stricter(stream.access, before, now, changed)
            if why:
                ended += self.end(stream.exchange, Refusal(RefusalKind.EXPIRED, "policy has changed", detail=why))
        return ended

    async def _run(self) -> None:
        while not self._closing:
            now = self._clock.now()
            due = min((s.until for s in self._streams.values()), default=NO_END)
            is_needed = due < NO_END or self._opened
            pause = min(max(0.0, due - now), _LOOK_AGAIN) if is_needed else None
            self._looks_at, self._opened = (now + pause, False) if pause is not None else (NO_END, False)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()
            self.tick()


def refuse_changed(access: AccessRequest, decided: Permit, now: Policies, target: Target) -> None:
    """Refuse a stream that begins after the policies changed, where they would not let it go on. Raises Refusal.

    A reload ends what is open; what is on its way then, and opens later, nobody would look at again.
    """
    if decided.bundle == now.bundle.hash or target.mode is TargetMode.OBSERVE:
        return
    if why := _stricter_than(decided, access, now, frozenset()):
        raise Refusal(RefusalKind.EXPIRED, "policy has changed", detail=why)


def _over(stream: LiveStream) -> Refusal:
    expires = stream.principal.expires_at
    if expires and stream.until >= expires:
        why = "the token expired while this stream was open"
        return Refusal(RefusalKind.UNAUTHENTICATED, why, challenge='Bearer error="invalid_token"')
    return Refusal(RefusalKind.EXPIRED, GRANT_OVER)


def _stricter(access: AccessRequest, before: Policies, now: Policies, changed: frozenset[str]) -> str:
    """Say why what was asked may not go on, for the operator. Empty: it may."""
    return _stricter_than(decide_again(before.engine.decide, access), access, now, changed)


def _stricter_than(then: Decision, access: AccessRequest, now: Policies, changed: frozenset[str]) -> str:
    again = decide_again(now.engine.decide, access)
    if isinstance(again, Deny):
        return why_denied(again)
    if isinstance(then, Deny):
        return "it cannot be told under which duties it began"
    # NOTE: what is open may have been opened by breaking the glass: its grant is spent, and does not say so here.
    if not suffices(then.approvals, again.approvals, glass=True):
        return "policy asks for an approval that was not given"
    if changed.intersection(again.masks):
        return "a mask profile has changed"
    added = _duties(again) - _duties(then)
    return f"policy asks for {', '.join(sorted({name for name, _ in added}))}" if added else ""


def _duties(permit: Permit) -> set[tuple[str, object]]:
    """Return what a stream is held to as long as it lasts. Rates count beginnings; approvals are compared apart."""
    made: set[tuple[str, object]] = {("masks", profile) for profile in permit.masks}
    credential = "main"
    for duty in permit.obligations:
        match duty:
            case UseCredential(name):
                credential = name
            case RecordBodies(enabled):
                made.add(("another record", enabled))
            case Limit(response_bytes):
                made.add(("another limit", response_bytes))
            case GuardAnswer(patterns=patterns):
                made.add(("guards", patterns))
            case RequireApproval() | MaskFields() | Rate():
                pass
            case _:
                assert_never(duty)
    return made | {("another credential", credential)}


def _changed(before: Mapping[str, MaskProfile], now: Mapping[str, MaskProfile]) -> frozenset[str]:
    return frozenset(name for name, profile in before.items() if _says(profile) != _says(now.get(name)))


def _says(profile: MaskProfile | None) -> object:
    """Return what a profile says, wherever in the file it stands."""
    if profile is None:
        return None
    parts = (profile.paths, profile.keys, profile.detectors)
    return [[replace(mask, where="") for mask in part] for part in parts]
