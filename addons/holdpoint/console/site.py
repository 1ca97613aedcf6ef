"""What the handlers share: the parts of the console, its cookies, and who is asking."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from holdpoint.clock import Clock
from holdpoint.console.calls import Gateway
from holdpoint.console.live import ChangeFeed
from holdpoint.console.oidc import Provider
from holdpoint.console.pages import Templates
from holdpoint.console.paths import login_path, safe_next
from holdpoint.console.sessions import FLOW_TIME, Flows, NewSession, Session, Sessions
from holdpoint.console.signing import Signing
from holdpoint.console.streams import Streams
from holdpoint.settings import Roles

if TYPE_CHECKING:
    from holdpoint.console.confirm import Confirmations

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Site:
    """One running console."""

    origin: str
    """Scheme, host and port of the console's own URL."""
    gateway: Gateway
    provider: Provider
    sessions: Sessions
    flows: Flows
    feed: ChangeFeed
    streams: Streams
    templates: Templates
    clock: Clock
    signing: Signing
    confirmations: "Confirmations"
    roles: Roles

    @property
    def https(self) -> bool:
        """Whether reviewers' browsers speak TLS to it."""
        return self.origin.startswith("https:")

    def cookie(self, name: str) -> str:
        """Return a cookie's full name. The prefix binds it to this host and to TLS (RFC 6265bis, section 4.1.3.2)."""
        return f"__Host-holdpoint-{name}" if self.https else f"holdpoint-{name}"

    def session(self, request: Request, *, by_hand: bool | None = None) -> Session | None:
        """Return who is logged in. A page that refreshes itself (`auto`) keeps no session alive."""
        if by_hand is None:
            by_hand = "auto" not in request.query_params
        return self.sessions.find(request.cookies.get(self.cookie("session"), ""), by_hand=by_hand)

    def to_login(self, request: Request) -> Response:
        """Send somebody who is not logged in to the login, and back here afterwards."""
        query = request.url.query
        return RedirectResponse(login_path(request.url.path + (f"?{query}" if query else "")), status_code=303)

    def set_session(self, response: Response, new: NewSession) -> None:
        """Hand out the two cookies: one for reading, one that the browser sends from our own pages alone."""
        self._set(response, "session", new.session_cookie, strict=False)
        self._set(response, "decide", new.decide_cookie, strict=True)

    def set_browser(self, response: Response, cookie: str) -> None:
        """Hand out the cookie that ties a login to the browser that began it."""
        self._set(response, "login", cookie, strict=False, seconds=int(FLOW_TIME))

    def drop_cookies(self, response: Response, *names: str) -> None:
        """Take cookies back."""
        for name in names:
            response.delete_cookie(self.cookie(name), path="/", secure=self.https, httponly=True)

    def roles_of(self, session: Session) -> frozenset[str]:
        """Return what somebody is beside a reviewer, for what the pages offer. The gateway decides what it opens."""
        return self.roles.of(session.names)

    def page(self, name: str, user: Session | None, *, status: int = 200, **values: object) -> Response:
        """Return a page as this user sees it."""
        roles = self.roles_of(user) if user else frozenset[str]()
        common: Mapping[str, object] = {
            "user": user,
            "roles": roles,
            "here": "",
            "now": self.clock.now(),
            "version": self.feed.version,
            "connected": self.feed.connected,
        }
        return self.templates.page(name, status=status, **{**common, **values})

    def message(
        self,
        title: str,
        text: str,
        *,
        status: int,
        user: Session | None = None,
        link: str = "/",
        link_text: str = "Back to the list",
        comment: str = "",
    ) -> Response:
        """Return a page that says one thing."""
        values = {"title": title, "text": text, "link": link, "link_text": link_text, "comment": comment}
        return self.page("message.html", user, status=status, **values)

    def login_again(
        self, text: str, *, status: int, then: str, user: Session | None = None, comment: str = ""
    ) -> Response:
        """Return a page that asks for a new login. Never by redirect: that could run in a circle."""
        return self.message(
            "Log in again",
            text,
            status=status,
            user=user,
            link=login_path(safe_next(then)),
            link_text="Log in",
            comment=comment,
        )

    def _set(self, response: Response, name: str, value: str, *, strict: bool, seconds: int | None = None) -> None:
        response.set_cookie(
            self.cookie(name),
            value,
            max_age=seconds,
            path="/",
            secure=self.https,
            httponly=True,
            samesite="strict" if strict else "lax",
        )
