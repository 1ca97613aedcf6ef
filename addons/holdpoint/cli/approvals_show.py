"""One approval request as text that a reviewer reads at a terminal.

What the requester wrote is marked as that, and nothing of it can move the cursor, hide, reorder, or look like a line of
ours.
"""

import json
from collections.abc import Iterator
from typing import Final

from holdpoint.cli.common import moment, shown
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text
from holdpoint.visible_text import spelled_out

MOST: Final = 400
"""Characters of one value of a difference. `--json` has all of it."""
_INDENT: Final = 12
_MARKS: Final = {"add": "+", "remove": "-", "change": "~"}
_CUT: Final = " ... (cut: --json has all of it)"
_NO_DRY_RUN: Final = "none"


def text_of(request: JsonObject, now: float) -> str:
    """Return a request, as `approvals.get` gives it, as lines. `now` is Unix seconds."""
    return "\n".join(
        (
            *_standing(request, now),
            *_who(request),
            *_what(request),
            *_why(request),
            *_dry_run(as_object(request.get("dry_run"))),
            *_terms(request),
            *_votes(request),
            *_whole(request),
        )
    )


def said(value: object) -> str:
    """Return text in which nothing is invisible, and no run of blanks makes a line of its own where it is wrapped."""
    return spelled_out(shown(value))


def lasting(seconds: float) -> str:
    """Say how long, in one unit."""
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _line(label: str, text: str) -> str:
    return f"{label:<{_INDENT}}{text}".rstrip()


def _texts(value: JsonValue) -> list[str]:
    return [as_text(each) for each in value] if isinstance(value, list) else []


def _objects(value: JsonValue) -> list[JsonObject]:
    return [as_object(each) for each in value] if isinstance(value, list) else []


def _number(value: JsonValue) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _standing(request: JsonObject, now: float) -> Iterator[str]:
    state, ticket = as_text(request.get("state")), as_text(request.get("id"))
    yield f"{said(ticket)}  {said(state)}"
    yield _line("since", moment(request.get("created_at")))
    if state == "pending":
        left = _number(request.get("deadline")) - now
        yield _line("until", f"{moment(request.get('deadline'))} ({f'{lasting(left)} left' if left > 0 else 'over'})")
        waiting = int(_number(request.get("waiters")))
        yield _line("waiting", f"{waiting} caller{'' if waiting == 1 else 's'} on the line")
        if blocked := as_text(request.get("blocked")):
            yield _line("blocked", said(blocked))
    elif resolution := as_text(request.get("resolution")):
        yield _line("ended", f"{moment(request.get('resolved_at'))}: {said(resolution)}")
    if glass := as_text(request.get("glass")):
        yield _line("glass", said(glass))
    if grant := as_text(request.get("grant")):
        yield _line("grant", said(grant))


def _who(request: JsonObject) -> Iterator[str]:
    principal = as_object(request.get("principal"))
    person, name = as_text(principal.get("person")), as_text(principal.get("name"))
    named = f" ({said(name)})" if name and name != person else ""
    yield _line("who", f"{said(person or as_text(principal.get('id')))}{named}, {said(principal.get('kind') or '')}")
    yield _line("", said(as_text(principal.get("id"))))
    actor = as_object(principal.get("actor"))
    if actor:
        chain = "".join(f", for {said(each)}" for each in _texts(actor.get("chain")))
        yield _line("by agent", f"{said(as_text(actor.get('subject')))}{chain}")
    if owners := _texts(principal.get("owners")):
        yield _line("owned by", ", ".join(map(said, owners)))
    if groups := _texts(principal.get("groups")):
        yield _line("groups", ", ".join(map(said, groups)))


def _what(request: JsonObject) -> Iterator[str]:
    action, resource = said(as_text(request.get("action"))), said(as_text(request.get("resource")))
    yield _line("where", f"{said(as_text(request.get('target')))} ({said(as_text(request.get('protocol')))})")
    yield _line("what", said(as_text(request.get("summary"))) or f"{action} {resource}")
    if opens := as_text(request.get("opens")):
        yield _line("opens", said(opens))


def _why(request: JsonObject) -> Iterator[str]:
    for rule in _texts(request.get("rules")):
        yield _line("held by", said(rule))
    for reason in _texts(request.get("reasons")):
        yield _line("", said(reason))
    if reason := as_text(request.get("reason")):
        yield _line("reason", f"(the requester's own words) {said(reason)}")
    elif any(term.get("require_reason") is True for term in _objects(request.get("terms"))):
        yield _line("reason", "none yet: the requester has to say why first")


