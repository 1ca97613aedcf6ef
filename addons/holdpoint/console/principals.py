"""Who is turned away whatever policy says: for admins."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.reading import DAY, HOUR, number
from holdpoint.console.sessions import Session
from holdpoint.console.site import Site
from holdpoint.console.troubles import SAYS, STATUS, own_form, trouble_page
from holdpoint.domain.values import JsonObject, JsonValue, as_text

MOST_REASON, MOST_WHO = 200, 500
HERE = "/principals"
TIMES: dict[str, tuple[str, int]] = {
    "1h": ("for 1 hour", HOUR),
    "8h": ("for 8 hours", 8 * HOUR),
    "1d": ("for 1 day", DAY),
    "7d": ("for 7 days", 7 * DAY),
    "": ("until somebody lets them in again", 0),
}
"""What the form offers, with its words and seconds; 0: no end."""


@dataclass(frozen=True, slots=True)
class SuspensionView:
    """Somebody who is turned away."""

    who: str
    reason: str
    by: str
    at: float
    until: float
    """Unix seconds; 0: until somebody lets them in again."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed, to come back where it was not taken."""

    who: str = ""
    reason: str = ""
    time: str = "8h"


def suspension_view(wire: JsonObject) -> SuspensionView:
    """Read one suspension."""
    return SuspensionView(
        who=as_text(wire.get("who")),
        reason=as_text(wire.get("reason")),
        by=as_text(wire.get("by")) or as_text(wire.get("by_whom")),
        at=number(wire.get("at")),
        until=number(wire.get("until")),
    )


async def listed(request: Request) -> Response:
    """List who is suspended, with a form to suspend somebody else."""
    site: Site = request.app.state.site
    session = site.session(request)
    if session is None:
        return site.to_login(request)
    return await _show(site, session, Draft(who=request.query_params.get("who", "")[:MOST_WHO]))


async def suspend(request: Request) -> Response:
    """Turn somebody away, and end what they have open."""
    site: Site = request.app.state.site
    taken = await own_form(request, purpose="suspend", here=HERE, draft="reason")
    if isinstance(taken, Response):
        return taken
    session, form = taken
    draft = Draft(form.get("who", "").strip(), " ".join(form.get("reason", "").split()), form.get("time", ""))
    if not draft.who or not draft.reason or draft.time not in TIMES:
        return await _show(site, session, draft, status=400, notice="Say who, why and for how long: nothing was done")
    if len(draft.who) > MOST_WHO or len(draft.reason) > MOST_REASON:
        return await _show(site, session, draft, status=400, notice="This is too long: nothing was done")
    params: dict[str, JsonValue] = {"who": draft.who, "reason": draft.reason}
    if seconds := TIMES[draft.time][1]:
        params["for"] = seconds
    return await _act(site, session, "principals.suspend", params, draft)


async def resume(request: Request) -> Response:
    """Let somebody in again."""
    site: Site = request.app.state.site
    taken = await own_form(request, purpose="resume", here=HERE)
    if isinstance(taken, Response):
        return taken
    session, form = taken
    who = form.get("who", "")
    if not who:
        return await _show(site, session, Draft(), status=400, notice="Say who: nothing was done")
    return await _act(site, session, "principals.resume", {"who": who}, Draft())


async def _act(site: Site, session: Session, method: str, params: JsonObject, draft: Draft) -> Response:
    try:
        await site.gateway.act(method, session.id_token, params)
    except GatewayTrouble as trouble:
        if trouble.kind is Trouble.LOGIN:
            return trouble_page(site, session, trouble, then=HERE, comment=draft.reason)
        notice = f"{SAYS[trouble.kind]}: {trouble.message}"
        return await _show(site, session, draft, status=STATUS[trouble.kind], notice=notice)
    return RedirectResponse(HERE, status_code=303)


async def _show(site: Site, session: Session, draft: Draft, *, status: int = 200, notice: str = "") -> Response:
    version = site.feed.version
    try:
        found = await site.gateway.listed("principals.list", session.id_token, {}, "suspensions")
    except GatewayTrouble as trouble:
        return trouble_page(site, session, trouble, then=HERE, notice=notice, comment=draft.reason)
    views = sorted((suspension_view(item) for item in found), key=lambda item: -item.at)
    return site.page(
        "principals.html",
        session,
        status=status,
        here="principals",
        suspended=views,
        times={name: words for name, (words, _) in TIMES.items()},
        draft=draft,
        notice=notice,
        version=version,
    )
