from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from tests.fakes.issuer import FakeIssuer, b64, make_key
from tests.fakes.issuer_settings import settings_for

from holdpoint.clock import ManualClock
from holdpoint.domain.approval import Reviewer
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.keys import ALGORITHMS, VerificationKey, parse_key, public_jwk
from holdpoint.identity.reviewer import Confirmation
from holdpoint.identity.tokens import take_apart, verify_signature
from holdpoint.identity.verify import Verifier

NOW = 1_800_000_000
CLIENTS = frozenset({"holdpoint-console", "holdpoint-cli"})
DIGEST = "sha256:" + "ab" * 32


@pytest_asyncio.fixture
async def verifier(idp: FakeIssuer, clock: ManualClock) -> AsyncIterator[Verifier]:
    verifier = Verifier([settings_for(idp, algorithms=frozenset({"ES256"}))], clock)
    yield verifier
    await verifier.close()


def rita(idp: FakeIssuer) -> Reviewer:
    return Reviewer(idp.url, "u-rita", "rita@corp.example", frozenset({"sre"}), "Rita Reviewer")


def confirming(idp: FakeIssuer, **claims: Any) -> str:
    return idp.mint_id_token({"nonce": DIGEST} | claims)


async def confirm(verifier: Verifier, idp: FakeIssuer, token: str, **changes: Any) -> Confirmation:
    told = {"reviewer": rita(idp), "client_ids": CLIENTS, "digest": DIGEST, "again": False} | changes
    return await verifier.verify_confirmation(token, **told)


async def test_a_token_with_the_digest_as_nonce_confirms(verifier: Verifier, idp: FakeIssuer) -> None:
    token = confirming(idp)
    found = await confirm(verifier, idp, token)
    assert found.reviewer == rita(idp)
    key = parse_key(found.key)
    assert verify_signature(take_apart(token), key, algorithms=ALGORITHMS).values["nonce"] == DIGEST


OTHER: list[Any] = [
    pytest.param({"nonce": "sha256:" + "cd" * 32}, "`nonce` is not the digest", id="of another decision"),
    pytest.param({"nonce": None}, "`nonce` is missing", id="without a nonce"),
    pytest.param({"nonce": [DIGEST]}, "`nonce` is no text", id="with a list of nonces"),
    pytest.param({"sub": "u-sam"}, "somebody else", id="of another account"),
    pytest.param({"email": "sam@corp.example"}, "somebody else", id="of another person"),
    pytest.param({"aud": "grafana"}, "`aud` is not exactly one of our clients", id="of another client"),
    pytest.param(
        {"aud": ["holdpoint-console", "grafana"]}, "`aud` is not exactly", id="of a client of ours and another"
    ),
    pytest.param({"azp": "grafana"}, "`azp` names another", id="asked for by another client"),
    pytest.param({"iat": NOW - 301}, "the login is 301 s old", id="old"),
    pytest.param({"iat": NOW + 31}, "in the future", id="of tomorrow"),
    pytest.param({"iat": NOW - 100, "exp": NOW - 30}, "expired", id="expired"),
    pytest.param({"scope": "openid"}, "`scope` is that of an access token", id="for access"),
    pytest.param({"act": {"sub": "agent"}}, "`act` says", id="of an agent"),
    pytest.param({"iss": "https://evil.example"}, "is not accepted here", id="of another issuer"),
]


@pytest.mark.parametrize(("claims", "why"), OTHER)
async def test_any_other_token_confirms_nothing(
    verifier: Verifier, idp: FakeIssuer, claims: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refusal) as caught:
        await confirm(verifier, idp, confirming(idp, **claims))
    assert caught.value.kind is RefusalKind.UNAUTHENTICATED
    assert why in caught.value.public


async def test_a_reviewer_of_another_issuer_cannot_be_confirmed_by_this_one(
    verifier: Verifier, idp: FakeIssuer
) -> None:
    with pytest.raises(Refusal, match="is not accepted here"):
        await confirm(verifier, idp, confirming(idp), reviewer=replace(rita(idp), issuer="https://other.example"))


