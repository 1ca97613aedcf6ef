"""How a request comes to the desk: folded into what is pending or approved, or held anew."""

import asyncio
from dataclasses import replace

from holdpoint.approvals.deciding import Deciding
from holdpoint.approvals.desk import Desk
from holdpoint.approvals.errors import TooManyHeld
from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.approvals.grants import Grants
from holdpoint.approvals.terms import key_of, reach, timeout
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, DryRun
from holdpoint.domain.decision import Scope
from holdpoint.domain.grant import GrantState
from holdpoint.domain.refusal import GatewayFault
from holdpoint.domain.values import JsonObject
from holdpoint.ids import new_id
from holdpoint.store.protocol import Key, StaleWrite

_TRIES = 50
"""How often another gateway may hold and end the same request in between."""


class Intake:
    """What comes in. Of the same request asked many times at once, one is held."""

    def __init__(self, desk: Desk, deciding: Deciding, grants: Grants, *, each: int) -> None:
        """`each` is how many requests one principal may have pending."""
        self._desk = desk
        self._deciding = deciding
        self._grants = grants
        self._each = each
        self._creating: dict[tuple[Key, str], asyncio.Event] = {}

    async def request(self, ask: Ask, dry_run: DryRun) -> ApprovalRequest:
        """Fold into what is pending or approved, or hold anew. Raises TooManyHeld."""
        if reach(ask.terms, ask.session).scope is not Scope.SESSION:
            ask = replace(ask, session="")
        key = key_of(ask)
        fold = (key, ask.session)
        for _ in range(_TRIES):
            if (entry := self._desk.find(key, ask.session)) is not None:
                found = await self._deciding.fold(entry, ask)
            elif (creating := self._creating.get(fold)) is not None:
                await creating.wait()
                found = None
            else:
                created = self._creating[fold] = asyncio.Event()
                try:
                    found = await self._create(ask, key, dry_run)
                finally:
                    del self._creating[fold]
                    created.set()
            if found is not None:
                return found
        raise GatewayFault("the same request is pending and cannot be found")

    async def _create(self, ask: Ask, key: Key, dry_run: DryRun) -> ApprovalRequest | None:
        grant = await self._grants.find(key, ask.session, ask.terms, ask.window)
        approved = await self._desk.store.approval(grant.approval) if grant else None
        if approved is not None:
            return approved
        if sum(e.key.principal == key.principal for e in self._desk.entries.values()) >= self._each:
            raise TooManyHeld(f"`{key.principal}` has {self._each} requests pending")
        ask = replace(ask, preview=await self._with_history(ask.preview, key))
        now = self._desk.clock.now()
        request = ApprovalRequest(
            new_id("apr"),
            ask,
            ApprovalState.PENDING,
            now,
            now + timeout(ask.terms),
            dry_run=dry_run,
            reason=ask.reason,
            version=1,
        )
        try:
            await self._desk.store.add_approval(request, key, ask.session)
        except StaleWrite:
            # Stored, but not by this desk: a commit that was thought lost, or another gateway.
            for other in await self._desk.store.pending():
                if other.id not in self._desk.entries:
                    self._desk.adopt(other)
            return None
        entry = self._desk.adopt(request)
        await self._desk.emit(BrokerEvent(BrokerEventKind.HELD, entry.snapshot()))
        return entry.snapshot()

    async def _with_history(self, preview: JsonObject, key: Key) -> JsonObject:
        last = await self._desk.store.last_spend(key)
        if last is None or last.state is GrantState.ANSWERED:
            return preview
        outcome = "unknown" if last.state is GrantState.UNKNOWN else "still on its way"
        earlier: JsonObject = {
            "outcome": outcome,
            "approval": last.approval,
            "exchange": last.exchange,
            "sent_at": last.at,
            "text": f"the same request was sent before, and its outcome is {outcome}: it may have taken effect",
        }
        return {**preview, "earlier": earlier}
