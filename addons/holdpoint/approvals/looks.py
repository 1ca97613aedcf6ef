"""What is asked of approvals and changes nothing."""

from collections.abc import Callable
from dataclasses import replace

from holdpoint.approvals.desk import Desk
from holdpoint.approvals.errors import NotFound
from holdpoint.domain.approval import ApprovalRequest, ApprovalState
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.store.protocol import Store
from holdpoint.store.wanted import Wanted


class Looks:
    """Every method may raise StoreUnavailable."""

    def __init__(self, store: Store, desk: Desk) -> None:
        self._store = store
        self._desk = desk

    async def get(self, approval_id: str) -> ApprovalRequest:
        """Return one request. Raises NotFound."""
        entry = self._desk.entries.get(approval_id)
        found = entry.snapshot() if entry else await self._store.approval(approval_id)
        if found is None:
            raise NotFound(f"there is no approval request `{approval_id}`")
        return found

    async def list(
        self,
        *,
        states: frozenset[ApprovalState] | None = None,
        limit: int = 100,
        before: str = "",
        wanted: Wanted | None = None,
    ) -> tuple[ApprovalRequest, ...]:
        """Return requests, newest first, older than `before`, without what of their previews is large.

        `wanted`, in place of `states`, says more of which.
        """
        found = await self._store.approvals(wanted=wanted or Wanted(states), limit=limit, before=before)
        entries = self._desk.entries
        return tuple(replace(r, waiters=entries[r.id].waiters) if r.id in entries else r for r in found)

    async def grants(
        self,
        *,
        states: frozenset[GrantState] | None = None,
        principal: str = "",
        person: str = "",
        limit: int = 100,
        before: str = "",
    ) -> tuple[Grant, ...]:
        """Return grants, newest first: of one principal (`Principal.id`), or of all that one requester answers for."""
        return await self._store.grants(states=states, principal=principal, person=person, limit=limit, before=before)

    async def pending_where(self, test: Callable[[ApprovalRequest], bool]) -> tuple[ApprovalRequest, ...]:
        """Return the pending requests of which `test` is true, the oldest first."""
        return tuple(request for request in await self._store.pending() if test(request))
