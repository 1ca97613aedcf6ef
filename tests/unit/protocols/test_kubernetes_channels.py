import json

import pytest
from tests.fakes.kube_tunnels import client_end, closes, heard, joined, messages, recorded, server_end, through
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from holdpoint.protocols.kubernetes.frames import MAX_FRAME_BYTES, BadTunnel, Frame, Raw, Side
from holdpoint.protocols.kubernetes.tunnels import Codec, codec_for

STATUS = b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"ended","code":403}'


def exec_codec(version: int = 5, *, tty: bool = False, stdin: bool = True) -> Codec:
    return codec_for(
        upgrade="websocket", subprotocol=f"v{version}.channel.k8s.io", subresource="exec", tty=tty, stdin=stdin
    )


def test_output_of_a_real_exec_comes_out_by_stream() -> None:
    one = recorded("exec-websocket")
    codec = one.codec()
    frames = [frame for side, data in one.pieces() for frame in through(codec, side, data)[0]]
    found = joined(frames)
    assert found[Side.SERVER, "stdout", 1][0] == b"out\n"
    assert found[Side.SERVER, "stderr", 2][0] == b"err\n"
    assert json.loads(found[Side.SERVER, "error", 3][0])["details"]["causes"][0] == {
        "reason": "ExitCode",
        "message": "3",
    }


def test_what_a_real_client_wrote_reaches_the_server_masked_and_whole() -> None:
    one = recorded("exec-websocket-stdin")
    codec = one.codec()
    server = server_end()
    reached = [
        m for side, data in one.pieces() if side is Side.CLIENT for m in messages(server, through(codec, side, data)[1])
    ]
    assert reached == [b"\x00hello\n", b"\xff\x00"]


def test_text_of_the_python_client_stays_text() -> None:
    one = recorded("python-exec-tty")
    codec = one.codec()
    server = server_end()
    events = [
        e for side, data in one.pieces() if side is Side.CLIENT for e in heard(server, through(codec, side, data)[1])
    ]
    assert [e.data for e in events if isinstance(e, TextMessage)] == ["\0echo from-stdin\n", "\0exit\n"]


def test_text_that_was_cut_in_a_character_goes_on_as_bytes() -> None:
    codec = exec_codec()
    (frame,) = codec.receive(Side.CLIENT, client_end().send(TextMessage("\0é")))
    assert isinstance(frame, Frame)
    sent = codec.send(Frame(Side.CLIENT, "stdin", frame.data[:1], channel=0, is_text=True))
    assert messages(server_end(), sent) == [b"\0\xc3"]


def test_fragments_reach_the_other_side_as_one_message() -> None:
    codec, client, server = exec_codec(), client_end(), server_end()
    first = client.send(BytesMessage(b"\0ec", message_finished=False))
    assert codec.receive(Side.CLIENT, first) == []
    frames, sent = through(codec, Side.CLIENT, client.send(BytesMessage(b"\x04ho", message_finished=True)))
    assert [f.data for f in frames] == [b"ec\x04ho"]
    # golang.org/x/net/websocket would take the second fragment for a message on channel 4.
    assert sent[0] == 0x82
    assert messages(server, sent) == [b"\0ec\x04ho"]


def test_the_end_of_stdin_is_said_in_v5_and_cannot_be_in_v4() -> None:
    v5, v4 = exec_codec(5), exec_codec(4)
    (item,) = v5.receive(Side.CLIENT, client_end().send(BytesMessage(b"\xff\0")))
    assert item == Frame(Side.CLIENT, "stdin", b"", final=True, channel=0)
    assert messages(server_end(), v5.send(item)) == [b"\xff\0"]
    assert v4.send(item) == b""


def test_data_and_end_in_one_frame_are_two_messages() -> None:
    sent = exec_codec().send(Frame(Side.CLIENT, "stdin", b"x", final=True, channel=0))
    assert messages(server_end(), sent) == [b"\0x", b"\xff\0"]


