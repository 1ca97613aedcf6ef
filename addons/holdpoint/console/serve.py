"""Run the console as a process of its own."""

import asyncio
import socket
import ssl
from collections.abc import Callable

import httpx
import uvicorn
from starlette.types import ASGIApp

from holdpoint.console.app import app_of, create_site
from holdpoint.console.calls import AdminCalls
from holdpoint.console.connections import Impatient
from holdpoint.console.live import ChangeFeed
from holdpoint.console.signing import Signing
from holdpoint.settings import Console, Issuer, Reviewers

MOST_REQUESTS = 1_000
"""Requests under way at once, pages that wait for news among them."""
STOP_TIME = 2
"""Seconds that requests under way get when the console stops."""


def run(
    console: Console,
    issuer: Issuer,
    client: AdminCalls,
    *,
    client_secret: str = "",
    reviewers: Reviewers = Reviewers(),  # noqa: B008  # immutable
    signing: Signing = Signing(),  # noqa: B008  # immutable
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises ConfigError, and SystemExit where the address is taken.

    `on_ready` is called once it listens.
    """
    serving = serve(
        console, issuer, client, client_secret=client_secret, reviewers=reviewers, signing=signing, on_ready=on_ready
    )
    asyncio.run(serving)


async def serve(
    console: Console,
    issuer: Issuer,
    client: AdminCalls,
    *,
    client_secret: str = "",
    reviewers: Reviewers = Reviewers(),  # noqa: B008  # immutable
    signing: Signing = Signing(),  # noqa: B008  # immutable
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve inside a running loop until stopped."""
    async with httpx.AsyncClient(verify=_trust(issuer), timeout=10.0) as http:
        site = create_site(
            console, issuer, client, http=http, client_secret=client_secret, reviewers=reviewers, signing=signing
        )
        await Server(config(console, app_of(site)), site.feed, on_ready).serve()


class Server(uvicorn.Server):
    """Lets the pages that wait for news go before it waits for requests under way to end."""

    def __init__(self, config: uvicorn.Config, feed: ChangeFeed, on_ready: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._feed = feed
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._feed.close()
        await super().shutdown(sockets)


def config(console: Console, app: ASGIApp) -> uvicorn.Config:
    """Return how it is served."""
    return uvicorn.Config(
        app,
        host=console.address.host,
        port=console.address.port,
        http=Impatient,  # h11 refuses what others forgive: two Host headers, odd line ends
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # the login's code would stand in it
        proxy_headers=False,  # nothing here depends on an address that a header names
        server_header=False,
        limit_concurrency=MOST_REQUESTS,
        timeout_graceful_shutdown=STOP_TIME,
        ssl_certfile=console.tls.certificate if console.tls else None,
        ssl_keyfile=console.tls.key if console.tls else None,
    )


def _trust(issuer: Issuer) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if issuer.ca_file is not None:
        context.load_verify_locations(issuer.ca_file)
    return context
