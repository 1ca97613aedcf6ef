"""Ending everything that lives by what was taken back: a principal's right to be here, or a grant."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdpoint.domain.access import Principal
from holdpoint.domain.approval import ApprovalRequest
from holdpoint.domain.grant import GrantState
from holdpoint.domain.refusal import Refusal
from holdpoint.domain.values import JsonObject
from holdpoint.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from holdpoint.stages.services import Services


@dataclass(frozen=True, slots=True)
class Alive:
    """How much lives, or did until now."""

    held: int = 0
    """Requests that wait for reviewers."""
    grants: int = 0
    streams: int = 0
    requests: int = 0
    """Requests that were sent and have no answer yet."""
    calls: int = 0
    """Tokens of tool calls that are under way."""
    problem: str = ""
    """Why not all of it could be ended; empty: it was."""

    def to_json(self) -> JsonObject:
        """Return the counts by name."""
        return {
            "held": self.held,
            "grants": self.grants,
            "streams": self.streams,
            "requests": self.requests,
            "calls": self.calls,
        }


async def count(services: "Services", test: Callable[[Principal], bool]) -> Alive:
    """Count what lives of those of whom `test` is true. Raises StoreUnavailable."""
    streams = [s for s in services.live.listed() if test(s.principal) and not s.waits]
    seen = {s.exchange for s in streams}
    return Alive(
        held=len(await services.broker.pending_where(lambda r: test(r.ask.access.principal))),
        grants=len(await services.broker.granted_where(lambda r: test(r.ask.access.principal))),
        streams=len(streams),
        requests=len(services.running.matching(lambda s: test(s.principal) and s.exchange.id not in seen)),
        calls=len(services.calls.matching(test)),
    )


async def stop_principals(services: "Services", test: Callable[[Principal], bool], refusal: Refusal) -> Alive:
    """End all that lives of those of whom `test` is true; their callers are told `refusal`. Returns how much it was.

    What is on the wire ends before this waits for anything. Never raises StoreUnavailable: `problem` says so.
    """
    streams = services.live.end_where(lambda s: test(s.principal) and not s.waits, refusal)
    services.live.end_where(lambda s: test(s.principal), refusal)  # of those who are held, and counted as that
    requests = services.running.end_where(lambda s: test(s.principal), refusal)
    calls = services.calls.matching(test)
    for call in calls:
        services.calls.kill(call)

    def concerns(request: ApprovalRequest) -> bool:
        return test(request.ask.access.principal)

    held = grants = 0
    problem = ""
    try:
        held = len(await services.broker.withdraw_where(concerns, refusal.public))
    except StoreUnavailable as error:
        problem = str(error)
    try:
        for grant, _ in await services.broker.granted_where(concerns):
            ended = await services.broker.end_grant(grant.id, GrantState.REVOKED, refusal.public)
            grants += ended is not None
    except StoreUnavailable as error:
        problem = str(error)
    return Alive(held, grants, streams, requests, len(calls), problem)


def stop_approved(services: "Services", approval: str, refusal: Refusal) -> Alive:
    """End every stream and request under way that this approval cleared; their callers are told `refusal`."""
    streams = services.live.end_where(lambda s: s.approval == approval, refusal)
    requests = services.running.end_where(lambda s: s.approval == approval, refusal)
    return Alive(streams=streams, requests=requests)
