import json
import struct
from dataclasses import replace

import pytest
from tests.fakes.kube_tunnels import SpdyEnd, joined, recorded, through

from holdpoint.protocols.kubernetes import spdy_frames
from holdpoint.protocols.kubernetes.frames import MAX_FRAME_BYTES, BadTunnel, Ending, Frame, Raw, Side
from holdpoint.protocols.kubernetes.spdy import MAX_OPEN_STREAMS
from holdpoint.protocols.kubernetes.spdy_frames import Control, Data, Reader
from holdpoint.protocols.kubernetes.tunnels import Codec, codec_for

STATUS = b'{"kind":"Status","status":"Failure","code":403}'
TYPES = {1: "error", 3: "stdin", 5: "stdout", 7: "stderr"}


def exec_codec(*, tty: bool = False, stdin: bool = True) -> Codec:
    return codec_for(upgrade="SPDY/3.1", subprotocol="v4.channel.k8s.io", subresource="exec", tty=tty, stdin=stdin)


def forward_codec() -> Codec:
    return codec_for(upgrade="SPDY/3.1", subprotocol="portforward.k8s.io", subresource="portforward")


def opened(codec: Codec, types: dict[int, str] | None = None) -> SpdyEnd:
    client, server = SpdyEnd(), SpdyEnd()
    for number, name in (types or TYPES).items():
        codec.receive(Side.CLIENT, client.syn_stream(number, {"streamtype": name}))
        codec.receive(Side.SERVER, server.syn_reply(number))
    return client


def spoken(wire: bytes) -> list[Data | Control]:
    return list(Reader().feed(wire))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "exec-spdy",
            {"stdout": (b"spdy out\n", True), "stderr": (b"spdy err\n", True)},
            id="output on both streams",
        ),
        pytest.param(
            "exec-spdy-stdin", {"stdin": (b"hello-spdy\n", True), "stdout": (b"hello-spdy\n", True)}, id="stdin"
        ),
    ],
)
def test_streams_of_a_real_exec_come_out_by_their_type(name: str, expected: dict[str, tuple[bytes, bool]]) -> None:
    one = recorded(name)
    codec = one.codec()
    frames = [frame for side, data in one.pieces() for frame in through(codec, side, data)[0]]
    found = {stream: said for (_, stream, _), said in joined(frames).items()}
    assert {k: found[k] for k in expected} == expected
    assert json.loads(found["error"][0])["status"] in {"Success", "Failure"}


@pytest.mark.parametrize("name", ["exec-spdy", "exec-spdy-stdin", "portforward-spdy"])
def test_unchanged_frames_reach_the_other_side_byte_for_byte(name: str) -> None:
    one = recorded(name)
    codec = one.codec()
    for side in Side:
        pieces = [data for by, data in one.pieces() if by is side]
        assert pieces
    sent = {Side.CLIENT: b"", Side.SERVER: b""}
    came = {Side.CLIENT: b"", Side.SERVER: b""}
    for side, data in one.pieces():
        came[side] += data
        sent[side] += through(codec, side, data)[1]
    assert sent == came


def test_a_frame_that_was_masked_is_written_with_its_new_length() -> None:
    codec = exec_codec()
    opened(codec)
    (frame,) = codec.receive(Side.SERVER, SpdyEnd().data(5, b"AKIA", flags=1))
    assert isinstance(frame, Frame)
    assert spoken(codec.send(replace(frame, data=b"[masked]"))) == [Data(5, b"[masked]", final=True)]


def test_both_sides_of_the_headers_keep_one_compression_context() -> None:
    codec, client = exec_codec(), SpdyEnd()
    wire = b"".join(client.syn_stream(n, {"streamtype": t}) for n, t in TYPES.items())
    _, sent = through(codec, Side.CLIENT, wire)
    assert [(c.stream, c.headers) for c in spoken(sent) if isinstance(c, Control)] == [
        (n, {"streamtype": t}) for n, t in TYPES.items()
    ]


def test_the_ends_of_streams_from_sides_that_never_write_on_them_go_on() -> None:
    codec = exec_codec()
    opened(codec)
    for number in (3, 5):
        side = Side.SERVER if number == 3 else Side.CLIENT
        (item,) = codec.receive(side, SpdyEnd().data(number, b"", flags=1))
        assert item == Raw(side, SpdyEnd().data(number, b"", flags=1))


