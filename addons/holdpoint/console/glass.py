"""Break the glass: open what one asked for at once, without reviewers, where every rule lets one. In two steps."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.paths import safe_next
from holdpoint.console.review import show
from holdpoint.console.site import Site
from holdpoint.console.troubles import SAYS, STATUS, checked, own_form, own_text, trouble_page
from holdpoint.console.view import request_view

LEAST_REASON, MOST_REASON = 10, 500


async def break_glass(request: Request) -> Response:
    """Ask once more what it means, and then, where the form says so, do it."""
    site: Site = request.app.state.site
    approval_id: str = request.path_params["id"]
    here = safe_next(f"/requests/{approval_id}")
    taken = await own_form(request, purpose=f"break {approval_id}", here=here, draft="reason")
    if isinstance(taken, Response):
        return taken
    session, form = taken
    reason, expect, preview = own_text(form.get("reason", "")), form.get("expect", ""), form.get("preview", "")
    if not LEAST_REASON <= len(reason) <= MOST_REASON or not expect:
        notice = f"Say why in {LEAST_REASON} to {MOST_REASON} characters: the glass is whole"
        return await show(site, session, approval_id, status=400, notice=notice, reason=reason)
    try:
        if form.get("sure") != "yes":
            view = request_view(await site.gateway.get(session.id_token, checked(approval_id)))
            if (view.intent, view.preview) == (expect, preview):
                return site.page("glass.html", session, request=view, reason=reason)
            notice = f"{SAYS[Trouble.CHANGED]}: nothing was sent"
            return await show(site, session, approval_id, status=409, notice=notice, reason=reason)
        params = {"id": checked(approval_id), "reason": reason, "expect": expect, "preview": preview}
        await site.gateway.act("approvals.break_glass", session.id_token, params)
    except GatewayTrouble as trouble:
        if trouble.kind in {Trouble.LOGIN, Trouble.NOT_FOUND}:
            return trouble_page(site, session, trouble, then=here, comment=reason)
        notice = f"{SAYS[trouble.kind]}: {trouble.message}"
        return await show(site, session, approval_id, status=STATUS[trouble.kind], notice=notice, reason=reason)
    return RedirectResponse(here, status_code=303)
