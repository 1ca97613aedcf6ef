"""Log in and out."""

import logging

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from holdpoint.console import confirm
from holdpoint.console.forms import BadForm, read_form
from holdpoint.console.id_token import LoginRefused
from holdpoint.console.paths import safe_next
from holdpoint.console.site import Site
from holdpoint.visible_text import spelled_out

logger = logging.getLogger(__name__)


async def start(request: Request) -> Response:
    """Send the browser to the issuer. It changes nothing but a bounded list of logins under way."""
    site: Site = request.app.state.site
    new = site.flows.begin(
        browser_cookie=request.cookies.get(site.cookie("login"), ""),
        then=safe_next(request.query_params.get("next", "/")),
    )
    try:
        url = await site.provider.login_url(new)
    except LoginRefused as refused:
        return _failed(site, str(refused), then=new.flow.next, status=503)
    response = RedirectResponse(url, status_code=303)
    site.set_browser(response, new.browser_cookie)
    return response


async def callback(request: Request) -> Response:
    """Take the issuer's answer, and open a session under a new name."""
    site: Site = request.app.state.site
    query = request.query_params
    if query.get("state", "").startswith(confirm.PREFIX):
        return await confirm.callback(request)
    flow = site.flows.take(state=query.get("state", ""), browser_cookie=request.cookies.get(site.cookie("login"), ""))
    if flow is None:
        return _failed(site, "this login took too long, or another browser began it", then="/", status=400)
    try:
        await site.provider.check_answer(iss=query.get("iss"), error=query.get("error", ""))
        login = await site.provider.redeem(query.get("code", ""), verifier=flow.verifier, nonce=flow.nonce)
    except LoginRefused as refused:
        return _failed(site, str(refused), then=flow.next, status=403)
    # A session of before the login is over, whoever made it: no name outlives a change of who is logged in.
    site.sessions.close(request.cookies.get(site.cookie("session"), ""))
    response = RedirectResponse(flow.next, status_code=303)
    site.set_session(response, site.sessions.open(login))
    logger.info("login of `%s`", spelled_out(login.person or login.name))
    return response


async def logout(request: Request) -> Response:
    """End a session."""
    site: Site = request.app.state.site
    session = site.session(request)
    try:
        form = await read_form(request, origin=site.origin)
    except BadForm as bad:
        return site.message("Not taken", str(bad), status=bad.status, user=session)
    if session is not None:
        decide_cookie = request.cookies.get(site.cookie("decide"), "")
        if not session.allows(purpose="logout", form_token=form.get("token", ""), decide_cookie=decide_cookie):
            return site.message("Not taken", "this form is not of your session", status=403, user=session)
        site.sessions.close(request.cookies.get(site.cookie("session"), ""))
        site.streams.end(session.decide_key)
    response = RedirectResponse("/goodbye", status_code=303)
    site.drop_cookies(response, "session", "decide", "login")
    return response


async def goodbye(request: Request) -> Response:
    """Say that the session is over, without beginning another."""
    site: Site = request.app.state.site
    return site.message("Logged out", "your session here is over", status=200, link="/login", link_text="Log in")


def _failed(site: Site, text: str, *, then: str, status: int) -> Response:
    # Anybody can write the address of an answer: no line of theirs gets into the log.
    logger.warning("a login failed: %s", spelled_out(text))
    return site.login_again(f"The login failed: {text}.", status=status, then=then)
