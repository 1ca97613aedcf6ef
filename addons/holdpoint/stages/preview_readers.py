"""Who may read what a preview found out of a live object, and under which masks.

A preview reads with a credential of the gateway's own. Whoever asks for a change must not learn by it what policy does
not let him read, nor anybody what it masks for him who reads.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from holdpoint.approvals.checks import blocked
from holdpoint.approvals.wire_form import to_json
from holdpoint.domain.access import AccessRequest, Action, KubeObject, KubeOptions, Protocol
from holdpoint.domain.approval import ApprovalRequest, DryRunState, Reviewer
from holdpoint.domain.decision import Permit
from holdpoint.domain.values import JsonObject, as_object
from holdpoint.settings import Target
from holdpoint.stages.page_filters import SEES_ALL
from holdpoint.stages.policies import Policies

if TYPE_CHECKING:
    from holdpoint.stages.services import Services

WITHHELD: Final = "it is for reviewers: policy does not let the requester read the object"
UNNAMED: Final = "it is for reviewers: of which object is not kept here"
"""In lists, and of requests that ended: what they were about is not stored with them."""
_TOLD: Final = frozenset({DryRunState.READY, DryRunState.FAILED})


def reading(access: AccessRequest) -> AccessRequest:
    """Return the read of what a request would change, as its caller would ask it."""
    what = access.resource
    if not isinstance(what, KubeObject):
        return access
    verb = "get" if what.name else "list"
    whole = replace(what, subresource="", options=KubeOptions())
    return replace(access, action=Action(access.action.protocol, verb), resource=whole, arguments={})


def masks_of(policies: Policies, access: AccessRequest, target: Target) -> tuple[str, ...]:
    """Return the masks of a request and of the read of what it changes: every mask where either is not permitted."""
    return policies.masks_of(access, reading(access), always=target.masks)


def shown_to(services: "Services", person: Reviewer, request: ApprovalRequest) -> JsonObject:
    """Return a request in the form for somebody who may see it: without its preview where he asks and may not read."""
    shown = to_json(request, confirm=services.broker.confirm, silenced=services.suspensions.of_reviewer)
    access = request.ask.access
    is_others = person.person not in access.principal.requesters or bool(person.roles & SEES_ALL)
    if is_others or not (request.dry_run.shown or request.dry_run.state in _TOLD):
        return shown
    why = request.dry_run.why  # of a tool: what other callers' calls of it did
    if access.action.protocol is Protocol.KUBERNETES:
        why = UNNAMED
        if isinstance(access.resource, KubeObject):
            decision = services.policies.engine.decide(reading(access))
            if isinstance(decision, Permit) and not decision.approvals:
                return shown
            why = WITHHELD
    # Why nobody can approve it may quote why it could not be tried, and that the object.
    told = replace(request, dry_run=replace(request.dry_run, why=why, shown={}))
    hindered = blocked(told) if shown["blocked"] else ""
    return {**shown, "blocked": hindered, "dry_run": {**as_object(shown["dry_run"]), "why": why, "shown": {}}}
