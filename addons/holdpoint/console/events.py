"""Pages stay up to date: one open stream of events each (HTML Living Standard, section 9.2, server-sent events).

What goes out is that something changed, never what: each page then reads what its own reader may see.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from holdpoint.console.calls import GatewayTrouble
from holdpoint.console.items import item_view, sort_out
from holdpoint.console.site import Site
from holdpoint.console.streams import tell

MOST_COUNTED = 100


async def events(request: Request) -> Response:
    """Tell a page when to look again, until its session ends. `since` or `Last-Event-ID` is what it shows now."""
    site: Site = request.app.state.site
    session = site.session(request, by_hand=False)
    if session is None:
        return JSONResponse({"error": "not logged in"}, status_code=401)
    stream = site.streams.open(session.decide_key)
    if stream is None:
        return JSONResponse({"error": "too many open pages"}, status_code=503)
    cookie = request.cookies.get(site.cookie("session"), "")
    seen = request.headers.get("last-event-id") or request.query_params.get("since", "")
    told = tell(site.feed, site.sessions, site.streams, stream, cookie=cookie, seen=seen)
    return StreamingResponse(told, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def changes(request: Request) -> Response:
    """Say at once which version pages show now: for browsers without a stream, which ask again and again."""
    site: Site = request.app.state.site
    if site.session(request, by_hand=False) is None:
        return JSONResponse({"error": "not logged in"}, status_code=401)
    return JSONResponse({"version": site.feed.version})


async def badge(request: Request) -> Response:
    """Say how many requests need somebody's decision."""
    site: Site = request.app.state.site
    session = site.session(request, by_hand=False)
    if session is None:
        return JSONResponse({"error": "not logged in"}, status_code=401)
    try:
        found = await site.gateway.list(session.id_token, states=("pending",), limit=MOST_COUNTED)
    except GatewayTrouble:
        return JSONResponse({"error": "the gateway does not answer"}, status_code=503)
    waiting = sort_out([item_view(item) for item in found], session, sees_all=bool(site.roles_of(session))).needs_me
    return JSONResponse({"waiting": len(waiting), "more": len(found) >= MOST_COUNTED})
