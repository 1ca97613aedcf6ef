"""What notices say: who asked for what, where, by which rule, and where to look. Never arguments, reasons, comments.

What people typed stays behind the link: it leads to a login, a notice may lie in a chat for years.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from holdpoint.approvals.events import BrokerEvent, BrokerEventKind
from holdpoint.domain.access import HttpPath, KubePath, McpResource, Principal, describe_resource
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Glass, Verdict
from holdpoint.domain.grant import GrantState
from holdpoint.domain.notice import Notice, NoticeEvent, plain
from holdpoint.domain.values import JsonObject, JsonValue, as_text

type Link = Callable[[str], str]
"""Where an approval request is looked at, by id. Leads to a login; empty without a console."""

MOST_NAMES = 5


def of_event(event: BrokerEvent, at: float, link: Link) -> tuple[Notice, ...]:
    """Return what is to be told of something that the broker told."""
    request = event.request
    if event.kind is BrokerEventKind.GRANT_ENDED and event.grant is not None:
        if event.grant.state is not GrantState.REVOKED:
            return ()
        return (_of_grant(event.grant.id, event.grant.approval, request, at, link),)
    if request is None:
        return ()
    match event.kind:
        case BrokerEventKind.HELD:
            return of_pending(request, at, link)
        case BrokerEventKind.VOTED if event.vote is not None:
            vote = event.vote
            told = of_request(
                NoticeEvent.VOTED, request, at, link, once=f"{vote.reviewer.person} {vote.verdict} {vote.at}"
            )
            return (_with(told, {"by": [plain(vote.reviewer.person)], "verdict": vote.verdict.value}),)
        case BrokerEventKind.RESOLVED:
            return of_ended(request, at, link)
        case BrokerEventKind.GLASS_BROKEN:
            return (of_request(NoticeEvent.BREAK_GLASS, request, at, link),)
        case BrokerEventKind.OUTCOME_UNKNOWN:
            told = of_request(NoticeEvent.VIOLATION, request, at, link, once=f"unknown {event.exchange}")
            what = "it was sent, and whether it took effect is not known"
            return (_with(told, {"what": what, "exchanges": [event.exchange or request.ask.exchange]}),)
        case _:
            return ()


def of_pending(request: ApprovalRequest, at: float, link: Link) -> tuple[Notice, ...]:
    """Return what is told of a request that waits: that it does, and that its requester must say why."""
    told = [of_request(NoticeEvent.HELD, request, at, link)]
    if any(term.require_reason for term in request.ask.terms) and not request.reason:
        told.append(of_request(NoticeEvent.REASON_WANTED, request, at, link))
    return tuple(told)


def of_ended(request: ApprovalRequest, at: float, link: Link) -> tuple[Notice, ...]:
    """Return what is told of a request that ended."""
    ended = of_request(NoticeEvent.RESOLVED, request, at, link)
    if request.glass is Glass.NONE:
        return (ended,)
    return (of_request(NoticeEvent.BREAK_GLASS, request, at, link), ended)


def of_request(event: NoticeEvent, request: ApprovalRequest, at: float, link: Link, *, once: str = "") -> Notice:
    """Return a notice about an approval request."""
    ask = request.ask
    data: JsonObject = {
        "approval": request.id,
        "state": request.state.value,
        **of_principal(ask.access.principal),
        "target": ask.access.target,
        "verb": plain(ask.access.action.verb),
        "resource": plain(_resource(request)),
        "rules": _few(str(term.rule) for term in ask.terms),
        "deadline": moment(request.deadline),
        "link": link(request.id),
    }
    if request.glass is not Glass.NONE:
        data["glass"] = request.glass.value
    if request.state is not ApprovalState.PENDING:
        data |= _ending(request)
    return Notice(event, at, request.id, data, approval=request.id, once=once)


def of_principal(who: Principal) -> JsonObject:
    """Return who asks, as people know them."""
    found: JsonObject = {"who": plain(who.name or who.person or who.subject), "person": plain(who.person or "")}
    if who.actor is not None:
        found["agent"] = plain(who.actor.subject)
    return found


def moment(at: float) -> str:
    """Return a time by RFC 3339, in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def title(notice: Notice) -> str:
    """Return a notice in one line."""
    data = notice.data
    what = f"{as_text(data.get('verb'))} {as_text(data.get('resource'))}".strip()
    count = data.get("count")
    return _TITLES[notice.event].format(
        who=as_text(data.get("who")),
        what=what or "of a request",
        on=f" on {notice.target}" if notice.target else "",
        state=as_text(data.get("state")),
        why=as_text(data.get("what")),
        requests=f"{count} requests" if isinstance(count, int) and count > 1 else "a request",
    )


