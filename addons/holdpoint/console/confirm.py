"""Have a reviewer's own issuer vouch for one decision: an ID token whose nonce is the decision's digest.

NOTE: a page with a link, and not a redirect: `form-action` holds for every redirect after a form, and so would stop it.
The link is followed by itself (`refresh`), with scripts off as well.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from holdpoint.clock import Clock
from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.id_token import LoginRefused
from holdpoint.console.paths import safe_next
from holdpoint.console.sessions import Flow, NewFlow, Session
from holdpoint.console.signing import Decision, statement_of, subject_of
from holdpoint.console.site import Site
from holdpoint.domain.statement import Statement
from holdpoint.domain.values import JsonObject, as_text

WITHIN = 300.0
"""Seconds for which a decision waits for its confirmation; the gateway takes no older one."""
PREFIX = "confirm."
"""How `state` begins on the way to the issuer and back: the callback is the one of logins."""
MOST = 2_000
MOST_EACH = 8
"""Decisions of one session that wait at once: of more, the oldest is dropped."""
NOTHING_SENT = "Nothing was sent"
_STALE = "the preview changed since you opened it"
_UNREAD = "the page does not say what was read of it: open the request again"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A decision that waits for its reviewer's issuer."""

    session: str
    """Hash of the session's cookie: another browser, or another login, confirms nothing."""
    decision: Decision
    statement: Statement
    verifier: str
    """PKCE code verifier (RFC 7636)."""
    began: float
    """Monotonic seconds."""


class Confirmations:
    """Decisions under way at the issuer, each good once and for five minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()

    def begin(self, session_cookie: str, decision: Decision, statement: Statement) -> tuple[str, Waiting]:
        """Keep a decision. Returns the `state` by which it is found again."""
        self._sweep()
        mine = [key for key, w in self._waiting.items() if w.session == _key(session_cookie)]
        for key in mine[: max(0, len(mine) - MOST_EACH + 1)]:
            del self._waiting[key]
        while len(self._waiting) >= MOST:
            self._waiting.popitem(last=False)
        state = PREFIX + secrets.token_urlsafe(32)
        waiting = Waiting(_key(session_cookie), decision, statement, secrets.token_urlsafe(48), self._clock.monotonic())
        self._waiting[_key(state)] = waiting
        return state, waiting

    def take(self, *, state: str, session_cookie: str) -> Waiting | None:
        """Return a decision and forget it, if this session began it and it is not too old."""
        self._sweep()
        waiting = self._waiting.get(_key(state))
        if waiting is None or not hmac.compare_digest(waiting.session, _key(session_cookie)):
            return None
        del self._waiting[_key(state)]
        return waiting

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        while self._waiting and next(iter(self._waiting.values())).began + WITHIN <= now:
            self._waiting.popitem(last=False)


async def decide(site: Site, request: Request, session: Session, decision: Decision) -> Response | None:
    """Send a decision to the gateway, or return the page that leads to the issuer first. Raises GatewayTrouble."""
    statement = statement_of(decision, session, issuer=site.provider.issuer_url, clock=site.clock)
    if decision.verdict == "approve":
        wire = await site.gateway.get(session.id_token, decision.approval_id)
        if wire.get("needs_confirm") is True or site.signing.confirms_all():
            _check(wire, decision)
            return await _lead_there(site, request, session, decision, statement)
    # What was read has no digest in the pages of earlier versions: then there is nothing to sign.
    await _send(site, session, decision, site.signing.evidence(statement) if decision.preview else {})
    return None


async def callback(request: Request) -> Response:
    """Take the issuer's answer, and send the decision with what the issuer signed."""
    site: Site = request.app.state.site
    query, session = request.query_params, site.session(request)
    cookie = request.cookies.get(site.cookie("session"), "")
    waiting = site.confirmations.take(state=query.get("state", ""), session_cookie=cookie)
    if waiting is None or session is None:
        text = "this confirmation took too long, was used before, or was begun in another browser or session"
        return site.message(NOTHING_SENT, text, status=400, user=session)
    try:
        await site.provider.check_answer(iss=query.get("iss"), error=query.get("error", ""))
        login = await site.provider.redeem(
            query.get("code", ""), verifier=waiting.verifier, nonce=waiting.statement.digest, confirms=True
        )
    except LoginRefused as refused:
        return _not_sent(site, session, waiting, f"The decision was not confirmed: {refused}.", status=403)
    if subject_of(login.id_token) != waiting.statement.subject:
        who = login.person or login.name
        text = f"It was confirmed by somebody else ({who}) than is logged in here ({session.person})."
        return _not_sent(site, session, waiting, text, status=403)
    evidence = site.signing.evidence(waiting.statement) | {"confirm_token": login.id_token}
    try:
        await _send(site, session, waiting.decision, evidence)
    except GatewayTrouble as trouble:
        if trouble.kind is Trouble.UNAVAILABLE:
            text = f"Whether your decision arrived is not known: {trouble.message}. Look at the votes first."
            return _told(site, session, waiting, "The gateway does not answer", text, status=503)
        text = f"The gateway did not take your decision: {trouble.message}."
        return _told(site, session, waiting, "Not taken", text, status=_STATUS.get(trouble.kind, 409))
    return RedirectResponse(_page(waiting.decision), status_code=303)