def test_data_for_a_stream_that_was_taken_back_reaches_nobody() -> None:
    codec = exec_codec()
    opened(codec)
    (item,) = codec.receive(Side.CLIENT, SpdyEnd().rst(5))
    assert isinstance(item, Raw)
    assert (item.ends, item.channel) == ("stdout", 5)
    assert codec.receive(Side.SERVER, SpdyEnd().data(5, b"under way")) == []


def test_pings_settings_windows_and_goodbyes_go_on_unchanged() -> None:
    end = SpdyEnd()
    wire = [
        end.control(6, b"\0\0\0\1"),
        end.control(4, struct.pack("!III", 1, 7, 65536)),
        end.control(9, struct.pack("!II", 0, 10)),
        end.control(7, struct.pack("!II", 0, 0)),
    ]
    items = exec_codec().receive(Side.CLIENT, b"".join(wire))
    assert items == [*(Raw(Side.CLIENT, w) for w in wire[:3]), Raw(Side.CLIENT, wire[3], closes=True)]


def big_block() -> bytes:
    end = SpdyEnd()
    return end.control(1, struct.pack("!IIH", 1, 0, 0) + end.compressed(struct.pack("!II", 1, 4) + b"a" * (1 << 20)))


def long_block() -> bytes:
    end = SpdyEnd()
    text = struct.pack("!II", 1, 10) + b"streamtype" + struct.pack("!I", 5) + b"error" + b"stdin"
    return end.control(1, struct.pack("!IIH", 1, 0, 0) + end.compressed(text))


def finished_block() -> bytes:
    end = SpdyEnd()
    block = end.block({"streamtype": "error"}) + end._deflate.flush()
    return end.control(1, struct.pack("!IIH", 1, 0, 0) + block)


def syn(headers: list[tuple[str, str]], *, number: int = 1, flags: int = 0) -> bytes:
    return SpdyEnd().syn_stream(number, headers, flags=flags)


E_ = SpdyEnd()


@pytest.mark.parametrize(
    ("side", "wire"),
    [
        pytest.param(Side.CLIENT, syn([("streamtype", "shell")]), id="unknown stream type"),
        pytest.param(Side.CLIENT, syn([]), id="no stream type"),
        pytest.param(Side.CLIENT, syn([("streamtype", "error"), ("x", "y")]), id="a header more"),
        pytest.param(Side.CLIENT, syn([("streamtype", "error"), ("streamtype", "stdin")]), id="two stream types"),
        pytest.param(Side.CLIENT, syn([("streamtype", "error\0stdin")]), id="two values"),
        pytest.param(Side.CLIENT, syn([("Streamtype", "error")]), id="name not lower-case"),
        pytest.param(Side.CLIENT, syn([("streamtype", "error")], number=2), id="even number from the client"),
        pytest.param(Side.SERVER, syn([("streamtype", "error")], number=2), id="stream of the server's"),
        pytest.param(Side.CLIENT, syn([("streamtype", "error")], number=0), id="stream 0"),
        pytest.param(Side.CLIENT, syn([("streamtype", "error")], flags=2), id="unidirectional"),
        pytest.param(Side.CLIENT, big_block(), id="headers that grow"),
        pytest.param(Side.CLIENT, finished_block(), id="headers that end the compression"),
        pytest.param(Side.CLIENT, E_.control(1, b"\0\0\0\1" + b"\0" * 20), id="headers that are not compressed"),
        pytest.param(Side.CLIENT, E_.data(1, b"x"), id="data on a stream nobody opened"),
        pytest.param(Side.CLIENT, E_.data(0, b"x"), id="data on stream 0"),
        pytest.param(Side.CLIENT, long_block(), id="headers that go on after their count"),
        pytest.param(Side.CLIENT, struct.pack("!II", 1, MAX_FRAME_BYTES + 1), id="frame too large"),
        pytest.param(Side.CLIENT, E_.rst(1), id="end of a stream nobody opened"),
        pytest.param(Side.SERVER, SpdyEnd().syn_reply(1), id="answer to a stream nobody opened"),
        pytest.param(Side.CLIENT, E_.control(3, struct.pack("!III", 1, 5, 0)), id="RST_STREAM of twelve bytes"),
        pytest.param(Side.CLIENT, E_.control(6, b"\0\0\0\1\0"), id="PING of five bytes"),
        pytest.param(Side.CLIENT, E_.control(6, b"\0\0\0\0"), id="PING 0"),
        pytest.param(Side.CLIENT, E_.control(4, struct.pack("!I", 2) + b"\0" * 8), id="SETTINGS that count wrong"),
        pytest.param(Side.CLIENT, E_.control(5, b""), id="NOOP, gone since SPDY/3"),
        pytest.param(Side.CLIENT, E_.control(10, b"\0" * 8), id="CREDENTIAL"),
        pytest.param(Side.CLIENT, E_.control(6, b"\0\0\0\1", version=2), id="another version"),
        pytest.param(Side.CLIENT, E_.control(6, b"\0\0\0\1", flags=1), id="PING with a flag"),
        pytest.param(Side.CLIENT, E_.control(1, b"\0" * 4), id="SYN_STREAM cut short"),
        pytest.param(Side.CLIENT, struct.pack("!HHI", 0x8003, 1, 1 << 20), id="control frame too large"),
    ],
)
def test_a_frame_that_is_not_allowed_ends_the_tunnel_for_good(side: Side, wire: bytes) -> None:
    codec = exec_codec()
    with pytest.raises(BadTunnel):
        codec.receive(side, wire)
    with pytest.raises(BadTunnel):
        codec.receive(side.other, b"")


