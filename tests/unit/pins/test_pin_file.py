from pathlib import Path

import pytest
from tests.fakes.tool_definitions import real_tools, tool

from holdpoint.domain.refusal import ConfigError
from holdpoint.pins.fingerprint import define
from holdpoint.pins.pin_file import FilePin, read_pin_file, write_entry, write_pin_file

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
HEAD = "apiVersion: holdpoint/v1\nkind: ToolPins\ntarget: demo\n"


def read(folder: Path, text: str) -> dict[str, FilePin]:
    file = folder / "pins.yaml"
    file.write_text(text)
    return read_pin_file(file, "demo").tools


def test_a_pin_file_says_which_definitions_are_approved(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        f'{HEAD}tools:\n  a: {{fingerprint: "{ONE}"}}\n  b:\n'
        f'    {{fingerprint: "{ONE}", also: ["{TWO}"], description: x}}\n',
    )
    assert found == {"a": FilePin(frozenset({ONE})), "b": FilePin(frozenset({ONE, TWO}), "x")}


WRONG = [
    pytest.param(HEAD.replace("v1", "v2") + "tools: {}", ":1:13: this version reads", id="version"),
    pytest.param(HEAD.replace("ToolPins", "Policy") + "tools: {}", ":2:7: expected `ToolPins`", id="kind"),
    pytest.param(
        HEAD.replace("demo", "other") + "tools: {}", ":3:9: these are the pins of target `other`", id="target"
    ),
    pytest.param(HEAD, "key `tools` is missing", id="no tools"),
    pytest.param(f"{HEAD}tools:\n  a: {{}}", ":5:6: key `fingerprint` is missing", id="no fingerprint"),
    pytest.param(f"{HEAD}tools:\n  a: {{fingerprint: abc}}", ":5:20: expected `sha256:`", id="no digest"),
    pytest.param(f"{HEAD}tools:\n  a: {{fingerprint: '{ONE.upper()}'}}", "expected `sha256:`", id="upper case"),
    pytest.param(f"{HEAD}tools:\n  a: {{fingerprint: '{ONE}', x: 1}}", "unknown key `x`", id="unknown key"),
    pytest.param(
        f"{HEAD}tools:\n  a: {{fingerprint: '{ONE}'}}\n  a: {{fingerprint: '{TWO}'}}", "duplicate", id="twice"
    ),
    pytest.param(f"{HEAD}tools:\n  a\u200b: {{fingerprint: '{ONE}'}}", "invisible character U+200B", id="invisible"),
]


@pytest.mark.parametrize(("text", "error"), WRONG)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert error in str(caught.value)
    assert "pins.yaml" in str(caught.value)


def test_what_is_written_reads_back_and_hides_nothing(tmp_path: Path) -> None:
    odd = tool("o\u200bn", description='say "hi"\\ 😀\n\u202e\ufe0f\x1b\U000e0041 #: {x}')
    tools = [*(t for s, t in real_tools() if s == "kubernetes-mcp-server"), odd, tool("null"), tool("3")]
    text = write_pin_file("demo", [write_entry(t["name"], [define(t).fingerprint], t) for t in tools])
    assert not {"\u200b", "\u202e", "\ufe0f", "\x1b", "\U000e0041"} & set(text)
    found = read(tmp_path, text)
    assert found == {
        t["name"]: FilePin(frozenset({define(t).fingerprint}), t.get("description") or None) for t in tools
    }


def test_several_definitions_are_written_without_a_description(tmp_path: Path) -> None:
    text = write_pin_file("demo", [write_entry("a", [ONE, TWO], tool())])
    assert read(tmp_path, text) == {"a": FilePin(frozenset({ONE, TWO}))}


def test_nothing_approved_is_an_empty_file_that_reads_back(tmp_path: Path) -> None:
    assert read(tmp_path, write_pin_file("demo", [])) == {}
