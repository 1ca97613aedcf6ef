"""A console that really listens, in a thread of its own, with an issuer to log in at and a gateway that does as told.

For browsers: everything they meet is served over sockets, and the clock is the machine's.
"""

import asyncio
import socket
import threading
import time
from types import TracebackType
from typing import Self

import httpx
from tests.fakes.admin_gateway import FakeGateway
from tests.fakes.console_browser import NOBODY, issuer_settings, request_wire
from tests.fakes.issuer import FakeIssuer

from holdpoint.console.app import app_of, create_site
from holdpoint.console.serve import Server, config
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.settings import Address, Console, Reviewers

PATIENCE = 10


class RunningConsole:
    """What a browser is pointed at: `url`. `gateway` is changed by `put`, from any thread."""

    def __init__(self, reviewers: Reviewers = NOBODY) -> None:
        self.gateway = FakeGateway()
        self._reviewers = reviewers
        self._ready = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        clients = [{"client_id": "holdpoint-console", "redirect_uris": [self.url + "/auth/callback"]}]
        self.issuer = FakeIssuer(clients=clients, alg="ES256")
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self.issuer.__enter__()
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        self._listener.close()
        self.issuer.__exit__(kind, error, at)

    def put(self, *requests: JsonObject) -> None:
        """Have these requests from now on, and tell open pages."""

        async def change() -> None:
            for request in requests:
                self.gateway.add(request)
            await self.gateway.change()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(PATIENCE)

    def clear(self) -> None:
        """Forget all requests, grants, suspensions and calls."""
        for held in (self.gateway.requests, self.gateway.grants, self.gateway.suspended, self.gateway.calls):
            held.clear()
        self.gateway.fail.clear()
        self.put()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        settings = Console(Address("127.0.0.1", 0), self.url, issuer="corp", client_id="holdpoint-console")
        async with httpx.AsyncClient() as http:
            issuer = issuer_settings(self.issuer)
            self.site = create_site(settings, issuer, self.gateway, http=http, reviewers=self._reviewers)
            self._server = Server(config(settings, app_of(self.site)), self.site.feed, self._ready.set)
            await self._server.serve([self._listener])


def live_request(request_id: str = "apr-1", *, left: float = 540, **changes: JsonValue) -> JsonObject:
    """A held request of now."""
    now = time.time()
    return request_wire(request_id, created_at=now - 60, deadline=now + left, **changes)
