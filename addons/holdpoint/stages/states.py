"""States and places that an upstream gives a caller to bring back: given out sealed, opened for the same caller alone.

`requestState` (2026-07-28, basic/patterns/mrtr) and ids of events (HTML standard, section 9.2; MCP transports,
resumability). To the upstream all callers are the gateway: it cannot see that somebody brings back another's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdpoint.domain.access import Principal
from holdpoint.domain.canonical import digest
from holdpoint.domain.decision import GuardAnswer, RuleRef
from holdpoint.domain.refusal import Refusal
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.protocols import jsonrpc, strict_json
from holdpoint.protocols.call import Undecodable
from holdpoint.protocols.mcp_answers import Question
from holdpoint.seals import SHAPE, SealBroken, Seals

STATE: Final = "upstream"
"""Purpose of seals around an upstream's `requestState`."""
STATE_FOR: Final = 86_400.0
"""Seconds for which a state may be brought back: somebody has to read and answer in between."""
PLACE: Final = "place"
"""Purpose of seals around ids of events."""

WRONG_STATE = "`requestState` does not belong to this call, or is not good any more: make the call again without it"
_OF_ROUNDS = frozenset({"_meta", "requestState", "inputResponses"})
_SPACE = rb"[ \t\r\n]*"
_NAME = rb'"requestState"' + _SPACE + rb":" + _SPACE
_MEMBER = _NAME + rb'"' + SHAPE + rb'"'
_BROUGHT = re.compile(_NAME + rb'"(' + SHAPE + rb')"')
_WITHOUT = re.compile(_MEMBER + _SPACE + b"," + _SPACE + b"|" + _SPACE + b"," + _SPACE + _MEMBER + b"|" + _MEMBER)


@dataclass(frozen=True, slots=True)
class OpenedState:
    """What a caller brought back, opened."""

    text: str
    """As it was brought: for whoever has to have it brought once more."""
    state: str | None
    """The upstream's own. None: it gave none."""
    call: str
    """Digest of the call that it was given for."""
    keys: Mapping[str, str]
    """Keys of what was asked, with their methods."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which stream a caller goes on, and the duties that came with that stream."""

    id: str
    """The upstream's own id of the event."""
    owed: Mapping[str | int, str] = field(default_factory=dict[str | int, str])
    """Ids of the requests that the stream answers, with their verbs."""
    masks: tuple[str, ...] = ()
    guards: tuple[GuardAnswer, ...] = ()


def call_digest(intent: JsonValue) -> str:
    """Return the digest of a call without what changes from round to round."""
    said = as_object(intent)
    params: JsonObject = {k: v for k, v in as_object(said.get("params")).items() if k not in _OF_ROUNDS}
    return digest({"method": said.get("method"), "params": params})


def seal_state(
    seals: Seals,
    principal: Principal,
    target: str,
    *,
    intent: JsonValue,
    questions: Sequence[Question],
    state: str | None,
    now: float,
) -> str:
    """Return the state that the caller gets in place of the upstream's, or where the upstream gave none."""
    payload: JsonObject = {
        **_whose(principal, target),
        "call": call_digest(intent),
        "keys": {q.key: q.method for q in questions if q.key is not None},
        "state": state,
    }
    return seals.seal(payload, purpose=STATE, expires_at=now + STATE_FOR)


def open_state(seals: Seals, principal: Principal, target: str, text: str) -> OpenedState | None:
    """Return what a state holds; None where it is no upstream's. Raises SealBroken where it is somebody else's."""
    try:
        said = seals.open(text, STATE)
    except SealBroken:
        return None
    if not _whose(principal, target).items() <= said.items():
        raise SealBroken("given to another caller, or for another target")
    state = said.get("state")
    keys = {key: as_text(method) for key, method in as_object(said.get("keys")).items()}
    return OpenedState(text, state if isinstance(state, str) else None, as_text(said.get("call")), keys)


def wrong_state(request_id: str | int | None, version: str, detail: str) -> Refusal:
    """Return the one refusal for every state that does not count: which it is, is for the log alone.

    -32602 is the SDKs' own word for it; the specification says no more than to reject.
    """
    error = Undecodable(WRONG_STATE, code=jsonrpc.INVALID_PARAMS, status=404, request_id=request_id)
    error.protocol_version = version
    refusal = error.refusal()
    refusal.detail = f"request state {detail}"
    refusal.__cause__ = error
    return refusal


def brought(body: bytes) -> str | None:
    """Return the one sealed state that stands in a body; None for none or more than one.

    Found in the bytes, so that a large body need not be parsed here. INVARIANT: where it is not what decoding finds as
    the call's state, the call is refused.
    """
    if b'"requestState"' not in body:
        return None
    found = _BROUGHT.findall(body)
    return found[0].decode("ascii") if len(found) == 1 else None


def restored(body: bytes, state: str | None) -> bytes:
    """Return a body in which the upstream's own state stands again, or none; every other byte is as it was."""
    if state is None:
        return _WITHOUT.sub(b"", body, count=1)
    member = b'"requestState":' + strict_json.dumps(state)
    return _BROUGHT.sub(lambda _: member, body, count=1)


def seal_place(seals: Seals, principal: Principal, target: str, session: str, place: Place) -> str:
    """Return the id that the caller gets in place of an event's own: the same for the same event."""
    payload: JsonObject = {"id": place.id}
    if place.owed:
        payload["owed"] = [[request_id, verb] for request_id, verb in place.owed.items()]
    if place.masks:
        payload["masks"] = list(place.masks)
    if place.guards:
        payload["guards"] = [guard_said(g) for g in place.guards]
    return seals.stamp(payload, purpose=_at(principal, target, session))


def open_place(seals: Seals, principal: Principal, target: str, session: str, text: str) -> Place:
    """Return where a caller goes on. Raises SealBroken."""
    said = seals.read(text, _at(principal, target, session))
    owed: dict[str | int, str] = {}
    for pair in _list(said.get("owed")):
        match pair:
            case [str() | int() as request_id, str() as verb]:
                owed[request_id] = verb
            case _:
                raise SealBroken("sealed by a version that this one does not know")
    masks = tuple(as_text(m) for m in _list(said.get("masks")))
    return Place(as_text(said.get("id")), owed, masks, tuple(guard_read(g) for g in _list(said.get("guards"))))


def _at(principal: Principal, target: str, session: str) -> str:
    parts = [*_whose(principal, target).values(), session]
    return strict_json.dumps([PLACE, *parts]).decode()


def _whose(principal: Principal, target: str) -> dict[str, JsonValue]:
    actor = principal.actor.id if principal.actor else ""
    return {"principal": principal.id, "actor": actor, "target": target}


def guard_said(guard: GuardAnswer) -> JsonValue:
    """Return a guard as it is kept."""
    return [guard.rule.policy, guard.rule.rule, guard.rule.where, *guard.patterns]


def guard_read(value: JsonValue) -> GuardAnswer:
    """Return a guard that was kept. Raises SealBroken."""
    match value:
        case [str() as policy, str() as rule, str() as where, *patterns]:
            return GuardAnswer(RuleRef(policy, rule, where), tuple(as_text(p) for p in patterns))
        case _:
            raise SealBroken("sealed by a version that this one does not know")


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
