"""List, read and decide."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from holdpoint.console import confirm
from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.forms import BadForm, read_form
from holdpoint.console.paths import APPROVAL_ID, safe_next
from holdpoint.console.sessions import Session
from holdpoint.console.signing import Decision
from holdpoint.console.site import Site
from holdpoint.console.text import reveal
from holdpoint.console.view import STATES, request_view, standing

PAGE = 100
"""Requests on one page of a list."""
LONGEST_WAIT = 25.0
"""Seconds for which a page that asks for news is kept waiting: proxies cut at thirty."""
MOST_COMMENT = 2_000
STATUS: dict[Trouble, int] = {
    Trouble.LOGIN: 401,
    Trouble.NOT_ALLOWED: 403,
    Trouble.RESOLVED: 409,
    Trouble.CHANGED: 409,
    Trouble.NOT_FOUND: 404,
    Trouble.REFUSED: 409,
    Trouble.UNAVAILABLE: 503,
}
SAYS: dict[Trouble, str] = {
    Trouble.NOT_ALLOWED: "You may not decide this",
    Trouble.RESOLVED: "Your decision came too late",
    Trouble.CHANGED: "The request changed since you opened it: read it again before you decide",
    Trouble.REFUSED: "The gateway did not take your decision",
    Trouble.UNAVAILABLE: "Whether your decision arrived is not known: look at the votes before you try again",
}


async def pending(request: Request) -> Response:
    """List what waits for a decision."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    version = site.feed.version
    try:
        found = await site.gateway.list(session.id_token, states=("pending",), limit=PAGE)
    except GatewayTrouble as trouble:
        return _trouble(site, session, trouble, then="/")
    views = sorted((request_view(item) for item in found), key=lambda view: view.deadline)
    return site.page(
        "pending.html",
        session,
        here="pending",
        requests=views,
        more=len(found) >= PAGE,
        version=version,
        connected=site.feed.connected,
    )


async def history(request: Request) -> Response:
    """List what was asked, by state."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    asked = request.query_params.get("state", "")
    state = asked if asked in STATES else ""
    before = request.query_params.get("before", "")
    before = before if APPROVAL_ID.fullmatch(before) else ""
    states = (state,) if state else STATES
    try:
        found = await site.gateway.list(session.id_token, states=states, limit=PAGE, before=before)
    except GatewayTrouble as trouble:
        return _trouble(site, session, trouble, then="/history")
    views = [request_view(item) for item in found]
    older = views[-1].id if len(views) >= PAGE else ""
    return site.page("history.html", session, here="history", requests=views, state=state, states=STATES, older=older)


async def one(request: Request) -> Response:
    """Show one request."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    return await _show(site, session, request.path_params["id"])


async def full(request: Request) -> Response:
    """Give the whole of what is read as plain text."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    try:
        wire = await site.gateway.get(session.id_token, _checked(request.path_params["id"]))
    except GatewayTrouble as trouble:
        return _trouble(site, session, trouble, then="/")
    text = await run_in_threadpool(lambda: reveal(request_view(wire).whole, lines=True))
    return PlainTextResponse(text + "\n")


async def decide(request: Request) -> Response:
    """Pass a reviewer's decision on what they read to the gateway, which alone decides what it is worth."""
    site: Site = request.app.state.site
    approval_id: str = request.path_params["id"]
    here = safe_next(f"/requests/{approval_id}")
    session = site.session(request)
    try:
        form = await read_form(request, origin=site.origin)
    except BadForm as bad:
        return site.message("Not taken", str(bad), status=bad.status, user=session)
    comment = form.get("comment", "").replace("\r\n", "\n").strip()
    if session is None:
        # NOTE: a page, not a redirect: `form-action` holds for every redirect after a form, and so would stop it.
        text = "Your session is over, and your decision was not sent."
        return site.login_again(text, status=401, then=here, comment=comment)
    allowed = session.allows(
        purpose=f"decide {approval_id}",
        form_token=form.get("token", ""),
        decide_cookie=request.cookies.get(site.cookie("decide"), ""),
    )
    if not allowed:
        text = "This form is not of your session: open the request again."
        return site.message("Not taken", text, status=403, user=session, link=here, link_text="Open the request")
    verdict, expect = form.get("verdict", ""), form.get("expect", "")
    if verdict not in {"approve", "deny"} or not expect:
        return site.message("Not taken", "the form says neither yes nor no", status=400, user=session, link=here)
    if len(comment) > MOST_COMMENT:
        notice = f"Your comment is longer than {MOST_COMMENT} characters"
        return await _show(site, session, approval_id, status=400, notice=notice, comment=comment)
    try:
        decision = Decision(_checked(approval_id), verdict, comment, expect, form.get("preview", ""))
        first = await confirm.decide(site, request, session, decision)
    except GatewayTrouble as trouble:
        if trouble.kind in {Trouble.LOGIN, Trouble.NOT_FOUND}:
            return _trouble(site, session, trouble, then=here, comment=comment)
        notice = f"{SAYS[trouble.kind]}: {trouble.message}"
        return await _show(site, session, approval_id, status=STATUS[trouble.kind], notice=notice, comment=comment)
    return first or RedirectResponse(here, status_code=303)


async def changes(request: Request) -> Response:
    """Answer as soon as pages should be read again, or after a while."""
    site: Site = request.app.state.site
    if site.session(request, by_hand=False) is None:
        return JSONResponse({"error": "not logged in"}, status_code=401)
    version = await site.feed.wait(request.query_params.get("since", ""), timeout=LONGEST_WAIT)
    return JSONResponse({"version": version})


async def _show(
    site: Site, session: Session, approval_id: str, *, status: int = 200, notice: str = "", comment: str = ""
) -> Response:
    version = site.feed.version
    try:
        wire = await site.gateway.get(session.id_token, _checked(approval_id))
    except GatewayTrouble as trouble:
        return _trouble(site, session, trouble, then=f"/requests/{approval_id}", comment=comment, notice=notice)
    view = request_view(wire)
    return site.page(
        "request.html",
        session,
        status=status,
        request=view,
        standing=standing(view, session),
        notice=notice,
        comment=comment,
        version=version,
        connected=site.feed.connected,
    )


def _checked(approval_id: str) -> str:
    if APPROVAL_ID.fullmatch(approval_id) is None:
        raise GatewayTrouble(Trouble.NOT_FOUND, "there is no such request")
    return approval_id


def _trouble(
    site: Site, session: Session, trouble: GatewayTrouble, *, then: str, comment: str = "", notice: str = ""
) -> Response:
    status = STATUS[trouble.kind]
    told = ". ".join(filter(None, (notice, trouble.message)))
    match trouble.kind:
        case Trouble.LOGIN:
            text = f"The gateway does not take your login any more: {told}."
            return site.login_again(text, status=status, then=then, user=session, comment=comment)
        case Trouble.NOT_FOUND:
            return site.message("No such request", told, status=status, user=session, comment=comment)
        case Trouble.UNAVAILABLE:
            title = "The gateway does not answer"
            return site.message(
                title, told, status=status, user=session, link=safe_next(then), link_text="Try again", comment=comment
            )
        case _:
            return site.message("Refused", told, status=status, user=session, comment=comment)
