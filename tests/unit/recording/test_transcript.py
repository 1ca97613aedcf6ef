import hashlib
import itertools
import json

import pytest

from holdpoint.clock import SystemClock
from holdpoint.recording.transcript import (
    MOST_BYTES,
    PIECE_BYTES,
    WHOLE_BYTES,
    Kept,
    Message,
    Transcript,
    size_of,
    websocket_state,
)
from holdpoint.recording.typed import purpose_of, typed
from holdpoint.seals import SealBroken, Seals
from holdpoint.stages.tunnel_record import _seal

KEY = bytes(range(32))


def transcript(**kept) -> Transcript:
    return Transcript(Kept(**kept))


def shown(one: Transcript, data: bytes, *, stream: str = "stdout", at: float = 1.0) -> None:
    one.add(stream, data, from_client=False, at=at)


def test_messages_are_a_channel_and_what_was_shown():
    one = transcript()
    shown(one, b"out\n")
    shown(one, b"err\n", stream="stderr", at=2.0)
    one.add("resize", b'{"Width":80,"Height":24}', from_client=True, at=3.0)
    one.add("stdin", b"", from_client=True, at=4.0, final=True)
    assert one.whole() == (
        Message(from_client=False, content=b"\x01out\n", at=1.0),
        Message(from_client=False, content=b"\x02err\n", at=2.0),
        Message(from_client=True, content=b'\x04{"Width":80,"Height":24}', at=3.0),
        Message(from_client=True, content=b"\xff\x00", at=4.0),
    )
    assert one.summary()["size"] == [80, 24]


@pytest.mark.threat("T52")
def test_stdin_is_counted_and_kept_nowhere():
    one = transcript()
    one.add("stdin", b"hunter2\n", from_client=True, at=1.0)
    assert one.whole() == ()
    assert one.summary()["streams"] == {"client:stdin": {"bytes": 8}}
    assert "hunter2" not in repr(one)


def test_a_digest_of_what_was_typed_is_never_made():
    one = transcript(stdin=lambda _data, _number: b"sealed")
    one.add("stdin", b"1234", from_client=True, at=1.0)
    assert hashlib.sha256(b"1234").hexdigest() not in json.dumps(one.summary())


@pytest.mark.parametrize("stream", ["stdout", "port:80:data"])
def test_what_nobody_looks_into_is_counted_and_digested(stream):
    one = transcript(output=False)
    shown(one, b"bytes of a copy", stream=stream)
    assert one.whole() == ()
    digest = "sha256:" + hashlib.sha256(b"bytes of a copy").hexdigest()
    assert one.summary()["streams"] == {f"server:{stream}": {"bytes": 15, "digest": digest}}


def test_a_copy_still_tells_how_it_ended():
    one = transcript(output=False)
    shown(one, b'{"status":"Success"}', stream="error")
    shown(one, b"tar: no\n", stream="stderr")
    assert [m.content[:1] for m in one.whole()] == [b"\x03", b"\x02"]


def test_digests_do_not_depend_on_how_output_was_cut():
    data = bytes(range(256)) * 9
    digests = set()
    for size in (1, 7, 1000, 5000):
        one = transcript()
        for begin in range(0, len(data), size):
            shown(one, data[begin : begin + size])
        digests.add(json.dumps(one.summary()["streams"]))
    assert len(digests) == 1


