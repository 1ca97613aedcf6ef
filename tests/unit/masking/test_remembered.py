"""What is remembered of texts in which nothing was found stays small, and never holds a secret."""

from tests.fakes.mask_profiles import KEY

from holdpoint.domain.mask import DetectorMask, MaskProfile
from holdpoint.masking.masker import Masker, compile_masks

SECRET = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"


def fresh() -> Masker:
    return compile_masks([MaskProfile("p", detectors=(DetectorMask("github-token"),))], key=KEY)


def test_a_text_with_something_to_mask_is_never_remembered():
    masker = fresh()
    masker.texts(["application/json", SECRET])
    assert masker._harmless == {"application/json"}
    assert masker.texts(["application/json", SECRET]).count == 1


def test_a_long_text_is_not_remembered():
    masker = fresh()
    masker.texts(["x " * 100])
    assert masker._harmless == set()


def test_callers_cannot_make_it_grow():
    masker = fresh()
    for i in range(3_000):
        masker.texts([f"text {i}"])
    assert len(masker._harmless) <= 1_024
    assert "text 2999" in masker._harmless


def test_one_text_is_remembered_as_several_are():
    masker = fresh()
    assert masker.text("/mcp/demo").value == "/mcp/demo"
    assert masker._harmless == {"/mcp/demo"}
    assert [masker.text(SECRET).count for _ in range(2)] == [1, 1]
    assert masker._harmless == {"/mcp/demo"}
