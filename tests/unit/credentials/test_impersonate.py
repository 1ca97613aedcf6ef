from dataclasses import replace
from typing import Any

import pytest

from holdpoint.credentials.impersonate import Impersonate
from holdpoint.credentials.provider import Errand
from holdpoint.credentials.static import Nothing, Unchanging
from holdpoint.domain.access import AccessRequest, Action, Actor, KubeObject, Principal, Protocol
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.protocols.kubernetes.impersonation import members
from holdpoint.secrets import Secret
from holdpoint.settings import Fact, GroupsAs, ImpersonateAs

OWN = "token-of-the-gateway"
ALICE = Principal(
    issuer="https://idp.test",
    subject="u-alice",
    kind="human",
    person="alice@corp.example",
    name="system:masters",
    groups=frozenset({"dev", "ops", "secret-project", "system:masters"}),
)
PODS = KubeObject("", "v1", "pods", namespace="shop")


def errand(who: Principal = ALICE, *asked: tuple[bytes, bytes]) -> Errand:
    action = Action(Protocol.KUBERNETES, "list")
    found = tuple(AccessRequest(who, "prod", call.action, call.resource) for call in members(asked))
    return Errand(AccessRequest(who, "prod", action, PODS, members=found), "ex-1", "ap-1")


def credential(**settings: Any) -> Impersonate:
    settings = {"extra": frozenset[Fact](), **settings}
    return Impersonate(Unchanging(Secret(OWN)), ImpersonateAs(**settings))


async def sent(made: Impersonate, of: Errand) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in await made.headers(of)]


async def test_the_person_is_the_user_and_every_group_a_header_of_its_own() -> None:
    groups = GroupsAs(prefix="corp:", allow=("dev", "op?"), add=("seen-by-gateway",), map={"secret-project": "vip"})
    assert await sent(credential(prefix="idp:", groups=groups), errand()) == [
        ("authorization", f"Bearer {OWN}"),
        ("impersonate-user", "idp:alice@corp.example"),
        ("impersonate-group", "seen-by-gateway"),
        ("impersonate-group", "corp:dev"),
        ("impersonate-group", "corp:ops"),
        ("impersonate-group", "vip"),
    ]


async def test_no_group_is_sent_that_the_settings_do_not_allow() -> None:
    assert await sent(credential(), errand()) == [
        ("authorization", f"Bearer {OWN}"),
        ("impersonate-user", "alice@corp.example"),
    ]


async def test_who_really_asks_goes_along() -> None:
    who = replace(ALICE, actor=Actor("mcp-server:é", "holdpoint", ("agent-7",)), call="ex-0")
    found = await sent(credential(extra=frozenset(Fact), uid="subject"), errand(who))
    assert found[2:] == [
        ("impersonate-uid", "u-alice"),
        ("impersonate-extra-holdpoint-principal", "https://idp.test#u-alice"),
        ("impersonate-extra-holdpoint-actor", "mcp-server:%C3%A9"),
        ("impersonate-extra-holdpoint-actor", "agent-7"),
        ("impersonate-extra-holdpoint-exchange", "ex-1"),
        ("impersonate-extra-holdpoint-approval", "ap-1"),
        ("impersonate-extra-holdpoint-call", "ex-0"),
    ]


async def test_whom_policy_let_it_ask_for_is_who_is_sent_and_the_extra_says_who_really() -> None:
    asked = errand(
        ALICE,
        (b"Impersonate-User", b"bob"),
        (b"Impersonate-Group", b"cn=a,dc=b"),
        (b"Impersonate-Extra-example.org%2Frole", b"a b"),
    )
    assert await sent(credential(prefix="idp:", extra=frozenset({Fact.PRINCIPAL})), asked) == [
        ("authorization", f"Bearer {OWN}"),
        ("impersonate-user", "bob"),
        ("impersonate-group", "cn=a,dc=b"),
        ("impersonate-extra-example.org%2Frole", "a b"),
        ("impersonate-extra-holdpoint-principal", "https://idp.test#u-alice"),
    ]


async def test_a_service_account_that_was_asked_for_and_decided_is_sent() -> None:
    asked = errand(ALICE, (b"Impersonate-User", b"system:serviceaccount:shop:deployer"))
    assert ("impersonate-user", "system:serviceaccount:shop:deployer") in await sent(credential(), asked)


async def test_system_identities_are_sent_where_the_settings_name_them() -> None:
    groups = GroupsAs(map={"ops": "system:masters"}, add=("system:authenticated",))
    found = await sent(credential(users={"alice@corp.example": "system:admin"}, groups=groups), errand())
    assert found[1:] == [
        ("impersonate-user", "system:admin"),
        ("impersonate-group", "system:authenticated"),
        ("impersonate-group", "system:masters"),
    ]


@pytest.mark.threat("T55")
@pytest.mark.parametrize(
    ("settings", "of"),
    [
        pytest.param({}, errand(replace(ALICE, person=None)), id="nobody known"),
        pytest.param({}, errand(replace(ALICE, person="")), id="empty"),
        pytest.param({"user": "subject"}, errand(replace(ALICE, subject="système")), id="not ascii"),
        pytest.param({"user": "subject"}, errand(replace(ALICE, subject="a\nb")), id="line break"),
        pytest.param({"user": "subject"}, errand(replace(ALICE, subject=" a")), id="blank before"),
        pytest.param({"user": "subject"}, errand(replace(ALICE, subject="system:admin")), id="system user"),
        pytest.param(
            {"user": "subject"}, errand(replace(ALICE, subject="system:serviceaccount:kube-system:x")), id="account"
        ),
        pytest.param({"groups": GroupsAs(allow=("*",))}, errand(), id="system group by glob"),
        pytest.param({}, errand(ALICE, (b"Impersonate-User", b"system:admin")), id="system user asked for"),
        pytest.param(
            {}, errand(ALICE, (b"Impersonate-User", b"b"), (b"Impersonate-Group", b"system:masters")), id="masters"
        ),
        pytest.param(
            {},
            errand(ALICE, (b"Impersonate-User", b"b"), (b"Impersonate-Extra-Holdpoint-Principal", b"x")),
            id="extra of the gateway's own",
        ),
        pytest.param({}, errand(ALICE, (b"Impersonate-User", "bé".encode())), id="asked for and not ascii"),
    ],
)
async def test_an_identity_that_cannot_be_told_is_refused(settings: dict[str, Any], of: Errand) -> None:
    with pytest.raises(Refusal) as caught:
        await credential(**settings).headers(of)
    assert caught.value.kind is RefusalKind.DENIED


async def test_what_the_audit_says_of_it_holds_no_token() -> None:
    made = credential(extra=frozenset({Fact.EXCHANGE}))
    assert made.shown(errand()) == {"user": "alice@corp.example", "extra": {"holdpoint-exchange": ["ex-1"]}}
    assert made.secrets() == (OWN,)


@pytest.mark.threat("T55")
async def test_a_target_whose_credential_impersonates_nobody_refuses_who_asks_for_somebody() -> None:
    with pytest.raises(Refusal) as caught:
        await Nothing().headers(errand(ALICE, (b"Impersonate-User", b"bob")))
    assert caught.value.kind is RefusalKind.DENIED