def test_a_piece_is_due_once_so_much_waits():
    one = transcript()
    shown(one, b"x" * (PIECE_BYTES // 2))
    assert one.waits
    assert not one.is_due
    shown(one, b"x" * (PIECE_BYTES // 2))
    assert one.is_due
    assert sum(len(m.content) - 1 for m in one.take()) == PIECE_BYTES
    assert not one.waits
    assert one.summary()["pieces"] == 1


def test_pieces_together_are_what_was_shown():
    one = transcript()
    taken = []
    for index in range(100):
        shown(one, b"%d\n" % index)
        if index % 7 == 0:
            taken += one.take()
    taken += one.take()
    assert b"".join(m.content[1:] for m in taken) == b"".join(b"%d\n" % i for i in range(100))


@pytest.mark.threat("T50")
def test_a_tunnel_without_end_fills_neither_memory_nor_record():
    one = transcript()
    chunk = b"x" * (1 << 20)
    kept = 0
    for _ in range(200):
        shown(one, chunk)
        assert one._waiting_bytes <= len(chunk) + PIECE_BYTES
        if one.is_due:
            kept += sum(len(m.content) for m in one.take())
    assert kept <= MOST_BYTES
    assert sum(len(m.content) for m in one.whole()) <= WHOLE_BYTES
    summary = one.summary()
    assert "digests cover all" in summary["cut"]
    assert summary["streams"]["server:stdout"]["digest"] == "sha256:" + hashlib.sha256(chunk * 200).hexdigest()


def test_nothing_is_kept_after_the_cut_even_if_it_were_small():
    one = transcript()
    for _ in range(MOST_BYTES // (1 << 20) + 1):
        shown(one, b"x" * (1 << 20))
    one.take()
    shown(one, b"small")
    assert not one.waits


@pytest.mark.threat("T50")
def test_what_a_client_sends_takes_no_room_from_what_is_shown():
    one = transcript()
    for _ in range(MOST_BYTES // (1 << 20) + 1):
        one.add("resize", b" " * (1 << 20), from_client=True, at=1.0)
    one.take()
    shown(one, b"what was done then")
    assert one.waits
    assert one.whole()[-1].content == b"\x01what was done then"


def test_empty_frames_leave_no_message():
    one = transcript()
    shown(one, b"")
    assert not one.waits


def test_a_credential_of_the_road_is_taken_out_of_output():
    one = transcript()
    shown(one, b"token k8s-aws-v1.aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8 end")
    assert b"aHR0" not in one.whole()[0].content


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b'{"Width":80,"Height":24}\n', (80, 24)),
        (b'{"Width":1,"Height":2}\n{"Width":3,"Height":4}\n', (3, 4)),
        (b'{"Width":0,"Height":24}', None),
        (b'{"Width":99999,"Height":24}', None),
        (b'{"Width":"80","Height":24}', None),
        (b"[]", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_a_resize_says_columns_and_rows_or_nothing(data, size):
    assert size_of(data) == size


def test_a_websocket_that_goes_on_is_not_closed():
    assert websocket_state(())["close_code"] is None
    assert websocket_state((), ended=3.0)["timestamp_end"] == 3.0


def sealed(seals: Seals, *said: bytes, exchange: str = "ex-1") -> list[Message]:
    one = transcript(stdin=_seal(seals, exchange))
    for data in said:
        one.add("stdin", data, from_client=True, at=1.0)
    return list(one.whole())


@pytest.fixture
def seals() -> Seals:
    return Seals(KEY, SystemClock())


def test_what_was_typed_opens_with_the_key_alone(seals):
    messages = sealed(seals, b"pass", b"word\n")
    assert all(b"pass" not in m.content and b"word" not in m.content for m in messages)
    assert typed(messages, "ex-1", seals) == b"password\n"
    with pytest.raises(SealBroken):
        typed(messages, "ex-1", Seals(KEY[::-1], SystemClock()))


def test_the_same_key_pressed_twice_does_not_look_the_same(seals):
    first, second = sealed(seals, b"a", b"a")
    assert first.content != second.content


@pytest.mark.parametrize(
    "changed", [lambda m: m[1:], lambda m: [m[1], m[0]], lambda m: [m[0], m[0]]], ids=["removed", "moved", "repeated"]
)
def test_what_was_typed_does_not_open_when_messages_were_changed(seals, changed):
    with pytest.raises(SealBroken):
        typed(changed(sealed(seals, b"a", b"b")), "ex-1", seals)


def test_what_was_typed_into_one_exchange_is_not_read_as_typed_into_another(seals):
    with pytest.raises(SealBroken):
        typed(sealed(seals, b"a"), "ex-2", seals)
    assert len({purpose_of(f"ex-{n}") for n in itertools.islice(itertools.count(), 3)}) == 3
