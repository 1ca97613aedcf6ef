"""What the command line may ask of the streams that are open. The audit names who ended one."""

import pwd
from contextlib import suppress
from typing import Protocol

from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import PEER, Handler
from holdpoint.domain.access import describe_resource
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.values import JsonObject, JsonValue, as_text
from holdpoint.stages.live import NO_END, LiveStream, LiveStreams

MAX_REASON = 200


class _Services(Protocol):
    @property
    def live(self) -> LiveStreams: ...


class _Owner(Protocol):
    """What these methods need of the others."""

    @property
    def services(self) -> _Services: ...


class StreamMethods:
    """The methods that begin with `streams.`."""

    def __init__(self, owner: _Owner) -> None:
        self._owner = owner

    def table(self) -> dict[str, Handler]:
        """Return every method by name."""
        return {"streams.list": self._list, "streams.end": self._end}

    async def _list(self, params: JsonObject) -> JsonValue:
        wanted = as_text(params.get("target"))
        listed = self._owner.services.live.listed()
        return {"streams": [_shown(stream) for stream in listed if wanted in ("", stream.target)]}

    async def _end(self, params: JsonObject) -> JsonValue:
        exchange, reason = as_text(params.get("id")), as_text(params.get("reason"))
        if len(reason) > MAX_REASON or not reason.isprintable():
            raise AdminError("bad_request", f"a reason is one line of at most {MAX_REASON} characters")
        public = "an operator ended this stream" + (f": {reason}" if reason else "")
        refusal = Refusal(RefusalKind.DENIED, public, detail=f"by user {_user()}")
        if not self._owner.services.live.end(exchange, refusal):
            raise AdminError("not_found", "no stream of this exchange is open")
        return {"id": exchange}


def _shown(stream: LiveStream) -> JsonObject:
    who, until = stream.principal, stream.until
    return {
        "exchange": stream.exchange,
        "principal": who.id,
        "name": who.name or who.person or who.subject,
        "actor": who.actor.subject if who.actor else "",
        "target": stream.target,
        "verb": stream.access.action.verb,
        "resource": describe_resource(stream.access.resource),
        "since": stream.since,
        "until": None if until == NO_END else until,
        "approval": stream.approval,
    }


def _user() -> str:
    uid = PEER.get(-1)
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name if uid >= 0 else "unknown"
    return str(uid)
