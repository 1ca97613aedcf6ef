"""Hold one request until it is approved.

It is folded into one that waits already, its caller waits on the best rung of the ladder that it has, and is told what
became of it.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import Final, assert_never

from mitmproxy import http

from holdpoint.approvals.deciding import TAKEN_BACK
from holdpoint.approvals.errors import AlreadyResolved, NotFound
from holdpoint.approvals.making import CLAIM_TIME
from holdpoint.approvals.terms import reach
from holdpoint.approvals.window_words import Words
from holdpoint.approvals.windows import asked_by, window
from holdpoint.domain.access import AccessRequest, Protocol
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, Verdict
from holdpoint.domain.exchange import Decoded, Permitted
from holdpoint.domain.grant import Grant
from holdpoint.domain.refusal import GatewayFault, Refusal, RefusalKind
from holdpoint.domain.suspension import SUSPENDED
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import Masker
from holdpoint.protocols import mcp_holds
from holdpoint.protocols.mcp_holds import Round
from holdpoint.settings import Rung, Target
from holdpoint.stages import kube_words, ladder_rounds
from holdpoint.stages.answer_streams import register_waiting
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.ladder import Plan, choose
from holdpoint.stages.ladder_events import wait_on_stream
from holdpoint.stages.ladder_line import cancelled, kept
from holdpoint.stages.pin_checks import bound_to, read_of, shown_pins
from holdpoint.stages.preview import intent_digest, preview, sealed_intent
from holdpoint.stages.reasons import masked
from holdpoint.stages.services import Services

RETRY_AFTER: Final = 5
"""Seconds after which a caller that got a ticket may ask again."""


def make_ask(services: Services, exchange: Exchange, target: Target, state: Permitted) -> Ask:
    """Put together what the reviewers will read. Masked leaves are keyed hashes: equal secrets look equal, no more."""
    decoded = state.decoded
    masker = services.policies.keeper(exchange.masks, target)
    asked_object = decoded.access if target.protocol is Protocol.KUBERNETES else None
    sealed = sealed_intent(decoded.intent, masker, services.digest_key, access=asked_object)
    exchange.read_pins = read_of(services.pins, decoded.access)
    bound = bound_to(services.pins, decoded.access)
    terms = state.decision.approvals
    opened = window(
        decoded.access, sealed, reach(terms, decoded.session), _words(decoded.access, sealed, masker), bound=bound
    )
    return Ask(
        access=decoded.access,
        terms=terms,
        intent=intent_digest(decoded.access, sealed, bound),
        preview=preview(decoded, target, masker, sealed) | shown_pins(services.pins, decoded.access, masker),
        bundle=state.decision.bundle,
        exchange=exchange.id,
        session=decoded.session,
        reason=masked(exchange.reason, masker),
        window=opened.digest,
        opens=opened.opens,
    )


def _words(access: AccessRequest, sealed: JsonValue, masker: Masker) -> Words:
    def mask(text: str) -> str:
        return masker.text(text).value

    if access.action.protocol is not Protocol.KUBERNETES:
        return Words(mask)
    return Words(mask, kube_words.command_of(sealed), tuple(kube_words.acts_for(access, masker)))


async def hold(gateway: Gateway, flow: http.HTTPFlow, asked: Decoded, target: Target, ask: Ask) -> Grant:
    """Return the grant that clears this request. Raises Refusal when there is none in time, TooManyHeld."""
    services, exchange = gateway.services, gateway.exchanges.of(flow)
    exchange.asked = asked_by(ask)
    services.held.add(asked, exchange)
    try:
        grant = await _held(gateway, flow, asked, target, ask)
    finally:
        services.held.remove(asked, exchange)
    if exchange.cancelled:
        raise cancelled(asked, grant.approval)
    return grant


async def _held(gateway: Gateway, flow: http.HTTPFlow, asked: Decoded, target: Target, ask: Ask) -> Grant:
    services, exchange = gateway.services, gateway.exchanges.of(flow)
    if exchange.round is not None:
        await _begin_round(services, exchange, exchange.round, asked)
    found = await _find(services, ask)
    if found is not None:
        return await _use(services, exchange, found)
    is_retried = asked.access.action.protocol is Protocol.KUBERNETES
    request = await _ended(gateway, ask) if is_retried else None
    services.suspensions.refuse(ask.access.principal)
    request = request or await _requested(services, exchange, ask)
    suspended = services.suspensions.of(ask.access.principal)
    if request.state is ApprovalState.PENDING and suspended is not None:
        # Suspended while the request was stored: whoever ended what was held may not have seen it.
        ticket = request.id
        await services.broker.withdraw_where(lambda r: r.id == ticket, suspended.public)
        raise suspended.refusal()
    if request.state is ApprovalState.PENDING:
        services.note_held(exchange, request, ask.reason)
        if request.ask.exchange == exchange.id:
            services.previews.begin(request)
        plan = _plan(services, exchange, asked, target, request)
        request = await _wait(gateway, flow, asked, request, plan)
        is_told_again = request.state is not ApprovalState.APPROVED and not request.resolution.startswith(SUSPENDED)
        if is_retried and is_told_again:
            services.lately.note(ask, request.id, gateway.clock.monotonic())
        if request.state is ApprovalState.PENDING:
            raise _told(services, exchange, asked, request, plan)
    if request.state is not ApprovalState.APPROVED:
        raise _refusal(services, request)
    found = await _find(services, ask)
    if found is None:
        raise _sent_already(services, request)
    return await _use(services, exchange, found)


async def _ended(gateway: Gateway, ask: Ask) -> ApprovalRequest | None:
    """Return a request that ended without an approval a moment ago, for the retry of what was told of it."""
    ticket = gateway.services.lately.ticket(ask, gateway.clock.monotonic())
    if not ticket:
        return None
    try:
        found = await gateway.services.broker.get(ticket)
    except NotFound:
        return None  # so old that it was forgotten
    return None if found.state in (ApprovalState.PENDING, ApprovalState.APPROVED) else found


async def _begin_round(services: Services, exchange: Exchange, round_: Round, asked: Decoded) -> None:
    """Use the state up, and hear what the user said to the link. Raises Refusal."""
    await ladder_rounds.spend_round(services.store, round_, asked)
    if round_.choice not in ("decline", "cancel"):
        return
    try:
        request = await services.broker.withdraw(round_.ticket)
    except AlreadyResolved as ended:
        request = ended.request
    except NotFound:
        return  # so old that it was forgotten: there is nothing to take back
    if request.state not in (ApprovalState.PENDING, ApprovalState.WITHDRAWN):
        return  # decided meanwhile: what was decided counts
    data = mcp_holds.held_data(exchange.id, request.id, services.link(request.id))
    is_tool = asked.access.action.verb == "tools/call"
    raise Refusal(
        RefusalKind.DENIED,
        "the user did not want this to be reviewed; nothing was done",
        detail=f"elicitation: {round_.choice}",
        ticket=request.id,
        answer={"result": mcp_holds.taken_back({**data, "kind": "denied"})} if is_tool else None,
    )


async def _requested(services: Services, exchange: Exchange, ask: Ask) -> ApprovalRequest:
    """Return the request that this call waits for. What was decided between two rounds is not asked again."""
    if (round_ := exchange.round) is not None:
        try:
            before = await services.broker.get(round_.ticket)
        except NotFound:
            before = None  # so old that it was forgotten
        if before is not None and before.state is not ApprovalState.PENDING:
            return before
    return await services.broker.request(ask, dry_run=services.previews.first(ask))


def _plan(services: Services, exchange: Exchange, asked: Decoded, target: Target, request: ApprovalRequest) -> Plan:
    link, fits = services.link(request.id), ladder_rounds.fits(ladder_rounds.carried(exchange, asked))
    return choose(asked, target.hold, link=link, round_=exchange.round, fits=fits)


async def _wait(
    gateway: Gateway, flow: http.HTTPFlow, asked: Decoded, request: ApprovalRequest, plan: Plan
) -> ApprovalRequest:
    """Wait for the answer, or until the caller leaves, or until the caller's patience ends."""
    exchange = gateway.exchanges.of(flow)
    async with kept(gateway.services, exchange, asked, request.id, plan.wait) as line:
        if plan.rung is Rung.EVENTS and gateway.connections is not None:
            close = register_waiting(gateway.services, exchange, asked, request)
            try:
                return await wait_on_stream(gateway.connections, flow, asked, line, plan)
            finally:
                close()
        return await line.until_end() or request


