"""The console reads what the gateway writes: the real wire form, over the real socket."""

from pathlib import Path

import pytest

from holdpoint.admin.client import AdminClient
from holdpoint.admin.errors import AdminError
from holdpoint.admin.server import AdminServer, Handler
from holdpoint.approvals.wire_form import to_json
from holdpoint.console.calls import AdminCalls, Gateway, GatewayTrouble, Trouble
from holdpoint.console.view import request_view
from holdpoint.domain.access import AccessRequest, Action, Actor, McpTool, Principal, Protocol
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, Reviewer, Verdict, Vote
from holdpoint.domain.decision import RequireApproval, RuleRef, Scope
from holdpoint.domain.values import JsonObject, JsonValue

TERM = RequireApproval(
    RuleRef("eks-prod", "scale", "prod.yaml:7"), frozenset({"group:sre"}), 2, 600.0, Scope.WINDOW, 900.0, 30.0, "costly"
)
PRINCIPAL = Principal(
    issuer="https://idp.example",
    subject="u-alice",
    kind="human",
    person="alice@corp.example",
    name="Alice Archer",
    groups=frozenset({"dev"}),
    actor=Actor("deploy-agent", chain=("orchestrator",)),
    owners=frozenset({"olga@corp.example"}),
)
ACCESS = AccessRequest(PRINCIPAL, "eks-prod", Action(Protocol.MCP, "tools/call"), McpTool("scale"))
SAM = Reviewer("https://idp.example", "u-sam", "sam@corp.example", frozenset({"sre"}), "Sam")
REQUEST = ApprovalRequest(
    id="apr-1",
    ask=Ask(ACCESS, (TERM,), "sha256:ab", {"arguments": {"replicas": 3}}, "sha256:cd", "exc-1"),
    state=ApprovalState.PENDING,
    created_at=1_800_000_000.0,
    deadline=1_800_000_600.0,
    votes=(Vote(SAM, Verdict.APPROVE, "fine", 1_800_000_050.0),),
    waiters=2,
)


def test_every_fact_of_a_request_reaches_the_page() -> None:
    view = request_view(to_json(REQUEST))
    assert (view.id, view.state, view.intent, view.bundle) == ("apr-1", "pending", "sha256:ab", "sha256:cd")
    assert (view.created_at, view.deadline, view.resolved_at) == (1_800_000_000.0, 1_800_000_600.0, 0.0)
    assert (view.name, view.person, view.kind) == ("Alice Archer", "alice@corp.example", "human")
    assert (view.principal_id, view.groups) == ("https://idp.example#u-alice", ("dev",))
    assert (view.owners, view.actor) == (("olga@corp.example",), "deploy-agent via orchestrator")
    assert (view.target, view.action, view.resource) == ("eks-prod", "tools/call", "tool scale")
    assert (view.waiters, view.approved, view.required) == (2, 1, 2)
    (term,) = view.terms
    assert (term.rule, term.where, term.reason) == ("eks-prod/scale", "prod.yaml:7", "costly")
    (clause,) = term.clauses
    assert (clause.reviewers, clause.filled_by) == (("group:sre",), ("sam@corp.example",))
    assert (clause.required, clause.missing) == (2, 1)
    assert "15 min" in term.opens
    assert "30 s" in term.silence
    (vote,) = view.votes
    assert (vote.person, vote.name, vote.verdict, vote.comment.head) == ("sam@corp.example", "Sam", "approve", "fine")
    (argument,) = view.arguments
    assert (argument.name, argument.kind, argument.value.head) == ("replicas", "number", "3")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("not_allowed", Trouble.NOT_ALLOWED), ("already_resolved", Trouble.RESOLVED), ("conflict", Trouble.CHANGED)],
)
async def test_the_gateways_no_arrives_over_its_own_socket(tmp_path: Path, code: str, kind: Trouble) -> None:
    heard: list[JsonObject] = []

    async def decide(params: JsonObject) -> JsonValue:
        heard.append(params)
        raise AdminError(code, "because")

    handlers: dict[str, Handler] = {"approvals.decide": decide}
    server = AdminServer(tmp_path / "run" / "admin.sock", handlers)
    await server.start()
    try:
        client: AdminCalls = AdminClient(tmp_path / "run" / "admin.sock")
        with pytest.raises(GatewayTrouble, match="because") as caught:
            await Gateway(client).decide("token", "apr-1", verdict="approve", comment="é", expect="sha256:ab")
    finally:
        await server.close()
    assert caught.value.kind is kind
    assert heard == [{"id": "apr-1", "verdict": "approve", "comment": "é", "expect": "sha256:ab", "id_token": "token"}]
