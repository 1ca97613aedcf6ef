"""What a call is held to, its task is held to as well: who fetches a result later is shown no more than who waited.

Kept with the handle of the task, so that a restart forgets nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from holdpoint.domain.decision import GuardAnswer
from holdpoint.domain.values import JsonMapping, JsonObject, as_text
from holdpoint.seals import SealBroken
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.handles import Handles
from holdpoint.stages.states import guard_read, guard_said


@dataclass(frozen=True, slots=True)
class TaskDuties:
    """The duties of the calls that one or more tasks came from."""

    masks: frozenset[str] = frozenset()
    guards: tuple[GuardAnswer, ...] = ()
    response_limit: int | None = None
    record_bodies: bool = True


def note_task(handles: Handles, exchange: Exchange, target: str, principal_id: str, task: str) -> None:
    """Note whose a task is, and what the call that began it is held to. Raises ForeignHandle."""
    before = handles.facts("task", target, task)
    mine = TaskDuties(
        frozenset(exchange.masks), exchange.guards, exchange.response_limit, record_bodies=exchange.record_bodies
    )
    handles.began("task", target, task, principal_id, lambda: _said(mine))
    if before:
        # Given out before, to the same principal: then nobody can tell of which call its result will be.
        handles.learned("task", target, task, _said(_united((_read(before), mine))))


def duties_of(handles: Handles, target: str, tasks: Iterable[str], every_mask: Iterable[str]) -> TaskDuties:
    """Return what may be shown of tasks is held to. Where that is not known any more: every mask there is."""
    known = frozenset(every_mask)
    found = _united(_read_or_all(handles.facts("task", target, task), known) for task in tasks)
    return found if found.masks <= known else TaskDuties(known, found.guards, found.response_limit, found.record_bodies)


def take_up(exchange: Exchange, duties: TaskDuties) -> None:
    """Hold an exchange to duties beside its own."""
    exchange.masks = tuple(sorted({*exchange.masks, *duties.masks}))
    exchange.guards = tuple(dict.fromkeys((*exchange.guards, *duties.guards)))
    if duties.response_limit is not None:
        exchange.response_limit = min(exchange.response_limit, duties.response_limit)
    exchange.record_bodies = exchange.record_bodies and duties.record_bodies


def _united(every: Iterable[TaskDuties]) -> TaskDuties:
    some = tuple(every)
    limits = [d.response_limit for d in some if d.response_limit is not None]
    return TaskDuties(
        frozenset[str]().union(*(d.masks for d in some)),
        tuple(dict.fromkeys(g for d in some for g in d.guards)),
        min(limits, default=None),
        all(d.record_bodies for d in some),
    )


def _said(duties: TaskDuties) -> JsonObject:
    return {
        "masks": [*sorted(duties.masks)],
        "guards": [guard_said(g) for g in duties.guards],
        "limit": duties.response_limit,
        "bodies": duties.record_bodies,
    }


def _read(facts: JsonMapping) -> TaskDuties:
    """Read what was kept. Raises SealBroken where it is not of a kind that this version writes."""
    match facts:
        case {"masks": list() as masks, "guards": list() as guards, "limit": int() | None as limit}:
            said = frozenset(map(as_text, masks)), tuple(map(guard_read, guards))
            return TaskDuties(*said, limit, record_bodies=facts.get("bodies") is not False)
        case _:
            raise SealBroken("duties of a task that this version cannot read")


def _read_or_all(facts: JsonMapping, known: frozenset[str]) -> TaskDuties:
    try:
        return _read(facts)
    except SealBroken:
        return TaskDuties(known)