@pytest.mark.parametrize(
    ("side", "number", "data", "flags"),
    [
        pytest.param(Side.CLIENT, 5, b"x", 0, id="stdout from the client"),
        pytest.param(Side.CLIENT, 1, b"{}", 0, id="error from the client"),
        pytest.param(Side.SERVER, 3, b"x", 0, id="stdin from the server"),
        pytest.param(Side.CLIENT, 9, b"x", 0, id="a stream not opened yet"),
        pytest.param(Side.CLIENT, 4, b"x", 0, id="an even stream"),
    ],
)
def test_data_from_the_wrong_side_is_refused(side: Side, number: int, data: bytes, flags: int) -> None:
    codec = exec_codec()
    opened(codec)
    with pytest.raises(BadTunnel):
        codec.receive(side, SpdyEnd().data(number, data, flags=flags))


def test_compressed_data_is_refused() -> None:
    codec = exec_codec()
    opened(codec)
    with pytest.raises(BadTunnel, match="compressed"):
        codec.receive(Side.SERVER, SpdyEnd().data(5, b"x", flags=2))


def test_data_after_the_end_of_its_stream_is_refused() -> None:
    codec = exec_codec()
    opened(codec)
    codec.receive(Side.SERVER, SpdyEnd().data(5, b"", flags=1))
    with pytest.raises(BadTunnel, match="end"):
        codec.receive(Side.SERVER, SpdyEnd().data(5, b"more"))


def test_a_second_stream_of_a_type_is_refused_even_after_the_first_ended() -> None:
    codec = exec_codec()
    client = opened(codec)
    codec.receive(Side.CLIENT, client.rst(3))
    with pytest.raises(BadTunnel, match="second"):
        codec.receive(Side.CLIENT, client.syn_stream(9, {"streamtype": "stdin"}))


def test_stdin_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(BadTunnel, match="not asked for"):
        exec_codec(stdin=False).receive(Side.CLIENT, SpdyEnd().syn_stream(1, {"streamtype": "stdin"}))


def test_a_number_that_goes_back_is_refused() -> None:
    codec = exec_codec()
    client = opened(codec, {5: "error"})
    with pytest.raises(BadTunnel, match="order"):
        codec.receive(Side.CLIENT, client.syn_stream(3, {"streamtype": "stdout"}))


def test_an_answer_that_carries_headers_is_refused() -> None:
    codec = exec_codec()
    codec.receive(Side.CLIENT, SpdyEnd().syn_stream(1, {"streamtype": "stdout"}))
    with pytest.raises(BadTunnel, match="headers"):
        codec.receive(Side.SERVER, SpdyEnd().syn_reply(1, {"x": "AKIA"}))


def data_of(ending: Ending) -> dict[int, tuple[bytes, bool]]:
    made: dict[int, tuple[bytes, bool]] = {}
    for one in spoken(ending.client):
        if isinstance(one, Data):
            before, _ = made.get(one.stream, (b"", False))
            made[one.stream] = (before + one.data, one.final)
    return made


def test_the_gateway_ends_with_a_line_a_status_and_goodbye() -> None:
    codec = exec_codec()
    opened(codec)
    ending = codec.end("the grant ended\n", STATUS)
    assert data_of(ending) == {1: (STATUS, True), 3: (b"", True), 5: (b"", True), 7: (b"the grant ended\n", True)}
    last = spoken(ending.client)[-1]
    assert isinstance(last, Control)
    assert last.kind == spdy_frames.GOAWAY
    ended = [c.stream for c in spoken(ending.server) if isinstance(c, Control) and c.kind == spdy_frames.RST_STREAM]
    assert ended == [1, 3, 5, 7]


