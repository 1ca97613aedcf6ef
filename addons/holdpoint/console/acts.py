"""What else one does with a request: say why, take it back, look at it afterwards, have it tried again."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.paths import safe_next
from holdpoint.console.review import MOST_COMMENT, show
from holdpoint.console.site import Site
from holdpoint.console.troubles import SAYS, STATUS, checked, own_form, own_text, trouble_page
from holdpoint.domain.values import JsonValue

MOST_REASON = 500


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to do with a request."""

    method: str
    """Of the gateway."""
    field: str = ""
    """The text that goes with it; empty: none."""
    most: int = MOST_COMMENT
    required: bool = False


ACTS: Mapping[str, Act] = {
    "reason": Act("approvals.reason", "reason", MOST_REASON, required=True),
    "withdraw": Act("approvals.withdraw"),
    "review": Act("approvals.review", "comment", required=True),
    "try-again": Act("approvals.preview_again"),
}
"""By the last part of the address, and by the purpose of the form."""


def handler(act: Act) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers the form of an act."""

    async def handle(request: Request) -> Response:
        return await _do(request, act)

    return handle


async def _do(request: Request, act: Act) -> Response:
    site: Site = request.app.state.site
    approval_id: str = request.path_params["id"]
    here = safe_next(f"/requests/{approval_id}")
    purpose = f"{act.method} {approval_id}"
    taken = await own_form(request, purpose=purpose, here=here, draft=act.field)
    if isinstance(taken, Response):
        return taken
    session, form = taken
    text = own_text(form.get(act.field, "")) if act.field else ""
    notice = ""
    if act.required and not text:
        notice = "Nothing was written: nothing was sent"
    elif len(text) > act.most:
        notice = f"This is longer than {act.most} characters: nothing was sent"
    comment, reason = (text if act.field == name else "" for name in ("comment", "reason"))
    if notice:
        return await show(site, session, approval_id, status=400, notice=notice, comment=comment, reason=reason)
    params: dict[str, JsonValue] = {act.field: text} if act.field else {}
    try:
        await site.gateway.act(act.method, session.id_token, params | {"id": checked(approval_id)})
    except GatewayTrouble as trouble:
        if trouble.kind in {Trouble.LOGIN, Trouble.NOT_FOUND}:
            return trouble_page(site, session, trouble, then=here, comment=text)
        notice = f"{SAYS[trouble.kind]}: {trouble.message}"
        status = STATUS[trouble.kind]
        return await show(site, session, approval_id, status=status, notice=notice, comment=comment, reason=reason)
    return RedirectResponse(here, status_code=303)