def _dry_run(dry_run: JsonObject) -> Iterator[str]:
    state, shows = as_text(dry_run.get("state")) or _NO_DRY_RUN, as_object(dry_run.get("shown"))
    why = as_text(dry_run.get("why"))
    at = f" at {moment(dry_run.get('at'))}" if _number(dry_run.get("at")) else ""
    yield _line("dry run", f"{said(state)}{at}{f': {said(why)}' if why else ''}")
    for change in _objects(shows.get("diff")):
        yield from _change(change)
    if "object" in shows:
        yield _line("", "the object that is there now:")
        yield from _pretty(shows["object"])
    if counts := as_object(shows.get("counts")):
        matched, more = int(_number(counts.get("matched"))), " or more" if counts.get("more") is True else ""
        names = ", ".join(map(said, _texts(counts.get("names"))))
        yield _line("hits", f"{matched}{more} objects{f': {names}' if names else ''}")
    for hangs in _objects(shows.get("hangs_on_it")):
        yield _line("hangs on it", f"{said(as_text(hangs.get('text')))} ({said(as_text(hangs.get('what')))})")
    for warning in _texts(shows.get("warnings")):
        yield _line("warning", said(warning))
    if error := as_text(shows.get("error")):
        yield _line("error", said(error))


def _change(change: JsonObject) -> Iterator[str]:
    mark = _MARKS.get(as_text(change.get("op")), "~")
    before, after = _value(change, "before"), _value(change, "after")
    values = f"{before} -> {after}" if before and after else before or after
    yield _line("", f"{mark} {said(as_text(change.get('path')))}: {values}")


def _value(change: JsonObject, name: str) -> str:
    if name not in change:
        return ""
    text = said(json.dumps(change[name], ensure_ascii=False))
    return text if len(text) <= MOST else text[:MOST] + _CUT


def still_to_come(request: JsonObject) -> str:
    """Say on one line how many approvals are missing, and from whom; nothing where none is."""
    places: list[str] = []
    for term in _objects(request.get("terms")):
        for clause in _objects(term.get("clauses")) or [_only(term)]:
            left = int(_number(clause.get("required"))) - len(_texts(clause.get("filled_by")))
            if left > 0:
                places.append(f"{left} from {', '.join(map(said, _texts(clause.get('reviewers')))) or 'nobody'}")
    return "; ".join(places)


def _terms(request: JsonObject) -> Iterator[str]:
    for term in _objects(request.get("terms")):
        is_met = " (met)" if term.get("met") is True else ""
        yield _line("needs", f"by {said(as_text(term.get('rule')))}, {said(as_text(term.get('where')))}{is_met}")
        for clause in _objects(term.get("clauses")) or [_only(term)]:
            names = ", ".join(map(said, _texts(clause.get("reviewers")))) or "nobody"
            filled = _texts(clause.get("filled_by"))
            has = f": {', '.join(map(said, filled))}" if filled else ""
            yield _line("", f"{len(filled)} of {int(_number(clause.get('required')))} from {names}{has}")
        yield from _also(term)
    if request.get("needs_confirm") is True:
        yield _line("", "each reviewer confirms the decision at the issuer: approve opens a browser")


def _only(term: JsonObject) -> JsonObject:
    return {"reviewers": term.get("reviewers"), "required": term.get("required"), "filled_by": term.get("approved_by")}


def _also(term: JsonObject) -> Iterator[str]:
    if term.get("require_preview") is True:
        yield _line("", "a dry run has to be there first")
    if (silence := _number(term.get("auto_approve_after"))) > 0:
        yield _line("", f"approved by itself after {lasting(silence)} in which nobody objects")
    if glass := as_object(term.get("break_glass")):
        who = ", ".join(map(said, _texts(glass.get("who"))))
        yield _line("", f"the glass may be broken by {who}, for {lasting(_number(glass.get('duration')))}")


def _votes(request: JsonObject) -> Iterator[str]:
    for vote in _objects(request.get("votes")):
        who = said(as_text(vote.get("name")) or as_text(vote.get("person")))
        comment = as_text(vote.get("comment"))
        text = f"{said(as_text(vote.get('verdict')))} by {who} at {moment(vote.get('at'))}"
        yield _line("vote", f"{text}{f': {said(comment)}' if comment else ''}")


def _whole(request: JsonObject) -> Iterator[str]:
    yield _line("intent", said(as_text(request.get("intent"))))
    if digest := as_text(request.get("preview_digest")):
        yield _line("preview", said(digest))
    preview = as_object(request.get("preview"))
    if does := as_object(preview.get("does")):
        yield _line("does", "")
        yield from _pretty(does)
    if arguments := as_object(preview.get("arguments")):
        yield _line("arguments", "(masked; as the requester wrote them)")
        yield from _pretty(arguments)
    rest: JsonObject = {n: v for n, v in preview.items() if n not in ("does", "arguments", "summary", "request")}
    if rest:
        yield _line("more", "")
        yield from _pretty(rest)


def _pretty(value: JsonValue) -> Iterator[str]:
    for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n"):
        margin = len(line) - len(line.lstrip(" "))
        yield f"  {line[:margin]}{said(line[margin:])}"