_TITLES: Final[Mapping[NoticeEvent, str]] = {
    NoticeEvent.HELD: "{who} asks for approval: {what}{on}",
    NoticeEvent.REMINDER: "still waiting for approval: {what}{on}, by {who}",
    NoticeEvent.VOTED: "a reviewer voted: {what}{on}, by {who}",
    NoticeEvent.RESOLVED: "{state}: {what}{on}, by {who}",
    NoticeEvent.REASON_WANTED: "{who} has to say why before anybody can approve: {what}{on}",
    NoticeEvent.BREAK_GLASS: "GLASS BROKEN by {who}, without review: {what}{on}",
    NoticeEvent.REVIEW_DUE: "broken glass is not reviewed yet: {what}{on}, by {who}",
    NoticeEvent.DENIED: "{requests} denied by policy{on}",
    NoticeEvent.VIOLATION: "{requests} stopped, or not vouched for{on}: {why}",
    NoticeEvent.GRANT_REVOKED: "a grant was revoked: {what}{on}",
    NoticeEvent.SUSPENDED: "suspended: {who}",
    NoticeEvent.TEST: "a test: nothing happened, and nothing is to be done",
}


def lines(notice: Notice) -> Iterable[tuple[str, str]]:
    """Yield what a person reads below the title: label and text, nothing that is empty."""
    for label, key in _SHOWN:
        value = notice.data.get(key)
        text = ", ".join(str(v) for v in value) if isinstance(value, list) else str(value or "")
        if text:
            yield label, text


_SHOWN: Final = (
    ("request", "approval"),
    ("who", "who"),
    ("person", "person"),
    ("agent", "agent"),
    ("target", "target"),
    ("does", "verb"),
    ("what", "resource"),
    ("rule", "rules"),
    ("by", "by"),
    ("until", "deadline"),
    ("among them", "people"),
    ("exchange", "exchanges"),
)


def _with(notice: Notice, more: JsonObject) -> Notice:
    return Notice(notice.event, notice.at, notice.subject, {**notice.data, **more}, notice.approval, notice.once)


def _of_grant(grant: str, approval: str, request: ApprovalRequest | None, at: float, link: Link) -> Notice:
    if request is None:
        data: JsonObject = {"approval": approval, "grant": grant, "link": link(approval)}
        return Notice(NoticeEvent.GRANT_REVOKED, at, grant, data, approval=approval)
    told = of_request(NoticeEvent.GRANT_REVOKED, request, at, link)
    return Notice(told.event, at, grant, {**told.data, "grant": grant}, approval=approval)


def _resource(request: ApprovalRequest) -> str:
    masked = as_text(request.ask.preview.get("resource"))
    if masked:
        return masked
    resource = request.ask.access.resource
    # Not masked: a path or a URI may hold what a body may.
    return "" if isinstance(resource, HttpPath | KubePath | McpResource) else describe_resource(resource)


def _ending(request: ApprovalRequest) -> JsonObject:
    wanted = {ApprovalState.APPROVED: Verdict.APPROVE, ApprovalState.DENIED: Verdict.DENY}.get(request.state)
    if request.glass is not Glass.NONE and request.state is ApprovalState.APPROVED:
        wanted = Verdict.BREAK_GLASS
    return {"by": _few(v.reviewer.person for v in request.votes if v.verdict is wanted)}


def _few(texts: Iterable[str]) -> list[JsonValue]:
    few: list[JsonValue] = [plain(text) for text in dict.fromkeys(texts)]
    return few[:MOST_NAMES]
