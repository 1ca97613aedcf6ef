"""The console as a Starlette app."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from holdpoint.clock import Clock, SystemClock
from holdpoint.console import acts, events, glass, grants, lists, login, principals, recorded, review, slack
from holdpoint.console.calls import AdminCalls, Gateway
from holdpoint.console.confirm import Confirmations
from holdpoint.console.live import ChangeFeed
from holdpoint.console.oidc import Provider, is_protected
from holdpoint.console.pages import Templates
from holdpoint.console.sessions import ABSOLUTE, Flows, Sessions
from holdpoint.console.shield import Shield
from holdpoint.console.signing import Signing
from holdpoint.console.site import STATIC, Site
from holdpoint.console.streams import Streams
from holdpoint.domain.refusal import ConfigError
from holdpoint.settings import Console, Issuer, Reviewers
from holdpoint.tasks import spawn

CALLBACK = "/auth/callback"
"""Redirect path to register at the issuer, after the console's URL."""
MEDIA = {
    "console.css": "text/css",
    "live.js": "text/javascript",
    "keys.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def create_app(
    console: Console,
    issuer: Issuer,
    client: AdminCalls,
    *,
    http: httpx.AsyncClient,
    client_secret: str = "",
    reviewers: Reviewers = Reviewers(),  # noqa: B008  # immutable
    clock: Clock | None = None,
    signing: Signing = Signing(),  # noqa: B008  # immutable
) -> ASGIApp:
    """Return the console as an app. Parameters and errors are those of `create_site`."""
    site = create_site(
        console,
        issuer,
        client,
        http=http,
        client_secret=client_secret,
        reviewers=reviewers,
        clock=clock,
        signing=signing,
    )
    return app_of(site)


def create_site(
    console: Console,
    issuer: Issuer,
    client: AdminCalls,
    *,
    http: httpx.AsyncClient,
    client_secret: str = "",
    reviewers: Reviewers = Reviewers(),  # noqa: B008  # immutable
    clock: Clock | None = None,
    signing: Signing = Signing(),  # noqa: B008  # immutable
) -> Site:
    """Put the parts together. `reviewers`: as the gateway has it. The caller closes `http`.

    Raises ConfigError where the console's URL is not fit.
    """
    origin = _origin(console.url)
    time = clock or SystemClock()
    gateway = Gateway(client)
    feed = ChangeFeed(gateway)
    return Site(
        origin=origin,
        gateway=gateway,
        provider=Provider(
            issuer,
            client_id=console.client_id,
            client_secret=client_secret,
            redirect_uri=origin + CALLBACK,
            http=http,
            clock=time,
        ),
        sessions=Sessions(time, absolute=min(ABSOLUTE, reviewers.max_age)),
        flows=Flows(time),
        feed=feed,
        streams=Streams(feed),
        templates=Templates(),
        clock=time,
        signing=signing,
        confirmations=Confirmations(time),
        roles=reviewers.roles,
    )


def app_of(site: Site) -> ASGIApp:
    """Return the app that serves a site. Its lifespan runs the task that follows changes."""
    app = Starlette(
        routes=[
            Route("/", lists.pending),
            Route("/history", lists.history),
            Route("/requests/{id}", review.one),
            Route("/requests/{id}/full", review.full),
            Route("/requests/{id}/decide", review.decide, methods=["POST"]),
            *(
                Route(f"/requests/{{id}}/{name}", acts.handler(act), methods=["POST"])
                for name, act in acts.ACTS.items()
            ),
            Route("/requests/{id}/break-glass", glass.break_glass, methods=["POST"]),
            Route("/grants", grants.listed),
            Route("/grants/{id}/revoke", grants.revoke, methods=["POST"]),
            Route("/principals", principals.listed),
            Route("/principals/suspend", principals.suspend, methods=["POST"]),
            Route("/principals/resume", principals.resume, methods=["POST"]),
            Route("/sessions", recorded.listed),
            Route("/sessions/{id}", recorded.one),
            Route("/exchanges/{id}", recorded.of_exchange),
            Route("/events", events.events),
            Route("/changes", events.changes),
            Route("/badge", events.badge),
            Route("/login", login.start),
            Route(CALLBACK, login.callback),
            Route("/logout", login.logout, methods=["POST"]),
            Route("/goodbye", login.goodbye),
            Route(slack.PATH, slack.actions, methods=["POST"]),
            *(Route(f"/static/{name}", _file(name, media)) for name, media in MEDIA.items()),
        ],
        exception_handlers={HTTPException: _no_page, Exception: _fault},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.site = site
    return Shield(app, host=urlsplit(site.origin).netloc.encode(), https=site.https)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncGenerator[None]:
    site: Site = app.state.site
    task = spawn(site.feed.follow(), name="console: follow changes")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _no_page(request: Request, error: Exception) -> Response:
    site: Site = request.app.state.site
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = "there is no such page" if status == HTTPStatus.NOT_FOUND else "this page does not do that"
    return site.message("Not here", text, status=status)


async def _fault(request: Request, _error: Exception) -> Response:
    site: Site = request.app.state.site
    return site.message("Something went wrong", "the console's own log says what", status=500)


def _file(name: str, media: str) -> Callable[[Request], Awaitable[Response]]:
    content = (STATIC / name).read_bytes()

    async def serve(_request: Request) -> Response:
        return Response(content, media_type=media)

    return serve


def _origin(url: str) -> str:
    """Return the console's own origin, as browsers write it. Raises ConfigError."""
    parts = urlsplit(url)
    if not is_protected(url):
        raise ConfigError(f"console url `{url}` must be https, or http on loopback")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"console url `{url}` must be scheme, host and port alone")
    default = {"https": 443, "http": 80}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else str(parts.hostname)
    port = f":{parts.port}" if parts.port not in {None, default} else ""
    return f"{parts.scheme}://{host}{port}"
