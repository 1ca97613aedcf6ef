"""Every way for a token to be wrong. Each row changes one thing of a token that passes, and names what stops it."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fakes.issuer import FakeIssuer, b64, make_key
from tests.fakes.issuer_settings import settings_for

from holdpoint.clock import ManualClock
from holdpoint.domain.access import Principal
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.identity.verify import Verifier
from holdpoint.settings import Issuer

pytestmark = pytest.mark.threat("T01")
NOW = 1_800_000_000
ANY: frozenset[str] = frozenset()


async def verify(token: str, wall: ManualClock, *issuers: Issuer, audiences: frozenset[str] = ANY) -> Principal:
    verifier = Verifier(issuers, wall)
    try:
        return await verifier.verify(token, audiences=audiences, issuers=ANY)
    finally:
        await verifier.close()


async def refused(token: str, wall: ManualClock, *issuers: Issuer) -> str:
    """Assert that the token is refused as it should be; return the detail."""
    with pytest.raises(Refusal) as caught:
        await verify(token, wall, *issuers)
    refusal = caught.value
    assert refusal.kind is RefusalKind.UNAUTHENTICATED
    assert refusal.public == "the access token was not accepted"
    assert refusal.challenge == 'Bearer error="invalid_token"'
    for part in token.split("."):
        assert len(part) < 8 or part not in refusal.detail
    return refusal.detail


async def test_good_token_is_accepted(idp: FakeIssuer, wall: ManualClock):
    principal = await verify(idp.mint(), wall, settings_for(idp))
    assert principal.id == f"{idp.url}#u-alice"


WRONG_CLAIMS: list[tuple[str, dict[str, Any], str]] = [
    ("iss missing", {"iss": None}, "issuer `None` is not accepted"),
    ("iss of nobody known", {"iss": "https://evil.example"}, "issuer `https://evil.example` is not accepted"),
    ("iss as list", {"iss": ["https://evil.example"]}, "is not accepted here"),
    ("iss as object", {"iss": {}}, "is not accepted here"),
    ("aud missing", {"aud": None}, "`aud` is no text"),
    ("aud of another service", {"aud": "https://other.example"}, "`aud` does not name this gateway"),
    ("aud with a slash more", {"aud": "https://gateway.example/"}, "`aud` does not name this gateway"),
    ("aud in another case", {"aud": "https://GATEWAY.example"}, "`aud` does not name this gateway"),
    ("aud that starts the same", {"aud": "https://gateway.example.evil.example"}, "`aud` does not name"),
    ("aud empty list", {"aud": []}, "`aud` is empty"),
    ("aud empty text", {"aud": ""}, "`aud` is empty"),
    ("aud number", {"aud": 7}, "`aud` is no text"),
    ("aud object", {"aud": {"https://gateway.example": 1}}, "`aud` is no text"),
    ("aud list with a number", {"aud": ["https://gateway.example", 7]}, "`aud` is no text"),
    ("sub missing", {"sub": None}, "`sub` is missing"),
    ("sub empty", {"sub": ""}, "`sub` is empty"),
    ("sub blank", {"sub": " "}, "`sub` is empty"),
    ("sub number", {"sub": 1}, "`sub` is no text"),
    ("sub list", {"sub": ["u-alice"]}, "`sub` is no text"),
    ("sub with a line break", {"sub": "u-alice\nu-rita"}, "do not show"),
    ("sub with a direction override", {"sub": "u-\u202eecila"}, "do not show"),
    ("sub too long", {"sub": "x" * 513}, "too long"),
    ("exp missing", {"exp": None}, "`exp` is missing"),
    ("exp text", {"exp": "4102444800"}, "`exp` is missing or no number"),
    ("exp boolean", {"exp": True}, "`exp` is missing or no number"),
    ("exp beyond a double", {"exp": 10**400}, "`exp` is out of range"),
    ("expired beyond leeway", {"iat": NOW - 100, "exp": NOW - 30}, "expired 30 s ago"),
    ("iat missing", {"iat": None}, "`iat` is missing"),
    ("iat text", {"iat": str(NOW)}, "`iat` is missing or no number"),
    ("iat in the future", {"iat": NOW + 31, "exp": NOW + 600}, "issued 31 s in the future"),
    ("exp before iat", {"iat": NOW, "exp": NOW - 1}, "expires before it was issued"),
    ("nbf in the future", {"nbf": NOW + 31}, "not valid for another 31 s"),
    ("nbf text", {"nbf": "0"}, "`nbf` is missing or no number"),
    ("lifetime too long", {"exp": NOW + 86_401}, "longer than 86400 s"),
    ("ten years", {"exp": NOW + 315_360_000}, "longer than 86400 s"),
    ("nonce of an ID token", {"nonce": "n"}, "`nonce` is that of an ID token"),
    ("at_hash of an ID token", {"at_hash": "h"}, "`at_hash` is that of an ID token"),
    ("c_hash of an ID token", {"c_hash": "h"}, "`c_hash` is that of an ID token"),
    ("typ claim of an ID token", {"typ": "ID"}, "`typ` says that it is no access token"),
    ("typ claim of a refresh token", {"typ": "Refresh"}, "`typ` says that it is no access token"),
    ("token_use of an ID token", {"token_use": "id"}, "`token_use` says that it is no access token"),
    ("logout token", {"events": {}}, "`events` is that of a security event"),
    ("groups overage", {"_claim_names": {"groups": "src1"}}, "`_claim_names` says that claims were left out"),
    ("groups overage source", {"_claim_sources": {}}, "`_claim_sources` says"),
    ("groups overage short form", {"hasgroups": True}, "`hasgroups` says"),
    ("groups text", {"groups": "sre"}, "`groups` is no list"),
    ("groups object", {"groups": {"sre": True}}, "`groups` is no list"),
    ("groups with a number", {"groups": ["dev", 1]}, "`groups` is no text"),
    ("groups with an empty name", {"groups": ["dev", ""]}, "`groups` is empty"),
    ("email number", {"email": 1}, "`email` is no text"),
    ("email with hidden characters", {"email": "al\u200bice@corp.example"}, "do not show"),
    ("name number", {"name": 1}, "`name` is no text"),
    ("client_id list", {"client_id": ["holdpoint-cli"]}, "`client_id` is no text"),
    ("azp number", {"azp": 1}, "`azp` is no text"),
    ("jti number", {"jti": 1}, "`jti` is no text"),
    ("scope number", {"scope": 1}, "`scope` is no text"),
    ("scp object", {"scp": {}}, "`scp` is no text"),
    ("act text", {"act": "agent"}, "`act` is no chain"),
    ("act without sub", {"act": {"iss": "x"}}, "`sub` is missing"),
    ("act null within", {"act": {"sub": "a", "act": None}}, "`act` is no chain"),
    ("act with empty sub", {"act": {"sub": ""}}, "`sub` is empty"),
]


@pytest.mark.parametrize(("claims", "why"), [pytest.param(claims, why, id=name) for name, claims, why in WRONG_CLAIMS])
async def test_wrong_claim_is_refused(idp: FakeIssuer, wall: ManualClock, claims: dict[str, Any], why: str):
    assert why in await refused(idp.mint(claims), wall, settings_for(idp))


WRONG_HEADERS: list[tuple[str, dict[str, Any], str]] = [
    ("alg missing", {"alg": None}, "`alg` is missing"),
    ("alg number", {"alg": 256}, "`alg` is missing or no text"),
    ("alg not pinned", {"alg": "PS256"}, "`PS256` is not pinned"),
    ("alg in another case", {"alg": "rs256"}, "`rs256` is not pinned"),
    ("alg none", {"alg": "none"}, "`none` is not pinned"),
    ("alg None", {"alg": "None"}, "`None` is not pinned"),
    ("alg HS256", {"alg": "HS256"}, "`HS256` is not pinned"),
    ("kid missing", {"kid": None}, "`kid` is missing"),
    ("kid empty", {"kid": ""}, "`kid` is missing or not usable"),
    ("kid number", {"kid": 1}, "`kid` is missing or not usable"),
    ("kid too long", {"kid": "k" * 257}, "`kid` is missing or not usable"),
    ("kid unknown", {"kid": "nobody"}, "has no key `nobody`"),
    ("kid as path", {"kid": "../../dev/null"}, "has no key `../../dev/null`"),
    ("kid with control characters", {"kid": "a\n`b"}, "has no key `a??b`"),
    ("typ missing", {"typ": None}, "`typ` is `jwt`"),
    ("typ empty", {"typ": ""}, "`typ` is ``"),
    ("typ of an ID token", {"typ": "JWT"}, "`typ` is `jwt`"),
    ("typ of a logout token", {"typ": "logout+jwt"}, "`typ` is `logout+jwt`"),
    ("typ number", {"typ": 1}, "`typ` is no text"),
    ("jku", {"jku": "https://evil.example/jwks"}, "header `jku` is not allowed"),
    ("x5u", {"x5u": "https://evil.example/cert"}, "header `x5u` is not allowed"),
    ("jwk", {"jwk": {"kty": "RSA"}}, "header `jwk` is not allowed"),
    ("x5c", {"x5c": ["MII"]}, "header `x5c` is not allowed"),
    ("crit", {"crit": ["exp"]}, "header `crit` is not allowed"),
    ("empty crit", {"crit": []}, "header `crit` is not allowed"),
    ("b64", {"b64": False}, "header `b64` is not allowed"),
    ("zip", {"zip": "DEF"}, "header `zip` is not allowed"),
    ("enc", {"enc": "A256GCM"}, "header `enc` is not allowed"),
]


@pytest.mark.parametrize(("header", "why"), [pytest.param(header, why, id=name) for name, header, why in WRONG_HEADERS])
async def test_wrong_header_is_refused(idp: FakeIssuer, wall: ManualClock, header: dict[str, Any], why: str):
    assert why in await refused(idp.mint(header=header), wall, settings_for(idp))


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
async def test_typ_is_compared_as_a_media_type(idp: FakeIssuer, wall: ManualClock, typ: str):
    assert (await verify(idp.mint(header={"typ": typ}), wall, settings_for(idp))).subject == "u-alice"


def unsigned(idp: FakeIssuer) -> tuple[str, str]:
    header = {"typ": "at+jwt", "alg": "none", "kid": idp.keys[0].kid}
    return b64(json.dumps(header).encode()), b64(json.dumps(idp.claims()).encode())


async def test_unsigned_token_is_refused_even_with_none_pinned_nowhere(idp: FakeIssuer, wall: ManualClock):
    header, claims = unsigned(idp)
    assert "segments" in await refused(f"{header}.{claims}.", wall, settings_for(idp))
    assert "`none` is not pinned" in await refused(f"{header}.{claims}.AAAA", wall, settings_for(idp))


async def test_public_key_used_as_hmac_secret_is_refused(idp: FakeIssuer, wall: ManualClock):
    pem = idp.keys[0].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = b64(json.dumps({"typ": "at+jwt", "alg": "HS256", "kid": idp.keys[0].kid}).encode())
    signed = f"{header}.{b64(json.dumps(idp.claims()).encode())}"
    # PyJWT itself refuses to make this signature, so that it is made by hand.
    signature = jwt.get_algorithm_by_name("HS256").sign(signed.encode(), pem)
    token = f"{signed}.{b64(signature)}"
    assert "`HS256` is not pinned" in await refused(token, wall, settings_for(idp))


async def test_algorithm_that_does_not_fit_the_key_is_refused(idp: FakeIssuer, wall: ManualClock):
    both = settings_for(idp, algorithms=frozenset({"RS256", "ES256"}))
    token = idp.mint(header={"alg": "ES256"})
    assert "`ES256` does not fit key" in await refused(token, wall, both)


async def test_signature_of_another_key_with_our_kid_is_refused(idp: FakeIssuer, wall: ManualClock):
    stranger = make_key(kid=idp.keys[0].kid)
    assert "signature does not verify" in await refused(idp.mint(key=stranger), wall, settings_for(idp))


async def test_signature_of_another_token_is_refused(idp: FakeIssuer, wall: ManualClock):
    header, _, _ = idp.mint().split(".")
    _, claims, _ = idp.mint({"groups": ["sre"]}).split(".")
    _, _, signature = idp.mint().split(".")
    token = f"{header}.{claims}.{signature}"
    assert "signature does not verify" in await refused(token, wall, settings_for(idp))


async def test_key_of_one_issuer_does_not_sign_for_another(idp: FakeIssuer, wall: ManualClock):
    with FakeIssuer(clock=wall) as other:
        issuers = settings_for(idp), settings_for(other, name="other")
        token = other.mint({"iss": idp.url})
        assert f"issuer `idp` has no key `{other.keys[0].kid}`" in await refused(token, wall, *issuers)


async def test_issuer_that_the_target_does_not_take_is_refused(idp: FakeIssuer, wall: ManualClock):
    verifier = Verifier([settings_for(idp)], wall)
    with pytest.raises(Refusal) as caught:
        await verifier.verify(idp.mint(), audiences=ANY, issuers=frozenset({"another"}))
    assert "is not accepted here" in caught.value.detail


@pytest.mark.threat("T19")
async def test_unknown_issuer_causes_no_request(wall: ManualClock):
    with FakeIssuer(clock=wall) as known, FakeIssuer(clock=wall) as stranger:
        await refused(stranger.mint(), wall, settings_for(known))
        assert known.requests == []
        assert stranger.requests == []


RAW_SEGMENTS = [
    pytest.param(
        "header",
        b'{"alg":"RS256","kid":"k","alg":"none"}',
        "header: invalid JSON: an object has",
        id="alg twice",
    ),
    pytest.param("header", b"[]", "header: not a JSON object", id="header as list"),
    pytest.param("header", b'"RS256"', "header: not a JSON object", id="header as text"),
    pytest.param("header", b"\xff", "header: invalid JSON", id="header not UTF-8"),
    pytest.param("header", b'\xef\xbb\xbf{"alg":"RS256"}', "header: invalid JSON", id="header with BOM"),
    pytest.param("header", b'{"alg":"RS256"} {}', "header: invalid JSON", id="header with more after it"),
    pytest.param(
        "payload",
        b'{"sub":"u-alice","sub":"u-rita"}',
        "payload: invalid JSON: an object has",
        id="sub twice",
    ),
    pytest.param(
        "payload",
        b'{"act":{"sub":"a","sub":"b"}}',
        "payload: invalid JSON: an object has",
        id="inner key twice",
    ),
    pytest.param(
        "payload",
        b'{"sub":"a","\\u0073ub":"b"}',
        "payload: invalid JSON: an object has",
        id="escaped key twice",
    ),
    pytest.param("payload", b'{"exp":NaN}', "payload: invalid JSON", id="NaN"),
    pytest.param("payload", b'{"exp":Infinity}', "payload: invalid JSON", id="infinity"),
    pytest.param("payload", b'{"exp":1e999}', "payload: invalid JSON", id="overflow"),
    pytest.param("payload", b'{"sub":"\\ud800"}', "payload: invalid JSON", id="lone surrogate"),
    pytest.param("payload", b'{"a":' * 40 + b"1" + b"}" * 40, "payload: invalid JSON: nested", id="deep"),
    pytest.param(
        "payload",
        b'{"a":' * 1_500 + b"1" + b"}" * 1_500,
        "payload: invalid JSON: nested",
        id="very deep",
    ),
    pytest.param("payload", b"null", "payload: not a JSON object", id="payload null"),
    pytest.param("payload", b"", "segments", id="payload empty"),
]


@pytest.mark.parametrize(("segment", "raw", "why"), RAW_SEGMENTS)
async def test_ambiguous_or_broken_json_is_refused(
    idp: FakeIssuer, wall: ManualClock, segment: str, raw: bytes, why: str
):
    token = idp.mint(header=raw) if segment == "header" else idp.mint(raw)
    assert why in await refused(token, wall, settings_for(idp))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(lambda _: "", "segments", id="empty"),
        pytest.param(lambda _: "x", "segments", id="opaque"),
        pytest.param(lambda t: t + ".x", "segments", id="four segments"),
        pytest.param(lambda t: t + ".x.y", "segments", id="five segments, as JWE"),
        pytest.param(lambda t: t.rsplit(".", 1)[0], "segments", id="two segments"),
        pytest.param(lambda t: "." + t.split(".", 1)[1], "segments", id="empty header"),
        pytest.param(lambda t: t + "=", "signature is not base64url", id="padding"),
        pytest.param(lambda t: t + "\n", "signature is not base64url", id="line break at the end"),
        pytest.param(lambda t: " " + t, "header is not base64url", id="blank before"),
        pytest.param(lambda t: t.replace(".", "!.", 1), "header is not base64url", id="foreign character"),
        pytest.param(lambda t: t[:-1] + chr(ord(t[-1]) + 1), "signature is not base64url", id="stray bits"),
        pytest.param(lambda t: t + "é", "not ASCII", id="not ASCII"),
        pytest.param(lambda t: t + "\ud800", "not ASCII", id="surrogate"),
        pytest.param(lambda t: t + "A" * 16_384, "longer than 16384 bytes", id="oversized"),
        pytest.param(lambda _: "." * 16_384, "segments", id="only dots"),
    ],
)
async def test_malformed_token_is_refused(idp: FakeIssuer, wall: ManualClock, change: Any, why: str):
    assert why in await refused(change(idp.mint()), wall, settings_for(idp))


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        pytest.param({"client_id": "agent"}, True, id="client_id on the list"),
        pytest.param({"client_id": None, "azp": "agent"}, True, id="azp on the list"),
        pytest.param({"client_id": "agent", "azp": "agent"}, True, id="both"),
        pytest.param({"client_id": "other"}, False, id="client_id not on the list"),
        pytest.param({"client_id": None, "azp": "other"}, False, id="azp not on the list"),
        pytest.param({"client_id": "agent", "azp": "other"}, False, id="azp contradicts"),
        pytest.param({"client_id": "other", "azp": "agent"}, False, id="client_id contradicts"),
        pytest.param({"client_id": None}, False, id="neither"),
    ],
)
async def test_client_must_be_on_the_issuers_list(
    idp: FakeIssuer, wall: ManualClock, claims: dict[str, Any], *, accepted: bool
):
    settings = settings_for(idp, clients=frozenset({"agent"}))
    if accepted:
        assert (await verify(idp.mint(claims), wall, settings)).client_id == "agent"
    else:
        assert "is not on the issuer's list" in await refused(idp.mint(claims), wall, settings)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"iat": NOW - 100, "exp": NOW - 29}, id="expired within leeway"),
        pytest.param({"iat": NOW + 30}, id="issued ahead within leeway"),
        pytest.param({"nbf": NOW + 30}, id="not before within leeway"),
        pytest.param({"exp": NOW + 86_400}, id="longest lifetime"),
        pytest.param({"exp": NOW + 60.5}, id="fraction of a second"),
        pytest.param({"aud": ["https://other.example", "https://gateway.example"]}, id="one of two audiences"),
        pytest.param({"email": None, "groups": None, "name": None, "jti": None, "scope": None}, id="bare"),
        pytest.param({"typ": "Bearer"}, id="keycloak"),
    ],
)
async def test_unusual_but_right_token_is_accepted(idp: FakeIssuer, wall: ManualClock, claims: dict[str, Any]):
    assert (await verify(idp.mint(claims), wall, settings_for(idp))).subject == "u-alice"


async def test_token_without_typ_counts_as_jwt(idp: FakeIssuer, wall: ManualClock):
    settings = settings_for(idp, types=frozenset({"jwt"}))
    assert await verify(idp.mint(header={"typ": None}), wall, settings)


async def test_empty_audiences_accept_nothing(idp: FakeIssuer, wall: ManualClock):
    detail = await refused(idp.mint(), wall, settings_for(idp, audiences=ANY))
    assert "`aud` does not name this gateway: accepted here is nothing" in detail


async def test_audience_of_another_target_is_refused(idp: FakeIssuer, wall: ManualClock):
    with pytest.raises(Refusal) as caught:
        await verify(idp.mint(), wall, settings_for(idp), audiences=frozenset({"https://gateway.example/k8s"}))
    assert "`aud` does not name this gateway: accepted here is `https://gateway.example/k8s`" in caught.value.detail
    assert "https://" not in caught.value.public


async def test_id_token_is_no_access_token_even_where_typ_jwt_is_allowed(idp: FakeIssuer, wall: ManualClock):
    settings = settings_for(idp, types=frozenset({"jwt"}))
    token = idp.mint_id_token({"aud": idp.audience, "nonce": "n"})
    assert "`nonce` is that of an ID token" in await refused(token, wall, settings)


async def test_refusal_never_holds_the_token(idp: FakeIssuer, wall: ManualClock):
    token = idp.mint({"aud": "https://other.example"})
    with pytest.raises(Refusal) as caught:
        await verify(token, wall, settings_for(idp))
    told = " ".join([str(caught.value), caught.value.detail, caught.value.challenge, repr(caught.value.__cause__)])
    assert token.split(".")[2] not in told
    assert base64.urlsafe_b64encode(b"u-alice").decode()[:8] not in told
