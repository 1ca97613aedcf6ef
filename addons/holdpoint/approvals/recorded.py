"""What the audit log keeps of an approval, so that it can be judged again from the log alone.

What was asked of reviewers stands in each event of the request: rules that are changed later change nothing in it.
"""

from dataclasses import replace

from holdpoint.approvals.evidence import proof_json
from holdpoint.domain.access import AccessRequest, Action, McpResource, Principal, Protocol
from holdpoint.domain.approval import ApprovalRequest, Ask, Reviewer, Vote, preview_digest, reviewer_names
from holdpoint.domain.decision import BreakGlass, Clause, RequireApproval, RuleRef, Scope
from holdpoint.domain.values import JsonObject, JsonValue, as_object, as_text


class NotRecorded(ValueError):  # noqa: N818  # said of the log, not of the program
    """What a log keeps of an approval cannot be read. The message says what."""


def ask_detail(request: ApprovalRequest) -> JsonObject:
    """Return what is to be known of a request: who must say yes, who asks, and the digest of what is to be read."""
    principal = request.ask.access.principal
    terms: list[JsonValue] = [term_json(term) for term in request.ask.terms]
    return {
        "terms": terms,
        "requesters": [*sorted(principal.requesters)],
        "requester": {"issuer": principal.issuer, "subject": principal.subject},
        "preview": preview_digest(request),
    }


def vote_detail(vote: Vote, request: ApprovalRequest | None) -> JsonObject:
    """Return what is to be known of a vote: whose, under which names he counts here, and what proves it."""
    asked = _named(request) if request else frozenset[str]()
    own, lent = reviewer_names(replace(vote.reviewer, acting_for=frozenset())), vote.reviewer.acting_for
    said: JsonObject = {
        "verdict": vote.verdict.value,
        "person": vote.reviewer.person,
        "issuer": vote.reviewer.issuer,
        "subject": vote.reviewer.subject,
        "comment": vote.comment,
        "at": vote.at,
        "names": [*sorted(own & asked)],
    }
    if lent & asked:
        said["acting_for"] = [*sorted(lent & asked)]
    return {"vote": said, "proof": proof_json(vote.proof)} if vote.proof is not None else {"vote": said}


def _named(request: ApprovalRequest) -> frozenset[str]:
    """Return every name under which somebody may count for a request: no other need be kept of whoever votes."""
    terms = request.ask.terms
    reviewers = {name for t in terms for clause in t.clauses for name in clause.reviewers}
    return frozenset(reviewers | {name for t in terms if t.break_glass is not None for name in t.break_glass.who})


def term_json(term: RequireApproval) -> JsonObject:
    """Return what one rule asks of reviewers."""
    clauses: list[JsonValue] = [{"reviewers": [*sorted(c.reviewers)], "required": c.required} for c in term.clauses]
    said: JsonObject = {
        "rule": str(term.rule),
        "clauses": clauses,
        "scope": term.scope.value,
        "duration": term.duration,
        "timeout": term.timeout,
    }
    if term.auto_approve_after is not None:
        said["auto_approve_after"] = term.auto_approve_after
    if term.break_glass is not None:
        said["break_glass"] = {"who": [*sorted(term.break_glass.who)], "duration": term.break_glass.duration}
    return said


def read_term(value: JsonValue) -> RequireApproval:
    """Read what `term_json` wrote. Raises NotRecorded."""
    said = as_object(value)
    clauses = [_clause(c) for c in _list(said.get("clauses"), "clauses")]
    if not clauses:
        raise NotRecorded("a rule that asks for nobody")
    silence, glass = said.get("auto_approve_after"), as_object(said.get("break_glass"))
    policy, _, rule = as_text(said.get("rule")).rpartition("/")
    try:
        scope = Scope(as_text(said.get("scope")))
    except ValueError:
        raise NotRecorded("a scope that is not known here") from None
    return RequireApproval(
        RuleRef(policy, rule),
        clauses[0].reviewers,
        clauses[0].required,
        timeout=_number(said.get("timeout")),
        scope=scope,
        duration=_number(said.get("duration")),
        auto_approve_after=_number(silence) if silence is not None else None,
        also=tuple(clauses[1:]),
        break_glass=BreakGlass(texts(glass.get("who")), _number(glass.get("duration"))) if glass else None,
    )


def read_ask(detail: JsonObject) -> Ask:
    """Return what was asked of whom, as `ask_detail` wrote it, for counting alone. Raises NotRecorded."""
    terms = tuple(read_term(t) for t in _list(detail.get("terms"), "terms"))
    if not terms:
        raise NotRecorded("no rule asks for anybody")
    who = as_object(detail.get("requester"))
    principal = Principal(
        issuer=as_text(who.get("issuer")),
        subject=as_text(who.get("subject")),
        kind="workload",
        person=None,
        name="",
        groups=frozenset(),
        owners=texts(detail.get("requesters")),
    )
    access = AccessRequest(principal, "", Action(Protocol.MCP, ""), McpResource(""))
    return Ask(access, terms, as_text(detail.get("intent")), {}, "", "")


def read_reviewer(vote: JsonObject) -> Reviewer:
    """Return who voted, under the names that he counted by."""
    names = texts(vote.get("names"))
    return Reviewer(
        issuer=as_text(vote.get("issuer")),
        subject=as_text(vote.get("subject")),
        person=as_text(vote.get("person")),
        groups=frozenset(n.removeprefix("group:") for n in names if n.startswith("group:")),
        acting_for=texts(vote.get("acting_for")),
    )


def texts(value: JsonValue) -> frozenset[str]:
    """Return the texts of a list; none where it is no list."""
    return frozenset(as_text(v) for v in value) - {""} if isinstance(value, list) else frozenset()


def _clause(value: JsonValue) -> Clause:
    said = as_object(value)
    required = said.get("required")
    if not isinstance(required, int) or isinstance(required, bool):
        raise NotRecorded("a rule that does not say how many persons it asks for")
    return Clause(texts(said.get("reviewers")), required)


def _list(value: JsonValue, name: str) -> list[JsonValue]:
    if not isinstance(value, list):
        raise NotRecorded(f"`{name}` is no list")
    return value


def _number(value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotRecorded("a number is missing")
    return float(value)
