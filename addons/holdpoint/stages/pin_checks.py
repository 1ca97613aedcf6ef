"""What pins mean for one call: known when it is decoded, looked at again when it is sent, told to who is refused."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from holdpoint.domain.access import AccessRequest, McpTool, PinState, Resource
from holdpoint.domain.decision import Deny, DenyReason, Permit
from holdpoint.domain.exchange import Decoded
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, as_object, as_text
from holdpoint.masking.masker import Masker
from holdpoint.pins.diff import TOO_LARGE, beginning, diff, lines
from holdpoint.pins.hidden import find_hidden
from holdpoint.pins.records import Kept, Record
from holdpoint.protocols.call import Call
from holdpoint.settings import PinMode, Target
from holdpoint.stages.gateway import Gateway
from holdpoint.stages.services import Services
from holdpoint.stages.tool_pins import ToolPins
from holdpoint.stages.verdicts import denied
from holdpoint.visible_text import spelled_out

_ASIDE = frozenset({PinState.NONE, PinState.PINNED})
_PINS = "pins"
_NOTHING: Mapping[str, frozenset[str]] = MappingProxyType({})
_MOST_LINES = 120
_LOOK = "an operator must look at it (`holdpoint pins`)"


def pinned(gateway: Gateway, target: Target, call: Call) -> Call:
    """Return a call with the pin of every tool that it names.

    What is not as approved becomes part of the intent: who approves such a call approves it for the definition that
    they read, and not for one that came since.
    """
    if target.pins.mode is PinMode.OFF or not (isinstance(call.resource, McpTool) or call.members):
        return call
    pins = gateway.services.pins
    call = replace(
        call,
        resource=_with_pin(pins, target.name, call.resource),
        members=tuple(replace(m, resource=_with_pin(pins, target.name, m.resource)) for m in call.members),
    )
    marks = _marks(pins, target.name, (call.resource, *(m.resource for m in call.members)))
    return replace(call, intent={**as_object(call.intent), _PINS: marks}) if marks else call


def _with_pin(pins: ToolPins, target: str, resource: Resource) -> Resource:
    if not isinstance(resource, McpTool):
        return resource
    state = pins.state(target, resource.name)
    return resource if state is resource.pin else McpTool(resource.name, state)


def _marks(pins: ToolPins, target: str, resources: tuple[Resource, ...]) -> JsonObject:
    return {
        r.name: [r.pin.value, *pins.mark(target, r.name)]
        for r in resources
        if isinstance(r, McpTool) and r.pin not in _ASIDE
    }


def bound_to(pins: ToolPins, access: AccessRequest) -> JsonObject:
    """Return the approved definitions of the tools that are as approved: an approval of a call holds for these.

    What is not as approved is part of the intent, with all that waits.
    """
    found: JsonObject = {
        r.name: [*pins.known(access.target, r.name)]
        for r in _resources(access)
        if isinstance(r, McpTool) and r.pin is PinState.PINNED
    }
    return {tool: known for tool, known in found.items() if known}


def read_of(pins: ToolPins, access: AccessRequest) -> Mapping[str, frozenset[str]]:
    """Return the definitions of each tool that a reviewer is shown now; none of what no server has described yet."""
    tools = {r.name for r in _resources(access) if isinstance(r, McpTool)}
    return {tool: frozenset(pins.known(access.target, tool)) for tool in tools}


def look_again(
    pins: ToolPins, asked: Decoded, *, reviewed: bool, read: Mapping[str, frozenset[str]] = _NOTHING
) -> AccessRequest:
    """Return what is asked, with the pins as they are now: the same object where nothing changed.

    Raises Refusal where a reviewer read another definition (`reviewed`, `read`) than the one that would be called now.
    """
    access = asked.access
    fresh = _fresh(pins, access)
    tools = tuple(_resources(fresh))
    if reviewed:
        now = _marks(pins, access.target, tools)
        if now and now != as_object(as_object(asked.intent).get(_PINS)):
            raise _changed("; ".join(f"{tool}: {mark}" for tool, mark in now.items()))
        # Approved meanwhile by an operator, which is no word of who was asked about this call.
        if unread := [
            tool for tool, seen in read.items() if seen and not seen.issuperset(pins.known(access.target, tool))
        ]:
            raise _changed(f"approved meanwhile: {', '.join(unread)}")
    return fresh


def _changed(detail: str) -> Refusal:
    return Refusal(
        RefusalKind.DENIED,
        "the definition of a tool changed while the request was held; make the call again",
        detail=detail,
    )


def _fresh(pins: ToolPins, access: AccessRequest) -> AccessRequest:
    resource = _with_pin(pins, access.target, access.resource)
    members = tuple(_fresh(pins, m) for m in access.members)
    if resource is access.resource and all(new is old for new, old in zip(members, access.members, strict=True)):
        return access
    return replace(access, resource=resource, members=members)


def _resources(access: AccessRequest) -> Iterator[Resource]:
    yield access.resource
    for member in access.members:
        yield from _resources(member)


def refused(services: Services, decision: Deny, access: AccessRequest) -> Refusal:
    """Turn a denial into a refusal, which says so where it is the pin of a tool that made it one."""
    usual = denied(decision)
    if decision.reason is not DenyReason.NO_RULE:
        return usual
    for asked in (access, *access.members):
        tool = asked.resource
        if not isinstance(tool, McpTool) or tool.pin in _ASIDE:
            continue
        as_approved = replace(asked, resource=McpTool(tool.name, PinState.PINNED), members=())
        if isinstance(services.policies.engine.decide(as_approved), Permit):
            return Refusal(RefusalKind.DENIED, _told(tool), detail=f"{usual.detail}; pin of the tool: {tool.pin.value}")
    return usual


def _told(tool: McpTool) -> str:
    name = spelled_out(tool.name)
    match tool.pin:
        case PinState.CHANGED:
            return f"the definition of tool `{name}` changed since it was approved; {_LOOK}"
        case PinState.RENAMED:
            return f"tool `{name}` is new, and says what another tool said; {_LOOK}"
        case PinState.DUPLICATE:
            return f"the server lists more than one tool `{name}`; {_LOOK}"
        case PinState.HIDDEN:
            return f"the definition of tool `{name}` holds what people do not see; {_LOOK}"
        case _:
            return f"nobody approved tool `{name}`; {_LOOK}"


def shown_pins(pins: ToolPins, access: AccessRequest, masker: Masker) -> JsonObject:
    """Return what a reviewer reads of the tools that a request names: empty where nothing is known of them."""
    tools: JsonObject = {
        r.name: _shown(pins, access.target, r) for r in _resources(access) if isinstance(r, McpTool) and r.pin
    }
    return {"tools": masker.sealed(tools)} if tools else {}


def _shown(pins: ToolPins, target: str, tool: McpTool) -> JsonObject:
    shown: JsonObject = {"pin": tool.pin.value}
    record = pins.record(target, tool.name)
    if record is None or not record.kept:
        return shown
    newest, *others = (record.waiting or record.kept[-1:])[::-1]
    shown |= _told_of(record, newest, is_approved=tool.pin is PinState.PINNED)
    if tool.pin is not PinState.PINNED:
        shown["why"] = newest.why or tool.pin.value
        if others:
            # The caller may have read any of them, and the call may be answered by any of them.
            shown["others"] = [{**_told_of(record, k, is_approved=False), "why": k.why} for k in others]
    return shown


def _told_of(record: Record, kept: Kept, *, is_approved: bool) -> JsonObject:
    if not kept.definition.text:
        return {"description": f"too large to be kept or shown: {kept.definition.size} bytes"}
    told: JsonObject = {}
    definition = kept.parsed()
    if description := as_text(definition.get("description")):
        told["description"] = beginning(description)
    if is_approved:
        return told
    if record.approved:
        before = record.approved[-1]
        told["diff"] = (
            [*lines(diff(before.parsed(), definition), _MOST_LINES)] if before.definition.text else [TOO_LARGE]
        )
    if found := find_hidden(definition):
        told["hidden"] = [f"{f.kind.value} in {f.path}: {f.shown}" for f in found]
    return told
