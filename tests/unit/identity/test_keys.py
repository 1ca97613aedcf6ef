import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fakes.issuer import b64, make_key

from holdpoint.identity.documents import BadDocument
from holdpoint.identity.keys import KeySet, decode_base64url, parse_key_set

RSA = make_key("RS256", "rsa").jwk()
EC = make_key("ES256", "ec").jwk()
ED = {
    "kty": "OKP",
    "crv": "Ed25519",
    "kid": "ed",
    "x": b64(Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)),
}
WEAK = make_key("RS256", "weak", bits=1024).jwk()
OTHER_EC = make_key("ES256", "other").jwk()


def p384() -> dict[str, Any]:
    numbers = generate_private_key(SECP384R1()).public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-384",
        "kid": "ec",
        "x": b64(numbers.x.to_bytes(48)),
        "y": b64(numbers.y.to_bytes(48)),
    }


def parse(*keys: Any) -> KeySet:
    return parse_key_set(json.dumps({"keys": keys}).encode())


def without(key: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in key.items() if k != name}


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        pytest.param(RSA, {"RS256"}, id="RSA with alg"),
        pytest.param(without(RSA, "alg"), {"RS256", "PS256"}, id="RSA without alg"),
        pytest.param(RSA | {"alg": "PS256"}, {"PS256"}, id="RSA for PS256"),
        pytest.param(without(RSA, "use"), {"RS256"}, id="RSA without use"),
        pytest.param(RSA | {"key_ops": ["verify"]}, {"RS256"}, id="RSA with key_ops"),
        pytest.param(RSA | {"x5t": "abc", "x5c": ["MII"]}, {"RS256"}, id="RSA with a certificate, which is not read"),
        pytest.param(EC, {"ES256"}, id="EC"),
        pytest.param(ED, {"EdDSA"}, id="Ed25519"),
    ],
)
def test_key_is_tied_to_its_algorithms(key: dict[str, Any], algorithms: set[str]):
    assert parse(key).keys[key["kid"]].algorithms == algorithms


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(WEAK, id="RSA below 2048 bits"),
        pytest.param(RSA | {"n": b64(b"\xff" * 1025)}, id="RSA above 8192 bits"),
        pytest.param(RSA | {"e": "Aw"}, id="RSA exponent 3"),
        pytest.param(RSA | {"e": b64((65538).to_bytes(3))}, id="RSA exponent even"),
        pytest.param(RSA | {"e": b64((2**40 + 1).to_bytes(6))}, id="RSA exponent huge"),
        pytest.param(without(RSA, "n"), id="RSA without modulus"),
        pytest.param(RSA | {"n": RSA["n"] + "="}, id="RSA modulus padded"),
        pytest.param(RSA | {"n": 7}, id="RSA modulus number"),
        pytest.param(without(RSA, "kid"), id="no kid"),
        pytest.param(RSA | {"kid": ""}, id="empty kid"),
        pytest.param(RSA | {"kid": 1}, id="kid number"),
        pytest.param(RSA | {"kid": "k" * 257}, id="kid too long"),
        pytest.param(RSA | {"use": "enc"}, id="for encryption"),
        pytest.param(RSA | {"use": None}, id="use null"),
        pytest.param(RSA | {"key_ops": ["encrypt"]}, id="key_ops without verify"),
        pytest.param(RSA | {"key_ops": "verify"}, id="key_ops text"),
        pytest.param(RSA | {"alg": "HS256"}, id="alg symmetric"),
        pytest.param(RSA | {"alg": "ES256"}, id="alg of another kty"),
        pytest.param(RSA | {"alg": "RSA-OAEP"}, id="alg of encryption"),
        pytest.param(RSA | {"alg": "none"}, id="alg none"),
        pytest.param(RSA | {"alg": 1}, id="alg number"),
        pytest.param(RSA | {"alg": None}, id="alg null"),
        pytest.param(RSA | {"kty": "oct", "k": "c2VjcmV0"}, id="symmetric"),
        pytest.param(RSA | {"d": "AQAB"}, id="private"),
        pytest.param(RSA | {"kty": "EC"}, id="kty of another key"),
        pytest.param(RSA | {"kty": "XYZ"}, id="kty unknown"),
        pytest.param(RSA | {"kty": ["RSA"]}, id="kty list"),
        pytest.param(p384(), id="EC on another curve"),
        pytest.param(p384() | {"crv": "P-256"}, id="EC of another length"),
        pytest.param(EC | {"y": OTHER_EC["y"]}, id="EC not on the curve"),
        pytest.param(ED | {"crv": "Ed448"}, id="OKP on another curve"),
        pytest.param(ED | {"x": "AAAA"}, id="OKP of another length"),
        pytest.param("RSA", id="text"),
        pytest.param(None, id="null"),
    ],
)
def test_unusable_key_is_left_out_and_the_others_stay(key: Any):
    assert set(parse(key, EC | {"kid": "good"}).keys) == {"good"}


def test_key_id_that_names_several_keys_names_none():
    assert set(parse(RSA, EC | {"kid": "rsa"}, ED).keys) == {"ed"}
    assert set(parse(RSA, EC | {"kid": "rsa"}, ED | {"kid": "rsa"}).keys) == set()


def test_empty_key_set_is_a_key_set():
    assert parse().keys == {}


@pytest.mark.parametrize(
    ("document", "why"),
    [
        pytest.param(b"", "invalid JSON", id="empty"),
        pytest.param(b"[]", "not a JSON object", id="list"),
        pytest.param(b"{}", "no list of keys", id="without keys"),
        pytest.param(b'{"keys":{}}', "no list of keys", id="keys as object"),
        pytest.param(b'{"keys":[],"keys":[]}', "same key twice", id="keys twice"),
        pytest.param(b'{"keys":[' + b",".join([b"{}"] * 101) + b"]}", "more than 100 keys", id="too many"),
    ],
)
def test_document_that_is_no_key_set_is_refused(document: bytes, why: str):
    with pytest.raises(BadDocument, match=why):
        parse_key_set(document)


@pytest.mark.parametrize("text", ["A", "AA=", "AB", "A A", "AA\n", "AA+", "AA/", "é"])
def test_base64url_has_one_spelling(text: str):
    with pytest.raises(ValueError):
        decode_base64url(text)
