"""What the command line may ask of notices, and what comes back from a chat.

As with pins, being the gateway's own user is enough to look at notices and to have them sent again: they open nothing.
What was pressed in Slack proves itself by Slack's signature, which is verified here and not in the console, and it can
only deny.
"""

import base64
import binascii
from collections.abc import Awaitable
from typing import Protocol

from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import Handler
from holdpoint.approvals.broker import Broker
from holdpoint.approvals.errors import AlreadyResolved, NotAllowed, NotFound
from holdpoint.approvals.notify import Notifier
from holdpoint.approvals.slack_actions import NotFromSlack, SlackActions, TooMuch
from holdpoint.clock import Clock
from holdpoint.domain.approval import Verdict
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.store.protocol import NoticeRow, Store, StoreUnavailable

COMMENT = "in Slack"
_MOST = 500


class _Services(Protocol):
    @property
    def broker(self) -> Broker: ...

    @property
    def notices(self) -> Notifier: ...

    @property
    def slack(self) -> SlackActions: ...

    @property
    def store(self) -> Store: ...

    @property
    def clock(self) -> Clock: ...


class _Owner(Protocol):
    """What these methods need of the others."""

    @property
    def services(self) -> _Services: ...


class NoticeMethods:
    """The methods that begin with `notices.`, and `slack.action`."""

    def __init__(self, owner: _Owner) -> None:
        self._owner = owner

    def table(self) -> dict[str, Handler]:
        """Return every method by name."""
        return {
            "notices.list": self._list,
            "notices.retry": self._retry,
            "notices.test": self._test,
            "slack.action": self._slack,
        }

    async def _list(self, params: JsonObject) -> JsonValue:
        state, limit = as_text(params.get("state")), params.get("limit")
        if state not in ("", "due", "delivered", "dead"):
            raise AdminError("bad_request", "a notice is `due`, `delivered` or `dead`")
        limit = min(limit, _MOST) if isinstance(limit, int) and limit > 0 else 100
        services = self._owner.services
        rows = await _stored(services.store.notices(state=state, limit=limit))
        return {"notices": [_shown(row) for row in rows], "sinks": services.notices.listed()}

    async def _retry(self, params: JsonObject) -> JsonValue:
        services, wanted = self._owner.services, as_text(params.get("id"))
        if not await _stored(services.store.retry_notice(wanted, now=services.clock.now())):
            raise AdminError("not_found", "no notice of this id was given up")
        services.notices.look()
        return {"id": wanted}

    async def _test(self, params: JsonObject) -> JsonValue:
        notices = self._owner.services.notices
        try:
            problem = await notices.test(as_text(params.get("name")))
        except KeyError:
            known = ", ".join(f"`{as_text(sink.get('name'))}`" for sink in map(as_object, notices.listed())) or "none"
            raise AdminError("not_found", f"the settings have no sink of this name; known: {known}") from None
        return {"delivered": not problem, "problem": problem}

    async def _slack(self, params: JsonObject) -> JsonValue:
        services = self._owner.services
        if not services.slack.apps:
            raise AdminError("not_found", "no sink takes what is pressed in Slack")
        try:
            body = base64.b64decode(as_text(params.get("body")), validate=True)
        except (binascii.Error, ValueError):
            raise AdminError("bad_request", "`body` is not base64") from None
        timestamp, signature = as_text(params.get("timestamp")), as_text(params.get("signature"))
        try:
            denial = services.slack.read(body, timestamp=timestamp, signature=signature)
            if denial is None:
                return {}
            # INVARIANT: a chat can only deny. Whatever it says, no other verdict is ever passed on from here.
            voted = await _stored(services.broker.vote(denial.approval, denial.reviewer, Verdict.DENY, COMMENT))
        except (NotFromSlack, TooMuch, NotAllowed, AlreadyResolved, NotFound) as error:
            raise AdminError(error.code, str(error)) from error
        return {"id": voted.id, "state": voted.state.value}


async def _stored[T](work: Awaitable[T]) -> T:
    try:
        return await work
    except StoreUnavailable as error:
        raise AdminError("unavailable", str(error)) from error


def _shown(row: NoticeRow) -> JsonObject:
    return {
        "id": row.id,
        "sink": row.sink,
        "event": row.kind,
        "approval": row.approval,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "attempts": row.attempts,
        "state": row.state,
        "error": row.error,
    }
