import pytest

from holdpoint.protocols.sse import Event, Parser, TooLarge, encode


def events(*chunks: bytes, limit: int = 1 << 20) -> list[Event]:
    parser = Parser(limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b"data: a\n\n", [Event(data="a")], id="line feed"),
        pytest.param(b"data: a\r\r", [Event(data="a")], id="carriage return"),
        pytest.param(b"data: a\r\n\r\n", [Event(data="a")], id="both"),
        pytest.param(b"data: a\r\n\n", [Event(data="a")], id="mixed"),
        pytest.param(b"data:a\ndata: b\ndata\n\n", [Event(data="a\nb\n")], id="several lines of data"),
        pytest.param(b"data:  a\n\n", [Event(data=" a")], id="only one blank goes"),
        pytest.param(b"event: x\ndata: a:b\n\n", [Event(type="x", data="a:b")], id="colon in the value"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event(data="a")], id="BOM"),
        pytest.param(
            b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [Event(data="b")], id="a second BOM is part of a name"
        ),
        pytest.param(b"\n\n\ndata: a\n\n\n\n", [Event(data="a")], id="blank lines between"),
        pytest.param(b": hi\n\n", [Event(comments=(" hi",))], id="keepalive"),
        pytest.param(b": hi\n", [Event(comments=(" hi",))], id="keepalive without a blank line"),
        pytest.param(b"data: a\n:c\n\n", [Event(data="a", comments=("c",))], id="comment within an event"),
        pytest.param(b"id: 1\r\ndata: \r\nretry: 100\r\n\r\n", [Event(data="", id="1", retry=100)], id="priming"),
        pytest.param(b"id: 7\n\n", [Event(id="7")], id="id alone"),
        pytest.param(b"id\ndata: a\n\n", [Event(data="a", id="")], id="id cleared"),
        pytest.param(b"id: a\0b\ndata: a\n\n", [Event(data="a")], id="id with NUL is ignored"),
        pytest.param(b"retry: 1x\ndata: a\n\n", [Event(data="a")], id="retry that is no number is ignored"),
        pytest.param("retry: \u0661\ndata: a\n\n".encode(), [Event(data="a")], id="retry in other digits is ignored"),
        pytest.param(b"foo: bar\ndata: a\n\n", [Event(data="a")], id="unknown field is dropped"),
        pytest.param(b"Data: x\n\n", [], id="names have a case"),
        pytest.param(b" data: x\n\n", [], id="names have no blank"),
        pytest.param(b"data: \xff\n\n", [Event(data="\ufffd")], id="bad UTF-8 is replaced"),
        pytest.param(
            b"data: a\x0bb\x0c\xe2\x80\xa8c\n\n", [Event(data="a\x0bb\x0c\u2028c")], id="other line breaks stay"
        ),
        pytest.param(b"data: a\n\ndata: b", [Event(data="a")], id="an unfinished event is none"),
    ],
)
def test_streams_are_read_as_the_standard_says(stream, expected):
    assert events(stream) == expected
    assert events(*(stream[i : i + 1] for i in range(len(stream)))) == expected


def test_an_event_comes_out_with_its_last_byte():
    parser = Parser()
    assert parser.feed(b"data: a\r\n\r") == [Event(data="a")]
    assert parser.feed(b"\ndata: b\n\n") == [Event(data="b")]


def test_an_empty_chunk_changes_nothing():
    assert events(b"", b"data: a\r", b"", b"\ndata: b\n\n") == [Event(data="a\nb")]


def test_the_end_drops_what_is_unfinished():
    parser = Parser()
    parser.feed(b"data: secret\n")
    assert parser.pending
    assert parser.end() == []
    assert not parser.pending


def test_nothing_is_pending_between_events():
    parser = Parser()
    assert not parser.pending
    parser.feed(b"data: a\n\n: x\n")
    assert not parser.pending


def feed_in_chunks(parser: Parser, stream: bytes, size: int) -> None:
    for i in range(0, len(stream), size):
        parser.feed(stream[i : i + size])


@pytest.mark.threat("T20")
@pytest.mark.parametrize("size", [1, 7, 1000], ids=lambda n: f"chunks of {n}")
@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 200, b"data: x\n" * 50, b"x" * 200], ids=["line", "lines", "name"]
)
def test_an_event_that_grows_too_large_ends_the_stream_for_good(stream, size):
    parser = Parser(100)
    with pytest.raises(TooLarge):
        feed_in_chunks(parser, stream, size)
    with pytest.raises(TooLarge):
        parser.feed(b"\n\ndata: a\n\n")


def test_the_limit_is_for_one_event_not_for_the_stream():
    assert len(events(b"data: 0123456789\n\n" * 100, limit=20)) == 100
    assert len(events(b": 0123456789\n" * 100, limit=20)) == 100


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(Event(data="a\nb"), b"data: a\ndata: b\n\n", id="lines"),
        pytest.param(Event(data="a\r\nb\rc"), b"data: a\ndata: b\ndata: c\n\n", id="other line breaks"),
        pytest.param(Event(data=""), b"data: \n\n", id="empty data"),
        pytest.param(Event(comments=(" x",)), b": x\n\n", id="comment"),
        pytest.param(
            Event("message", "a", "1", 5, ("c",)), b"event: message\nid: 1\nretry: 5\ndata: a\n:c\n\n", id="everything"
        ),
        pytest.param(Event(), b"", id="nothing"),
    ],
)
def test_events_are_written(event, expected):
    assert encode(event) == expected


@pytest.mark.parametrize(
    "event",
    [Event(type="a\ndata: x"), Event(id="1\rdata: x"), Event(id="\0"), Event(comments=("a\n\ndata: x",))],
    ids=["type", "id", "NUL", "comment"],
)
def test_nothing_breaks_out_of_its_line(event):
    with pytest.raises(ValueError):
        encode(event)
