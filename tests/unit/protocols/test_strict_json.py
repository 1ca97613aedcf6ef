import pytest

from holdpoint.protocols import strict_json
from holdpoint.protocols.call import Undecodable


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"a":1,"a":2}', id="at the top"),
        pytest.param(b'{"a":1,"a":1}', id="same value"),
        pytest.param(b'[{"x":{"y":[{"a":1,"b":2,"a":3}]}}]', id="deep inside"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="spelt with an escape"),
        pytest.param(b'{"":1,"":2}', id="empty key"),
        pytest.param(b'{"a":1,"a":2,"b":"\\u0022\\u0022"}', id="hidden by escaped quotes"),
        pytest.param(b'{"a\\u0022":1,"a\\"":2}', id="quotes spelt two ways"),
        pytest.param(b'{"a":1,"a":2,"b":"\\\\u0022"}', id="hidden by a backslash"),
        pytest.param(b'{"a":"\\"","a":"\\"\\"\\""}', id="values with quotes"),
        pytest.param('{"é":1,"\\u00e9":2}'.encode(), id="not ASCII"),
    ],
)
def test_duplicate_keys_are_refused(data):
    with pytest.raises(Undecodable, match="same key twice") as caught:
        strict_json.loads(data)
    assert caught.value.code == -32700


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"[Infinity]", id="infinity"),
        pytest.param(b"[-Infinity]", id="minus infinity"),
        pytest.param(b"1e400", id="overflows"),
        pytest.param(b"-1e400", id="overflows below"),
        pytest.param(b"1" * 4301, id="more digits than any integer may have"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param(b'"\xc0\x80"', id="overlong UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', id="surrogate in UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="BOM"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="UTF-16"),
        pytest.param(b'"\\ud800"', id="lone high surrogate"),
        pytest.param(b'"\\udc00x"', id="lone low surrogate"),
        pytest.param(b'{"\\ud800":1}', id="lone surrogate in a key"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"{}x", id="trailing data"),
        pytest.param(b"{}\x00", id="trailing NUL"),
        pytest.param(b"[1,]", id="trailing comma"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b"{a:1}", id="bare key"),
        pytest.param(b"// x\n1", id="comment"),
        pytest.param(b"01", id="leading zero"),
        pytest.param(b"+1", id="plus sign"),
        pytest.param(b"0x10", id="hexadecimal"),
        pytest.param(b'"a\nb"', id="line break in a string"),
        pytest.param(b"[" * 100_000, id="bomb that never closes"),
    ],
)
def test_what_is_not_strict_json_is_refused(data):
    with pytest.raises(Undecodable, match="invalid JSON"):
        strict_json.loads(data)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.threat("T20")
@pytest.mark.parametrize("open_close", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_depth_is_limited(open_close):
    opening, closing = open_close
    inner = b"1"
    assert strict_json.loads(opening * 64 + inner + closing * 64)
    with pytest.raises(Undecodable, match="nested deeper than 64"):
        strict_json.loads(opening * 65 + inner + closing * 65)


@pytest.mark.threat("T20")
def test_a_bomb_within_the_size_limit_is_refused():
    with pytest.raises(Undecodable, match="nested deeper"):
        strict_json.loads(nested(200_000))


def test_many_shallow_values_are_not_deep():
    assert strict_json.loads(b"[" + b",".join([b"[]"] * 1000) + b"]") == [[]] * 1000


def test_brackets_in_strings_are_not_depth():
    text = "[{" * 100
    assert strict_json.loads(strict_json.dumps(text)) == text


@pytest.mark.threat("T20")
def test_size_is_limited():
    assert strict_json.loads(b'"12345678"', max_bytes=10) == "12345678"
    with pytest.raises(Undecodable, match="larger than 9 bytes") as caught:
        strict_json.loads(b'"12345678"', max_bytes=9)
    assert caught.value.status == 413


@pytest.mark.threat("T20")
def test_number_of_values_is_limited():
    assert strict_json.loads(b"[1,2,3]", max_nodes=4)
    with pytest.raises(Undecodable, match="more than 3 values") as caught:
        strict_json.loads(b"[1,2,3]", max_nodes=3)
    assert caught.value.status == 413


def test_commas_in_strings_are_not_values():
    assert strict_json.loads(b'["a,b,c,\\",\\\\",",,,"]', max_nodes=5) == ['a,b,c,",\\', ",,,"]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b"9223372036854775808", 2**63, id="beyond 63 bits"),
        pytest.param(b"18446744073709551616", 2**64, id="beyond 64 bits"),
        pytest.param(b"-" + str(2**200).encode(), -(2**200), id="very large"),
        pytest.param(b"1.0", 1.0, id="float"),
        pytest.param(b'"\\ud83d\\ude00"', "\U0001f600", id="surrogate pair"),
        pytest.param(b'"\\u0000"', "\0", id="NUL"),
        pytest.param(b' \t\r\n{"a" : [ ] }\n', {"a": []}, id="white space"),
        pytest.param(b'{"a":"\\u0022","b":"\\u0022"}', {"a": '"', "b": '"'}, id="escaped quotes without duplicates"),
        pytest.param(b'{"a":{"x":1},"b":{"x":1}}', {"a": {"x": 1}, "b": {"x": 1}}, id="same key in two objects"),
    ],
)
def test_faithful_values(data, value):
    parsed = strict_json.loads(data)
    assert parsed == value
    assert type(parsed) is type(value)
    assert strict_json.loads(strict_json.dumps(parsed)) == value


def test_writing_is_compact_and_keeps_order_and_text():
    assert strict_json.dumps({"b": [1, 2.5, None], "a": "é"}) == '{"b":[1,2.5,null],"a":"é"}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "\ud800"], ids=repr)
def test_what_json_cannot_hold_is_not_written(value):
    with pytest.raises(ValueError):
        strict_json.dumps({"a": [{"b": value}], "c": None})


def test_errors_do_not_quote_the_body():
    with pytest.raises(Undecodable) as caught:
        strict_json.loads(b'{"password":"hunter2" oops')
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
