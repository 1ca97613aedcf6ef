"""A small gateway as the console sees it: approval requests in memory, decided by the rules a page must know.

`call` answers in process; `serve` does the same over a Unix socket in newline-delimited JSON, and `SocketCalls` asks.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jwt

from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text


class AdminError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class FakeGateway:
    requests: dict[str, JsonObject] = field(default_factory=dict)
    calls: list[tuple[str, JsonObject]] = field(default_factory=list)
    fail: dict[str, Exception] = field(default_factory=dict)
    """What the methods raise instead of answering."""
    grants: list[JsonObject] = field(default_factory=list)
    suspended: dict[str, JsonObject] = field(default_factory=dict)
    answers: dict[str, JsonValue] = field(default_factory=dict)
    """What other methods answer."""
    version: int = 1
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def add(self, request: JsonObject) -> None:
        self.requests[as_text(request["id"])] = request

    def decisions(self) -> list[JsonObject]:
        return [params for method, params in self.calls if method == "approvals.decide"]

    async def change(self) -> None:
        async with self.changed:
            self.version += 1
            self.changed.notify_all()

    async def call(self, method: str, params: JsonObject) -> JsonValue:
        self.calls.append((method, params))
        if error := self.fail.get(method):
            raise error
        match method:
            case "approvals.list":
                states = params.get("state")
                assert isinstance(states, list)
                found = [r for r in self.requests.values() if r["state"] in states and _fits(r, params)]
                found.sort(key=lambda request: as_text(request["id"]), reverse=True)
                before, limit = as_text(params.get("before")), params["limit"]
                assert isinstance(limit, int)
                return [r for r in found if not before or as_text(r["id"]) < before][:limit]
            case "approvals.get":
                return self._get(params)
            case "approvals.decide":
                return await self._decide(params)
            case "approvals.wait_change":
                async with self.changed:
                    await self.changed.wait_for(lambda: self.version != params.get("since"))
                    return {"version": self.version}
            case _ if method in self.answers:
                return self.answers[method]
            case _ if method.startswith("approvals."):
                return await self._act(method.removeprefix("approvals."), params)
            case _ if method.startswith("grants."):
                return await self._grants(method, params)
            case _ if method.startswith("principals."):
                return self._principals(method, params)
            case _:
                raise AdminError("unknown_method", f"there is no method `{method}`")

    async def _act(self, act: str, params: JsonObject) -> JsonValue:
        request, who = self._get(params), _claims(params)
        if act == "preview_again":
            request["dry_run"] = {"state": "pending", "why": "", "at": 0, "shown": {}}
            return await self._changed(params)
        is_requester = who["email"] == as_object(request["principal"]).get("person")
        if is_requester == (act == "review"):
            raise AdminError("not_allowed", "this is not yours to do")
        if act != "review" and request["state"] != "pending":
            raise AdminError("already_resolved", f"it is {request['state']} already")
        match act:
            case "reason":
                request["reason"] = params["reason"]
            case "withdraw":
                request |= {"state": "withdrawn", "resolution": "the requester took it back"}
            case "break_glass":
                if params["expect"] != request["intent"]:
                    raise AdminError("changed", "the digest is another one")
                request |= {"state": "approved", "glass": "broken", "resolution": f"glass broken: {params['reason']}"}
            case _:
                request["glass"] = "reviewed"
        return await self._changed(params)

    async def _grants(self, method: str, params: JsonObject) -> JsonValue:
        if method == "grants.list":
            state = params.get("state")
            return {"grants": [grant for grant in self.grants if state in ("all", grant["state"])]}
        grant = next((g for g in self.grants if g["id"] == params["id"]), None)
        if grant is None:
            raise AdminError("not_found", "there is no such grant")
        grant |= {"state": "revoked", "ended_why": params["reason"]}
        await self.change()
        return grant

    def _principals(self, method: str, params: JsonObject) -> JsonValue:
        who = as_text(params.get("who"))
        match method:
            case "principals.list":
                return {"suspensions": list(self.suspended.values())}
            case "principals.suspend":
                until = 1_800_000_000.0 + seconds if isinstance(seconds := params.get("for"), int) else None
                made: JsonObject = {"who": who, "reason": params["reason"], "until": until, "at": 1_800_000_000.0}
                self.suspended[who] = made | {"by": _claims(params)["email"]}
                return self.suspended[who]
            case _:
                if self.suspended.pop(who, None) is None:
                    raise AdminError("not_found", "nobody of that name is suspended")
                return {"who": who}

    async def _changed(self, params: JsonObject) -> JsonValue:
        await self.change()
        return self._get(params)

    def _get(self, params: JsonObject) -> JsonObject:
        found = self.requests.get(as_text(params["id"]))
        if found is None:
            raise AdminError("not_found", "there is no such request")
        return found

    async def _decide(self, params: JsonObject) -> JsonValue:
        request = self._get(params)
        claims = _claims(params)
        if request["state"] != "pending":
            raise AdminError("already_resolved", f"it is {request['state']} already")
        if params["expect"] != request["intent"]:
            raise AdminError("conflict", "the digest is another one")
        if params.get("preview", "") != request.get("preview_digest", ""):
            raise AdminError("changed", "the preview changed since you opened it")
        if claims["email"] == as_object(request["principal"]).get("person"):
            raise AdminError("not_allowed", "nobody approves their own request")
        vote: JsonObject = {"person": claims["email"], "name": claims["name"], "at": 1_800_000_100.0}
        vote |= {"verdict": params["verdict"], "comment": params["comment"]}
        votes = request["votes"]
        assert isinstance(votes, list)
        votes.append(vote)
        request["state"] = "approved" if params["verdict"] == "approve" else "denied"
        await self.change()
        return request

    @asynccontextmanager
    async def serve(self, path: Path) -> AsyncGenerator[None]:
        server = await asyncio.start_unix_server(self._converse, path)
        try:
            yield
        finally:
            server.close()
            server.close_clients()
            await server.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                message = json.loads(line)  # both ends are ours
                answer: JsonObject = {"id": message["id"]}
                try:
                    answer["result"] = await self.call(message["method"], message["params"])
                except AdminError as error:
                    answer["error"] = {"code": error.code, "message": error.message}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


def _claims(params: JsonObject) -> dict[str, str]:
    claims: dict[str, str] = jwt.decode(as_text(params["id_token"]), options={"verify_signature": False})
    return claims


def _fits(request: JsonObject, params: JsonObject) -> bool:
    principal = as_object(request["principal"])
    at, since, until = request["created_at"], params.get("from", 0), params.get("until", 1e12)
    assert isinstance(at, int | float)
    assert isinstance(since, int | float)
    assert isinstance(until, int | float)
    return (
        params.get("target", request["target"]) == request["target"]
        and params.get("verb", request["action"]) == request["action"]
        and params.get("person", principal.get("person")) == principal.get("person")
        and as_text(params.get("text")) in json.dumps(request)
        and since <= at < until
    )


@dataclass(frozen=True)
class SocketCalls:
    path: Path

    async def call(self, method: str, params: JsonObject) -> JsonValue:
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            writer.write(json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n")
            answer = json.loads(await reader.readline())  # both ends are ours
        finally:
            writer.close()
            await writer.wait_closed()
        if "error" in answer:
            raise AdminError(answer["error"]["code"], answer["error"]["message"])
        result: JsonValue = answer["result"]
        return result
