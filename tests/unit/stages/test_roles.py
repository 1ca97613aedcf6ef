"""Auditors and admins: by the gateway's own settings and their own names, and never by what they stand in for."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.gateway_yaml import ENVIRON, write_gateway
from tests.fakes.issuer import FakeIssuer
from tests.fakes.issuer_settings import settings_for

from holdpoint.clock import ManualClock
from holdpoint.domain.access import AccessRequest, Action, McpTool, Principal, Protocol
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Ask, Reviewer
from holdpoint.domain.decision import RequireApproval, RuleRef
from holdpoint.identity.verify import Verifier
from holdpoint.policy.delegations import Delegations
from holdpoint.settings import Reviewers, Roles
from holdpoint.settings_file import load_settings
from holdpoint.stages.admin_methods import AdminMethods
from holdpoint.stages.page_filters import may_see
from holdpoint.stages.suspensions import Suspensions

NO_DELEGATIONS = SimpleNamespace(delegations=Delegations())

pytestmark = pytest.mark.threat("T79")
ROLES = Roles(auditor=frozenset({"group:audit"}), admin=frozenset({"person:rita@corp.example", "group:ops"}))
TERM = RequireApproval(RuleRef("p", "r"), frozenset({"group:sre"}))
ALICE = Principal(issuer="https://idp", subject="u-alice", kind="human", person="alice@corp.example")
ACCESS = AccessRequest(ALICE, "notes", Action(Protocol.MCP, "tools/call"), McpTool("scale"))
REQUEST = ApprovalRequest("apr-1", Ask(ACCESS, (TERM,), "sha256:ab", {}, "", "exc"), ApprovalState.PENDING, 1.0, 2.0)


def somebody(*roles: str) -> Reviewer:
    return Reviewer("https://idp", "u-x", "x@corp.example", frozenset({"x"}), roles=frozenset(roles))


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        pytest.param({"group:audit"}, {"auditor"}, id="auditor"),
        pytest.param({"person:rita@corp.example"}, {"auditor", "admin"}, id="an admin audits too"),
        pytest.param({"group:audit", "group:ops"}, {"auditor", "admin"}, id="both"),
        pytest.param({"group:dev", "person:audit"}, set[str](), id="neither"),
        pytest.param(set[str](), set[str](), id="nobody"),
    ],
)
def test_roles_come_from_names(names: set[str], roles: set[str]) -> None:
    assert ROLES.of(frozenset(names)) == roles


def test_without_settings_nobody_has_a_role() -> None:
    assert Roles().of(frozenset({"", "group:", "person:", "group:audit"})) == frozenset()


@pytest.mark.parametrize(
    ("reviewer", "sees"),
    [
        pytest.param(somebody(), False, id="no role"),
        pytest.param(somebody("root"), False, id="a role that is none"),
        pytest.param(somebody("auditor"), True, id="auditor"),
        pytest.param(somebody("admin"), True, id="admin"),
    ],
)
def test_who_has_a_role_sees_what_others_do_not(reviewer: Reviewer, *, sees: bool) -> None:
    assert may_see(reviewer, REQUEST) == sees


@pytest.fixture
async def methods(tmp_path: Path) -> AsyncIterator[tuple[AdminMethods, FakeIssuer]]:
    clock = ManualClock()
    issuer = FakeIssuer(clock=clock, alg="ES256")
    issuer.start()
    corp = replace(settings_for(issuer, algorithms=frozenset({"ES256"})), login_client_id="holdpoint-console")
    settings = load_settings(write_gateway(tmp_path), ENVIRON, check_machine=False)
    settings = replace(settings, issuers=(corp,), console=None, reviewers=Reviewers(roles=ROLES))
    verifier = Verifier([corp], clock)
    methods = AdminMethods(settings, clock, cast("Any", None), cast("Any", None))
    methods.attach(
        cast(
            "Any",
            SimpleNamespace(
                verifier=verifier, suspensions=Suspensions(cast("Any", None), clock), policies=NO_DELEGATIONS
            ),
        )
    )
    yield methods, issuer
    await verifier.close()
    issuer.stop()


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        pytest.param({}, {"auditor", "admin"}, id="by person"),
        pytest.param({"email": "x@corp.example", "groups": ["audit"]}, {"auditor"}, id="by group"),
        pytest.param({"email": "x@corp.example", "roles": ["admin"]}, set[str](), id="not by a claim of that name"),
    ],
)
async def test_the_gateway_itself_gives_the_roles(
    methods: tuple[AdminMethods, FakeIssuer], claims: dict[str, Any], roles: set[str]
) -> None:
    admin, issuer = methods
    assert (await admin.reviewer({"id_token": issuer.mint_id_token(claims)})).roles == roles
