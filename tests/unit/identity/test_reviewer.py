from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from tests.fakes.issuer import FakeIssuer, make_key
from tests.fakes.issuer_settings import settings_for

from holdpoint.clock import ManualClock
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.verify import Verifier
from holdpoint.settings import Claims, Issuer

ANY: frozenset[str] = frozenset()
CLIENTS = frozenset({"holdpoint-console", "holdpoint-cli"})
NOW = 1_800_000_000


@pytest.fixture
def settings(idp: FakeIssuer) -> Issuer:
    return settings_for(idp, algorithms=frozenset({"ES256"}), workload_subjects=("svc-*",))


@pytest_asyncio.fixture
async def verifier(settings: Issuer, clock: ManualClock) -> AsyncIterator[Verifier]:
    verifier = Verifier([settings], clock)
    yield verifier
    await verifier.close()


async def review(
    verifier: Verifier, token: str, *, clients: frozenset[str] = CLIENTS, issuers: frozenset[str] = ANY
) -> Reviewer:
    return await verifier.verify_reviewer(token, client_ids=clients, issuers=issuers, max_age=300)


async def test_reviewer_is_read_from_the_id_token(verifier: Verifier, idp: FakeIssuer):
    assert await review(verifier, idp.mint_id_token()) == Reviewer(
        issuer=idp.url,
        subject="u-rita",
        person="rita@corp.example",
        groups=frozenset({"sre"}),
        name="Rita Reviewer",
    )


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"azp": "holdpoint-console"}, id="azp is the client"),
        pytest.param({"aud": ["holdpoint-console"]}, id="aud as list of one"),
        pytest.param({"aud": "holdpoint-cli"}, id="the other client"),
        pytest.param({"nonce": "n", "at_hash": "h", "auth_time": NOW}, id="what ID tokens carry"),
        pytest.param({"iat": NOW - 300}, id="just young enough"),
        pytest.param({"typ": "ID"}, id="keycloak"),
        pytest.param({"email_verified": None}, id="address of which nothing is said"),
    ],
)
async def test_usual_id_token_is_accepted(verifier: Verifier, idp: FakeIssuer, claims: dict[str, Any]):
    assert (await review(verifier, idp.mint_id_token(claims))).person == "rita@corp.example"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("aud of another client", {"aud": "grafana"}, "`aud` is not exactly one of our clients"),
    ("aud of a resource", {"aud": "https://gateway.example"}, "`aud` is not exactly one"),
    ("aud of two clients", {"aud": ["holdpoint-console", "grafana"]}, "`aud` is not exactly one"),
    ("aud of both of ours", {"aud": ["holdpoint-console", "holdpoint-cli"]}, "`aud` is not exactly one"),
    ("aud missing", {"aud": None}, "`aud` is no text"),
    ("azp of another client", {"azp": "grafana"}, "`azp` names another client"),
    ("azp of the other of ours", {"azp": "holdpoint-cli"}, "`azp` names another client"),
    ("azp empty", {"azp": ""}, "`azp` is empty"),
    ("too old", {"iat": NOW - 301}, "the login is 301 s old"),
    ("iat missing", {"iat": None}, "`iat` is missing"),
    ("iat in the future", {"iat": NOW + 31}, "in the future"),
    ("expired", {"iat": NOW - 100, "exp": NOW - 30}, "expired"),
    ("exp missing", {"exp": None}, "`exp` is missing"),
    ("nbf in the future", {"nbf": NOW + 31}, "not valid for another"),
    ("sub missing", {"sub": None}, "`sub` is missing"),
    ("sub empty", {"sub": ""}, "`sub` is empty"),
    ("no person", {"email": None}, "no person is known"),
    ("address not verified", {"email_verified": False}, "no person is known"),
    ("address not verified, as text", {"email_verified": "false"}, "no person is known"),
    ("groups overage", {"_claim_names": {"groups": "src1"}}, "`_claim_names`"),
    ("groups text", {"groups": "sre"}, "`groups` is no list"),
    ("access token by scope", {"scope": "openid"}, "`scope` is that of an access token"),
    ("access token by scp", {"scp": "user_impersonation"}, "`scp` is that of an access token"),
    ("access token by typ claim", {"typ": "Bearer"}, "`typ` says that it is no ID token"),
    ("access token by token_use", {"token_use": "access"}, "`token_use` says"),
    ("logout token", {"events": {}}, "`events`"),
    ("somebody acts for the reviewer", {"act": {"sub": "agent"}}, "`act` says"),
    ("workload", {"sub": "svc-deploy"}, "a workload is no reviewer"),
    ("iss of another", {"iss": "https://evil.example"}, "is not accepted here"),
]


@pytest.mark.parametrize(("claims", "why"), [pytest.param(c, why, id=name) for name, c, why in WRONG])
async def test_wrong_id_token_is_refused(verifier: Verifier, idp: FakeIssuer, claims: dict[str, Any], why: str):
    with pytest.raises(Refusal) as caught:
        await review(verifier, idp.mint_id_token(claims))
    assert caught.value.kind is RefusalKind.UNAUTHENTICATED
    assert caught.value.public == "the login was not accepted, log in again"
    assert why in caught.value.detail


async def test_access_token_is_no_login(verifier: Verifier, idp: FakeIssuer):
    with pytest.raises(Refusal) as caught:
        await review(verifier, idp.mint({"aud": "holdpoint-console"}))
    assert "`typ` is `at+jwt`, not that of an ID token" in caught.value.detail


async def test_header_without_typ_is_accepted_for_a_login(verifier: Verifier, idp: FakeIssuer):
    assert await review(verifier, idp.mint_id_token(header={"typ": None}))


async def test_signature_of_another_key_is_refused(verifier: Verifier, idp: FakeIssuer):
    with pytest.raises(Refusal) as caught:
        await review(verifier, idp.mint_id_token(key=make_key("ES256", idp.keys[0].kid)))
    assert "signature does not verify" in caught.value.detail


async def test_empty_client_ids_accept_nobody(verifier: Verifier, idp: FakeIssuer):
    with pytest.raises(Refusal):
        await review(verifier, idp.mint_id_token(), clients=ANY)


async def test_issuer_without_login_is_not_taken_unless_named(settings: Issuer, idp: FakeIssuer, clock: ManualClock):
    verifier = Verifier([replace(settings, login_client_id="")], clock)
    with pytest.raises(Refusal) as caught:
        await review(verifier, idp.mint_id_token())
    assert "is not accepted here" in caught.value.detail
    assert await review(verifier, idp.mint_id_token(), issuers=frozenset({"idp"}))
    await verifier.close()


async def test_verified_login_is_no_verified_access_token(verifier: Verifier, idp: FakeIssuer):
    token = idp.mint_id_token()
    await review(verifier, token)
    assert verifier.cached(token, audiences=CLIENTS, issuers=ANY) is None


async def test_person_of_another_claim_needs_no_verified_address(settings: Issuer, idp: FakeIssuer, clock: ManualClock):
    verifier = Verifier([replace(settings, claims=Claims(person="employee"))], clock)
    token = idp.mint_id_token({"employee": "E123", "email_verified": False})
    assert (await review(verifier, token)).person == "E123"
    await verifier.close()


async def test_issuer_that_is_down_is_unavailable(verifier: Verifier, idp: FakeIssuer):
    idp.stop()
    with pytest.raises(Refusal) as caught:
        await review(verifier, idp.mint_id_token())
    assert caught.value.kind is RefusalKind.UNAVAILABLE
