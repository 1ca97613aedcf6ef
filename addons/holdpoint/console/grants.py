"""What approvals opened: one's own grants, those that one reviews, all of them for auditors, and their end."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.paths import APPROVAL_ID
from holdpoint.console.reading import number
from holdpoint.console.sessions import Session
from holdpoint.console.site import Site
from holdpoint.console.troubles import SAYS, STATUS, checked, own_form, trouble_page
from holdpoint.domain.values import JsonObject, JsonValue, as_text

MOST_REASON = 200
PAGE = 200


@dataclass(frozen=True, slots=True)
class GrantView:
    """One grant."""

    id: str
    approval: str
    principal: str
    person: str
    target: str
    opens: str
    scope: str
    state: str
    created_at: float
    expires_at: float
    uses: int
    ended_why: str

    @property
    def is_active(self) -> bool:
        """Whether it still opens something."""
        return self.state == "active"


def grant_view(wire: JsonObject) -> GrantView:
    """Read one grant."""
    approval = as_text(wire.get("approval"))
    return GrantView(
        id=as_text(wire.get("id")),
        approval=approval if APPROVAL_ID.fullmatch(approval) else "",
        principal=as_text(wire.get("principal")),
        person=as_text(wire.get("person")),
        target=as_text(wire.get("target")),
        opens=as_text(wire.get("opens")),
        scope=as_text(wire.get("scope")),
        state=as_text(wire.get("state")) or "unknown",
        created_at=number(wire.get("created_at")),
        expires_at=number(wire.get("expires_at")),
        uses=int(number(wire.get("uses"))),
        ended_why=as_text(wire.get("ended_why")),
    )


async def listed(request: Request) -> Response:
    """List grants: one's own unless `whose=all`, those in force unless `state=all`."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    query = request.query_params
    return await _show(site, session, everybody=query.get("whose") == "all", ended=query.get("state") == "all")


async def revoke(request: Request) -> Response:
    """End a grant, and what is open under it."""
    site: Site = request.app.state.site
    grant_id: str = request.path_params["id"]
    taken = await own_form(request, purpose=f"revoke {grant_id}", here="/grants", draft="reason")
    if isinstance(taken, Response):
        return taken
    session, form = taken
    reason, everybody = " ".join(form.get("reason", "").split()), form.get("whose") == "all"
    if not reason or len(reason) > MOST_REASON:
        notice = f"Say why in at most {MOST_REASON} characters: nothing was revoked"
        return await _show(site, session, everybody=everybody, status=400, notice=notice)
    try:
        await site.gateway.act("grants.revoke", session.id_token, {"id": checked(grant_id), "reason": reason})
    except GatewayTrouble as trouble:
        if trouble.kind is Trouble.LOGIN:
            return trouble_page(site, session, trouble, then="/grants", comment=reason)
        notice = f"{SAYS[trouble.kind]}: {trouble.message}"
        return await _show(site, session, everybody=everybody, status=STATUS[trouble.kind], notice=notice)
    return RedirectResponse("/grants?whose=all" if everybody else "/grants", status_code=303)


async def _show(
    site: Site, session: Session, *, everybody: bool, ended: bool = False, status: int = 200, notice: str = ""
) -> Response:
    wanted: dict[str, JsonValue] = {"mine": not everybody, "state": "all" if ended else "active"}
    version = site.feed.version
    try:
        found = await site.gateway.listed("grants.list", session.id_token, wanted, "grants")
    except GatewayTrouble as trouble:
        return trouble_page(site, session, trouble, then="/grants", notice=notice)
    views = sorted((grant_view(item) for item in found), key=lambda grant: (not grant.is_active, -grant.created_at))
    return site.page(
        "grants.html",
        session,
        status=status,
        here="grants",
        grants=views[:PAGE],
        hidden=max(0, len(views) - PAGE),
        everybody=everybody,
        ended=ended,
        notice=notice,
        version=version,
    )
