from typing import Any

import pytest

from holdpoint.domain.access import Actor, Principal
from holdpoint.identity.claims import lookup, principal_of
from holdpoint.identity.tokens import BadToken
from holdpoint.settings import Claims, Issuer

CLUSTER = "kubernetes.io"
BASE: dict[str, Any] = {"iss": "https://idp.example", "sub": "u-alice"}


def principal(said: dict[str, Any], /, **settings: Any) -> Principal:
    issuer = Issuer(
        name="idp",
        url="https://idp.example",
        algorithms=frozenset({"RS256"}),
        audiences=frozenset({"https://gateway.example"}),
        **settings,
    )
    return principal_of(BASE | said, issuer, token_id="t", expires_at=7.0)


def test_bare_token_makes_a_human_of_whom_nothing_is_known():
    assert principal({}) == Principal(
        issuer="https://idp.example", subject="u-alice", kind="human", claims={}, token_id="t", expires_at=7.0
    )


@pytest.mark.parametrize(
    ("claims", "person"),
    [
        pytest.param({"email": "alice@corp.example"}, "alice@corp.example", id="address"),
        pytest.param({"email": "Alice@Corp.Example"}, "alice@corp.example", id="address in another case"),
        pytest.param({"email": "a@b.c", "email_verified": True}, "a@b.c", id="verified"),
        pytest.param({"email": "a@b.c", "email_verified": "true"}, "a@b.c", id="verified as text"),
        pytest.param({"email": "a@b.c", "email_verified": False}, None, id="not verified"),
        pytest.param({"email": "a@b.c", "email_verified": "false"}, None, id="not verified as text"),
        pytest.param({"email": "a@b.c", "email_verified": 1}, None, id="verified as number"),
        pytest.param({"email": "a@b.c", "email_verified": []}, None, id="verified as list"),
        pytest.param({"email": None}, None, id="null"),
        pytest.param({}, None, id="absent"),
    ],
)
def test_person_is_the_verified_address(claims: dict[str, Any], person: str | None):
    assert principal(claims).person == person


def test_address_within_an_object_is_judged_by_the_flag_beside_it():
    settings = {"claims": Claims(person="user.email")}
    assert principal({"user": {"email": "a@b.c", "email_verified": False}}, **settings).person is None
    assert principal({"user": {"email": "a@b.c"}, "email_verified": False}, **settings).person == "a@b.c"


def test_person_of_another_claim_keeps_its_case():
    assert principal({"employee": "E-12"}, claims=Claims(person="employee")).person == "E-12"


def test_workload_has_no_person_even_with_an_address():
    made = principal(
        {"sub": "svc-deploy", "email": "svc@project.example"},
        workload_subjects=("svc-*",),
        owners={"svc-*": frozenset({"Olga@corp.example"}), "svc-deploy": frozenset({"oscar@corp.example"})},
    )
    assert (made.kind, made.person) == ("workload", None)
    assert made.owners == made.requesters == {"olga@corp.example", "oscar@corp.example"}


def test_workload_without_owners_has_no_requesters():
    assert principal({"sub": "svc-deploy"}, workload_subjects=("svc-*",)).requesters == frozenset()


OLGAS = {"owners": {"agent-*": frozenset({"olga@corp.example"})}}


@pytest.mark.threat("T04")
def test_whoever_runs_an_agent_is_a_requester_of_what_it_asks_for_a_person():
    made = principal({"email": "ana@corp.example", "act": {"sub": "agent-7"}}, **OLGAS)
    assert made.requesters == {"ana@corp.example", "olga@corp.example"}


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"act": {"sub": "agent-7"}, "email_verified": False}, id="no person is known"),
        pytest.param({"act": {"sub": "agent-7", "iss": "https://other.example"}}, id="an agent of another issuer"),
        pytest.param({"act": {"sub": "tool", "act": {"sub": "agent-7"}}}, id="an earlier agent"),
    ],
)
def test_owner_of_an_agent_is_no_requester_where(claims):
    assert "olga@corp.example" not in principal({"email": "ana@corp.example", **claims}, **OLGAS).requesters