def _told(services: Services, exchange: Exchange, asked: Decoded, request: ApprovalRequest, plan: Plan) -> Refusal:
    """Return what a caller is told whose wait on the line is over."""
    link = services.link(request.id)
    held = Refusal(RefusalKind.HELD, "held for review", ticket=request.id, link=link, retry_after=RETRY_AFTER)
    held.detail = f"rung {plan.rung.value}"
    data = mcp_holds.held_data(exchange.id, request.id, link)
    if plan.rung is Rung.MULTI_ROUND_TRIP:
        # An approval of the last second can still be used: the state must last as long.
        round_ = ladder_rounds.next_round(
            asked,
            exchange.round,
            ticket=request.id,
            until=request.deadline + CLAIM_TIME,
            shows_link=plan.shows_link,
        )
        first = ladder_rounds.carried(exchange, asked)
        state = ladder_rounds.seal_round(services.seals, asked, round_, first)
        held.answer = {"result": mcp_holds.come_back(state, data, link=link if plan.shows_link else "")}
        held.retry_after = None
        held.detail += f", round {round_.number}"
    elif plan.rung is Rung.ELICITATION:
        held.answer = {"error": mcp_holds.look_there(request.id, link, data)}
    return held


async def _find(services: Services, ask: Ask) -> Grant | None:
    access = ask.access
    return await services.broker.find_grant(
        access.principal.id,
        access.target,
        ask.intent,
        ask.session,
        actor=access.principal.actor,
        terms=ask.terms,
        window=ask.window,
    )


