"""What was recorded, for auditors and admins: sessions, and what happened in each. The gateway notes every look."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.filters import MOST_TEXT, read_filters
from holdpoint.console.paths import APPROVAL_ID
from holdpoint.console.reading import actor_of, items, number, texts
from holdpoint.console.sessions import Session
from holdpoint.console.site import Site
from holdpoint.console.text import reveal
from holdpoint.console.troubles import STATUS, trouble_page
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text

PAGE = 50
ROWS = 200
"""Requests of a session on one page."""
MOST_START = 100_000
_KNOWN = ("held", "forwarded", "refused", "answered", "failed", "ended", "withheld", "unknown")


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session of a list."""

    id: str
    who: str
    actor: str
    target: str
    started: float
    ended: float
    requests: int
    refused: int


@dataclass(frozen=True, slots=True)
class LinkView:
    """A request that belongs to another, where it was recorded."""

    exchange: str
    session: str
    at: float
    what: str
    outcome: str


@dataclass(frozen=True, slots=True)
class RowView:
    """One request of a timeline."""

    id: str
    at: float
    action: str
    resource: str
    outcome: str
    rules: tuple[str, ...]
    refusal: str
    """What the caller was told, or what the upstream said to an upgrade."""
    masked: int
    upgrade: bool
    approval: str
    votes: tuple[tuple[str, str], ...]
    """Person and verdict."""
    resolution: str
    requests: tuple[LinkView, ...]
    call: LinkView | None


@dataclass(frozen=True, slots=True)
class Looked:
    """What is looked for. The names are those of the address."""

    principal: str = ""
    target: str = ""
    since: str = ""
    until: str = ""
    wrong: str = ""

    def __bool__(self) -> bool:
        """Tell whether anything is looked for."""
        return bool(self._named())

    def params(self) -> dict[str, JsonValue]:
        """Return the parameters of `sessions.list` beside limit and place. Times are Unix seconds."""
        found: dict[str, JsonValue] = {n: v for n, v in self._named().items() if n in {"principal", "target"}}
        if self.since:
            found["since"] = _day(self.since).timestamp()
        if self.until:
            found["until"] = (_day(self.until) + timedelta(days=1)).timestamp()
        return found

    def query(self, **changes: str) -> str:
        """Return the address of this search, or of one that differs a little."""
        wanted = {name: value for name, value in (self._named() | changes).items() if value}
        return "/sessions?" + urlencode(wanted) if wanted else "/sessions"

    def _named(self) -> dict[str, str]:
        named = {"principal": self.principal, "target": self.target, "since": self.since, "until": self.until}
        return {name: value for name, value in named.items() if value}


def looked(query: Mapping[str, str]) -> Looked:
    """Read what is looked for from an address. What cannot be read is left out, and said."""
    read = read_filters({name: query[name] for name in ("target", "since", "until") if name in query})
    principal, wrong = query.get("principal", "").strip(), read.wrong
    if len(principal) > MOST_TEXT:
        principal, told = "", f"`principal` is longer than {MOST_TEXT} characters"
        wrong = f"{wrong}; {told}" if wrong else told
    return Looked(principal, read.target, read.since, read.until, wrong)


async def listed(request: Request) -> Response:
    """List recorded sessions, newest first, by what the reader looks for."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    wanted = looked(request.query_params)
    before = request.query_params.get("before", "")
    before = before if APPROVAL_ID.fullmatch(before) else ""
    try:
        params = wanted.params() | {"limit": PAGE, **({"before": before} if before else {})}
        found = as_object(await site.gateway.act("sessions.list", session.id_token, params))
    except GatewayTrouble as trouble:
        return _trouble(site, session, trouble, then=wanted.query())
    views = [session_view(as_object(item)) for item in items(found.get("sessions"))]
    more = found.get("more") is True and bool(views)
    return site.page(
        "sessions.html",
        session,
        here="sessions",
        sessions=views,
        wanted=wanted,
        older=wanted.query(before=views[-1].id) if more else "",
        newest=wanted.query() if before else "",
        whole=found.get("whole") is not False,
        broken=int(number(found.get("broken"))),
    )


async def one(request: Request) -> Response:
    """Show what happened in one session, a page at a time."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    name: str = request.path_params["id"]
    start = request.query_params.get("start", "0")
    begin = min(int(start), MOST_START) if start.isascii() and start.isdigit() and len(start) <= 6 else 0  # noqa: PLR2004  # digits of the most
    try:
        params: JsonObject = {"id": _checked(name), "start": begin, "limit": ROWS}
        found = as_object(await site.gateway.act("sessions.show", session.id_token, params))
    except GatewayTrouble as trouble:
        return _trouble(site, session, trouble, then=f"/sessions/{name}")
    total = int(number(found.get("total")))
    folder, files = as_text(found.get("folder")), texts(found.get("files"))
    return site.page(
        "session.html",
        session,
        here="sessions",
        session=session_view(as_object(found.get("session"))),
        rows=[row_view(as_object(item)) for item in items(found.get("exchanges"))],
        start=begin,
        total=total,
        newer=f"/sessions/{name}?start={max(0, begin - ROWS)}" if begin else "",
        older=f"/sessions/{name}?start={begin + ROWS}" if begin + ROWS < total else "",
        terminals=int(number(found.get("terminals"))),
        files=files[:PAGE],
        files_left=max(0, len(files) - PAGE),
        command=mitmweb(folder, files[0]) if files else "",
        casts=shlex.join(["holdpoint", "sessions", "asciicast", name, "--folder", "casts"]),
        whole=found.get("whole") is not False,
        broken=int(number(found.get("broken"))),
    )