def test_the_empty_message_that_says_ready_goes_on() -> None:
    _, sent = through(exec_codec(), Side.SERVER, server_end().send(BytesMessage(b"\x01")))
    assert messages(client_end(), sent) == [b"\x01"]


def test_a_message_without_a_channel_is_passed_over() -> None:
    assert exec_codec().receive(Side.CLIENT, client_end().send(BytesMessage(b""))) == []


def test_pings_pass_in_both_directions_and_are_answered_by_the_other_side() -> None:
    codec, client, server = exec_codec(), client_end(), server_end()
    _, sent = through(codec, Side.CLIENT, client.send(Ping(b"p")))
    (ping,) = heard(server, sent)
    assert isinstance(ping, Ping)
    _, back = through(codec, Side.SERVER, server.send(ping.response()))
    (pong,) = heard(client, back)
    assert isinstance(pong, Pong)
    assert bytes(pong.payload) == b"p"


@pytest.mark.parametrize("first", [Side.CLIENT, Side.SERVER])
def test_a_close_passes_and_so_does_its_answer(first: Side) -> None:
    codec = exec_codec()
    ends = {Side.CLIENT: client_end(), Side.SERVER: server_end()}
    items = codec.receive(first, ends[first].send(CloseConnection(1000, "bye")))
    assert [type(i) for i in items] == [Raw]
    assert isinstance(items[0], Raw)
    assert items[0].closes
    other = ends[first.other]
    (close,) = heard(other, items[0].data)
    assert isinstance(close, CloseConnection)
    _, back = through(codec, first.other, other.send(close.response()))
    assert closes(heard(ends[first], back)) == [1000]


def test_a_client_is_told_goodbye_where_that_of_the_server_was_not_passed_on() -> None:
    codec, client = exec_codec(), client_end()
    (item,) = codec.receive(Side.SERVER, server_end().send(CloseConnection(1000)))
    assert item.closes  # type: ignore[union-attr]
    assert closes(heard(client, codec.end("", STATUS).client)) == [1000]


def test_what_comes_after_a_close_reaches_nobody() -> None:
    codec, client = exec_codec(), client_end()
    closed = client.send(CloseConnection(1000))
    late = client_end().send(BytesMessage(b"\0late"))
    assert len(codec.receive(Side.CLIENT, closed + late)) == 1
    assert codec.receive(Side.CLIENT, late) == []


def test_output_that_comes_after_the_client_closed_is_sent_to_nobody() -> None:
    codec, client, server = exec_codec(), client_end(), server_end()
    codec.receive(Side.CLIENT, client.send(CloseConnection(1000)))
    _, sent = through(codec, Side.SERVER, server.send(BytesMessage(b"\x01late")))
    assert sent == b""


def client_says(data: bytes) -> bytes:
    return client_end().send(BytesMessage(data))


def server_says(data: bytes) -> bytes:
    return server_end().send(BytesMessage(data))


def unmasked(end: Connection) -> bytes:
    return end.send(BytesMessage(b"\0x"))


@pytest.mark.parametrize(
    ("side", "wire"),
    [
        pytest.param(Side.CLIENT, client_says(b"\x05x"), id="a channel that does not exist"),
        pytest.param(Side.CLIENT, client_says(b"\x01x"), id="stdout from the client"),
        pytest.param(Side.CLIENT, client_says(b"\x03{}"), id="error from the client"),
        pytest.param(Side.SERVER, server_says(b"\0x"), id="stdin from the server"),
        pytest.param(Side.SERVER, server_says(b"\xff\0"), id="close from the server"),
        pytest.param(Side.CLIENT, client_says(b"\xff"), id="close of nothing"),
        pytest.param(Side.CLIENT, client_says(b"\xff\0\0"), id="close of two"),
        pytest.param(Side.CLIENT, client_says(b"\xff\x01"), id="close of stdout"),
        pytest.param(Side.CLIENT, client_says(b"\xff\x09"), id="close of an unknown channel"),
        pytest.param(Side.CLIENT, unmasked(server_end()), id="client without a mask"),
        pytest.param(Side.SERVER, unmasked(client_end()), id="server with a mask"),
        pytest.param(Side.CLIENT, b"\xc2\x80\0\0\0\0", id="reserved bit, as compression sets it"),
        pytest.param(Side.CLIENT, b"\x83\x80\0\0\0\0", id="unknown opcode"),
        pytest.param(Side.CLIENT, b"\x80\x80\0\0\0\0", id="continuation of nothing"),
        pytest.param(Side.CLIENT, b"\x09\x80\0\0\0\0", id="fragmented ping"),
        pytest.param(Side.CLIENT, b"\x81\x82\0\0\0\0\0\xff", id="text that is no UTF-8"),
    ],
)
def test_a_message_that_is_not_allowed_ends_the_tunnel_for_good(side: Side, wire: bytes) -> None:
    codec = exec_codec()
    with pytest.raises(BadTunnel):
        codec.receive(side, wire)
    with pytest.raises(BadTunnel):
        codec.receive(side.other, b"")


