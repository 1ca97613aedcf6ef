"""What a requester wrote cannot work the terminal of the reviewer who reads it."""

import pytest

from holdpoint.cli.approvals import _pretty
from holdpoint.cli.common import shown

pytestmark = [pytest.mark.threat("T22"), pytest.mark.threat("T89")]


@pytest.mark.parametrize(
    ("hostile", "spelled"),
    [
        pytest.param("\x1b[2J\x1b[1;1Happroved", "<U+001B>", id="clear-screen"),
        pytest.param("\x1b]52;c;cm0=\x07", "<U+0007>", id="clipboard"),
        pytest.param("\x9b31m", "<U+009B>", id="eight-bit-escape"),
        pytest.param("real\rfake", "<U+000D>", id="carriage-return"),
        pytest.param("a\x08b", "<U+0008>", id="backspace"),
        pytest.param("safe\u202egnp.exe", "<U+202E>", id="right-to-left"),
        pytest.param("a\u200bb", "<U+200B>", id="zero-width"),
        pytest.param("a\u2028b", "<U+2028>", id="line-separator"),
        pytest.param("a\ud800b", "<U+D800>", id="surrogate"),
    ],
)
def test_text_is_shown_and_not_obeyed(hostile: str, spelled: str) -> None:
    for said in (shown(hostile), _pretty({"arguments": {hostile: hostile}})):
        assert not any(c in said for c in "\x1b\x9b\x07\r\x08\u202e\u200b\u2028\ud800")
    assert spelled in shown(hostile)


def test_a_line_that_a_requester_wrote_does_not_pass_for_one_of_ours() -> None:
    said = _pretty({"text": 'x"\n}\nstate: approved'})
    assert "\nstate: approved" not in said


def test_plain_text_stays_as_it_is() -> None:
    assert shown("Zoë 東京 naïve") == "Zoë 東京 naïve"
