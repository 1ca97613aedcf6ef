"""What a user is shown of one stream."""

import pytest
from tests.fakes.mask_profiles import KEY, shipped

from holdpoint.credentials.echoes import Echoes
from holdpoint.domain.decision import GuardAnswer, RuleRef
from holdpoint.domain.refusal import Refusal
from holdpoint.masking.masker import Masker, compile_masks
from holdpoint.stages.screens import Screen

TOKEN = b"opaque-0f3a9c-77d1"

NOTHING = compile_masks([], key=KEY)


def screen(masker: Masker = NOTHING, *guards: GuardAnswer) -> Screen:
    return Screen(masker, guards, Echoes([TOKEN.decode()]))


@pytest.mark.parametrize("masker", [NOTHING, shipped()], ids=["no masks", "all masks"])
@pytest.mark.parametrize("cut", range(4, len(TOKEN)))
def test_the_gateways_own_credential_is_hidden_wherever_it_is_cut(masker: Masker, cut: int) -> None:
    one = screen(masker)
    text = b"Authorization: " + TOKEN + b"\n"
    at = len(text) - 1 - len(TOKEN) + cut
    shown = one.feed(text[:at]) + one.feed(text[at:]) + one.flush()
    assert TOKEN not in shown
    assert TOKEN[4:] not in shown
    assert one.masked == 1


@pytest.mark.parametrize("size", [5_000, 32_767])
def test_a_credential_across_two_bulky_pieces_is_hidden(size: int) -> None:
    one = screen(shipped("kubernetes-secrets"))
    text = b"a b\n" * (size // 4) + TOKEN + b"\n" + b"c d\n" * 100
    for cut in range(size - 4, size + len(TOKEN), 5):
        shown = one.feed(text[:cut]) + one.feed(text[cut:]) + one.flush()
        assert TOKEN not in shown


def test_without_credentials_and_masks_everything_passes_at_once() -> None:
    one = Screen(NOTHING, (), Echoes([]))
    assert one.feed(b"half a line") == b"half a line"
    assert not one.holds


def test_a_guard_finds_its_pattern_in_two_pieces() -> None:
    one = screen(NOTHING, GuardAnswer(rule=RuleRef("p", "r", "p.yaml:1"), patterns=("CANARY-[0-9]+",)))
    one.feed(b"x CANA")
    with pytest.raises(Refusal):
        one.feed(b"RY-12345\n")
