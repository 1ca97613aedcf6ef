"""What the console asks of the gateway, and what it makes of the answers."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text


class AdminCalls(Protocol):
    """The gateway's admin socket, as `holdpoint.admin.client.AdminClient` offers it.

    An error of the gateway has two text attributes, `code` and `message`; no connection is an OSError.
    """

    async def call(self, method: str, params: JsonObject) -> JsonValue:
        """Call one method and return its result."""
        ...


class Trouble(StrEnum):
    """What kept a call from succeeding, by what the reviewer does next."""

    LOGIN = "login"
    """Log in again."""
    NOT_ALLOWED = "not_allowed"
    RESOLVED = "resolved"
    """Somebody else, the deadline or policy was faster."""
    CHANGED = "changed"
    """What the reviewer read is not what waits now: read it again."""
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    """The gateway understood and said no for another reason: its message says why."""
    UNAVAILABLE = "unavailable"


class GatewayTrouble(Exception):  # noqa: N818  # an outcome that the page shows, not an error of the program
    """A call that did not succeed. `message` is the gateway's own, for the reviewer."""

    def __init__(self, kind: Trouble, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


_BY_CODE: dict[str, Trouble] = {
    "unauthenticated": Trouble.LOGIN,
    "not_allowed": Trouble.NOT_ALLOWED,
    "denied": Trouble.NOT_ALLOWED,
    "already_resolved": Trouble.RESOLVED,
    "expired": Trouble.RESOLVED,
    "conflict": Trouble.CHANGED,
    "changed": Trouble.CHANGED,
    "not_found": Trouble.NOT_FOUND,
    "unavailable": Trouble.UNAVAILABLE,
    "timeout": Trouble.UNAVAILABLE,
    "busy": Trouble.UNAVAILABLE,
    "bad_answer": Trouble.UNAVAILABLE,
    "fault": Trouble.UNAVAILABLE,
}
"""Codes of the socket (`holdpoint.admin.errors`), of refusals and of the broker."""


AT_ONCE_EACH = 6
"""Calls of one login under way: as many as a browser has connections."""
AT_ONCE = 40
"""Calls of all logins under way. The gateway serves 64 connections, the command line's among them."""


@dataclass(slots=True)
class _Turns:
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_EACH))
    users: int = 0


@dataclass(frozen=True, slots=True)
class Gateway:
    """The calls that the console makes, each with the reviewer's ID token: the gateway decides what that opens."""

    calls: AdminCalls
    _turns: dict[str, _Turns] = field(default_factory=dict[str, _Turns])
    """By login."""
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def listed(self, method: str, id_token: str, params: Mapping[str, JsonValue], name: str) -> list[JsonObject]:
        """Call a method that answers with a list of objects under a name. Raises GatewayTrouble."""
        return _objects(await self._call(method, {**params, "id_token": id_token}), name)

    async def list(
        self,
        id_token: str,
        *,
        states: tuple[str, ...],
        limit: int,
        before: str = "",
        filters: Mapping[str, JsonValue] | None = None,
    ) -> list[JsonObject]:
        """Return approval requests, newest first. Raises GatewayTrouble."""
        params: JsonObject = {**(filters or {}), "id_token": id_token, "state": [*states], "limit": limit}
        if before:
            params["before"] = before
        return _objects(await self._call("approvals.list", params), "requests")

    async def get(self, id_token: str, approval_id: str) -> JsonObject:
        """Return one approval request. Raises GatewayTrouble."""
        answer = await self._call("approvals.get", {"id_token": id_token, "id": approval_id})
        if not isinstance(answer, dict):
            raise GatewayTrouble(Trouble.UNAVAILABLE, "the gateway's answer is not an object")
        return answer

    async def decide(
        self,
        id_token: str,
        approval_id: str,
        *,
        verdict: str,
        comment: str,
        expect: str,
        preview: str = "",
        evidence: JsonObject | None = None,
    ) -> None:
        """Give one reviewer's decision on exactly what was read. Raises GatewayTrouble.

        `expect` is the digest of the request that was read, `preview` that of all that stood on the page; `evidence` is
        what makes the decision one that can be proved.
        """
        params: JsonObject = {"id": approval_id, "verdict": verdict, "comment": comment, "expect": expect}
        if preview:
            params["preview"] = preview
        await self._call("approvals.decide", params | (evidence or {}) | {"id_token": id_token})

    async def act(self, method: str, id_token: str, params: Mapping[str, JsonValue]) -> JsonValue:
        """Call a method that does something for the person who is logged in. Raises GatewayTrouble."""
        return await self._call(method, {**params, "id_token": id_token})

    async def slack_action(self, body: bytes, *, timestamp: str, signature: str) -> None:
        """Pass on what was pressed in Slack, as it came: the gateway verifies it. Raises GatewayTrouble."""
        text = base64.b64encode(body).decode()
        await self._call("slack.action", {"body": text, "timestamp": timestamp, "signature": signature})

    async def wait_change(self, since: JsonValue) -> JsonValue:
        """Return the version of the requests as soon as it is not `since`, or `since` after a while.

        Raises GatewayTrouble.
        """
        try:
            answer = await self._call("approvals.wait_change", {"since": since})
        except GatewayTrouble as trouble:
            cause = trouble.__cause__
            if isinstance(cause, TimeoutError) or getattr(cause, "code", None) == "timeout":
                return since
            raise
        return as_object(answer).get("version")

    async def _call(self, method: str, params: JsonObject) -> JsonValue:
        async with self._turn(as_text(params.get("id_token"))):
            return await self._call_now(method, params)

    @asynccontextmanager
    async def _turn(self, login: str) -> AsyncGenerator[None]:
        """Wait while one login has many calls under way: nobody makes the gateway too busy for all others."""
        if not login:
            yield
            return
        turns = self._turns.setdefault(login, _Turns())
        turns.users += 1
        try:
            async with turns.free, self._free:
                yield
        finally:
            turns.users -= 1
            if not turns.users:
                del self._turns[login]

    async def _call_now(self, method: str, params: JsonObject) -> JsonValue:
        try:
            return await self.calls.call(method, params)
        except OSError as error:
            raise GatewayTrouble(Trouble.UNAVAILABLE, "the gateway cannot be reached") from error
        except Exception as error:
            code: object = getattr(error, "code", None)
            message: object = getattr(error, "message", None)
            if not isinstance(code, str):
                raise
            kind = _BY_CODE.get(code, Trouble.REFUSED)
            raise GatewayTrouble(kind, message if isinstance(message, str) else code) from error


def _objects(answer: JsonValue, name: str) -> list[JsonObject]:
    found = answer.get(name) if isinstance(answer, dict) else answer
    if not isinstance(found, list):
        raise GatewayTrouble(Trouble.UNAVAILABLE, "the gateway's answer is not a list")
    return [as_object(item) for item in found]