def test_stdin_after_its_end_is_refused() -> None:
    codec = exec_codec()
    codec.receive(Side.CLIENT, client_says(b"\xff\0"))
    with pytest.raises(BadTunnel, match="stdin"):
        codec.receive(Side.CLIENT, client_says(b"\0x"))


def test_stdin_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(BadTunnel, match="stdin"):
        exec_codec(stdin=False).receive(Side.CLIENT, client_says(b"\0x"))


def test_a_message_in_endless_fragments_is_refused_when_it_is_too_large() -> None:
    codec, client = exec_codec(), client_end()
    piece = client.send(BytesMessage(b"\0" * (MAX_FRAME_BYTES // 2), message_finished=False))
    more = client.send(BytesMessage(b"\0" * (MAX_FRAME_BYTES // 2), message_finished=False))
    last = client.send(BytesMessage(b"\0", message_finished=False))
    assert codec.receive(Side.CLIENT, piece + more) == []
    with pytest.raises(BadTunnel, match="larger"):
        codec.receive(Side.CLIENT, last)


@pytest.mark.parametrize(("tty", "channel"), [(False, 2), (True, 1)])
def test_the_gateway_ends_with_a_line_a_status_and_a_close(tty: bool, channel: int) -> None:
    codec, client, server = exec_codec(tty=tty), client_end(), server_end()
    ending = codec.end("the grant ended\r\n", STATUS)
    events = heard(client, ending.client)
    said = [bytes(e.data) for e in events if isinstance(e, BytesMessage)]
    assert said == [bytes([channel]) + b"the grant ended\r\n", b"\x03" + STATUS]
    assert closes(events) == [1000]
    assert closes(heard(server, ending.server)) == [1000]


def test_the_gateway_can_end_what_went_wrong() -> None:
    codec = exec_codec()
    with pytest.raises(BadTunnel):
        codec.receive(Side.CLIENT, b"\xff\xff\xff")
    assert messages(client_end(), codec.end("no\n", STATUS).client) == [b"\x02no\n", b"\x03" + STATUS]


@pytest.mark.parametrize(
    ("upgrade", "subprotocol", "subresource"),
    [
        ("websocket", "v4.base64.channel.k8s.io", "exec"),
        ("websocket", "channel.k8s.io", "exec"),
        ("websocket", "", "exec"),
        ("websocket", "SPDY/3.1+portforward.k8s.io", "exec"),
        ("websocket", "v5.channel.k8s.io", "portforward"),
        ("SPDY/3.1", "v3.channel.k8s.io", "exec"),
        ("SPDY/3.1", "portforward.k8s.io", "attach"),
        ("SPDY/3.1", "v4.channel.k8s.io", "portforward"),
        ("h2c", "v4.channel.k8s.io", "exec"),
        ("websocket", "v4.channel.k8s.io", "proxy"),
    ],
)
def test_a_protocol_that_is_not_known_has_no_codec(upgrade: str, subprotocol: str, subresource: str) -> None:
    with pytest.raises(BadTunnel):
        codec_for(upgrade=upgrade, subprotocol=subprotocol, subresource=subresource, ports=(80,))
