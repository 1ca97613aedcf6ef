import pytest

from holdpoint.masking.strict import NotJson, dumps, loads


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"a":1,"a":2}', id="plain"),
        pytest.param(b'{"a" :1,"a":2}', id="blank-before-colon"),
        pytest.param(b'{"a"\n\t:1,"a"\r:2}', id="other-blanks"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="escaped-key"),
        pytest.param(b'{"a" :1,"a" :"\\":"}', id="balanced-by-text-in-a-value"),
        pytest.param(b'{"a":"x","a":"y","b":"\\u003ax"}', id="balanced-by-an-escaped-colon"),
        pytest.param(b'{"a":"x","a":"y","b":"\\u003Ax"}', id="balanced-by-an-escaped-colon-in-capitals"),
        pytest.param(b'[{"b":{"c":1,"d":{},"c":1}}]', id="nested-and-equal"),
        pytest.param(b'{"a\\\\":1,"a\\\\":2}', id="key-that-ends-in-a-backslash"),
    ],
)
def test_duplicate_key_is_refused(data: bytes) -> None:
    with pytest.raises(NotJson, match="same key twice"):
        loads(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"a":{"a":1},"b":[{"a":1},{"a":2}]}', id="same-name-in-other-objects"),
        pytest.param(b'{"a" : 1, "b" :2}', id="blanks"),
        pytest.param(b'{"a":":8080","b":["\\":"],":c":"\\\\":"d"}'.replace(b':"d"', b""), id="colons-in-values"),
        pytest.param(b'{"a":"\\u003a","b":"\\u003ab"}', id="escaped-colons"),
        pytest.param(b'{"a":1,"A":2}', id="case"),
        pytest.param(b'{"a\\u005c":"\\u005c","b\\\\":"\\u0022\\""}', id="escaped-backslashes-and-quotes"),
    ],
)
def test_distinct_keys_pass(data: bytes) -> None:
    assert dumps(loads(data))


@pytest.mark.parametrize(
    ("data", "again"),
    [
        pytest.param(b"123456789012345678901234567890", b"123456789012345678901234567890", id="whole"),
        pytest.param(b"1.10", b"1.10", id="trailing-zero"),
        pytest.param(b"0.1234567890123456789012", b"0.1234567890123456789012", id="digits"),
        pytest.param(b"1e400", b"1E+400", id="beyond-doubles"),
        pytest.param(b"-0.0", b"-0.0", id="minus-zero"),
    ],
)
def test_number_keeps_its_value(data: bytes, again: bytes) -> None:
    assert dumps(loads(data)) == again


def test_plain_floats_where_asked_for() -> None:
    assert type(loads(b"1.5", exact=False)) is float
    with pytest.raises(NotJson):
        loads(b"1e400", exact=False)
