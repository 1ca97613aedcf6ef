"""Whatever bytes come, identity answers in its own words."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.issuer import b64

from holdpoint.domain.refusal import Refusal
from holdpoint.identity.bearer import bearer_token
from holdpoint.identity.claims import lookup, principal_of
from holdpoint.identity.documents import BadDocument
from holdpoint.identity.keys import parse_key_set
from holdpoint.identity.tokens import BadToken, take_apart
from holdpoint.settings import Claims, Issuer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("iss", "sub", "aud", "exp", "act", "groups", "email", "email_verified", "scope", "azp", "name", "client_id")
CLAIMS = st.dictionaries(st.sampled_from(NAMES), JSON | st.lists(st.text(), max_size=3))
ISSUER = Issuer(
    name="idp",
    url="https://idp.example",
    algorithms=frozenset({"RS256"}),
    audiences=frozenset({"https://gateway.example"}),
    claims=Claims(expose=("act.sub", "groups")),
)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


@given(st.text())
def test_any_text_is_a_token_or_a_bad_one(text: str):
    with pytest.raises(BadToken):
        take_apart(text)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit"]), JSON), CLAIMS, st.binary())
def test_any_header_and_claims_are_a_token_or_a_bad_one(header: object, claims: object, signature: bytes):
    text = ".".join(b64(part) for part in (encoded(header), encoded(claims), signature))
    with suppress(BadToken):
        assert take_apart(text).algorithm


@given(st.binary() | st.builds(lambda keys: encoded({"keys": keys}), JSON | st.lists(JSON)))
def test_any_bytes_are_a_key_set_or_a_bad_document(data: bytes):
    with suppress(BadDocument):
        assert parse_key_set(data).keys == {}


@given(CLAIMS)
def test_any_claims_make_a_principal_or_a_bad_token(claims: dict[str, object]):
    try:
        principal = principal_of(claims, ISSUER, token_id="t", expires_at=0.0)  # type: ignore[arg-type]  # JSON
    except BadToken:
        return
    assert principal.subject == claims["sub"]
    assert principal.groups == frozenset(claims.get("groups") or [])  # type: ignore[call-overload]  # was checked


@given(CLAIMS, st.text(alphabet="abcsu.", max_size=8))
def test_any_path_finds_something_or_nothing(claims: dict[str, object], path: str):
    assert lookup(claims, path) == claims.get(path) or "." in path  # type: ignore[arg-type]  # JSON


@given(st.lists(st.tuples(st.sampled_from([b"authorization", b"Authorization", b"host"]), st.binary())))
def test_any_headers_hold_a_token_or_are_refused(headers: list[tuple[bytes, bytes]]):
    with suppress(Refusal):
        assert bearer_token(headers).isascii()
