"""Ways to carry a value past the masks. Every secret is invented."""

import base64
import json

import pytest
from tests.fakes.mask_profiles import shipped

from holdpoint.domain.mask import DetectorMask, MaskProfile
from holdpoint.domain.values import JsonValue
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.masking.streams import SseMasker
from holdpoint.masking.strings import Unmaskable
from holdpoint.protocols.sse import Parser, encode

SECRET = "hunter2-invented-0001"
AWS = "AKIAIOSFODNN7EXAMPLE"


@pytest.fixture
def masker() -> Masker:
    return shipped("credentials", "kubernetes-secrets")


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" for c in text)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"a":"{escaped(AWS)}"}}', id="escapes-in-a-value"),
        pytest.param(f'{{"{escaped("password")}":"{SECRET}"}}', id="escapes-in-a-key"),
        pytest.param(
            json.dumps({"a": f'{{"{escaped("password")}":"{SECRET}"}}'}), id="escapes-in-a-document-in-a-string"
        ),
        pytest.param(f'{{"PASSWORD ":"{SECRET}"}}', id="case-and-blanks-in-a-key"),
        pytest.param(f'{{"pa\\u017fsword":"{SECRET}"}}', id="letter-that-folds-to-another"),
        pytest.param(f'{{"password":[[{{"a":"{SECRET}"}}]]}}', id="deep-under-a-key"),
        pytest.param(f'{{"{AWS}":1}}', id="secret-as-a-key"),
        pytest.param(f'["x\\u0000{AWS}\\u0000"]', id="next-to-nul"),
        pytest.param(f'["",["{AWS}"],""]', id="between-empty-strings"),
        pytest.param(f'{{"password":"[masked]{SECRET}"}}', id="behind-a-forged-mark"),
        pytest.param(f'["password: [masked]{SECRET}"]', id="behind-a-forged-mark-in-text"),
        pytest.param(f'["token=[masked:last4:abcd]{SECRET}"]', id="behind-a-forged-partial-mark"),
        pytest.param(json.dumps([base64.b64encode(base64.b64encode(AWS.encode())).decode()]), id="base64-twice"),
        pytest.param(json.dumps({"x": json.dumps(json.dumps(json.dumps({"token": SECRET})))}), id="strings-in-strings"),
        pytest.param(
            json.dumps([f'{{"password":"a","password":"{SECRET}"}}']), id="document-in-a-string-with-a-key-twice"
        ),
        pytest.param(json.dumps([f'{{"a":1,"password":"{SECRET}"']), id="document-in-a-string-cut-short"),
        pytest.param(json.dumps([f"password: !!str &a\n  {SECRET}\n"]), id="yaml-tag-and-anchor"),
        pytest.param(json.dumps([f'"password" :\n   "{SECRET}"']), id="yaml-value-on-the-next-line"),
        pytest.param(json.dumps([f"password: >+2\n\n\n    {SECRET}\n\n   {SECRET}"]), id="yaml-block-with-gaps"),
        pytest.param(json.dumps([f"password: '\n\n{SECRET}'"]), id="yaml-quote-over-lines"),
        pytest.param(json.dumps([f"kind:  'Secret'\ndata:\n    x: >-\n      {SECRET}\n"]), id="secret-with-odd-layout"),
        pytest.param(json.dumps([f"data:\n  x: {SECRET}\n# c\n\nkind: Secret"]), id="secret-with-comment-and-gap"),
        pytest.param(
            json.dumps([f"Secret:\n  kind: Secret\n  stringData: {{x: '}}', y: {SECRET}}}\n"]), id="brace-in-a-quote"
        ),
        pytest.param(json.dumps({"kind": "SECRET", "data": {"x": SECRET}}), id="kind-in-capitals"),
        pytest.param(json.dumps({"type": "Opaque", "data": [{"x": SECRET}]}), id="secret-without-a-kind"),
        pytest.param(json.dumps([{"name": "API_TOKEN", "value": {"x": SECRET}}]), id="pair-with-an-object"),
    ],
)
def test_nothing_hides_a_secret_in_a_document(masker: Masker, body: str) -> None:
    masked = masker.document(body.encode(), "application/json")
    assert masked.count > 0
    for needle in (SECRET, AWS, escaped(AWS)):
        assert needle.encode() not in masked.value
    assert base64.b64encode(AWS.encode())[:20] not in masked.value


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"password":"{SECRET}","password":"x"}}', id="first-of-two-keys"),
        pytest.param(f'{{"a":{{"b":"{SECRET}","\\u0062":1}}}}', id="first-of-two-keys-escaped"),
        pytest.param(f'{{"a":1}}{{"password":"{SECRET}"}}', id="second-document"),
        pytest.param(f'\ufeff{{"password":"{SECRET}"}}', id="byte-order-mark"),
        pytest.param('{"a":' * 500 + "1" + "}" * 500, id="too-deep"),
        pytest.param(f'// c\n{{"password":"{SECRET}"}}', id="comment"),
    ],
)
def test_document_that_two_readers_read_differently_is_withheld(masker: Masker, body: str) -> None:
    with pytest.raises(Unmaskable):
        masker.document(body.encode(), "application/json")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(f'{{"result":{{"token":"{SECRET}","token":1}}}}', id="key-twice"),
        pytest.param(f'{{"result":{{"token":"{SECRET}"}}', id="cut-short"),
        pytest.param(f' \t[{{"token":"{SECRET}"}},]', id="comma-too-many"),
    ],
)
def test_message_in_a_stream_that_is_no_strict_json_ends_it(masker: Masker, data: str) -> None:
    stream = SseMasker(masker, lambda v: v, parser=Parser(), encode=encode)
    with pytest.raises(Unmaskable):
        stream.feed(f"data: {data}\n\n".encode())
    assert stream.feed(f"data: {SECRET}\n\n".encode()) + stream.end() == b""


