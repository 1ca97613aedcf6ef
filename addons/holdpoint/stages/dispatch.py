"""The moment of sending: all is checked again, the grant is spent, the record is durable, the pass is issued.

The order is a safety property. The grant is spent before the record is written, and the record is durable before the
pass is issued: a kill in between can lose an approval, but never send a request twice or unseen.
"""

from dataclasses import replace
from functools import partial

from mitmproxy import http

from holdpoint.approvals.errors import GrantSpent, GrantVoid
from holdpoint.credentials.provider import Headers
from holdpoint.domain.access import AccessRequest
from holdpoint.domain.audit import AuditStage
from holdpoint.domain.canonical import digest
from holdpoint.domain.decision import Deny
from holdpoint.domain.exchange import Cleared, Forwarded, decoded
from holdpoint.domain.grant import Grant
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.passes import Pass
from holdpoint.settings import Target, TargetMode
from holdpoint.stages import describe, drift
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.linked import over
from holdpoint.stages.pin_checks import look_again, refused
from holdpoint.stages.rates import refuse_too_many
from holdpoint.stages.running import Sent, cut_off, refuse_over
from holdpoint.stages.sealing import seal_large, shown_resource
from holdpoint.stages.services import Services
from holdpoint.stages.upgrades import check_decided
from holdpoint.stages.verdicts import check_members, take_duties
from holdpoint.store.protocol import StoreUnavailable


async def dispatch(gateway: Gateway, flow: http.HTTPFlow, state: Cleared) -> tuple[Forwarded, Pass]:
    """Check again, spend, write down. Returns the new state and the pass. Raises Refusal."""
    services = gateway.services
    exchange = gateway.exchanges.of(flow)
    target = gateway.exchanges.target(flow)
    asked = state.permitted.decoded
    access = asked.access
    # From here on whatever is taken back is noted in `exchange.over`; what was before, the next lines find out.
    services.running.add(
        Sent(exchange, access.principal, state.grant.approval if state.grant else "", partial(cut, gateway, flow))
    )
    services.suspensions.refuse(access.principal)
    check_decided(exchange.upgrade, asked)
    state = _check_again(gateway, exchange, state)
    if state.grant is not None and (approved := await drift.to_compare(services, state.grant)) is not None:
        live = await drift.check(services, state.grant, approved)
        # It took a while: what may change while a request is held may have changed again.
        state = drift.guard(flow, exchange, _check_again(gateway, exchange, state), live)
        asked, access = state.permitted.decoded, state.permitted.decoded.access
    gateway.under_way.send(exchange, asked)
    # Whatever can fail comes before the grant is spent: what is spent and not settled counts as sent.
    if target.mode is not TargetMode.OBSERVE:
        refuse_too_many(services, exchange, access, state.permitted.decision, session=asked.session, count=True)
    headers = await _credential(services, exchange, target, access, state)
    masker = services.policies.keeper(exchange.masks, target)
    record_body = exchange.record_bodies or asked.is_write
    if record_body:
        await seal_large(flow, exchange, masker)
    sent = describe.outgoing(flow, exchange, masker, record_body=record_body)
    wire = digest({"principal": access.principal.id, "target": target.name, "request": sent})
    intent = state.grant.intent if state.grant else ""
    # What starts an MCP session has no session id yet: it starts a recording of its own, and the answer names it.
    starts = access.action.verb == "initialize"
    exchange.session = services.session(access.principal, target.name, exchange.id if starts else asked.session)
    if state.grant is not None:
        await _spend(services, exchange, state, state.grant, wire)
    # From here on the flow's end settles the grant and closes the record, whether or not anything was sent.
    forwarded = Forwarded(state, wire, exchange.session.id)
    exchange.state = forwarded
    event = describe.event(
        exchange,
        AuditStage.FORWARDED,
        at=gateway.clock.now(),
        detail=describe.sent_detail(forwarded, sent, intent, exchange),
        masker=masker,
        session=exchange.session.id,
    )
    await services.append(event)
    refuse_over(exchange)
    if exchange.client_left:
        raise Refusal(RefusalKind.CONFLICT, "the caller left before the request was sent", detail="client gone")
    if access.principal.call or exchange.upstream.get("linked"):
        services.history.note(exchange.id, access, shown_resource(access.resource, masker), gateway.clock.now())
    to = exchange.upgrade.to.encode() if exchange.upgrade else b""
    return forwarded, Pass((target.host, target.port), headers, to)


