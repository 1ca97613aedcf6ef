import random

import pytest
from tests.fakes.mask_profiles import KEY, shipped

from holdpoint.domain.mask import DetectorMask, MaskProfile
from holdpoint.masking.ansi import CONTROLS, visible
from holdpoint.masking.masker import compile_masks
from holdpoint.masking.terminal import TerminalMasker

AWS = b"AKIAIOSFODNN7EXAMPLE"
PEM = b"-----BEGIN RSA PRIVATE KEY-----\n" + b"MIIEpAIBAAKCAQEA7Zb0\n" * 40 + b"-----END RSA PRIVATE KEY-----\n"


def terminal() -> TerminalMasker:
    return TerminalMasker(shipped())


def shown(*pieces: bytes) -> bytes:
    one = terminal()
    return b"".join([*(one.feed(p) for p in pieces), one.flush()])


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([b"key " + AWS + b"\n"], b"key [masked]\n", id="in one piece"),
        pytest.param([b"key " + AWS[:7], AWS[7:] + b"\n"], b"key [masked]\n", id="in two pieces"),
        pytest.param([b"key AKI", AWS[3:] + b"\r\n"], b"key [masked]\r\n", id="cut in its beginning"),
        pytest.param(
            [b"\x1b[31m" + AWS[:9] + b"\x1b[0m\x1b[32m" + AWS[9:] + b"\x1b[0m\r\n"],
            b"\x1b[31m[masked]\x1b[0m\x1b[32m\x1b[0m\r\n",
            id="that changes its colour",
        ),
        pytest.param(
            [b"\x1b[31m" + AWS[:9], b"\x1b[", b"0m" + AWS[9:14], AWS[14:] + b"\x1b[0m\r\n"],
            b"\x1b[31m[masked]\x1b[0m\x1b[0m\r\n",
            id="that changes its colour and comes in pieces",
        ),
        pytest.param(
            [b"a\x08" + AWS[:4] + b"\x00" + AWS[4:] + b"\n"], b"a\x08[masked]\x00\n", id="with controls in it"
        ),
        pytest.param(
            [b"password: hun", b"ter2\n", b"next\n"], b'password: "[masked]"\nnext\n', id="a value after its key"
        ),
        pytest.param([b"Password: ", b"hunter2\r\n"], b'Password: "[masked]"\r\n', id="a value after its prompt"),
        pytest.param([PEM[:50], PEM[50:300], PEM[300:], b"done\n"], b"[masked]\ndone\n", id="a private key"),
        pytest.param([AWS + b"\n" + AWS + b"\n"], b"[masked]\n[masked]\n", id="twice"),
        pytest.param(
            [b'{"password": "x", "b": 1}\n', b"hello\n"], b'{"password":"[masked]","b":1}\nhello\n', id="JSON"
        ),
    ],
)
def test_a_secret_is_masked(pieces: list[bytes], expected: bytes) -> None:
    assert shown(*pieces) == expected


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes(range(256)) * 20, id="binary"),
        pytest.param("größe 漢字 \U0001f512\n".encode(), id="UTF-8"),
        pytest.param(b"\xff\xfe\x00\n\x1b", id="not UTF-8"),
        pytest.param(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07$ ", id="colours"),
        pytest.param(b"x" * 200_000, id="one long line"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_what_holds_no_secret_passes_byte_for_byte(data: bytes, size: int) -> None:
    if size == 1 and len(data) > 2_000:
        data = data[:2_000]
    assert shown(*(data[i : i + size] for i in range(0, len(data), size))) == data


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"l", id="the echo of a key"),
        pytest.param(b"\x1b[A", id="the echo of an arrow"),
        pytest.param(b"root@pod:/# ", id="a prompt"),
        pytest.param(b"\x1b[32muser@host\x1b[0m:~$ ", id="a coloured prompt"),
        pytest.param(b"/ # ", id="a prompt of busybox"),
        pytest.param(b"Password:", id="a question"),
        pytest.param(b"Continue? [y/N]", id="a choice"),
        pytest.param(b"line\r\n", id="a line"),
        pytest.param(b"\x08 \x08", id="an erased key"),
    ],
)
def test_what_people_wait_for_passes_at_once(piece: bytes) -> None:
    one = terminal()
    one.feed(b"before\r\n$ ")
    assert one.feed(piece) == piece
    assert not one.pending


def test_a_typed_line_is_echoed_key_by_key() -> None:
    one = terminal()
    line = b"kubectl get pods --namespace production-eu1"
    assert [one.feed(bytes([b])) for b in line] == [bytes([b]) for b in line]


