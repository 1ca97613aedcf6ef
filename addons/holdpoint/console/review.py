"""Read a request, and decide it."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from holdpoint.console import confirm
from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.paths import safe_next
from holdpoint.console.sessions import Session
from holdpoint.console.signing import Decision
from holdpoint.console.site import Site
from holdpoint.console.standing import standing
from holdpoint.console.text import reveal
from holdpoint.console.troubles import STATUS, checked, own_form, own_text, trouble_page
from holdpoint.console.view import request_view

MOST_COMMENT = 2_000
SAYS: dict[Trouble, str] = {
    Trouble.NOT_ALLOWED: "You may not decide this",
    Trouble.RESOLVED: "Your decision came too late",
    Trouble.CHANGED: "The request changed since you opened it: read it again before you decide",
    Trouble.REFUSED: "The gateway did not take your decision",
    Trouble.UNAVAILABLE: "Whether your decision arrived is not known: look at the votes before you try again",
}


async def one(request: Request) -> Response:
    """Show one request."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    return await show(site, session, request.path_params["id"])


async def full(request: Request) -> Response:
    """Give the whole of what is read as plain text."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    try:
        wire = await site.gateway.get(session.id_token, checked(request.path_params["id"]))
    except GatewayTrouble as trouble:
        return trouble_page(site, session, trouble, then="/")
    text = await run_in_threadpool(lambda: reveal(request_view(wire).whole, lines=True))
    return PlainTextResponse(text + "\n")


async def decide(request: Request) -> Response:
    """Pass a reviewer's decision on what they read to the gateway, which alone decides what it is worth."""
    site: Site = request.app.state.site
    approval_id: str = request.path_params["id"]
    here = safe_next(f"/requests/{approval_id}")
    taken = await own_form(request, purpose=f"decide {approval_id}", here=here, draft="comment")
    if isinstance(taken, Response):
        return taken
    session, form = taken
    comment = own_text(form.get("comment", ""))
    verdict, expect = form.get("verdict", ""), form.get("expect", "")
    if verdict not in {"approve", "deny"} or not expect:
        return site.message("Not taken", "the form says neither yes nor no", status=400, user=session, link=here)
    if len(comment) > MOST_COMMENT:
        notice = f"Your comment is longer than {MOST_COMMENT} characters"
        return await show(site, session, approval_id, status=400, notice=notice, comment=comment)
    try:
        decision = Decision(checked(approval_id), verdict, comment, expect, form.get("preview", ""))
        first = await confirm.decide(site, request, session, decision)
    except GatewayTrouble as trouble:
        if trouble.kind in {Trouble.LOGIN, Trouble.NOT_FOUND}:
            return trouble_page(site, session, trouble, then=here, comment=comment)
        notice = f"{SAYS[trouble.kind]}: {trouble.message}"
        return await show(site, session, approval_id, status=STATUS[trouble.kind], notice=notice, comment=comment)
    return first or RedirectResponse(here, status_code=303)


async def show(
    site: Site,
    session: Session,
    approval_id: str,
    *,
    status: int = 200,
    notice: str = "",
    comment: str = "",
    reason: str = "",
) -> Response:
    """Show one request as it stands. `notice` says what went wrong; what was typed for it comes back."""
    version = site.feed.version
    try:
        wire = await site.gateway.get(session.id_token, checked(approval_id))
    except GatewayTrouble as trouble:
        then = f"/requests/{approval_id}"
        return trouble_page(site, session, trouble, then=then, comment=comment or reason, notice=notice)

    def page() -> Response:
        view = request_view(wire)
        return site.page(
            "request.html",
            session,
            status=status,
            request=view,
            standing=standing(view, session),
            notice=notice,
            comment=comment,
            reason=reason,
            version=version,
        )

    # What requesters and targets wrote may take a second to be made safe to read: nobody else waits for it.
    return await run_in_threadpool(page)
