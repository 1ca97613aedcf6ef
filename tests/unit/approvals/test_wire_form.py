import pytest
from tests.fakes.approvals import House, ask, glass, principal, reviewer, term

from holdpoint.approvals.wire_form import to_json
from holdpoint.domain.approval import DryRun, DryRunState, Verdict, preview_digest
from holdpoint.domain.decision import Clause, Scope
from holdpoint.protocols.strict_json import dumps, loads


@pytest.fixture
async def shown(home: House):
    asked = ask(
        term(
            required=2,
            scope=Scope.SESSION,
            duration=900,
            reviewers=frozenset({"person:p", "group:sre"}),
            also=(Clause(frozenset({"group:finance"})),),
            require_reason=True,
            break_glass=glass("group:oncall"),
        ),
        who=principal(agent="claude", owners=frozenset({"o"})),
        session="secret-session",
        reason="the disk is full",
        opens="this call, once",
    )
    tried = DryRun(
        DryRunState.READY, at=1_800_000_000.0, shown={"verb": "patch"}, digest="secret", live={"uid": "secret"}
    )
    held = await home.broker.request(asked, dry_run=tried)
    await home.broker.vote(held.id, reviewer(), Verdict.APPROVE, "fine")
    request = await home.broker.get(held.id)
    return request, to_json(request)


def test_shape_is_what_console_and_command_line_read(shown):
    request, form = shown
    assert form == {
        "id": request.id,
        "state": "pending",
        "created_at": 1_800_000_000.0,
        "deadline": 1_800_000_600.0,
        "principal": {
            "id": "https://idp.example#alice@example",
            "kind": "human",
            "person": "alice@example",
            "name": "Alice",
            "groups": ["all", "dev"],
            "owners": ["o"],
            "actor": {"subject": "claude", "issuer": "https://idp.example", "chain": ["older"]},
        },
        "target": "shop",
        "protocol": "mcp",
        "action": "tools/call",
        "resource": "tool deploy",
        "summary": "",
        "rules": ["prod/writes"],
        "reasons": ["it writes"],
        "terms": [
            {
                "rule": "prod/writes",
                "where": "prod.yaml:7",
                "reviewers": ["group:sre", "person:p"],
                "required": 2,
                "approved_by": ["bob@example"],
                "met": False,
                "scope": "session",
                "duration": 900,
                "timeout": 600.0,
                "auto_approve_after": None,
                "reason": "it writes",
                "clauses": [
                    {"reviewers": ["group:sre", "person:p"], "required": 2, "filled_by": ["bob@example"]},
                    {"reviewers": ["group:finance"], "required": 1, "filled_by": []},
                ],
                "require_reason": True,
                "require_preview": False,
                "break_glass": {"who": ["group:oncall"], "duration": 900.0},
            }
        ],
        "preview": {"arguments": {"name": "deploy"}},
        "intent": request.ask.intent,
        "bundle": "sha256:aa",
        "exchange": "x-1",
        "votes": [
            {"person": "bob@example", "name": "Bob", "verdict": "approve", "comment": "fine", "at": 1_800_000_000.0}
        ],
        "waiters": 0,
        "resolution": "",
        "resolved_at": None,
        "grant": "",
        "dry_run": {"state": "ready", "why": "", "at": 1_800_000_000.0, "shown": {"verb": "patch"}},
        "preview_digest": preview_digest(request),
        "reason": "the disk is full",
        "opens": "this call, once",
        "glass": "",
        "needs_confirm": False,
        "blocked": "",
    }


def test_form_is_json_without_unmasked_arguments_claims_or_sessions(shown):
    _, form = shown
    text = dumps(form)
    assert loads(text) == form
    for secret in (b"secret", b"1180591620717411303424", b"level"):
        assert secret not in text


def test_yes_of_a_suspended_reviewer_is_listed_and_not_counted(shown):
    request, _ = shown
    form = to_json(request, silenced=lambda r: r.person == "bob@example")
    assert [v["person"] for v in form["votes"]] == ["bob@example"]
    assert form["terms"][0]["approved_by"] == []
