from collections.abc import Generator
from typing import Any

import pytest
from tests.fakes.console_browser import issuer_settings
from tests.fakes.issuer import FakeIssuer, make_key

from holdpoint.clock import ManualClock
from holdpoint.console.id_token import LEEWAY, LoginRefused, UnknownKey, login_of, verify
from holdpoint.domain.values import JsonObject
from holdpoint.settings import Claims

NONCE = "nonce-of-this-login"
NOW = 1_800_000_000


@pytest.fixture
def issuer() -> Generator[FakeIssuer]:
    issuer = FakeIssuer(clock=ManualClock(NOW), alg="ES256")
    yield issuer
    issuer.stop()


def check(issuer: FakeIssuer, token: str, **changes: Any) -> JsonObject:
    keys = issuer.jwks()["keys"]
    settings = issuer_settings(issuer, **changes)
    return verify(token, keys, issuer=settings, client_id="holdpoint-console", nonce=NONCE, now=float(NOW))


def test_a_token_of_this_login_is_taken(issuer: FakeIssuer) -> None:
    token = issuer.mint_id_token({"nonce": NONCE})
    assert check(issuer, token)["email"] == "rita@corp.example"


def test_several_audiences_are_taken_where_the_party_is_ours(issuer: FakeIssuer) -> None:
    claims = {"nonce": NONCE, "aud": ["other", "holdpoint-console"], "azp": "holdpoint-console"}
    assert check(issuer, issuer.mint_id_token(claims))["azp"] == "holdpoint-console"


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"iss": "https://evil.example"}, id="issuer"),
        pytest.param({"aud": "another"}, id="audience"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"aud": ["holdpoint-console", "other"]}, id="audiences without a party"),
        pytest.param({"azp": "another"}, id="party"),
        pytest.param({"nonce": "of another login"}, id="nonce"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": 7}, id="subject is no text"),
        pytest.param({"exp": NOW - LEEWAY}, id="expired"),
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"exp": True}, id="expiry is no number"),
        pytest.param({"iat": NOW + LEEWAY + 1}, id="of the future"),
        pytest.param({"iat": None}, id="no issue time"),
        pytest.param({"nbf": NOW + LEEWAY + 1}, id="not yet"),
    ],
)
def test_a_token_with_one_wrong_claim_is_refused(issuer: FakeIssuer, claims: dict[str, Any]) -> None:
    with pytest.raises(LoginRefused):
        check(issuer, issuer.mint_id_token({"nonce": NONCE} | claims))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"alg": "none"}, id="no algorithm"),
        pytest.param({"alg": "HS256"}, id="secret of both"),
        pytest.param({"alg": "RS256"}, id="algorithm that the settings do not name"),
        pytest.param({"typ": "at+jwt"}, id="an access token"),
        pytest.param({"crit": ["exp"]}, id="critical header"),
    ],
)
def test_a_token_with_a_wrong_header_is_refused(issuer: FakeIssuer, header: dict[str, Any]) -> None:
    with pytest.raises(LoginRefused):
        check(issuer, issuer.mint_id_token({"nonce": NONCE}, header=header))


@pytest.mark.parametrize("name", ["none", "HS256"])
def test_an_algorithm_without_a_private_key_is_refused_even_where_the_settings_name_it(
    issuer: FakeIssuer, name: str
) -> None:
    token = issuer.mint_id_token({"nonce": NONCE}, header={"alg": name})
    with pytest.raises(LoginRefused):
        check(issuer, token, algorithms=frozenset({name}))


def test_a_changed_token_is_refused(issuer: FakeIssuer) -> None:
    head, _, signature = issuer.mint_id_token({"nonce": NONCE}).split(".")
    body = issuer.mint_id_token({"nonce": NONCE, "email": "alice@corp.example"}).split(".")[1]
    with pytest.raises(LoginRefused):
        check(issuer, f"{head}.{body}.{signature}")


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 100_000, "....", "é.é.é"])
def test_what_is_no_token_is_refused(issuer: FakeIssuer, token: str) -> None:
    with pytest.raises(LoginRefused):
        check(issuer, token)


def test_a_key_that_is_not_in_the_set_is_unknown(issuer: FakeIssuer) -> None:
    token = issuer.mint_id_token({"nonce": NONCE}, key=make_key("ES256"))
    with pytest.raises(UnknownKey):
        check(issuer, token)


def test_a_forged_key_id_does_not_make_the_signature_right(issuer: FakeIssuer) -> None:
    forged = make_key("ES256", kid=issuer.keys[0].kid)
    with pytest.raises(LoginRefused):
        check(issuer, issuer.mint_id_token({"nonce": NONCE}, key=forged))


def test_an_encryption_key_signs_nothing(issuer: FakeIssuer) -> None:
    keys: list[JsonObject] = [key | {"use": "enc"} for key in issuer.jwks()["keys"]]
    token = issuer.mint_id_token({"nonce": NONCE})
    with pytest.raises(UnknownKey):
        verify(token, keys, issuer=issuer_settings(issuer), client_id="holdpoint-console", nonce=NONCE, now=NOW)


def test_a_login_shows_what_the_settings_point_at() -> None:
    claims: JsonObject = {"sub": "u1", "upn": "rita", "org": {"roles": ["sre", 7]}}
    login = login_of("token", claims, Claims(person="upn", groups="org.roles"))
    assert (login.name, login.person) == ("rita", "rita")
    assert "sre" in login.groups


def test_a_login_without_claims_has_its_subject_for_a_name() -> None:
    login = login_of("token", {"sub": "u1", "groups": "sre"}, Claims())
    assert (login.name, login.person, login.groups) == ("u1", "", frozenset())