def test_human_has_no_owners():
    assert principal({}, owners={"*": frozenset({"olga@corp.example"})}).owners == frozenset()


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("system:serviceaccount:ops:deploy", "workload"),
        ("system:serviceaccount:", "workload"),
        ("system:serviceAccount:ops:deploy", "human"),
        ("u-system:serviceaccount:ops:deploy", "human"),
    ],
)
def test_workloads_are_named_by_globs_over_the_whole_subject(subject: str, kind: str):
    assert principal({"sub": subject}, workload_subjects=("system:serviceaccount:*",)).kind == kind


def test_groups_are_read_from_the_configured_claim():
    made = principal({"realm": {"roles": ["sre"]}, "groups": ["admin"]}, claims=Claims(groups="realm.roles"))
    assert made.groups == {"sre"}


def test_actor_chain_is_read_nearest_first():
    act = {"sub": "agent", "iss": "https://agents.example", "act": {"sub": "planner", "act": {"sub": "root"}}}
    expected = Actor("agent", issuer="https://agents.example", chain=("planner", "root"))
    assert principal({"act": act}).actor == expected


def test_endless_actor_chain_is_refused():
    act: dict[str, Any] = {"sub": "agent"}
    for _ in range(8):
        act = {"sub": "agent", "act": act}
    with pytest.raises(BadToken, match="no chain of actors"):
        principal({"act": act})


def test_actor_does_not_change_who_the_requester_is():
    made = principal({"email": "alice@corp.example", "act": {"sub": "svc-agent"}}, workload_subjects=("svc-*",))
    assert (made.kind, made.person) == ("human", "alice@corp.example")


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        pytest.param({"scope": "openid email"}, {"openid", "email"}, id="scope"),
        pytest.param({"scp": "read write"}, {"read", "write"}, id="scp as text"),
        pytest.param({"scp": ["read", "write"]}, {"read", "write"}, id="scp as list"),
        pytest.param({"scope": "a", "scp": "b"}, {"a", "b"}, id="both"),
        pytest.param({"scope": ""}, set(), id="empty"),
        pytest.param({}, set(), id="absent"),
    ],
)
def test_scopes_are_read_in_every_usual_form(claims: dict[str, Any], scopes: set[str]):
    assert principal(claims).scopes == scopes


def test_only_exposed_claims_are_kept_and_cannot_be_changed():
    made = principal(
        {"dept": "ops", "secret": "x", CLUSTER: {"namespace": "prod"}},
        claims=Claims(expose=("dept", "kubernetes.io.namespace", "absent")),
    )
    assert made.claims == {"dept": "ops", "kubernetes.io.namespace": "prod"}
    with pytest.raises(TypeError):
        made.claims["dept"] = "sre"  # type: ignore[index]  # what is tried here


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("a", {"b": 1}, id="plain"),
        pytest.param("a.b", 1, id="inner"),
        pytest.param("x.y", 2, id="dots in the name"),
        pytest.param("x.y.z", None, id="below a value"),
        pytest.param("u.v.w", 3, id="dots in the outer name"),
        pytest.param("a.c", None, id="absent inner"),
        pytest.param("", None, id="empty"),
        pytest.param(".", None, id="dot"),
    ],
)
def test_claims_are_found_by_dotted_path(path: str, value: Any):
    assert lookup({"a": {"b": 1}, "x.y": 2, "u.v": {"w": 3}}, path) == value


def test_name_shows_what_would_hide():
    assert principal({"name": "Ali\u202ece\n"}).name == "Ali\ufffdce\ufffd"


def test_name_falls_back_to_the_person():
    assert principal({"email": "alice@corp.example"}).name == "alice@corp.example"
