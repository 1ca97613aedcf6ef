"""What is called clean of a JSON text is nothing that the masker would change, however it is written."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.fakes.mask_profiles import KEY, shipped

from holdpoint.domain.mask import DetectorMask, KeyMask, MaskAction, MaskProfile, PathMask
from holdpoint.masking.detectors import BUILT_IN
from holdpoint.masking.kubernetes import NOTHING
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.masking.strict import NotJson, check, loads
from holdpoint.masking.strings import Unmaskable

OWN = compile_masks(
    [
        MaskProfile(
            "p",
            paths=(PathMask("$.a.b"), PathMask("$..c[0]", MaskAction.HASH), PathMask("$.l[*].x")),
            keys=(
                KeyMask("password"),
                KeyMask("*token", MaskAction.HASH),
                KeyMask("a*z"),
                KeyMask("pin*"),
                KeyMask("k\u00e4y"),
            ),
            detectors=(
                *(DetectorMask(name) for name in BUILT_IN),
                DetectorMask("kubernetes-secret"),
                DetectorMask("own", r"\bzz+\b", MaskAction.HASH),
                DetectorMask("over", r"q[^x]{0,9}q"),
            ),
        )
    ],
    key=KEY,
)
MASKERS = [OWN, shipped(), shipped("credentials", "kubernetes-secrets"), shipped("kubernetes-secrets")]

PASSWORD = "S3cr3t-pa55word-1"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
SECRETS = [
    "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "http://h/?X-Amz-Signature=0123456789abcdef0123",
    "k8s-aws-v1.aHR0cHM6Ly9zdHMuYW1hem9uYXdz",
    JWT,
    "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----",
    "ghp_" + "a1B2" * 9,
    "glpat-abcdefghijklmnopqrst",
    "xoxb-1234567890-abcdef",
    "https://hooks.slack.com/services/T0000/B0000/abcdefghijkl",
    "AIza" + "a" * 35,
    "sk_live_abcdefghijklmnop",
    "sk-ant-abcdefghijklmnopqrstu",
    "hvs.abcdefghijklmnopqrstuvwxyz",
    "AccountKey=" + "a1B2" * 11 + "==",
    "https://x.blob/?sv=1&sig=" + "a1B2" * 9,
    "Authorization: Bearer abcDEF123456789012",
    "Basic " + base64.b64encode(b"user:password").decode(),
    "postgres://app:hunter2@db:5432/app",
    "u://u\0:p@h",
    "mail anna@corp.example now",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "078-05-1120",
    f"password: {PASSWORD}",
    f"api_token={PASSWORD}",
    f"name: DB_PASSWORD\nvalue: {PASSWORD}",
    f"<password>{PASSWORD}</password>",
    "kind: Secret\ndata:\n  x: YWJj",
    "[masked] zzz",
    "q and q",
    "\\u0041KIAIOSFODNN7EXAMPLE",
    "\\x41KIAIOSFODNN7EXAMPLE",
    "auths:\n  r.io:\n    auth: YWJj",
]


def forms(text: str) -> list[Any]:
    """Ways in which an object of a cluster may hold a text, or what it stands for."""
    coded = base64.b64encode(text.encode()).decode()
    wrapped = "\n".join(coded[i : i + 64] for i in range(0, len(coded), 64))
    inner = {"spec": {"note": text}}
    return [
        {"note": text},
        {"args": ["--x", text]},
        {text: 1},
        {"note": f"see {text} there"},
        {"note": coded},
        {"note": f"-{coded}-"},
        {"note": f"xx-{coded}/{coded}"},
        {"note": base64.urlsafe_b64encode(f"-- {text} --".encode()).decode().rstrip("=")},
        {"note": f"a\n{wrapped}\n"},
        {"note": base64.b64encode(coded.encode()).decode()},
        {"note": json.dumps(inner)},
        {"note": json.dumps(json.dumps(inner))},
        {"note": json.dumps({"a": json.dumps(inner)})},
        {"note": json.dumps({"a": json.dumps({"b": json.dumps(inner)})})},
        {"note": json.dumps(inner, indent=1)},
        {"note": f"log\n{json.dumps(inner)}\nlog"},
        {"note": f"{json.dumps(inner)}\nlog"},
        {"note": json.dumps({"note": coded})},
        {"note": f"it's {json.dumps(text)}"},
        {"note": json.dumps([text], ensure_ascii=True)},
    ]


STRUCTURES: list[Any] = [
    {"kind": "Status", "status": "Failure", "message": 'x, error found in #10 byte of ...|a":"b|...'},
    {"kind": "Status", "status": "Failure", "details": {"causes": [{"message": "x error found in #1 byte of y"}]}},
    {"kind": "Secret", "data": {"a": "YWJj"}},
    {"KIND": "x", "kind": "\u017fecret", "data": {"a": "YWJj"}},
    {"type": "Opaque", "stringData": {"a": "b"}},
    {"x": [{"kind": "SecretList", "items": [{"data": {"a": "b"}}]}]},
    {"kind": "TokenRequest", "status": {"token": "x"}},
    {"kind": "tokenreview", "spec": {"token": "x"}},
    {"metadata": {"name": "sh.helm.release.v1.x"}, "data": {"release": "abc"}},
    {"kind": "ConfigMap", "binaryData": {"a": base64.b64encode(JWT.encode()).decode()}},
    {"password": PASSWORD},
    {" Password\u00a0": PASSWORD},
    {"my_TO\u212aEN": PASSWORD},
    {"azz": 1, "a--z": "x"},
    {"pin1": 12},
    {"K\u00c4Y": "x"},
    {"env": [{"name": "password", "value": "x"}]},
    {"env": [{"value": "x", "name": "password"}]},
    {"env": [{"value": "{", "name": "password"}]},
    {"env": [{"name": "password", "valueFrom": {"a": {"b": 1}}, "value": "x"}]},
    {"env": [{"name": "a_token", "b": [1], "value": "x"}]},
    {"env": [{"name": "", "key": "token", "value": 7}]},
    {"env": [{"name": "password", "b": "}", "value": "x"}]},
    {"auths": {"r.io": {"auth": "YWJj"}}},
    {"a": {"b": 1}},
    {"d": {"c": [1, 2]}},
    {"l": [{"x": 1}]},
    {"n": 4111111111111111},
    {"n": -4111111111111111},
    {"a": "x", "rows": [{"cells": [1]}]},
    {"note": '"password"'},
    {"note": ' "\\"password: x\\""'},
    {"note": "[" * 140 + "]" * 140},
    {"note": '{"a":' * 140 + "1" + "}" * 140},
]
SPELLINGS: list[Callable[[Any], str]] = [
    lambda v: json.dumps(v, separators=(",", ":")),
    lambda v: json.dumps(v, ensure_ascii=False),
    lambda v: json.dumps(v, indent=2),
    lambda v: json.dumps(v).replace("/", "\\/"),
    lambda v: json.dumps(v, separators=(" ,\n", " \t:\r\n ")),
    lambda v: re.sub(r"(?<!\\)[a-z](?=[^\"]*\")", lambda m: f"\\u{ord(m[0]):04x}", json.dumps(v)),
]


def written(spell: Any, value: Any) -> bytes:
    return str(spell(value)).encode("utf-8", "surrogatepass")


def changes(masker: Masker, text: bytes) -> bool:
    """Whether the masker itself would not pass a text as it is."""
    try:
        return masker.kubernetes(loads(text), NOTHING).count > 0
    except (NotJson, Unmaskable):
        return True


def is_json(text: bytes) -> bool:
    try:
        check(text)
    except NotJson:
        return False  # whoever passes on what is clean sees to that, too
    return True


def agrees(masker: Masker, texts: list[bytes]) -> None:
    unclean = masker.unclean(texts, NOTHING)
    for index, text in enumerate(texts):
        if index not in unclean and is_json(text):
            assert not changes(masker, text), text


@pytest.mark.parametrize("masker", MASKERS, ids=["own", "all", "cluster", "secrets"])
def test_nothing_that_is_masked_is_clean_however_it_is_written(masker: Masker) -> None:
    values = [*STRUCTURES, *(form for secret in SECRETS for form in forms(secret))]
    values += [{"a": {"items": [value]}} for value in STRUCTURES]
    values += [{"note": json.dumps(value)} for value in STRUCTURES]
    values += [{"note": json.dumps({"x": json.dumps(value)})} for value in STRUCTURES]
    for value in values:
        for spell in SPELLINGS:
            text = written(spell, value)
            if changes(masker, text) and not isinstance(value.get("rows"), list):
                assert masker.unclean([text], NOTHING), text
                assert 1 in masker.unclean([b"{}", text, b'{"x":"\\"{"}'], NOTHING), text


def test_most_of_these_are_masked() -> None:
    values = [form for secret in SECRETS for form in forms(secret)]
    masked = [v for v in values if changes(OWN, written(SPELLINGS[0], v))]
    assert len(masked) > 0.8 * len(values)


@pytest.mark.parametrize("name", BUILT_IN)
@given(data=st.data())
@settings(max_examples=25)
def test_whatever_a_detector_matches_is_unclean(name: str, data: st.DataObject) -> None:
    pattern = BUILT_IN[name].pattern.replace(r"\z", r"\Z")
    found = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=False).filter(lambda t: len(t) < 400))
    text = written(SPELLINGS[data.draw(st.integers(0, len(SPELLINGS) - 1))], {"note": found})
    agrees(OWN, [b'{"a":1}', text])


FRAGMENTS = [
    *(
        "password",
        "token",
        "name",
        "value",
        "kind",
        "Secret",
        "data",
        "items",
        "type",
        "Opaque",
        "auth",
        "zz",
        "q",
        "x",
    ),
    *(
        ": ",
        "=",
        "\n",
        " ",
        ",",
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        "\\",
        "/",
        "\t",
        "\0",
        "\x03",
        "\x01",
        "\x02",
        "\u00e9",
        "\r",
    ),
    *(
        "[masked]",
        "AKIAIOSFODNN7EXAMPLE",
        "://u:p@h",
        "sha256:",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4",
        "null",
        "12",
    ),
    *("QUtJQUlPU0ZPRE5ON0VYQU1QTEU=", "kubernetes/serviceaccount", "kube-controller-manager", '{"password":"x"}'),
    *('\\"', '{\\"password\\":1}'),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join)
NAMES = (
    st.sampled_from(["a", "b", "c", "l", "x", "password", "my_Token", "name", "key", "value", "kind", "data"]) | TEXTS
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES | st.deferred(lambda: VALUES).map(json.dumps),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)


@example([{"a": '{"a":"\\\\"}'}, {"b": "\x03"}], 0)
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=3), st.integers(0, len(SPELLINGS) - 1))
@settings(max_examples=300)
def test_no_object_is_clean_that_is_masked(values: list[Any], spelling: int) -> None:
    texts = [written(SPELLINGS[spelling], value) for value in values]
    assume(all("rows" not in value for value in values))
    for masker in MASKERS:
        agrees(masker, texts)


@given(st.lists(TEXTS.map(lambda t: t.encode()), min_size=1, max_size=4))
@settings(max_examples=300)
def test_what_is_no_json_is_told_by_the_check(texts: list[bytes]) -> None:
    agrees(OWN, [b'{"note":"' + text + b'"}' for text in texts])
