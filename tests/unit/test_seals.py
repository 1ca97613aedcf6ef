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
    assert re.fullmatch(r"hp1\.[A-Za-z0-9_-]+", text)
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


def test_a_mark_comes_off_in_the_context_it_was_made_in():
    seals = Seals(KEY, ManualClock(1000))
    marked = seals.mark("id.7", "notes", "https://idp#alice", "s1")
    assert marked.startswith("id.7.")
    assert seals.unmark(marked, "notes", "https://idp#alice", "s1") == "id.7"


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(("notes", "https://idp#mallory", "s1"), id="another principal"),
        pytest.param(("files", "https://idp#alice", "s1"), id="another target"),
        pytest.param(("notes", "https://idp#alice", "s2"), id="another session"),
        pytest.param(("notes", "https://idp#alices1", ""), id="parts joined another way"),
        pytest.param(("notes", "https://idp#alice"), id="a part less"),
    ],
)
def test_a_mark_of_another_context_is_refused(context: tuple[str, ...]):
    seals = Seals(KEY, ManualClock(1000))
    marked = seals.mark("7", "notes", "https://idp#alice", "s1")
    with pytest.raises(SealBroken):
        seals.unmark(marked, *context)


@pytest.mark.parametrize("marked", ["", "7", ".", "7." + "A" * 22, "A" * 22, "7.é" + "A" * 21, "\ud800." + "A" * 22])
def test_a_mark_made_up_is_refused(marked: str):
    with pytest.raises(SealBroken):
        Seals(KEY, ManualClock(1000)).unmark(marked, "notes")


def test_the_mark_of_one_text_does_not_fit_another():
    seals = Seals(KEY, ManualClock(1000))
    _, _, mac = seals.mark("7", "c").rpartition(".")
    with pytest.raises(SealBroken):
        seals.unmark(f"8.{mac}", "c")