def test_what_may_be_the_beginning_of_a_secret_waits_for_the_flush_alone() -> None:
    one = terminal()
    assert one.feed(b"id AKIAIO") == b"id "
    assert one.pending
    assert one.flush() == b"AKIAIO"
    assert not one.pending
    # What was shown cannot be taken back; what follows is masked all the same.
    assert one.feed(AWS[6:] + b"\n") == b"[masked]\n"


def test_a_value_that_goes_on_after_a_flush_gets_one_mark() -> None:
    one = terminal()
    assert one.feed(b"password=hun") + one.flush() == b"password=[masked]"
    assert one.feed(b"ter") + one.flush() == b""
    assert one.feed(b"2\nnext\n") == b"\nnext\n"
    assert one.count == 1


def test_a_private_key_that_is_longer_than_the_window_shows_nothing() -> None:
    one = terminal()
    body = b"MIIEpAIBAAKCAQEA7Zb0MIIEpAIBAAKCAQEA7Zb0MIIEpAIBAAKCAQEA7Zb0\n" * 500
    made = b"".join(
        one.feed(p) + one.flush()
        for p in (b"-----BEGIN PRIVATE KEY-----\n", *(body[i : i + 999] for i in range(0, len(body), 999)))
    )
    assert b"MIIE" not in made
    assert made == b"[masked]"


def test_the_windows_of_two_streams_are_apart() -> None:
    out, err = terminal(), terminal()
    assert out.feed(b"AKIAIOSF") == b""
    assert err.feed(b"x\n") == b"x\n"
    assert out.feed(AWS[8:] + b"\n") == b"[masked]\n"


def test_memory_is_bounded_however_long_a_line_grows() -> None:
    one = terminal()
    size = sum(len(one.feed(b"a1" * 5000)) for _ in range(100))
    assert 1_000_000 - size < 100_000


def test_without_masks_everything_passes_at_once() -> None:
    one = TerminalMasker(compile_masks([], key=KEY))
    assert one.feed(b"AKIA") == b"AKIA"
    assert not one.pending


def test_what_no_profile_knows_is_hidden_in_the_same_window() -> None:
    token = b"opaque-0f3a9c"

    def hide(data: bytes) -> tuple[bytes, int]:
        return data.replace(token, b"[masked]"), data.count(token)

    one = TerminalMasker(compile_masks([], key=KEY), also=hide)
    assert one.feed(b"got \x1b[1m" + token[:6]) + one.feed(token[6:] + b"\n") == b"got \x1b[1m[masked]\n"
    assert one.count == 1


def test_a_pattern_of_ones_own_is_found_over_two_bulky_pieces() -> None:
    own = MaskProfile("own", (), (), (DetectorMask("ticket", "TICKET-(?P<secret>[0-9]{6})"),))
    one = TerminalMasker(compile_masks([own], key=KEY))
    text = b"x " * 2000 + b"TICKET-123456\n"
    assert one.feed(text[:-5]) + one.feed(text[-5:]) == b"x " * 2000 + b"TICKET-[masked]\n"


def test_the_same_secret_in_every_cut_of_two_pieces_is_never_shown() -> None:
    text = b"one \x1b[1m" + AWS[:5] + b"\x1b[0m" + AWS[5:] + b" two\n"
    assert {shown(text[:i], text[i:]) for i in range(5, len(text))} == {b"one \x1b[1m[masked]\x1b[0m two\n"}


def test_controls_are_told_from_text() -> None:
    seen = visible(b"a\x1b[31mb\x1b]0;t\x07c\x1b[3")
    assert seen.text == b"abc"
    assert [seen.raw_at(i) for i in range(4)] == [0, 6, 13, 14]
    assert CONTROLS.fullmatch(b"\x1b(B")


PIECES = (
    *(b"\x1b[31m", b"\x1b]0;t\x07", b"\x1b", b"\x1b[", b"\x00", b"\x08\x07", b"\x7f"),
    *(b"a", b"bc", b"\n", b"\xff", b"m", b"\\"),
)


def test_every_byte_of_text_is_found_where_it_stood() -> None:
    some = random.Random(2)  # noqa: S311  # the same pieces each time
    for _ in range(3_000):
        raw = b"".join(some.choices(PIECES, k=some.randrange(1, 14)))
        seen = visible(raw)
        places = [seen.raw_at(i) for i in range(len(seen.text))]
        assert bytes(raw[at] for at in places) == seen.text
        assert places == sorted(set(places))
        assert seen.raw_at(len(seen.text)) == seen.ends
        # What is not text is a control, or one byte of many that stand for themselves.
        between = zip([-1, *places], [*places, seen.ends], strict=True)
        assert all(not CONTROLS.sub(b"", raw[a + 1 : b]) for a, b in between)
