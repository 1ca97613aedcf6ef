import pytest
from tests.fakes.kube_tunnels import (
    SpdyEnd,
    client_end,
    closes,
    heard,
    joined,
    messages,
    recorded,
    server_end,
    through,
)
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from holdpoint.protocols.kubernetes import spdy_frames
from holdpoint.protocols.kubernetes.frames import BadTunnel, Frame, Raw, Side
from holdpoint.protocols.kubernetes.spdy_frames import Data, Reader
from holdpoint.protocols.kubernetes.tunnels import Codec, codec_for


def tunnelled() -> Codec:
    return codec_for(upgrade="websocket", subprotocol="SPDY/3.1+portforward.k8s.io", subresource="portforward")


def channels(*ports: int) -> Codec:
    return codec_for(upgrade="websocket", subprotocol="v4.channel.k8s.io", subresource="portforward", ports=ports)


@pytest.mark.parametrize("name", ["portforward-tunnelled", "portforward-tunnelled-1.32", "portforward-spdy"])
def test_a_real_forwarded_request_comes_out_by_port(name: str) -> None:
    one = recorded(name)
    codec = one.codec()
    frames = [frame for side, data in one.pieces() for frame in through(codec, side, data)[0]]
    found = joined(frames)
    ((asked, _),) = [said for (side, stream, _), said in found.items() if side is Side.CLIENT and "data" in stream]
    ((answer, _),) = [said for (side, stream, _), said in found.items() if side is Side.SERVER and "data" in stream]
    assert asked.startswith(b"GET / HTTP/1.1\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("name", ["portforward-tunnelled", "portforward-tunnelled-1.32"])
def test_spdy_inside_a_websocket_reaches_the_other_side_byte_for_byte(name: str) -> None:
    one = recorded(name)
    codec = one.codec()
    ends = {Side.CLIENT: server_end(), Side.SERVER: client_end()}
    reached = {Side.CLIENT: b"", Side.SERVER: b""}
    for side, data in one.pieces():
        reached[side] += b"".join(messages(ends[side], through(codec, side, data)[1]))
    for side in Side:
        assert reached[side] == b"".join(data for by, _, data in one.messages if by is side)


def test_spdy_in_text_messages_is_refused() -> None:
    with pytest.raises(BadTunnel, match="text"):
        tunnelled().receive(Side.CLIENT, client_end().send(TextMessage("\0")))


def test_bad_spdy_inside_a_websocket_ends_the_tunnel_for_good() -> None:
    codec = tunnelled()
    with pytest.raises(BadTunnel):
        codec.receive(Side.CLIENT, client_end().send(BytesMessage(SpdyEnd().data(1, b"x"))))
    with pytest.raises(BadTunnel):
        codec.receive(Side.SERVER, b"")


def test_the_gateway_ends_a_tunnelled_forward_in_both_protocols() -> None:
    codec, client, spdy = tunnelled(), client_end(), SpdyEnd()
    headers = {"streamtype": "error", "port": "80", "requestid": "0"}
    codec.receive(Side.CLIENT, client.send(BytesMessage(spdy.syn_stream(1, headers))))
    assert codec.say("soon over") != b""
    ending = codec.end("the grant ended", b"{}")
    events = heard(client_end(), ending.client)
    inner = b"".join(bytes(e.data) for e in events if isinstance(e, BytesMessage))
    assert Data(1, b"the grant ended", final=False) in list(Reader().feed(inner))
    assert closes(events) == [1000]
    last = heard(server_end(), ending.server)
    assert closes(last) == [1000]
    assert spdy_frames.goaway(0) in b"".join(bytes(e.data) for e in last if isinstance(e, BytesMessage))


def test_a_websocket_close_passes_through_a_tunnelled_forward() -> None:
    (item,) = tunnelled().receive(Side.CLIENT, client_end().send(CloseConnection(1000)))
    assert isinstance(item, Raw)
    assert item.closes


def port_says(channel: int, data: bytes) -> bytes:
    return server_end().send(BytesMessage(bytes([channel]) + data))


def test_channels_begin_with_their_port_and_then_carry_data() -> None:
    codec = channels(8080, 443)
    begun, rest = codec.receive(Side.SERVER, port_says(0, b"\x90\x1fhello"))
    assert isinstance(begun, Raw)
    assert messages(client_end(), begun.data) == [b"\0\x90\x1f"]
    assert begun.opens == "port:8080:data"
    assert rest == Frame(Side.SERVER, "port:8080:data", b"hello", channel=0)
    assert messages(client_end(), codec.send(rest)) == [b"\0hello"]
    (begun,) = codec.receive(Side.SERVER, port_says(3, b"\xbb\x01"))
    assert isinstance(begun, Raw)
    assert begun.opens == "port:443:error"


def test_data_of_the_client_goes_to_the_port_of_its_channel() -> None:
    (frame,) = channels(8080, 443).receive(Side.CLIENT, client_end().send(BytesMessage(b"\x02hi")))
    assert frame == Frame(Side.CLIENT, "port:443:data", b"hi", channel=2)


@pytest.mark.parametrize(
    ("side", "wire"),
    [
        pytest.param(Side.SERVER, port_says(0, b"\x1f\x90"), id="another port"),
        pytest.param(Side.SERVER, port_says(0, b"\x90"), id="half a port"),
        pytest.param(Side.SERVER, port_says(2, b"\x90\x1f"), id="a channel that does not exist"),
        pytest.param(Side.CLIENT, client_end().send(BytesMessage(b"\x01x")), id="error from the client"),
    ],
)
def test_a_message_that_its_channel_does_not_allow_is_refused(side: Side, wire: bytes) -> None:
    with pytest.raises(BadTunnel):
        channels(8080).receive(side, wire)


@pytest.mark.parametrize("ports", [(), tuple(range(1, 129))])
def test_channels_need_ports_and_not_too_many(ports: tuple[int, ...]) -> None:
    with pytest.raises(BadTunnel):
        channels(*ports)


def test_the_gateway_ends_channels_on_those_that_began() -> None:
    codec = channels(8080, 443)
    codec.receive(Side.SERVER, port_says(1, b"\x90\x1f"))
    events = heard(client_end(), codec.end("over", b"{}").client)
    assert [bytes(e.data) for e in events if isinstance(e, BytesMessage)] == [b"\x01over"]
    assert closes(events) == [1000]
