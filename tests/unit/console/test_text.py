import pytest

from holdpoint.console.text import Kind, cut, pieces, reveal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("delete\u202egnp.exe", "delete⟦U+202E⟧gnp.exe", id="right-to-left override"),
        pytest.param("a\u2066b\u2069", "a⟦U+2066⟧b⟦U+2069⟧", id="isolates"),
        pytest.param("pro\u200bd", "pro⟦U+200B⟧d", id="zero width space"),
        pytest.param("a\u200db", "a⟦U+200D⟧b", id="zero width joiner"),
        pytest.param("\ufeffa", "⟦U+FEFF⟧a", id="byte order mark"),
        pytest.param("a\u00adb", "a⟦U+00AD⟧b", id="soft hyphen"),
        pytest.param("a\x00\x1b[31m\x7f", "a⟦U+0000⟧⟦U+001B⟧[31m⟦U+007F⟧", id="controls"),
        pytest.param("a\x85b", "a⟦U+0085⟧b", id="c1 control"),
        pytest.param("a\u00a0b\u3000c", "a⟦U+00A0⟧b⟦U+3000⟧c", id="spaces that are not the space"),
        pytest.param("a\u2028b\u2029", "a⟦U+2028⟧b⟦U+2029⟧", id="line separators"),
        pytest.param("\U000e0041\U000e0042", "⟦U+E0041⟧⟦U+E0042⟧", id="tag characters"),
        pytest.param("a\ufe0fb\U000e0100", "a⟦U+FE0F⟧b⟦U+E0100⟧", id="variation selectors"),
        pytest.param("\u3164x\uffa0\u115f", "⟦U+3164⟧x⟦U+FFA0⟧⟦U+115F⟧", id="Hangul fillers"),
        pytest.param("\u2800", "⟦U+2800⟧", id="blank Braille"),
        pytest.param("\ud800", "⟦U+D800⟧", id="lone surrogate"),
        pytest.param("\ue000\U0010ffff", "⟦U+E000⟧⟦U+10FFFF⟧", id="private use and unassigned"),
        pytest.param("\u0301x", "⟦U+0301⟧x", id="mark with nothing to stand on"),
        pytest.param("e" + "\u0301" * 4, "e\u0301\u0301⟦U+0301⟧⟦U+0301⟧", id="tower of marks"),
        pytest.param("a\nb\tc\r", "a⟦U+000A⟧b⟦U+0009⟧c⟦U+000D⟧", id="layout in a name"),
        pytest.param("Zoë Nguyễn 山田 مرحبا 🙂", "Zoë Nguyễn 山田 مرحبا 🙂", id="ordinary text stays"),
        pytest.param("", "", id="empty"),
    ],
)
def test_characters_that_hide_or_move_are_written_out(text: str, shown: str) -> None:
    assert reveal(text) == shown


def test_newlines_and_tabs_are_layout_where_lines_are_wanted_and_nothing_else_is() -> None:
    assert reveal("a\n\tb\u200b\r\n", lines=True) == "a\n\tb⟦U+200B⟧⟦U+000D⟧\n"


def test_a_hidden_character_says_what_it_is() -> None:
    (piece,) = [p for p in pieces("a\u202eb") if p.kind is Kind.HIDDEN]
    assert piece.title == "U+202E RIGHT-TO-LEFT OVERRIDE"


@pytest.mark.parametrize(
    ("text", "identifier", "marked"),
    [
        pytest.param("p\u0430ypal", False, ["\u0430"], id="Cyrillic letter in a Latin word"),
        pytest.param("\u0440\u0430\u0443", False, [], id="Cyrillic word in a sentence"),
        pytest.param("\u0440\u0430\u0443", True, ["\u0440", "\u0430", "\u0443"], id="Cyrillic word as a name"),
        pytest.param("\uff41\U0001d41b", False, ["\uff41", "\U0001d41b"], id="styled letters"),
        pytest.param("Zoë 山田", True, [], id="letters that look like themselves"),
    ],
)
def test_letters_that_pass_for_others_are_marked(text: str, *, identifier: bool, marked: list[str]) -> None:
    assert [p.text for p in pieces(text, identifier=identifier) if p.kind is Kind.FOREIGN] == marked


@pytest.mark.parametrize("text", ["", "short", "x" * 5_000, "line\n" * 100, "\n" * 3])
def test_a_cut_text_loses_nothing_and_counts_everything(text: str) -> None:
    result = cut(text, lines=10, characters=1_000)
    assert result.head + result.rest == text
    assert result.total == len(text)
    assert len(result.head) <= 1_000
    assert result.head.count("\n") <= 10


def test_a_text_is_cut_at_whichever_limit_comes_first() -> None:
    assert cut("ab\n" * 9, lines=2, characters=100).head == "ab\nab\n"
    assert cut("ab\n" * 9, lines=9, characters=4).head == "ab\na"
    assert cut("ab\nab", lines=2, characters=100).rest == ""
