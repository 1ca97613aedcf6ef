"""Rounds of a held call (2026-07-28, multi round-trip requests): the state that a caller brings back.

The state says which call of whom waits for which approval. It is sealed, good for one round, and opens nothing: without
it the same call finds the same approval. What it does is to let the gateway tell a round from a new call, count rounds,
and give back what the call carried of an upstream's own rounds, so that what is sent is what was approved.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import secrets
from dataclasses import dataclass
from typing import Final

from mitmproxy import http

from holdpoint.domain.access import Principal, Protocol
from holdpoint.domain.canonical import digest
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import Refusal
from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.protocols import mcp_holds, mcp_version, strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.mcp_holds import Round
from holdpoint.seals import SealBroken, Seals
from holdpoint.settings import Target
from holdpoint.stages import states
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.gateway import Gateway
from holdpoint.store.protocol import StaleWrite
from holdpoint.store.sql import SqlStore

PURPOSE: Final = "hold"
MOST_CARRIED: Final = 64 << 10
"""Bytes of an upstream's own rounds that a state holds. A call that carries more gets a ticket."""
_MOST_SEALED = MOST_CARRIED * 2
MOST_READ: Final = 1 << 20
"""Bytes of a request with a state: more than the largest that can be held, and its state."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A request whose state is the gateway's own."""

    round: Round
    body: bytes
    """What the caller asks without it, as it may be forwarded."""


def seal_round(seals: Seals, asked: Decoded, round_: Round, first: JsonObject) -> str:
    """Return the state for the next round. `first` is what `carried` says of this one."""
    access = asked.access
    payload: JsonObject = {
        "principal": access.principal.id,
        "actor": access.principal.actor.id if access.principal.actor else "",
        "target": access.target,
        "call": round_.call,
        "ticket": round_.ticket,
        "number": round_.number,
        "unique": round_.unique,
        "until": round_.until,
        "asked": round_.asked,
        "carried": first,
    }
    return seals.seal(payload, purpose=PURPOSE, expires_at=round_.until)


def next_round(asked: Decoded, before: Round | None, *, ticket: str, until: float, shows_link: bool) -> Round:
    """Return what the caller is to come back with. `until` is Unix seconds."""
    number = before.number + 1 if before else 1
    unique = secrets.token_urlsafe(16)
    return Round(ticket, number, call_digest(asked.intent), unique, until, asked=shows_link)


def take_round(gateway: Gateway, flow: http.HTTPFlow, target: Target, principal: Principal) -> None:
    """Take the gateway's own state out of a request, and put back what its caller first sent in its place.

    Before anything else is read of it. Raises Refusal where the state is not for this caller; whether it is for this
    call is `check_call`'s to say.
    """
    body = flow.request.raw_content
    if target.protocol is not Protocol.MCP or not body or b'"requestState"' not in body:
        return
    if "content-encoding" in flow.request.headers:
        return  # refused by the decoder
    opened = open_round(gateway.services.seals, target.name, principal, body)
    if opened is not None:
        gateway.exchanges.of(flow).round = opened.round
        flow.request.content = opened.body


def open_round(seals: Seals, target: str, principal: Principal, body: bytes) -> Opened | None:
    """Open the state that a request brings. None: it brings none of ours. Raises Refusal as `take_round`."""
    text = states.brought(body)
    if text is None or len(text) > _MOST_SEALED:
        return None
    try:
        said = seals.open(text, PURPOSE)
    except SealBroken:
        return None
    if len(body) > MOST_READ:
        raise _wrong_state(None, "brought by a request that could not be held")
    try:
        message = as_object(strict_json.loads(body))
    except Undecodable:
        return None  # the decoder says why
    if as_object(message.get("params")).get("requestState") != text:
        return None
    actor = principal.actor.id if principal.actor else ""
    if (said.get("principal"), said.get("actor"), said.get("target")) != (principal.id, actor, target):
        raise _wrong_state(message.get("id"), "given to another caller, or for another target")
    if message.get("method") not in mcp_holds.TAKE_ROUNDS:
        raise _wrong_state(message.get("id"), "brought where it cannot belong")
    return _opened(said, message)


def _opened(said: JsonObject, message: JsonObject) -> Opened:
    match said:
        case {
            "ticket": str() as ticket,
            "number": int() as number,
            "call": str() as call,
            "unique": str() as unique,
            "until": float() | int() as until,
            "asked": bool() as asked,
            "carried": dict() as first,
        }:
            params = as_object(message.get("params"))
            choice = mcp_holds.choice(as_object(params.get("inputResponses"))) if asked else None
            round_ = Round(ticket, number, call, unique, float(until), asked, choice)
            return Opened(round_, strict_json.dumps({**message, "params": mcp_holds.restored(params, first)}))
        case _:
            raise _wrong_state(message.get("id"), "sealed by a version that this one does not know")


def check_call(round_: Round, asked: Decoded) -> None:
    """Refuse a state that was given for another call. Raises Refusal."""
    if round_.call != call_digest(asked.intent):
        raise _wrong_state(asked.request_id, "given for another call")


async def spend_round(store: SqlStore, round_: Round, asked: Decoded) -> None:
    """Use a state up, durably. Raises Refusal where it was before, StoreUnavailable."""
    try:
        await store.spend_round(round_.unique, round_.until)
    except StaleWrite:
        used_up = _wrong_state(asked.request_id, "brought a second time")
    else:
        return
    raise used_up


def _wrong_state(request_id: JsonValue, detail: str) -> Refusal:
    known = request_id if isinstance(request_id, str | int) and not isinstance(request_id, bool) else None
    return states.wrong_state(known, mcp_version.MODERN[-1], detail)


def carried(exchange: Exchange, asked: Decoded) -> JsonObject:
    """Return what a call carries of an upstream's own rounds, as its caller brought it."""
    found = mcp_holds.carried(as_object(as_object(asked.intent).get("params")))
    # What the call now says is the upstream's own; the caller has it sealed, and it is opened again each time.
    return found if exchange.opened is None else {**found, "requestState": exchange.opened.text}


def fits(first: JsonObject) -> bool:
    """Tell whether that is small enough to be handed back and forth."""
    return not first or len(strict_json.dumps(first)) <= MOST_CARRIED


def call_digest(intent: JsonValue) -> str:
    """Return the digest of a call as it was decoded. It leaves the gateway sealed alone: values are not masked."""
    return digest({"call": intent})
