"""A text without an end is masked line by line, the same however its bytes are cut."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdpoint.domain.mask import DetectorMask, KeyMask, MaskProfile
from holdpoint.masking.lines import WINDOW, LineMasker, last_line
from holdpoint.masking.masker import Masker, compile_masks

pytestmark = [pytest.mark.threat("T45")]

TOKEN = "ghp_" + "a1B2c3D4e5" * 4
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA\n" * 20 + "-----END RSA PRIVATE KEY-----\n"
DETECTORS = tuple(DetectorMask(n) for n in ("github-token", "private-key", "bearer"))
MASKER = compile_masks([MaskProfile("p", keys=(KeyMask("password"),), detectors=DETECTORS)], key=bytes(32))
LOG = (
    f"start\n2026-11-21T01:04:09Z token {TOKEN} used\r\n\n"
    f'{{"level":"info","password":"hunter2"}}\npassword=hunter2\nkey:\n{KEY}after ü\nlast {TOKEN}'
).encode() + b" \xff\xfe"


def masked(*chunks: bytes, masker: Masker = MASKER) -> bytes:
    lines = LineMasker(masker)
    shown = [lines.show(lines.feed(chunk)) for chunk in chunks]
    return b"".join([*shown, lines.show(lines.end())])


def test_secrets_of_a_log_are_masked_and_the_rest_stays() -> None:
    shown = masked(LOG)
    for secret in (TOKEN.encode(), b"hunter2", b"MIIE"):
        assert secret not in shown
    for line in (
        b"start\n",
        b"2026-11-21T01:04:09Z token [masked] used\r\n\n",
        b"after \xc3\xbc\nlast [masked] \xff\xfe",
    ):
        assert line in shown


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 64, 100])
def test_every_cut_gives_the_same_bytes(size: int) -> None:
    assert masked(*(LOG[i : i + size] for i in range(0, len(LOG), size))) == masked(LOG)


@given(cuts=st.lists(st.integers(0, len(LOG)), max_size=10))
@settings(max_examples=200)
def test_any_cuts_give_the_same_bytes(cuts: list[int]) -> None:
    at = sorted({0, *cuts, len(LOG)})
    assert masked(*(LOG[a:b] for a, b in pairwise(at))) == masked(LOG)


def test_line_passes_as_soon_as_it_ends() -> None:
    lines = LineMasker(MASKER)
    assert lines.show(lines.feed(b"a\nb")) == b"a\n"
    assert lines.show(lines.feed(b"c\n")) == b"bc\n"


def test_binary_log_passes_unbroken() -> None:
    data = random.Random(1).randbytes(300_000)  # noqa: S311  # a test's own
    assert masked(*(data[i : i + 999] for i in range(0, len(data), 999))) == data


def test_line_without_an_end_is_held_no_longer_than_the_window() -> None:
    lines = LineMasker(MASKER)
    word = b"some words of a long line, "
    shown = b""
    for n in range(20_000):
        shown += lines.show(lines.feed(word))
        assert len(word) * (n + 1) - len(shown) <= WINDOW + len(word)
    assert shown + lines.show(lines.end()) == word * 20_000


def test_secret_at_any_place_of_a_long_line_is_masked() -> None:
    for at in range(WINDOW - 60, WINDOW + 20, 7):
        line = b"x" * at + b" " + TOKEN.encode() + b" y" * 50_000 + b"\n"
        assert masked(line) == line.replace(TOKEN.encode(), b"[masked]")
        assert masked(line[:999], line[999:]) == masked(line)


def test_secret_longer_than_the_window_takes_the_rest_of_its_line_along() -> None:
    shown = masked(b"password=" + b"A" * (3 * WINDOW), b"A" * 10, b"\nnext\n")
    assert b"AAAA" not in shown
    assert shown.endswith(b"[masked]\nnext\n")


def test_private_key_without_an_end_is_left_out_for_a_while_and_no_longer() -> None:
    head, line = b"-----BEGIN PRIVATE KEY-----\n", b"MIIEpAIBAAKCAQEA\n"
    shown = masked(head, *([line] * 3000))
    assert line not in shown[: shown.find(b"[masked]") + 1000]
    shown = masked(head, *([line] * 20_000), b"at last\n")
    assert shown.endswith(b"at last\n")


def test_key_that_the_end_cuts_short_is_masked() -> None:
    assert b"MII" not in masked(b"x\n-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA")


def test_masker_without_rules_changes_nothing() -> None:
    empty = compile_masks([], key=bytes(32))
    assert masked(LOG[:100], LOG[100:], masker=empty) == LOG


def test_last_line_stands_on_a_line_of_its_own() -> None:
    said = b"error: the gateway ended this log: the token expired (ex_1)\n"
    assert last_line("the token expired", "ex_1", b"a\n") == said
    assert last_line("the token expired", "ex_1", b"a") == b"\n" + said
    assert last_line("the token expired", "ex_1", b"") == said
