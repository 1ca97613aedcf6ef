"""What the command line and the console may ask of suspensions. The audit names who asked."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import Handler
from holdpoint.domain.access import Principal
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.audit import AuditEvent, AuditStage
from holdpoint.domain.suspension import Suspension, names_of, objection, words_of
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.recording.health import RecorderUnavailable
from holdpoint.stages.operators import Operator, operator, reason_in
from holdpoint.stages.stopping import Alive, count, stop_principals
from holdpoint.store.protocol import StoreUnavailable
from holdpoint.tasks import uninterrupted

if TYPE_CHECKING:
    from holdpoint.stages.services import Services

logger = logging.getLogger(__name__)

LONGEST: Final = 366 * 86_400.0
"""Seconds for which somebody can be suspended at most, where an end is named at all."""
_TIME_OVER: Final = "its time is over"


class _Owner(Protocol):
    """What these methods need of the others."""

    @property
    def services(self) -> "Services": ...

    async def reviewer(self, params: JsonObject) -> Reviewer: ...


class PrincipalMethods:
    """The methods that begin with `principals.`."""

    def __init__(self, owner: _Owner) -> None:
        self._owner = owner

    def table(self) -> dict[str, Handler]:
        """Return every method by name."""
        return {
            "principals.list": self._list,
            "principals.match": self._match,
            "principals.suspend": self._suspend,
            "principals.resume": self._resume,
        }

    async def enforce(self, suspension: Suspension) -> None:
        """End what lives in spite of a suspension that was made elsewhere, or before a restart."""
        ended = await stop_principals(self._owner.services, _concerned(suspension.who), suspension.refusal())
        logger.warning("`%s` is suspended: %s", suspension.who, _said(ended))

    async def over(self, suspension: Suspension) -> None:
        """Write down that a suspension ended by itself."""
        detail: JsonObject = {"who": suspension.who, "why": _TIME_OVER}
        self._owner.services.submit(AuditEvent(AuditStage.RESUMED, self._owner.services.clock.now(), detail=detail))
        logger.info("`%s` is suspended no more: %s", suspension.who, _TIME_OVER)

    async def _list(self, params: JsonObject) -> JsonValue:
        (await operator(self._owner, params)).require("admin", "auditor")
        return {"suspensions": [_shown(s) for s in self._owner.services.suspensions.listed()]}

    async def _match(self, params: JsonObject) -> JsonValue:
        (await operator(self._owner, params)).require("admin", "auditor")
        who = self._who(params)
        services = self._owner.services
        try:
            alive = await count(services, _concerned(who))
        except StoreUnavailable as error:
            raise AdminError("unavailable", str(error)) from error
        suspended: list[JsonValue] = [_shown(s) for s in services.suspensions.named(who)]
        return {"who": who, "alive": alive.to_json(), "suspensions": suspended}

    async def _suspend(self, params: JsonObject) -> JsonValue:
        asks = await operator(self._owner, params)
        asks.require("admin")
        now = self._owner.services.clock.now()
        seconds = _seconds(params.get("for"))
        suspension = Suspension(
            who=self._who(params),
            reason=reason_in(params),
            by=asks.name,
            at=now,
            until=now + seconds if seconds else 0.0,
        )
        return await uninterrupted(self._begin(suspension, asks))

    async def _begin(self, suspension: Suspension, asks: Operator) -> JsonObject:
        services = self._owner.services
        detail: JsonObject = {"who": suspension.who, "why": suspension.reason, "by": asks.by}
        if suspension.until:
            detail["until"] = suspension.until
        event = AuditEvent(AuditStage.SUSPENDED, suspension.at, detail=detail)
        # At once, and in whatever order: `add` makes it count before it waits for the store, what is on the wire ends
        # before `stop_principals` waits for anything, and neither waits for a disk that fails the other.
        stored, written, ended = await asyncio.gather(
            services.suspensions.add(suspension),
            services.audit.append(event),
            stop_principals(services, _concerned(suspension.who), suspension.refusal()),
            return_exceptions=True,
        )
        services.notices.suspended(suspension.who, asks.name)
        for failure in (stored, written, ended):
            if isinstance(failure, BaseException) and not isinstance(failure, StoreUnavailable | RecorderUnavailable):
                raise failure
        if isinstance(ended, BaseException):
            raise ended
        logger.warning("`%s` is suspended by %s: %s", suspension.who, asks.name, _said(ended))
        if problems := [p for p in (_problem(stored), _problem(written), ended.problem) if p]:
            told = f"`{suspension.who}` is suspended, but not all of it was stored, and a restart may forget it"
            raise AdminError("unavailable", f"{told}: {problems[0]}")
        return {**_shown(suspension), "ended": ended.to_json()}

    async def _resume(self, params: JsonObject) -> JsonValue:
        asks = await operator(self._owner, params)
        asks.require("admin")
        who = self._who(params)
        found = self._owner.services.suspensions.named(who)
        if not found:
            raise AdminError("not_found", f"`{who}` is not suspended")
        return {"who": who, "resumed": [await uninterrupted(self._end(s, asks)) for s in found]}

    async def _end(self, suspension: Suspension, asks: Operator) -> JsonObject:
        services = self._owner.services
        detail: JsonObject = {"who": suspension.who, "by": asks.by}
        try:
            # Before it takes effect: nobody is let in again without a record of it.
            await services.audit.append(AuditEvent(AuditStage.RESUMED, self._owner.services.clock.now(), detail=detail))
            await services.suspensions.remove(suspension)
        except (RecorderUnavailable, StoreUnavailable) as error:
            raise AdminError("unavailable", f"`{suspension.who}` stays suspended: {error}") from error
        logger.warning("`%s` is suspended no more, by %s", suspension.who, asks.name)
        return _shown(suspension)

    def _who(self, params: JsonObject) -> str:
        who = as_text(params.get("who"))
        if why := objection(who):
            raise AdminError("bad_request", why)
        if any(who.rstrip("/") == issuer.url.rstrip("/") for issuer in self._owner.services.settings.issuers):
            raise AdminError("bad_request", "that is an issuer, and stands for all its principals: name one of them")
        return who


def _concerned(who: str) -> Callable[[Principal], bool]:
    words = words_of(who)
    return lambda principal: not words.isdisjoint(names_of(principal))


def _seconds(value: JsonValue) -> float:
    """Return for how long, 0 for no end. Raises AdminError."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST:
        raise AdminError("bad_request", f"`for` is a number of seconds, at most {LONGEST:.0f}")
    return float(value)


def _shown(suspension: Suspension) -> JsonObject:
    return {
        "who": suspension.who,
        "reason": suspension.reason,
        "by": suspension.by,
        "at": suspension.at,
        "until": suspension.until or None,
    }


def _said(ended: Alive) -> str:
    return ", ".join(f"{number} {what}" for what, number in ended.to_json().items()) + " ended"


def _problem(result: object) -> str:
    return str(result) if isinstance(result, BaseException) else ""
