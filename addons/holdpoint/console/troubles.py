"""What a page says when the gateway said no, or nothing."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.forms import BadForm, read_form
from holdpoint.console.paths import APPROVAL_ID, safe_next
from holdpoint.console.sessions import Session
from holdpoint.console.site import Site

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
    Trouble.NOT_ALLOWED: "You may not do this",
    Trouble.RESOLVED: "This came too late",
    Trouble.CHANGED: "It changed since you opened it: read it again",
    Trouble.NOT_FOUND: "It is not there any more",
    Trouble.REFUSED: "The gateway did not take it",
    Trouble.UNAVAILABLE: "Whether it arrived is not known: look before you try again",
}


def checked(approval_id: str) -> str:
    """Return an id that can be one. Raises GatewayTrouble."""
    if APPROVAL_ID.fullmatch(approval_id) is None:
        raise GatewayTrouble(Trouble.NOT_FOUND, "there is no such request")
    return approval_id


def trouble_page(
    site: Site, session: Session, trouble: GatewayTrouble, *, then: str, comment: str = "", notice: str = ""
) -> Response:
    """Return a page that says what went wrong and what to do about it. `then`: own path to come back to."""
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


def own_text(text: str) -> str:
    """Return what somebody typed, with the line ends that JSON has."""
    return text.replace("\r\n", "\n").strip()


async def own_form(
    request: Request, *, purpose: str, here: str, draft: str = ""
) -> tuple[Session, Mapping[str, str]] | Response:
    """Return who sends a form of their own session and its fields, or the page that says why it is not taken.

    `purpose` is what the form is for, `draft` the field whose text the page gives back.
    """
    site: Site = request.app.state.site
    session = site.session(request)
    try:
        form = await read_form(request, origin=site.origin)
    except BadForm as bad:
        return site.message("Not taken", str(bad), status=bad.status, user=session)
    if session is None:
        # NOTE: a page, not a redirect: `form-action` holds for every redirect after a form, and so would stop it.
        text = "Your session is over, and what you sent was not taken: your decision was not sent."
        return site.login_again(text, status=401, then=here, comment=own_text(form.get(draft, "")))
    decide_cookie = request.cookies.get(site.cookie("decide"), "")
    if not session.allows(purpose=purpose, form_token=form.get("token", ""), decide_cookie=decide_cookie):
        text = "This form is not of your session: open the page again."
        return site.message("Not taken", text, status=403, user=session, link=here, link_text="Open it again")
    return session, form
