"""What waits, and what was."""

from starlette.requests import Request
from starlette.responses import Response

from holdpoint.console.calls import GatewayTrouble
from holdpoint.console.filters import read_filters
from holdpoint.console.items import item_view, sort_out
from holdpoint.console.paths import APPROVAL_ID
from holdpoint.console.site import Site
from holdpoint.console.troubles import trouble_page
from holdpoint.console.view import STATES

PAGE = 100
"""Requests on one page of a list."""
MOST_PENDING = 500
"""Pending requests that are looked at: the gateway's longest page."""


async def pending(request: Request) -> Response:
    """List what waits: first what needs this person, then what they asked for, then all else they may see."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    version = site.feed.version
    try:
        found = await site.gateway.list(session.id_token, states=("pending",), limit=MOST_PENDING)
    except GatewayTrouble as trouble:
        return trouble_page(site, session, trouble, then="/")
    sorted_out = sort_out([item_view(item) for item in found], session, sees_all=bool(site.roles_of(session)))
    return site.page(
        "pending.html",
        session,
        here="pending",
        groups=(
            ("needs-me", "Needs you", sorted_out.needs_me),
            ("mine", "You asked", sorted_out.mine),
            ("others", "Waits for others", sorted_out.others),
        ),
        waiting=len(sorted_out.needs_me),
        total=len(found),
        most=PAGE,
        more=len(found) >= MOST_PENDING,
        version=version,
    )


async def history(request: Request) -> Response:
    """List what was asked, by what the reader looks for."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    wanted = read_filters(request.query_params)
    before = request.query_params.get("before", "")
    before = before if APPROVAL_ID.fullmatch(before) else ""
    states = (wanted.state,) if wanted.state else STATES
    try:
        found = await site.gateway.list(
            session.id_token, states=states, limit=PAGE, before=before, filters=wanted.params(session.person)
        )
    except GatewayTrouble as trouble:
        return trouble_page(site, session, trouble, then="/history")
    views = [item_view(item) for item in found]
    older = wanted.query(before=views[-1].id) if len(views) >= PAGE else ""
    return site.page(
        "history.html",
        session,
        here="history",
        requests=views,
        wanted=wanted,
        states=STATES,
        older=older,
        newest=wanted.query() if before else "",
        is_first=not before,
    )
