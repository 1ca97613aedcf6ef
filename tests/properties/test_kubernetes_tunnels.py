"""What must hold of every input of the codecs of upgraded connections."""

import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.fakes.kube_tunnels import SpdyEnd, recorded, recorded_names
from tests.fakes.pods import websocket_frame

from holdpoint.protocols.kubernetes.tunnels import BadTunnel, Codec, Frame, Item, Side, codec_for

relaxed = settings(deadline=None)
NAMES = recorded_names()
CODECS = {
    "v5": lambda: codec_for(upgrade="websocket", subprotocol="v5.channel.k8s.io", subresource="exec", stdin=True),
    "v4": lambda: codec_for(upgrade="websocket", subprotocol="v4.channel.k8s.io", subresource="attach"),
    "spdy": lambda: codec_for(upgrade="SPDY/3.1", subprotocol="v4.channel.k8s.io", subresource="exec", stdin=True),
    "forward": lambda: codec_for(upgrade="SPDY/3.1", subprotocol="portforward.k8s.io", subresource="portforward"),
    "tunnelled": lambda: codec_for(
        upgrade="websocket", subprotocol="SPDY/3.1+portforward.k8s.io", subresource="portforward"
    ),
    "channels": lambda: codec_for(
        upgrade="websocket", subprotocol="v4.channel.k8s.io", subresource="portforward", ports=(80, 443)
    ),
}


def meaning(items: list[Item]) -> list[object]:
    """Return what items say, without the keys that a WebSocket client masks its messages with."""
    return [i if isinstance(i, Frame) else (i.side, i.closes, i.opens, i.ends, len(i.data)) for i in items]


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
@relaxed
def test_every_cut_of_the_bytes_gives_the_same_frames(name: str, data: st.DataObject) -> None:
    one = recorded(name)
    whole, cut = one.codec(), one.codec()
    for side, piece in one.pieces():
        expected = whole.receive(side, piece)
        at = sorted(data.draw(st.lists(st.integers(0, len(piece)), max_size=4)))
        found = [i for a, b in zip([0, *at], [*at, len(piece)], strict=True) for i in cut.receive(side, piece[a:b])]
        assert meaning(found) == meaning(expected)


@pytest.mark.parametrize("name", NAMES)
def test_byte_by_byte_gives_the_same_frames(name: str) -> None:
    one = recorded(name)
    whole, cut = one.codec(), one.codec()
    for side, piece in one.pieces():
        found = [i for byte in piece for i in cut.receive(side, bytes([byte]))]
        assert meaning(found) == meaning(whole.receive(side, piece))


def feed(codec: Codec, pieces: list[tuple[Side, bytes]]) -> None:
    with suppress(BadTunnel):
        for side, piece in pieces:
            for item in codec.receive(side, piece):
                if isinstance(item, Frame):
                    codec.send(item)
    codec.say("x")
    codec.end("x", b"{}")


sides = st.sampled_from(Side)


@pytest.mark.parametrize("kind", CODECS)
@given(st.lists(st.tuples(sides, st.binary(max_size=64)), max_size=6))
@relaxed
def test_garbage_raises_nothing_but_bad_tunnel(kind: str, pieces: list[tuple[Side, bytes]]) -> None:
    feed(CODECS[kind](), pieces)


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(0, 1 << 30), st.integers(0, 255))
@example(0, 0)
@relaxed
def test_a_real_stream_with_one_byte_changed_raises_nothing_but_bad_tunnel(name: str, at: int, byte: int) -> None:
    pieces = recorded(name).pieces()
    where = at % sum(len(p) for _, p in pieces)
    changed: list[tuple[Side, bytes]] = []
    for side, piece in pieces:
        changed.append((side, piece[:where] + bytes([byte]) + piece[where + 1 :] if 0 <= where < len(piece) else piece))
        where -= len(piece)
    feed(recorded(name).codec(), changed)


headers = st.dictionaries(
    st.sampled_from(["streamtype", "port", "requestid", "x"]),
    st.sampled_from(["error", "stdin", "stdout", "data", "80", "0", ""]),
    max_size=3,
)
spdy_frames = st.one_of(
    st.tuples(st.just("syn"), st.integers(0, 9), headers),
    st.tuples(st.just("reply"), st.integers(0, 9), headers),
    st.tuples(st.just("data"), st.integers(0, 9), st.binary(max_size=9)),
    st.tuples(st.just("end"), st.integers(0, 9), st.binary(max_size=9)),
    st.tuples(st.just("rst"), st.integers(0, 9), st.just(b"")),
    st.tuples(st.just("control"), st.integers(0, 12), st.binary(max_size=14)),
)


@pytest.mark.parametrize("kind", ["spdy", "forward"])
@given(st.lists(st.tuples(sides, spdy_frames), max_size=12))
@relaxed
def test_frames_in_any_order_raise_nothing_but_bad_tunnel(
    kind: str, said: list[tuple[Side, tuple[str, int, object]]]
) -> None:
    ends = {Side.CLIENT: SpdyEnd(), Side.SERVER: SpdyEnd()}
    pieces: list[tuple[Side, bytes]] = []
    for side, (what, number, more) in said:
        end = ends[side]
        match what, more:
            case "syn", dict():
                wire = end.syn_stream(number, more)
            case "reply", dict():
                wire = end.syn_reply(number, more)
            case "rst", _:
                wire = end.rst(number)
            case "control", bytes():
                wire = end.control(number, more)
            case _, bytes():
                wire = end.data(number, more, flags=1 if what == "end" else 0)
            case _:
                raise AssertionError(what)
        pieces.append((side, wire))
    feed(CODECS[kind](), pieces)


@pytest.mark.threat("T48")
def test_a_message_in_many_fragments_takes_little_more_than_its_bytes() -> None:
    codec = CODECS["v5"]()
    codec.receive(Side.CLIENT, websocket_frame(2, b"\0", first=0))
    few = websocket_frame(0, b"ab", first=0) * 1000
    tracemalloc.start()
    for _ in range(10):
        assert codec.receive(Side.CLIENT, few) == []
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (whole,) = codec.receive(Side.CLIENT, websocket_frame(0, b"c"))
    assert isinstance(whole, Frame)
    assert whole.data == b"ab" * 10_000 + b"c"
    assert taken < 5 * len(whole.data)