def test_with_a_tty_the_gateway_speaks_on_stdout() -> None:
    codec = exec_codec(tty=True)
    opened(codec, {1: "error", 3: "stdin", 5: "stdout", 7: "resize"})
    assert spoken(codec.say("soon over\r\n")) == [Data(5, b"soon over\r\n", final=False)]


def test_nothing_is_said_on_a_stream_whose_end_was_passed_on() -> None:
    codec = exec_codec()
    opened(codec)
    (frame,) = codec.receive(Side.SERVER, SpdyEnd().data(7, b"", flags=1))
    assert isinstance(frame, Frame)
    codec.send(frame)
    assert 7 not in data_of(codec.end("late\n", STATUS))


def test_an_end_that_was_seen_and_not_passed_on_is_still_said() -> None:
    codec = exec_codec()
    opened(codec)
    codec.receive(Side.SERVER, SpdyEnd().data(7, b"", flags=1))
    assert data_of(codec.end("late\n", STATUS))[7] == (b"late\n", True)


def forward_headers(kind: str, request: str = "0", port: str = "8080") -> dict[str, str]:
    return {"streamtype": kind, "port": port, "requestid": request}


def test_forwarded_connections_are_named_by_their_port_and_told_apart_by_their_channel() -> None:
    codec, client = forward_codec(), SpdyEnd()
    wire = b"".join(
        client.syn_stream(n, forward_headers(kind, request))
        for n, kind, request in ((1, "error", "0"), (3, "data", "0"), (5, "error", "1"), (7, "data", "1"))
    )
    items = codec.receive(Side.CLIENT, wire + client.data(3, b"a") + client.data(7, b"b"))
    assert [i.opens for i in items if isinstance(i, Raw)] == ["port:8080:error", "port:8080:data"] * 2
    assert [(f.stream, f.channel, f.data) for f in items if isinstance(f, Frame)] == [
        ("port:8080:data", 3, b"a"),
        ("port:8080:data", 7, b"b"),
    ]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(forward_headers("error"), id="the same type again"),
        pytest.param(forward_headers("data", port="22"), id="another port under one request"),
        pytest.param(forward_headers("data", port="0"), id="port 0"),
        pytest.param(forward_headers("data", port="65536"), id="port too high"),
        pytest.param(forward_headers("data", port="080"), id="port with a zero before it"),
        pytest.param(forward_headers("stdin"), id="unknown type"),
        pytest.param({"streamtype": "data", "port": "8080"}, id="no request"),
    ],
)
def test_a_stream_that_does_not_fit_its_pair_is_refused(second: dict[str, str]) -> None:
    codec, client = forward_codec(), SpdyEnd()
    codec.receive(Side.CLIENT, client.syn_stream(1, forward_headers("error")))
    with pytest.raises(BadTunnel):
        codec.receive(Side.CLIENT, client.syn_stream(3, second))


def test_connections_that_ended_make_room_for_others() -> None:
    codec, client = forward_codec(), SpdyEnd()
    for index in range(MAX_OPEN_STREAMS):
        number = 4 * index + 1
        through(codec, Side.CLIENT, client.syn_stream(number, forward_headers("error", str(index))))
        through(codec, Side.CLIENT, client.syn_stream(number + 2, forward_headers("data", str(index))))
        through(codec, Side.CLIENT, client.data(number, b"", flags=1) + client.data(number + 2, b"q", flags=1))
        through(codec, Side.SERVER, client.data(number, b"", flags=1) + client.data(number + 2, b"a", flags=1))
    assert codec.end("", b"").client == spdy_frames.goaway(4 * (MAX_OPEN_STREAMS - 1) + 3)


def test_too_many_open_streams_are_refused() -> None:
    codec, client = forward_codec(), SpdyEnd()
    for index in range(MAX_OPEN_STREAMS):
        codec.receive(Side.CLIENT, client.syn_stream(2 * index + 1, forward_headers("data", str(index))))
    with pytest.raises(BadTunnel, match="more than"):
        codec.receive(Side.CLIENT, client.syn_stream(2 * MAX_OPEN_STREAMS + 1, forward_headers("data", "last")))


def test_the_end_of_a_forward_is_told_on_the_error_stream() -> None:
    codec, client = forward_codec(), SpdyEnd()
    codec.receive(Side.CLIENT, client.syn_stream(1, forward_headers("error")))
    codec.receive(Side.CLIENT, client.syn_stream(3, forward_headers("data")))
    assert data_of(codec.end("the grant ended", b"")) == {1: (b"the grant ended", True), 3: (b"", True)}
