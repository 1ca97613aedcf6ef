"""What is written down of an exchange: masked, scrubbed, and as JSON."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import assert_never

from mitmproxy import http

from holdpoint.domain.access import Principal
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.exchange import (
    Answered,
    Cleared,
    Decoded,
    Forwarded,
    Identified,
    Permitted,
    Received,
    Refused,
    Replied,
    State,
    decoded,
    received,
)
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.masking.masker import Masker
from holdpoint.recording import scrub
from holdpoint.stages import sealing
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.fields import raw
from holdpoint.telemetry.ended import Outcome


def principal(who: Principal) -> JsonObject:
    """Say who, without the token."""
    return {
        "id": who.id,
        "kind": who.kind,
        "person": who.person,
        "name": who.name,
        "groups": [*sorted(who.groups)],
        "actor": who.actor.subject if who.actor else None,
        "client": who.client_id,
        "token": who.token_id[:16],
    }


def who_asks(state: State | None) -> Principal | None:
    """Return the principal of any state that knows one."""
    match state:
        case Identified():
            return state.principal
        case Refused():
            return who_asks(state.reached)
        case None | Received() | Replied():
            return None
        case Decoded() | Permitted() | Cleared() | Forwarded() | Answered():
            asked = decoded(state)
            return asked.access.principal if asked else None
        case _:
            assert_never(state)


def permitted(state: State | None) -> Permitted | None:
    """Return what policy said, from any state that knows it."""
    match state:
        case Permitted():
            return state
        case Cleared():
            return state.permitted
        case Forwarded():
            return state.cleared.permitted
        case Answered():
            return state.forwarded.cleared.permitted
        case Refused():
            return permitted(state.reached)
        case _:
            return None


def forwarded(state: State | None) -> Forwarded | None:
    """Return how it was sent, from any state that knows it."""
    match state:
        case Forwarded():
            return state
        case Answered():
            return state.forwarded
        case Refused():
            return forwarded(state.reached)
        case _:
            return None


def event(  # what is known of an exchange, from everywhere
    exchange: Exchange, stage: AuditStage, *, at: float, detail: JsonObject, masker: Masker, session: str = ""
) -> AuditEvent:
    """Make an audit event of what is known of an exchange."""
    state = exchange.state
    who, asked, first, sent, ruled = (
        who_asks(state),
        decoded(state),
        received(state),
        forwarded(state),
        permitted(state),
    )
    decision: JsonObject = {}
    # What was said last counts: a request may be denied after it was permitted, when it is about to be sent.
    if (denied := exchange.denied) is not None:
        decision = {
            "effect": "deny",
            "reason": denied.reason.value,
            "rules": [str(r) for r in denied.rules],
            "bundle": denied.bundle,
        }
        if denied.errors:
            decision["errors"] = [*denied.errors]
    elif ruled is not None:
        decision = {
            "effect": "hold" if ruled.decision.approvals else "allow",
            "rules": [str(r) for r in ruled.decision.rules],
            "bundle": ruled.decision.bundle,
            "masks": [*exchange.masks],
        }
        if ruled.decision.errors:
            decision["errors"] = [*ruled.decision.errors]
        if ruled.decision.shadow:
            decision["shadow"] = [str(r) for r in ruled.decision.shadow]
        if ruled.observed:
            decision["observed"] = ruled.observed
    if isinstance(state, Refused):
        decision["refused"] = state.refusal.kind.value
    return AuditEvent(
        stage=stage,
        at=at,
        exchange=exchange.id,
        session=session or (sent.session if sent else ""),
        principal=principal(who) if who else {},
        target=exchange.target.name if exchange.target else "",
        action=asked.access.action.verb if asked else "",
        resource=sealing.shown_resource(asked.access.resource, masker) if asked else "",
        decision=decision,
        detail={
            **({"peer": first.peer, "listener": first.listener} if first else {}),
            **({"call": who.call} if who and who.call else {}),
            **detail,
        },
    )


def refused(refusal: Refusal) -> JsonObject:
    """Say why a request was turned away."""
    said: JsonObject = {"kind": refusal.kind.value, "public": refusal.public, "detail": refusal.detail}
    if refusal.ticket:
        said["approval"] = refusal.ticket
    return {"refusal": said}


def outgoing(flow: http.HTTPFlow, exchange: Exchange, masker: Masker, *, record_body: bool) -> JsonObject:
    """Return the request as it goes upstream, masked and without credentials: what the wire digest is taken over."""
    request = flow.request
    fields = sealing.masked_headers(scrub.headers(raw(request.headers)), masker)
    url = f"{request.scheme}://{request.host}:{request.port}{sealing.masked_path(request.path, masker)}"
    headers: list[JsonValue] = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in fields]
    sent: JsonObject = {"method": request.method, "url": url, "headers": headers}
    if record_body:
        sent["body"] = sealing.request_body(flow, exchange, masker)
    return sent


def sent_detail(state: Forwarded, sent: JsonObject, intent: str, exchange: Exchange) -> JsonObject:
    """Return what the audit keeps of a request that is about to be sent."""
    detail: JsonObject = {"wire": state.wire, "request": sent}
    if exchange.upstream:
        detail["upstream"] = exchange.upstream
    if state.cleared.grant is not None:
        detail["grant"] = state.cleared.grant.id
        detail["approval"] = state.cleared.grant.approval
        detail["intent"] = intent
        if (asked := exchange.asked) is not None and asked.key.intent != intent:
            # Another request than the approved one, in the same window.
            detail["within"] = {"intent": asked.key.intent, "window": asked.window}
    if exchange.notes:
        detail["notes"] = [*exchange.notes]
    return detail


def ending(flow: http.HTTPFlow, exchange: Exchange, *, was_sent: bool) -> JsonObject:
    """Return what the audit keeps of an exchange's end."""
    detail: JsonObject = {"sent": was_sent, "masked": exchange.masked}
    if flow.response is not None:
        detail["status"] = flow.response.status_code
    if flow.error is not None:
        detail["error"] = flow.error.msg[:256]
    if exchange.declined:
        detail["declined"] = exchange.declined
    if exchange.streamed:
        detail["streamed"] = True
    if exchange.early:
        detail["early"] = True
    if exchange.tunnel is not None:
        detail["tunnel"] = exchange.tunnel.summary()
    if exchange.notes:
        detail["notes"] = [*exchange.notes]
    if isinstance(exchange.state, Refused):
        detail |= refused(exchange.state.refusal)
    return detail


