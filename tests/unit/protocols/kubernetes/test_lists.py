"""A list is taken apart the same way however its bytes are cut, and nothing that is no list is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdpoint.protocols.kubernetes.lists import Element, Member, NotList, Piece, Raw, Splitter
from holdpoint.protocols.sse import TooLarge

pytestmark = [pytest.mark.threat("T45"), pytest.mark.failure("F-list-cut")]

LIST = (
    b' { "kind" : "PodList","n":-1.5e3,"t":true,"items" : [ {"a":"x\\\\\\"]}"} , {"b":[1,{"c":[]}]},{}, 1 ,"s"] '
    b',"rows":[],"m":{"x":[1,2]}} \n'
)


def split(data: bytes, size: int = 1 << 20, *, limit: int = 1 << 20) -> list[Piece]:
    splitter = Splitter(limit)
    found = [piece for at in range(0, len(data), size) for piece in splitter.feed(data[at : at + size])]
    return [*found, *splitter.end()]


def written(pieces: list[Piece]) -> bytes:
    def one(piece: Piece) -> bytes:
        match piece:
            case Raw(data):
                return data
            case Member(name, value):
                return json.dumps(name).encode() + b":" + value
            case Element(_, value):
                return value

    return b"".join(map(one, pieces))


@pytest.mark.parametrize("size", range(1, len(LIST) + 1))
def test_list_is_taken_apart_alike_however_it_is_cut(size: int) -> None:
    assert split(LIST, size) == split(LIST)


def test_pieces_are_the_list() -> None:
    pieces = split(LIST)
    assert json.loads(written(pieces)) == json.loads(LIST)
    assert [p.value for p in pieces if isinstance(p, Element)] == [
        b'{"a":"x\\\\\\"]}"}',
        b'{"b":[1,{"c":[]}]}',
        b"{}",
        b"1",
        b'"s"',
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=30,
)


@given(items=st.lists(JSON, max_size=6), other=JSON, size=st.integers(1, 50), last=st.booleans(), wide=st.booleans())
def test_any_list_comes_out_as_it_went_in(
    items: list[object], other: object, size: int, last: bool, wide: bool
) -> None:
    members = {"kind": "L", "metadata": other, "items": items}
    whole = dict(reversed(members.items())) if last else members
    data = json.dumps(whole, ensure_ascii=wide, indent=2 if wide else None).encode()
    pieces = split(data, size)
    assert json.loads(written(pieces)) == whole
    assert [json.loads(p.value) for p in pieces if isinstance(p, Element)] == items


def test_deep_nesting_is_followed() -> None:
    deep = b"[" * 60 + b'"]"' + b"]" * 60
    for size in (1, 7, 1000):
        assert [p.value for p in split(b'{"items":[%b,{}]}' % deep, size) if isinstance(p, Element)] == [deep, b"{}"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[]", id="an array"),
        pytest.param(b"null", id="no object"),
        pytest.param(b'{"a":1}{"b":2}', id="two documents"),
        pytest.param(b'{"a":1} x', id="more after it"),
        pytest.param(b'{"items":[1,2', id="cut short"),
        pytest.param(b'{"items":[{"a":1', id="cut short in an object"),
        pytest.param(b'{"a":12', id="cut short in a number"),
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"items":[],"items":[]}', id="member twice"),
        pytest.param(b'{"items":[],"\\u0069tems":[]}', id="member twice under an escape"),
        pytest.param(b"{a:1}", id="no quotes"),
        pytest.param(b'{"a" 1}', id="no colon"),
        pytest.param(b'{"a":1,}', id="comma at the end"),
        pytest.param(b'{"items":[1,]}', id="comma at the end of an array"),
        pytest.param(b'{"items":[1 2]}', id="no comma"),
        pytest.param(b'{"items":[,1]}', id="comma first"),
        pytest.param(b'{"' + b"n" * 5000 + b'":1}', id="long name"),
        pytest.param(b"{" + b",".join(b'"%d":1' % n for n in range(70)) + b"}", id="many members"),
    ],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    for size in (1, 5, 1 << 20):
        with pytest.raises(NotList):
            split(data, size)


def test_object_over_the_limit_is_refused_and_a_long_list_is_not() -> None:
    one = b'{"a":"' + b"x" * 90 + b'"}'
    assert len(split(b'{"items":[' + b",".join([one] * 100) + b"]}", 30, limit=150)) == 203
    with pytest.raises(TooLarge):
        split(b'{"items":["' + b"x" * 500 + b'"]}', 30, limit=150)