_STATUS: Mapping[Trouble, int] = {Trouble.LOGIN: 401, Trouble.NOT_ALLOWED: 403, Trouble.NOT_FOUND: 404}


def _check(wire: JsonObject, decision: Decision) -> None:
    """Send nobody to the issuer for what the gateway would refuse anyway. Raises GatewayTrouble."""
    if not decision.preview:
        raise GatewayTrouble(Trouble.CHANGED, _UNREAD)
    if wire.get("state") != "pending":
        raise GatewayTrouble(Trouble.RESOLVED, f"it is {as_text(wire.get('state'))} already")
    if (wire.get("intent"), wire.get("preview_digest")) != (decision.expect, decision.preview):
        raise GatewayTrouble(Trouble.CHANGED, _STALE)
    if blocked := as_text(wire.get("blocked")):
        raise GatewayTrouble(Trouble.NOT_ALLOWED, blocked)


async def _lead_there(
    site: Site, request: Request, session: Session, decision: Decision, statement: Statement
) -> Response:
    cookie = request.cookies.get(site.cookie("session"), "")
    state, waiting = site.confirmations.begin(cookie, decision, statement)
    flow = Flow("", statement.digest, waiting.verifier, _page(decision), waiting.began)
    # `max_age` has the issuer say when the login was (OpenID Connect Core section 3.1.2.1).
    again = {"prompt": "login", "max_age": str(int(WITHIN))} if site.signing.again else {}
    try:
        url = await site.provider.login_url(NewFlow(state, "", flow), more=again)
    except LoginRefused as refused:
        return _not_sent(site, session, waiting, f"The issuer cannot confirm it: {refused}.", status=503)
    return site.page(
        "confirm.html", session, url=url, issuer=site.provider.name, again=bool(again), digest=statement.digest
    )


async def _send(site: Site, session: Session, decision: Decision, evidence: JsonObject) -> None:
    await site.gateway.decide(
        session.id_token,
        decision.approval_id,
        verdict=decision.verdict,
        comment=decision.comment,
        expect=decision.expect,
        preview=decision.preview,
        evidence=evidence,
    )


def _not_sent(site: Site, session: Session, waiting: Waiting, text: str, *, status: int) -> Response:
    return _told(site, session, waiting, NOTHING_SENT, text, status=status)


def _told(site: Site, session: Session, waiting: Waiting, title: str, text: str, *, status: int) -> Response:
    decision = waiting.decision
    return site.message(
        title,
        text,
        status=status,
        user=session,
        link=_page(decision),
        link_text="Open the request",
        comment=decision.comment,
    )


def _page(decision: Decision) -> str:
    return safe_next(f"/requests/{decision.approval_id}")


def _key(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