async def _spend(services: Services, exchange: Exchange, state: Cleared, grant: Grant, wire: str) -> None:
    """Take the grant for this very request, durably. Raises Refusal: then nothing may be sent."""
    ticket, terms = grant.approval, state.permitted.decision.approvals
    if exchange.asked is None:
        raise Refusal(RefusalKind.FAULT, "nobody was asked about this request", ticket=ticket)
    try:
        await services.broker.spend(grant.id, wire=wire, exchange=exchange.id, terms=terms, asked=exchange.asked)
    except GrantSpent:
        raise Refusal(
            RefusalKind.CONFLICT,
            "this request was approved and already sent once for another caller",
            ticket=ticket,
        ) from None
    except StoreUnavailable as error:
        raise Refusal(
            RefusalKind.UNAVAILABLE,
            "the gateway cannot use the approval now",
            detail=str(error),
            ticket=ticket,
            retry_after=5,
        ) from error
    except GrantVoid as error:
        raise Refusal(RefusalKind.DENIED, "the approval no longer holds", detail=str(error), ticket=ticket) from None


def cut(gateway: Gateway, flow: http.HTTPFlow, refusal: Refusal) -> None:
    """End a request under way. One that was not let go yet is refused by `dispatch` itself, before it is."""
    asked = decoded(gateway.exchanges.get(flow))
    if gateway.wire.permission(flow) is not None:
        gateway.abort(flow, refusal if asked is None else cut_off(refusal, asked))


async def _credential(
    services: Services, exchange: Exchange, target: Target, access: AccessRequest, state: Cleared
) -> Headers:
    """Return what the upstream knows the gateway by, and by which it may know who asks. Raises Refusal."""
    approval = state.grant.approval if state.grant else ""
    name = exchange.credential
    headers = await services.credentials.headers(target, name, access, exchange=exchange.id, approval=approval)
    # The token of a call ends with the exchange, whatever becomes of it.
    exchange.ended = partial(services.calls.end, exchange.id)
    exchange.upstream = services.credentials.shown(target, name, access, exchange=exchange.id, approval=approval)
    return headers


def _check_again(gateway: Gateway, exchange: Exchange, state: Cleared) -> Cleared:
    """Look at everything that may have changed while the request was held. Raises Refusal."""
    services = gateway.services
    permitted = state.permitted
    access = permitted.decoded.access
    target = services.settings.target(access.target)
    if state.grant is not None and gateway.clock.now() >= access.principal.expires_at:
        raise Refusal(
            RefusalKind.UNAUTHENTICATED,
            "the token expired while the request was held; log in and make the same call again",
            ticket=state.grant.approval,
        )
    if access.principal.call and not services.calls.is_live(access.principal.call):
        raise over(state.grant.approval if state.grant else "")
    if target.mode is TargetMode.OBSERVE:
        return state
    pinned = look_again(services.pins, permitted.decoded, reviewed=state.grant is not None, read=exchange.read_pins)
    if pinned is not access or permitted.decision.bundle != services.policies.bundle.hash:
        decision = services.policies.engine.decide(pinned)
        check_members(pinned, decision)
        if isinstance(decision, Deny):
            exchange.denied = decision
            raise refused(services, decision, pinned)
        if not set(decision.approvals) <= set(permitted.decision.approvals):
            raise Refusal(RefusalKind.DENIED, "policy changed while the request was held; make the call again")
        # Its other duties count too: a mask that is new masks the answer.
        take_duties(exchange, decision)
        state = replace(state, permitted=replace(permitted, decision=decision))
    if state.grant is None and state.permitted.decision.approvals:
        raise Refusal(RefusalKind.FAULT, "a request that needs approval has none")
    return state