def metadata(exchange: Exchange, said: AuditEvent, session: str) -> JsonObject:
    """Return what a flow record keeps beside the flow: enough for a reader who has only the file."""
    state = exchange.state
    sent = forwarded(state)
    kept: JsonObject = {
        "exchange": exchange.id,
        "session": session,
        "outcome": outcome(state),
        "at": said.at,
        "principal": said.principal,
        "target": said.target,
        "action": said.action,
        "resource": said.resource,
        "decision": said.decision,
        "masked": exchange.masked,
    }
    if sent is not None:
        kept["wire"] = sent.wire
        if sent.cleared.grant is not None:
            kept["approval"] = {
                "id": sent.cleared.grant.approval,
                "grant": sent.cleared.grant.id,
                "by": [*exchange.approved_by],
            }
    if isinstance(state, Refused):
        kept |= refused(state.refusal)
    if exchange.notes:
        kept["notes"] = [*exchange.notes]
    if (who := who_asks(state)) is not None and who.call:
        kept["call"] = who.call
    more: JsonObject = {"upstream": exchange.upstream, "declined": exchange.declined}
    kept |= {name: value for name, value in more.items() if value}
    if requests := said.detail.get("requests"):
        kept["requests"] = requests
    if exchange.early:
        kept["early"] = True
    if exchange.tape_full:
        kept["truncated"] = True
    return kept


def outcome(state: State | None) -> Outcome:
    """Return in one word how an exchange ended."""
    match state:
        case Answered():
            return "answered"
        case Refused(ended=True):
            return "ended"
        case Refused(refusal=refusal):
            match refusal.kind:
                case RefusalKind.HELD:
                    return "held"
                case RefusalKind.WITHHELD:
                    return "withheld"
                case RefusalKind.UPSTREAM:
                    return "failed"
                case _:
                    return "refused"
        case _:
            return "failed"


def flow_record(
    flow: http.HTTPFlow,
    exchange: Exchange,
    said: AuditEvent,
    masker: Masker,
    *,
    session: str,
    connections: scrub.ConnectionStates,
    websocket: dict[str, object] | None = None,
) -> scrub.FlowState:
    """Return the state of a flow as it is recorded: bodies masked, credentials out, our metadata in.

    `websocket` is what is kept of a tunnel.

    Bodies: the request with every masked leaf a keyed hash, as it was digested; the answer as the caller saw it.
    """
    state = scrub.state_of(flow, connections)
    if not masker.is_empty:
        path = sealing.masked_path(flow.request.path, masker).encode("utf-8", "surrogateescape")
        state["request"] |= {"path": path, "headers": sealing.masked_headers(raw(flow.request.headers), masker)}
    asked: bytes | None = None
    answer: bytes | None = None
    if exchange.record_bodies and who_asks(exchange.state) is not None:
        # Whoever did not say who he is cannot fill the recordings either.
        asked = sealing.known_body(flow, exchange, masker).encode()
    if exchange.record_bodies:
        if exchange.streamed:
            answer = bytes(exchange.tape)
        elif flow.response is not None:
            answer = flow.response.raw_content or b""
    elif isinstance(exchange.state, Refused) and flow.response is not None:
        answer = flow.response.raw_content or b""
    kept = metadata(exchange, said, session)
    if exchange.tunnel is not None:
        kept["tunnel"] = exchange.tunnel.summary()
    return scrub.flow_state(state, scrub.Bodies(asked, answer, websocket), kept)
