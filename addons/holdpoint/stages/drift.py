"""Is it still what was approved? The object is read and the write tried once more, right before it is sent.

Where the difference is another one than the reviewers read, the approval is void. Where that cannot be found out,
nothing is sent, and the approval stays.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import hmac
from dataclasses import replace
from typing import Final

from mitmproxy import http

from holdpoint.approvals.errors import NotFound
from holdpoint.domain.access import KubeObject
from holdpoint.domain.approval import ApprovalRequest, DryRunState
from holdpoint.domain.decision import Scope
from holdpoint.domain.exchange import Cleared
from holdpoint.domain.grant import Grant, GrantState
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.previews.errors import NotTried, Rejected, Trouble
from holdpoint.protocols.kubernetes.preconditions import guarded
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.fields import text
from holdpoint.stages.services import Services
from holdpoint.store.protocol import StoreUnavailable

CHANGED: Final = "the object changed since this was approved; ask again"
UNKNOWN: Final = (
    "the gateway cannot tell whether the object is still what was approved, so nothing was sent; "
    "the approval stays: make the same call again"
)


async def to_compare(services: Services, grant: Grant) -> ApprovalRequest | None:
    """Return the approved request whose dry run has to be made again, None where there is none. Raises Refusal."""
    # The body of what a window lets pass is not pinned: there is nothing to compare it with.
    if grant.scope is not Scope.REQUEST or grant.window:
        return None
    try:
        request = await services.broker.get(grant.approval)
    except NotFound:
        raise _unknown(grant, "the approved request is forgotten") from None
    except StoreUnavailable as error:
        raise _unknown(grant, str(error)) from error
    return request if request.dry_run.state is DryRunState.READY else None


async def check(services: Services, grant: Grant, request: ApprovalRequest) -> JsonObject:
    """Compare what the request would change now with what was approved. Returns uid, generation, resource version.

    Raises Refusal, after the grant was ended where they differ.
    """
    try:
        looked = await services.previews.look(request, why="drift")
    except Rejected as error:
        raise await _void(services, grant, f"{error}") from error
    except (Trouble, NotTried) as error:
        raise _unknown(grant, str(error)) from error
    if not hmac.compare_digest(looked.digest, request.dry_run.digest):
        raise await _void(services, grant, _difference(request.dry_run.live, looked.found.live))
    return looked.found.live


def guard(flow: http.HTTPFlow, exchange: Exchange, state: Cleared, live: JsonObject) -> Cleared:
    """Have the API server refuse the request where the object changes between the look and the write."""
    decoded = state.permitted.decoded
    access = decoded.access
    what = access.resource
    if not isinstance(what, KubeObject):
        return state
    made = guarded(
        "evict" if what.subresource == "eviction" else access.action.verb,
        patch=what.options.patch,
        content_type=text(flow.request.headers, b"content-type"),
        body=flow.request.raw_content or b"",
        decoded=access.arguments,
        query=as_object(as_object(decoded.intent).get("query")),
        uid=as_text(live.get("uid")),
        version=as_text(live.get("resource_version")),
    )
    if made is None:
        return state
    flow.request.headers["content-type"] = made.content_type
    flow.request.content = made.body
    exchange.notes.append(f"added: {', '.join(made.added)}")
    # What is recorded and digested is what is sent.
    access = replace(access, arguments=made.object)
    permitted = replace(state.permitted, decoded=replace(decoded, access=access))
    guarded_state = replace(state, permitted=permitted)
    exchange.state = guarded_state
    return guarded_state


def _difference(before: JsonObject, now: JsonObject) -> str:
    if before.get("uid") != now.get("uid"):
        return "it is another object of the same name, or is gone"
    if before.get("generation") != now.get("generation"):
        return f"its generation was {before.get('generation')} and is {now.get('generation')}"
    return "the same request would change other things now"


async def _void(services: Services, grant: Grant, why: str) -> Refusal:
    try:
        await services.broker.end_grant(grant.id, GrantState.VOID, why)
    except StoreUnavailable as error:
        return _unknown(grant, str(error))
    link = services.link(grant.approval)
    return Refusal(RefusalKind.CONFLICT, CHANGED, detail=why, ticket=grant.approval, link=link)


def _unknown(grant: Grant, why: str) -> Refusal:
    return Refusal(RefusalKind.UNAVAILABLE, UNKNOWN, detail=why, ticket=grant.approval)
