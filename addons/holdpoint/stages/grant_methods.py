"""What the console and the command line may ask of grants: which there are, and to revoke one.

A revoked grant opens nothing more, and what it opened ends at once: streams, and requests under way.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, Protocol

from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import Handler
from holdpoint.approvals.errors import NotFound
from holdpoint.domain.access import describe_resource
from holdpoint.domain.approval import ApprovalRequest, Reviewer, may_review
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.stages.operators import Operator, operator, reason_in
from holdpoint.stages.stopping import stop_approved
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.tasks import uninterrupted

if TYPE_CHECKING:
    from holdpoint.stages.services import Services

_MOST: Final = 500
_SEES_ALL: Final = frozenset({"auditor", "admin"})
_UNKNOWN: Final = "there is no such grant"


class _Owner(Protocol):
    """What these methods need of the others."""

    @property
    def services(self) -> "Services": ...

    async def reviewer(self, params: JsonObject) -> Reviewer: ...


class GrantMethods:
    """The methods that begin with `grants.`."""

    def __init__(self, owner: _Owner) -> None:
        self._owner = owner

    def table(self) -> dict[str, Handler]:
        """Return every method by name."""
        return {"grants.list": self._list, "grants.revoke": self._revoke}

    async def _list(self, params: JsonObject) -> JsonValue:
        asks, store = await operator(self._owner, params), self._owner.services.store
        limit = params.get("limit")
        limit = min(limit, _MOST) if isinstance(limit, int) and limit > 0 else _MOST
        person = _own(asks) if params.get("mine") is True else ""
        found = await _stored(
            store.grants(
                states=_states(params.get("state")), person=person, limit=limit, before=as_text(params.get("before"))
            )
        )
        uses = await _stored(store.grant_uses([grant.id for grant in found]))
        shown: list[JsonValue] = []
        for grant in found:
            approval = await self._approval(grant)
            if approval is not None and _sees(asks, approval):
                shown.append(_shown(grant, approval, uses.get(grant.id, 0)))
        return {"grants": shown}

    async def _revoke(self, params: JsonObject) -> JsonValue:
        asks, reason = await operator(self._owner, params), reason_in(params)
        grant = await _stored(self._owner.services.store.grant(as_text(params.get("id"))))
        approval = await self._approval(grant) if grant is not None else None
        if grant is None or approval is None or not _sees(asks, approval):
            raise AdminError("not_found", _UNKNOWN)
        if not _may_revoke(asks, approval):
            raise AdminError("not_allowed", "only its owner, a reviewer of it, and an admin may revoke a grant")
        return await uninterrupted(self._end(grant, approval, asks, reason))

    async def _end(self, grant: Grant, approval: ApprovalRequest, asks: Operator, reason: str) -> JsonObject:
        services = self._owner.services
        who = (asks.reviewer.name or asks.name) if asks.reviewer is not None else "an operator"
        public = f"what allowed this was revoked by {who}{f': {reason}' if reason else ''}"
        refusal = Refusal(RefusalKind.DENIED, public, detail=f"by {asks.name}", ticket=approval.id)
        detail: JsonObject = {"what": "revoked", "grant": grant.id, "approval": approval.id, "why": reason}
        services.submit(
            AuditEvent(
                AuditStage.RESOLVED,
                services.clock.now(),
                exchange=approval.ask.exchange,
                target=grant.target,
                detail={**detail, "by": asks.by},
            )
        )
        # At once; and again, for what was let go while the grant ended.
        first = stop_approved(services, approval.id, refusal)
        said = f"revoked by {asks.name}{f': {reason}' if reason else ''}"
        ended = await _stored(services.broker.end_grant(grant.id, GrantState.REVOKED, said))
        second = stop_approved(services, approval.id, refusal)
        streams, requests = first.streams + second.streams, first.requests + second.requests
        if ended is None and not streams + requests:
            now = await _stored(services.store.grant(grant.id)) or grant
            raise AdminError("already_resolved", f"grant `{grant.id}` is {now.state.value}, and opens nothing any more")
        now = ended or grant
        return {"id": grant.id, "state": now.state.value, "ended": {"streams": streams, "requests": requests}}

    async def _approval(self, grant: Grant) -> ApprovalRequest | None:
        try:
            return await _stored(self._owner.services.broker.get(grant.approval))
        except NotFound:
            return None


def _own(asks: Operator) -> str:
    if asks.reviewer is None or not asks.reviewer.person:
        raise AdminError("unauthenticated", "log in first: only a login says whose grants are yours")
    return asks.reviewer.person


def _is_owner(asks: Operator, approval: ApprovalRequest) -> bool:
    person = asks.reviewer.person if asks.reviewer is not None else ""
    return bool(person) and person in approval.ask.access.principal.requesters


def _reviews(asks: Operator, approval: ApprovalRequest) -> bool:
    return asks.reviewer is not None and any(may_review(asks.reviewer, term) for term in approval.ask.terms)


def _sees(asks: Operator, approval: ApprovalRequest) -> bool:
    if asks.reviewer is None or asks.reviewer.roles & _SEES_ALL:
        return True
    return _is_owner(asks, approval) or _reviews(asks, approval)


def _may_revoke(asks: Operator, approval: ApprovalRequest) -> bool:
    if asks.reviewer is None or "admin" in asks.reviewer.roles:
        return True
    return _is_owner(asks, approval) or _reviews(asks, approval)


def _states(value: JsonValue) -> frozenset[GrantState] | None:
    """Return the states that are asked for: a list of them, `all`, or by default those that still open something."""
    if value == "all":
        return None
    names = value if isinstance(value, list) else [value] if value else [GrantState.ACTIVE.value]
    try:
        return frozenset(GrantState(as_text(name)) for name in names)
    except ValueError:
        raise AdminError("bad_request", "unknown state of a grant") from None


def _shown(grant: Grant, approval: ApprovalRequest, uses: int) -> JsonObject:
    access, preview = approval.ask.access, approval.ask.preview
    what = as_text(preview.get("summary")) or as_text(preview.get("resource")) or describe_resource(access.resource)
    return {
        "id": grant.id,
        "approval": grant.approval,
        "principal": grant.principal,
        "person": access.principal.person,
        "actor": access.principal.actor.subject if access.principal.actor else "",
        "target": grant.target,
        "opens": grant.opens or approval.ask.opens or f"{access.action.verb} {what}",
        "scope": grant.scope.value,
        "state": grant.state.value,
        "created_at": grant.created_at,
        "expires_at": grant.expires_at,
        "uses": uses,
        "ended_why": grant.ended_why,
    }


async def _stored[T](work: Awaitable[T]) -> T:
    try:
        return await work
    except StoreUnavailable as error:
        raise AdminError("unavailable", str(error)) from error