async def test_a_token_signed_by_somebody_else_confirms_nothing(verifier: Verifier, idp: FakeIssuer) -> None:
    token = idp.mint_id_token({"nonce": DIGEST}, key=make_key("ES256", idp.keys[0].kid))
    with pytest.raises(Refusal, match="signature does not verify"):
        await confirm(verifier, idp, token)


@pytest.mark.threat("T74")
@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "ES384"])
async def test_an_algorithm_that_is_not_pinned_confirms_nothing(verifier: Verifier, idp: FakeIssuer, alg: str) -> None:
    with pytest.raises(Refusal, match="is not pinned"):
        await confirm(verifier, idp, idp.mint_id_token({"nonce": DIGEST}, header={"alg": alg}))


@pytest.mark.threat("T74")
async def test_a_token_without_a_signature_confirms_nothing(verifier: Verifier, idp: FakeIssuer) -> None:
    head, body, _ = confirming(idp).split(".")
    for token in (f"{head}.{body}.", f"{head}.{body}.{b64(bytes(64))}"):
        with pytest.raises(Refusal):
            await confirm(verifier, idp, token)


@pytest.mark.threat("T74")
async def test_what_confirms_a_decision_is_no_login(verifier: Verifier, idp: FakeIssuer) -> None:
    with pytest.raises(Refusal) as caught:
        await verifier.verify_reviewer(confirming(idp), client_ids=CLIENTS, issuers=frozenset(), max_age=300)
    assert "this is no login" in caught.value.detail
    everything = confirming(idp, aud=idp.audience)
    with pytest.raises(Refusal):
        await verifier.verify(everything, audiences=frozenset({idp.audience}), issuers=frozenset())


@pytest.mark.parametrize("nonce", [["sha256:x"], 7, {}], ids=["a list", "a number", "an object"])
async def test_a_nonce_that_is_no_text_is_no_login_either(verifier: Verifier, idp: FakeIssuer, nonce: object) -> None:
    token = idp.mint_id_token({"nonce": nonce})
    with pytest.raises(Refusal) as caught:
        await verifier.verify_reviewer(token, client_ids=CLIENTS, issuers=frozenset(), max_age=300)
    assert "`nonce` is no text" in caught.value.detail


@pytest.mark.parametrize(
    ("auth_time", "why"),
    [
        pytest.param(None, "`auth_time` is missing", id="unknown"),
        pytest.param("now", "`auth_time` is missing", id="no number"),
        pytest.param(NOW - 301, "was not for this decision", id="before"),
        pytest.param(NOW + 31, "was not for this decision", id="tomorrow"),
    ],
)
async def test_where_a_new_login_is_asked_for_an_old_one_confirms_nothing(
    verifier: Verifier, idp: FakeIssuer, auth_time: object, why: str
) -> None:
    assert await confirm(verifier, idp, confirming(idp, auth_time=auth_time))
    with pytest.raises(Refusal) as caught:
        await confirm(verifier, idp, confirming(idp, auth_time=auth_time), again=True)
    assert why in caught.value.public
    assert await confirm(verifier, idp, confirming(idp, auth_time=NOW - 10), again=True)


@pytest.mark.failure("F-evidence-issuer")
async def test_an_issuer_that_is_down_is_unavailable(verifier: Verifier, idp: FakeIssuer) -> None:
    idp.stop()
    with pytest.raises(Refusal) as caught:
        await confirm(verifier, idp, confirming(idp))
    assert caught.value.kind is RefusalKind.UNAVAILABLE


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_a_key_that_is_kept_verifies_what_the_key_did(alg: str) -> None:
    key = make_key(alg, "k")
    kept = parse_key(public_jwk(parse_key(key.jwk())))
    assert kept == VerificationKey("k", frozenset({alg}), key.private.public_key())
    assert "d" not in public_jwk(kept)