async def of_exchange(request: Request) -> Response:
    """Lead to the session in which a request was recorded."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    name: str = request.path_params["id"]
    try:
        params: JsonObject = {"exchange": _checked(name), "limit": 1}
        found = as_object(await site.gateway.act("sessions.show", session.id_token, params))
    except GatewayTrouble as trouble:
        if trouble.kind is Trouble.NOT_FOUND:
            text = "Nothing of this request is recorded in a session yet: it is, once it ends or goes out."
            return site.message("Not recorded", text, status=404, user=session)
        return _trouble(site, session, trouble, then=f"/exchanges/{name}")
    led = as_text(as_object(found.get("session")).get("id"))
    at = int(number(found.get("place"))) // ROWS * ROWS
    query = f"?start={at}" if at else ""
    if APPROVAL_ID.fullmatch(led) is None:
        return site.message("Not recorded", "There is no such session.", status=404, user=session)
    return RedirectResponse(f"/sessions/{led}{query}#{name}", status_code=303)


def session_view(wire: JsonObject) -> SessionView:
    """Read one session as far as a list shows it."""
    principal = as_object(wire.get("principal"))
    who = (as_text(principal.get(name)) for name in ("person", "name", "id"))
    name = as_text(wire.get("id"))
    return SessionView(
        id=name if APPROVAL_ID.fullmatch(name) else "",
        who=next(filter(None, who), "nobody known"),
        actor=actor_of(principal.get("actor")),
        target=as_text(wire.get("target")),
        started=number(wire.get("started")),
        ended=number(wire.get("ended")),
        requests=int(number(wire.get("requests"))),
        refused=int(number(wire.get("refused"))),
    )


def row_view(wire: JsonObject) -> RowView:
    """Read one request of a timeline."""
    approval = as_object(wire.get("approval"))
    votes = (as_object(vote) for vote in items(approval.get("votes")))
    call = as_object(wire.get("call"))
    return RowView(
        id=_id(wire.get("id")),
        at=number(wire.get("at")),
        action=as_text(wire.get("action")),
        resource=as_text(wire.get("resource")),
        outcome=_outcome(wire.get("outcome")),
        rules=texts(wire.get("rules")),
        refusal=as_text(wire.get("refusal")) or as_text(wire.get("declined")),
        masked=int(number(wire.get("masked"))),
        upgrade=wire.get("upgrade") is True,
        approval=_id(approval.get("id")),
        votes=tuple((as_text(v.get("person")) or "somebody", as_text(v.get("verdict"))) for v in votes),
        resolution=as_text(approval.get("resolution")),
        requests=tuple(_link(as_object(item)) for item in items(wire.get("requests"))),
        call=_link(call) if call else None,
    )


def mitmweb(folder: str, file: str) -> str:
    """Return the command that opens a flow file, for a shell. Names come from the log: quoted, and on one line."""
    path = str(PurePosixPath(folder) / file)
    return shlex.join(["mitmweb", "-n", "-s", "addons/viewer.py", "-r", reveal(path)])


def _link(wire: JsonObject) -> LinkView:
    what = " ".join(filter(None, (as_text(wire.get("action")), as_text(wire.get("resource")))))
    return LinkView(
        exchange=_id(wire.get("id")),
        session=_id(wire.get("session")),
        at=number(wire.get("at")),
        what=what,
        outcome=_outcome(wire.get("outcome")) if wire.get("outcome") else "",
    )


def _id(value: JsonValue) -> str:
    name = as_text(value)
    return name if APPROVAL_ID.fullmatch(name) else ""


def _outcome(value: JsonValue) -> str:
    name = as_text(value)
    return name if name in _KNOWN else "under way"


def _checked(name: str) -> str:
    if APPROVAL_ID.fullmatch(name) is None:
        raise GatewayTrouble(Trouble.NOT_FOUND, "there is no such recorded session")
    return name


def _trouble(site: Site, session: Session, trouble: GatewayTrouble, *, then: str) -> Response:
    if trouble.kind is Trouble.NOT_FOUND:
        return site.message("No such session", trouble.message, status=STATUS[trouble.kind], user=session)
    return trouble_page(site, session, trouble, then=then)


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
