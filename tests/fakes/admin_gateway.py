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
                found = [r for r in self.requests.values() if r["state"] in states]
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
            case _:
                raise AdminError("not_found", f"no method `{method}`")

    def _get(self, params: JsonObject) -> JsonObject:
        found = self.requests.get(as_text(params["id"]))
        if found is None:
            raise AdminError("not_found", "there is no such request")
        return found

    async def _decide(self, params: JsonObject) -> JsonValue:
        request = self._get(params)
        claims = jwt.decode(as_text(params["id_token"]), options={"verify_signature": False})
        if request["state"] != "pending":
            raise AdminError("already_resolved", f"it is {request['state']} already")
        if params["expect"] != request["intent"]:
            raise AdminError("conflict", "the digest is another one")
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
