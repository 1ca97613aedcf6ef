"""A seal is the gateway's own word, for one purpose and one time."""

import re

import pytest

from holdpoint.clock import ManualClock
from holdpoint.domain.values import JsonObject
from holdpoint.seals import SealBroken, Seals

KEY = bytes(range(32))
PAYLOAD: JsonObject = {"principal": "https://idp#alice", "state": "opaque é", "keys": {"a": "roots/list"}, "n": 2**70}


def test_what_was_sealed_opens_again_and_shows_nothing():
    seals = Seals(KEY, ManualClock(1000))
    text = seals.seal(PAYLOAD, purpose="upstream", expires_at=1001)
    assert re.fullmatch(r"hp1\.[A-Za-z0-9_~.]+", text)
    assert "alice" not in text
    assert seals.open(text, "upstream") == PAYLOAD


def test_the_same_payload_is_never_sealed_the_same_way_twice():
    seals = Seals(KEY, ManualClock(1000))
    assert len({seals.seal(PAYLOAD, purpose="p", expires_at=2000) for _ in range(20)}) == 20


def test_a_seal_opens_until_it_expires_and_not_after():
    clock = ManualClock(1000)
    seals = Seals(KEY, clock)
    text = seals.seal({}, purpose="p", expires_at=1010)
    clock.advance(9.999)
    assert seals.open(text, "p") == {}
    clock.advance(0.001)
    with pytest.raises(SealBroken, match="expired"):
        seals.open(text, "p")


def test_a_seal_of_one_purpose_is_none_for_another():
    seals = Seals(KEY, ManualClock(1000))
    text = seals.seal(PAYLOAD, purpose="upstream", expires_at=2000)
    with pytest.raises(SealBroken):
        seals.open(text, "hold")


def test_a_seal_under_another_key_does_not_open():
    text = Seals(bytes(32), ManualClock(1000)).seal(PAYLOAD, purpose="p", expires_at=2000)
    with pytest.raises(SealBroken):
        Seals(KEY, ManualClock(1000)).open(text, "p")


def test_a_seal_with_any_character_changed_does_not_open():
    seals = Seals(KEY, ManualClock(1000))
    text = seals.seal({"a": 1}, purpose="p", expires_at=2000)
    for position in range(len(text)):
        other = "A" if text[position] != "A" else "B"
        with pytest.raises(SealBroken):
            seals.open(text[:position] + other + text[position + 1 :], "p")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("hp1.", id="prefix alone"),
        pytest.param("hp1.AAAA", id="too short"),
        pytest.param("hp1." + "A" * 60, id="made up"),
        pytest.param("hp2." + "A" * 60, id="another prefix"),
        pytest.param("hp1.é", id="not ASCII"),
        pytest.param("hp1.\ud800", id="half a character"),
        pytest.param("hp1." + "A" * 61, id="no length of base64"),
        pytest.param("hp1.AA==", id="padding"),
    ],
)
def test_what_is_no_seal_is_refused(text: str):
    with pytest.raises(SealBroken):
        Seals(KEY, ManualClock(1000)).open(text, "p")


def test_a_seal_spelled_another_way_is_refused():
    seals = Seals(KEY, ManualClock(1000))
    texts = [seals.seal({"a": "x" * n}, purpose="p", expires_at=2000) for n in range(3)]
    for text in texts:
        for spelled in (text + "=", text + "\n", text.replace("hp1.", "hp1. "), text + "A"):
            with pytest.raises(SealBroken):
                seals.open(spelled, "p")


def test_a_stamp_is_the_same_each_time_and_reads_for_its_purpose_alone():
    clock = ManualClock(1000)
    seals = Seals(KEY, clock)
    stamp = seals.stamp(PAYLOAD, purpose="place")
    assert re.fullmatch(r"hp1\.[A-Za-z0-9_~.]+", stamp)
    clock.advance(10_000_000)
    assert seals.stamp(PAYLOAD, purpose="place") == stamp
    assert seals.read(stamp, "place") == PAYLOAD
    for purpose in ("other", "plac", "place "):
        with pytest.raises(SealBroken):
            seals.read(stamp, purpose)


def test_a_stamp_is_no_seal_and_a_seal_no_stamp():
    seals = Seals(KEY, ManualClock(1000))
    with pytest.raises(SealBroken):
        seals.open(seals.stamp({"until": 9e9, "payload": {}}, purpose="p"), "p")
    with pytest.raises(SealBroken):
        seals.read(seals.seal({}, purpose="p", expires_at=2000), "p")


def test_stamps_of_other_payloads_or_purposes_share_no_nonce():
    seals = Seals(KEY, ManualClock(1000))
    stamps = [seals.stamp({"id": str(n)}, purpose=p) for n in range(50) for p in ("a", "b")]
    assert len({s[4:20] for s in stamps}) == 100


@pytest.mark.parametrize("text", ["", "7", "hp1.", "hp1." + "A" * 80, "hp1.\ud800"])
def test_a_stamp_made_up_is_refused(text: str):
    with pytest.raises(SealBroken):
        Seals(KEY, ManualClock(1000)).read(text, "place")


def test_no_run_in_a_seal_is_long_enough_to_be_taken_for_a_secret():
    seals = Seals(KEY, ManualClock(1000))
    for size in range(0, 400, 7):
        for text in (
            seals.seal({"x": "y" * size}, purpose="p", expires_at=2000),
            seals.stamp({"x": "y" * size}, purpose="p"),
        ):
            assert max(map(len, re.findall(r"[A-Za-z0-9+/_-]+", text))) <= 10
