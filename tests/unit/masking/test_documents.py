import pytest

from holdpoint.domain.mask import DetectorMask, KeyMask, MaskAction, MaskProfile
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.masking.strings import Unmaskable

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
NDJSON = "application/x-ndjson"


def masker(action: MaskAction = MaskAction.REDACT) -> Masker:
    profile = MaskProfile("p", keys=(KeyMask("password", action),), detectors=(DetectorMask("aws-access-key-id"),))
    return compile_masks([profile], key=bytes(32))


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        pytest.param(JSON, b'{"password":"x"}', b'{"password":"[masked]"}', id="json"),
        pytest.param("Application/JSON ; charset=UTF-8", b'["AKIAIOSFODNN7EXAMPLE"]', b'["[masked]"]', id="parameters"),
        pytest.param("application/vnd.x+json", b'{"a":{"password":1}}', b'{"a":{"password":"[masked]"}}', id="suffix"),
        pytest.param(JSON, b'"\\u0041KIAIOSFODNN7EXAMPLE"', b'"[masked]"', id="json-string"),
        pytest.param(
            JSON,
            b'{"password":1,"n":123456789012345678901234567890,"f":0.1234567890123456789012,"e":1E400,"u":"\\u003c"}',
            b'{"password":"[masked]","n":123456789012345678901234567890,"f":0.1234567890123456789012,"e":1E+400,"u":"<"}',
            id="numbers-keep-every-digit",
        ),
        pytest.param(
            NDJSON,
            b'{"a":1.10}\r\n\r\n{"password":1}\r\n',
            b'{"a":1.10}\r\n\r\n{"password":"[masked]"}\r\n',
            id="lines",
        ),
        pytest.param("text/plain", b"password: x\nb: \xc3\xa9", b'password: "[masked]"\nb: \xc3\xa9', id="text"),
        pytest.param("text/html; charset=utf8", b"<p>AKIAIOSFODNN7EXAMPLE", b"<p>[masked]", id="html"),
        pytest.param("application/yaml", b"password: x", b'password: "[masked]"', id="yaml"),
        pytest.param("application/soap+xml", b"<password>x</password>", b"<password>[masked]</password>", id="xml"),
        pytest.param(FORM, b"a=b%20c&password=x+y&password", b"a=b%20c&password=[masked]&password", id="form"),
        pytest.param(
            FORM, b"p%61ssword=x&a=%41KIAIOSFODNN7EXAMPLE", b"password=[masked]&a=[masked]", id="form-escapes"
        ),
        pytest.param(
            FORM, b"j=%7B%22password%22%3A1%7D", b"j=%7B%22password%22:%22[masked]%22%7D", id="form-holds-json"
        ),
    ],
)
def test_body_is_masked_by_its_type(content_type: str, body: bytes, expected: bytes) -> None:
    masked = masker().document(body, content_type)
    assert masked.value == expected
    assert masked.count >= 1
    again = masker().document(masked.value, content_type)
    assert (again.value, again.count) == (expected, 0)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(JSON, b' {"a" : 1.10,\n"b":"\\u003c\\/", "n":1e2 } ', id="json"),
        pytest.param(NDJSON, b'{"a" : 1}\n\n', id="lines"),
        pytest.param("text/plain", b"a: b\r\n", id="text"),
        pytest.param(FORM, b"a=%7e&&b=+c&=", id="form"),
        pytest.param("image/png", b"", id="empty-body-of-any-type"),
        pytest.param(None, b"", id="empty-body-of-no-type"),
    ],
)
def test_clean_body_keeps_every_byte(content_type: str | None, body: bytes) -> None:
    masked = masker().document(body, content_type)
    assert masked.value is body
    assert masked.count == 0


@pytest.mark.threat("T07")
@pytest.mark.failure("F-mask-whole")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(None, b"x", id="no-type"),
        pytest.param("", b"x", id="empty-type"),
        pytest.param("application/octet-stream", b"x", id="binary"),
        pytest.param("image/png", b"\x89PNG", id="picture"),
        pytest.param("multipart/form-data; boundary=x", b"--x", id="multipart"),
        pytest.param("text/event-stream", b"data: x\n\n", id="event-stream"),
        pytest.param("application/json; charset=utf-16", b"{}", id="charset"),
        pytest.param("text/plain; charset=latin-1", b"x", id="text-charset"),
        pytest.param("text/plain", b"\xff", id="text-that-is-not-utf-8"),
        pytest.param(JSON, b'{"a":', id="broken"),
        pytest.param(JSON, b"{} {}", id="trailing"),
        pytest.param(JSON, b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param(JSON, b'{"a":NaN}', id="nan"),
        pytest.param(JSON, b'"\\ud800"', id="lone-surrogate"),
        pytest.param(JSON, b'"\xff"', id="json-that-is-not-utf-8"),
        pytest.param(JSON, b'{"password":"x","password":null}', id="duplicate-key"),
        pytest.param(JSON, b'{"a":[{"b" :1,"b":2}]}', id="duplicate-key-with-blank"),
        pytest.param(JSON, b"[" * 200 + b"]" * 200, id="deep"),
        pytest.param(JSON, b"[" * 200_000, id="deeper-than-the-decoder"),
        pytest.param(NDJSON, b'{"a":1}\n{"a":', id="broken-line"),
        pytest.param(FORM, b"a=%ff", id="form-that-is-not-utf-8"),
    ],
)
def test_body_that_cannot_be_looked_into_is_refused(content_type: str | None, body: bytes) -> None:
    with pytest.raises(Unmaskable):
        masker().document(body, content_type)


def test_refusal_tells_nothing_of_the_body() -> None:
    with pytest.raises(Unmaskable) as caught:
        masker().document(b'{"password":"hunter2"', JSON)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_number_hashes_alike_in_a_document_and_in_a_value() -> None:
    hashing = masker(MaskAction.HASH)
    shown = hashing.value({"password": 1.5}).value
    assert isinstance(shown, dict)
    assert str(shown["password"]).encode() in hashing.document(b'{"password":1.50}', JSON).value