def test_masked_key_in_the_schema_of_a_tool_cannot_carry_a_value(masker: Masker) -> None:
    schema: JsonValue = {"properties": {"password": {"type": "string", "default": SECRET, "examples": [SECRET]}}}
    assert SECRET not in str(masker.mcp({"id": 1, "result": {"tools": [{"inputSchema": schema}]}}).value)


def test_envelope_cannot_carry_a_container(masker: Masker) -> None:
    message: JsonValue = {
        "id": {"token": SECRET},
        "method": [{"password": SECRET}],
        "params": {"_meta": {"progressToken": {"token": SECRET}}},
    }
    assert SECRET not in str(masker.mcp(message).value)


def test_sealed_form_cannot_be_sent_in_place_of_what_it_seals(masker: Masker) -> None:
    approved: JsonValue = {"note": f"with {AWS}", "password": SECRET}
    seal = masker.sealed(approved)
    assert masker.sealed(seal) != seal
    assert isinstance(seal, dict)
    assert masker.sealed({"note": seal["note"], "password": SECRET}) != seal


def test_pattern_of_ones_own_cannot_stall(masker: Masker) -> None:
    own = compile_masks([MaskProfile("p", detectors=(DetectorMask("own", r"(a+)+b"),))], key=bytes(32))
    assert own.text("a" * 200_000).count == 0
    assert masker.text("a" * 200_000).count == 0


@pytest.mark.parametrize(
    "unit",
    [
        'password: "',
        "password: {",
        "<password>",
        "data:\n",
        "eyJhbGciOi.",
        "{",
        '\\"',
        "4 ",
        "AA00 ",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_text_made_to_be_slow_comes_to_an_end(unit: str) -> None:
    text = "kind: Secret\n" + unit * (20_000 // len(unit))
    once = shipped().text(text)
    assert shipped().text(once.value).count == 0