async def _use(services: Services, exchange: Exchange, grant: Grant) -> Grant:
    approval = await services.broker.get(grant.approval)
    votes = [v for v in approval.votes if v.verdict is Verdict.APPROVE]
    exchange.approved_by = tuple(sorted({v.reviewer.person for v in votes}))
    exchange.comments = tuple((v.reviewer.person, v.comment) for v in votes if v.comment)
    broken = (v.reviewer.person for v in approval.votes if v.verdict is Verdict.BREAK_GLASS)
    exchange.broken_by = next(broken, "")
    return grant


def _sent_already(services: Services, request: ApprovalRequest) -> Refusal:
    return Refusal(
        RefusalKind.CONFLICT,
        "this request was approved and already sent once for another caller",
        ticket=request.id,
        link=services.link(request.id),
    )


def _refusal(services: Services, request: ApprovalRequest) -> Refusal:
    """Say why a request that was held does not pass."""
    link = services.link(request.id)
    match request.state:
        case ApprovalState.DENIED:
            said = request.resolution.removeprefix("denied by ")
            why = f": {said}" if said else ""
            return Refusal(RefusalKind.REVIEW_DENIED, f"a reviewer denied this{why}", ticket=request.id, link=link)
        case ApprovalState.EXPIRED:
            return Refusal(RefusalKind.EXPIRED, "nobody approved this in time", ticket=request.id, link=link)
        case ApprovalState.WITHDRAWN if request.resolution == TAKEN_BACK:
            return Refusal(RefusalKind.DENIED, "this request was taken back", ticket=request.id, link=link)
        case ApprovalState.WITHDRAWN if request.resolution.startswith(SUSPENDED):
            return Refusal(RefusalKind.DENIED, request.resolution, ticket=request.id, link=link)
        case ApprovalState.WITHDRAWN:
            return Refusal(
                RefusalKind.DENIED,
                "policy no longer allows this",
                detail=request.resolution,
                ticket=request.id,
                link=link,
            )
        case ApprovalState.PENDING | ApprovalState.APPROVED:
            raise GatewayFault(f"a request that is {request.state} is not refused")
        case _:
            assert_never(request.state)
