"""JSON documents one after another: found whole, and the same however the bytes are cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdpoint.protocols.json_lines import NotDocuments, Parser, encode
from holdpoint.protocols.sse import Event, TooLarge

TRICKY = [
    {"a": "}{][", "b": 'quo"te\\', "c": "\\\\"},
    [],
    {},
    [{"n": [[["]"]]]}],
    {"\\": "é\u2028", "line": "a\nb"},
]


def documents(data: bytes, size: int) -> list[str]:
    parser = Parser()
    found = [e.data or "" for at in range(0, len(data), size) for e in parser.feed(data[at : at + size])]
    assert parser.end() == []
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("between", ["\n", "", " ", "\r\n\r\n", "\t"])
def test_documents_are_found_whole_however_they_are_cut_and_parted(size: int, between: str) -> None:
    data = between.join(json.dumps(d, ensure_ascii=False) for d in TRICKY).encode()
    assert [json.loads(d) for d in documents(data, size)] == TRICKY


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_document_over_many_lines_is_read_as_one_and_written_on_one(end: str) -> None:
    pretty = json.dumps({"text": "a\u2028b\u2029\x85", "more": TRICKY[0]}, indent=2, ensure_ascii=False)
    pretty = pretty.replace("\n", end)
    assert documents(pretty.encode() + b"\n", 5) == [pretty]
    (line,) = encode(Event(data=pretty)).decode().splitlines()
    assert json.loads(line) == json.loads(pretty)


type Json = bool | int | str | list[Json] | dict[str, Json] | None

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
DOCUMENTS = st.lists(st.lists(VALUES, max_size=3) | st.dictionaries(st.text(), VALUES, max_size=3), max_size=4)


@given(values=DOCUMENTS, escaped=st.booleans(), cuts=st.lists(st.integers(1, 40), min_size=1))
def test_any_documents_cut_anywhere_come_out_as_they_went_in(
    values: list[Json], escaped: bool, cuts: list[int]
) -> None:
    written = [json.dumps(v, ensure_ascii=escaped) for v in values]
    data, at, found = "\n".join(written).encode("utf-8"), 0, list[str]()
    parser = Parser()
    turn = 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        found += [e.data or "" for e in parser.feed(data[at : at + size])]
        at, turn = at + size, turn + 1
    assert found == written


@pytest.mark.parametrize(
    "data", [b"1", b'"text"', b"null", b"}", b"]", b"{}1", b'{} "a"', b"\xef\xbb\xbf{}", b"data: {}"]
)
def test_what_is_no_object_and_no_array_is_refused(data: bytes) -> None:
    with pytest.raises(NotDocuments):
        Parser().feed(data)


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        Parser().feed(b'{"a":"\xff"}')


@pytest.mark.parametrize("size", [1, 64, 4096])
def test_a_document_over_the_limit_is_refused(size: int) -> None:
    data = b'{"a":"' + b"x" * 100 + b'"}'
    parser = Parser(len(data) - 1)

    def read() -> None:
        for at in range(0, len(data), size):
            parser.feed(data[at : at + size])

    with pytest.raises(TooLarge):
        read()


def test_the_limit_is_for_each_document() -> None:
    data = b'{"a":1}\n'
    assert len(Parser(len(data)).feed(data * 50)) == 50


@pytest.mark.parametrize("data", [b'{"a":', b"[", b'{"a":"\\'])
def test_an_end_within_a_document_is_refused(data: bytes) -> None:
    parser = Parser()
    parser.feed(data)
    with pytest.raises(NotDocuments):
        parser.end()


def test_an_end_between_documents_is_an_end() -> None:
    parser = Parser()
    assert len(parser.feed(b"{}\n \n")) == 1
    assert parser.end() == []
