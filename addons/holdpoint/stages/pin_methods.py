"""What the command line may ask of the pins, and who is written down for it.

As with a reload of the policies, being the gateway's own user is enough: who can write its files could do as much. The
audit names that user, and the person where an ID token came along.
"""

import pwd
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Protocol

from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import PEER, Handler
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.pins.diff import TOO_LARGE, diff, lines
from holdpoint.pins.hidden import find_hidden
from holdpoint.pins.records import Kept, PinRefused, Record
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.stages.tool_pins import ToolPins, entry
from holdpoint.store.protocol import StoreUnavailable


class _Services(Protocol):
    @property
    def pins(self) -> ToolPins: ...


class _Owner(Protocol):
    """What these methods need of the others."""

    @property
    def services(self) -> _Services: ...

    async def reviewer(self, params: JsonObject) -> Reviewer: ...


class PinMethods:
    """The methods that begin with `pins.`."""

    def __init__(self, owner: _Owner) -> None:
        self._owner = owner

    def table(self) -> dict[str, Handler]:
        """Return every method by name."""
        return {
            "pins.list": self._list,
            "pins.show": self._show,
            "pins.diff": self._diff,
            "pins.approve": self._approve,
            "pins.forget": self._forget,
            "pins.export": self._export,
        }

    @property
    def _pins(self) -> ToolPins:
        return self._owner.services.pins

    async def _list(self, params: JsonObject) -> JsonValue:
        wanted = as_text(params.get("target"))
        targets = (wanted,) if wanted else self._pins.targets()
        try:
            return {"tools": [self._short(t, record) for t in targets for record in self._pins.records(t)]}
        except PinRefused as error:
            raise AdminError(error.code, str(error)) from error

    async def _show(self, params: JsonObject) -> JsonValue:
        target, record = self._named(params)
        return {**self._short(target, record), "definitions": [_whole(k) for k in record.kept]}

    async def _diff(self, params: JsonObject) -> JsonValue:
        target, record = self._named(params)
        after = _chosen(record, as_text(params.get("fingerprint")))
        before = _compared(record, after)
        told: JsonObject = {**self._short(target, record), "after": after.definition.fingerprint, "why": after.why}
        told["hidden"] = _findings(after)
        told["before"] = before.definition.fingerprint if before else ""
        if not after.definition.text or (before and not before.definition.text):
            return {**told, "lines": [TOO_LARGE]}
        return {**told, "lines": [*lines(diff(before.parsed() if before else {}, after.parsed()))]}

    async def _approve(self, params: JsonObject) -> JsonValue:
        target, record = self._named(params)
        fingerprint, also = as_text(params.get("fingerprint")), params.get("also") is True
        if not fingerprint:
            raise AdminError("bad_request", "say which definition you read (`fingerprint`)")
        by, name = await self._who(params)
        work = self._pins.approve(target, record.tool, fingerprint, by=by, name=name, also=also)
        try:
            made = await _done(work)
        except AdminError as error:
            chosen = record.find(fingerprint)
            if error.code == "by_file" and chosen is not None:
                return {**self._short(target, record), "refused": error.message, "entry": entry(record, (chosen,))}
            raise
        return self._short(target, made)

    async def _forget(self, params: JsonObject) -> JsonValue:
        target, record = self._named(params)
        by, _ = await self._who(params)
        await _done(self._pins.forget(target, record.tool, by=by))
        return {"target": target, "tool": record.tool, "state": self._pins.state(target, record.tool).value}

    async def _export(self, params: JsonObject) -> JsonValue:
        try:
            return {"file": self._pins.export(as_text(params.get("target")))}
        except PinRefused as error:
            raise AdminError(error.code, str(error)) from error

    async def _who(self, params: JsonObject) -> tuple[JsonObject, str]:
        """Return who asks, for the audit, and in one word."""
        uid = PEER.get(-1)
        user = str(uid)
        with suppress(KeyError):
            user = pwd.getpwuid(uid).pw_name if uid >= 0 else "unknown"
        by: JsonObject = {"user": user, "uid": uid}
        if not params.get("id_token"):
            return by, user
        reviewer = await self._owner.reviewer(params)
        by |= {"person": reviewer.person, "issuer": reviewer.issuer, "subject": reviewer.subject}
        return by, reviewer.person or reviewer.subject

    def _named(self, params: JsonObject) -> tuple[str, Record]:
        target, tool = as_text(params.get("target")), as_text(params.get("tool"))
        record = self._pins.record(target, tool)
        if record is None:
            raise AdminError("not_found", "nothing is known of a tool of this name on this target")
        return target, record

    def _short(self, target: str, record: Record) -> JsonObject:
        newest = record.newest
        waiting = record.waiting[-1] if record.waiting else None
        shown = waiting or newest
        told: JsonObject = {"target": target, "tool": record.tool, "state": self._pins.state(target, record.tool).value}
        if shown is not None:
            told |= {"fingerprint": shown.definition.fingerprint, "since": shown.first_at, "why": shown.why}
        if record.duplicate and not (waiting and waiting.why):
            told["why"] = "the server listed more than one tool of this name"
        if record.approved:
            last = record.approved[-1]
            told |= {
                "approved": [k.definition.fingerprint for k in record.approved],
                "approved_by": last.approved_by,
                "approved_at": last.approved_at,
            }
        return told


async def _done[T](work: Awaitable[T]) -> T:
    try:
        return await work
    except PinRefused as error:
        raise AdminError(error.code, str(error)) from error
    except (StoreUnavailable, RecorderUnavailable) as error:
        raise AdminError("unavailable", str(error)) from error


def _whole(kept: Kept) -> JsonObject:
    return {
        "fingerprint": kept.definition.fingerprint,
        "state": kept.state.value,
        "why": kept.why,
        "first_at": kept.first_at,
        "approved_by": kept.approved_by,
        "approved_at": kept.approved_at,
        "size": kept.definition.size,
        "definition": kept.parsed(),
        "hidden": _findings(kept),
    }


def _findings(kept: Kept) -> JsonValue:
    return [{"path": f.path, "kind": f.kind.value, "shown": f.shown} for f in find_hidden(kept.parsed())]


def _chosen(record: Record, fingerprint: str) -> Kept:
    """Return the definition to look at: the one named, else what waits, else what was seen last."""
    found = record.find(fingerprint) if fingerprint else (_last(record.waiting) or record.newest)
    if found is None:
        raise AdminError("changed", "no definition that the server showed has this whole fingerprint: look again")
    return found


def _compared(record: Record, after: Kept) -> Kept | None:
    """Return the approved definition to compare with, None where there is no other."""
    return _last([k for k in record.approved if k is not after])


def _last(kept: Sequence[Kept]) -> Kept | None:
    return kept[-1] if kept else None
