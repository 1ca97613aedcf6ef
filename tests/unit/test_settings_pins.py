from pathlib import Path

import pytest
from tests.fakes.gateway_yaml import ENVIRON, MARK, marked_place, write_gateway

from holdpoint.domain.refusal import ConfigError
from holdpoint.settings import PinMode, Pins
from holdpoint.settings_file import load_settings

MCP = "credential: {kind: static, from: {env: FILES_TOKEN}}"
WEB = "routes: [/web]"


def pins(folder: Path, text: str = "") -> Pins:
    (folder / "pins.yaml").touch()
    file = write_gateway(folder, (MCP, f"{MCP}\n    {text}" if text else MCP))
    return load_settings(file, ENVIRON, check_machine=False).target("files").pins


def test_tools_are_pinned_at_first_sight_by_default(tmp_path: Path) -> None:
    assert pins(tmp_path) == Pins(PinMode.FIRST_SIGHT)


def test_each_mode_reaches_the_settings(tmp_path: Path) -> None:
    assert pins(tmp_path, "pins: {mode: off}") == Pins(PinMode.OFF)
    assert pins(tmp_path, "pins: {mode: first-sight}") == Pins(PinMode.FIRST_SIGHT)
    assert pins(tmp_path, "pins: {mode: file, file: pins.yaml}") == Pins(PinMode.FILE, tmp_path / "pins.yaml")


def test_a_plain_service_has_no_pins(tmp_path: Path) -> None:
    file = write_gateway(tmp_path)
    assert load_settings(file, ENVIRON, check_machine=False).target("web").pins.mode is PinMode.OFF


WRONG = [
    pytest.param((MCP, f"{MCP}\n    pins: «{{}}"), "key `mode` is missing", id="no mode"),
    pytest.param((MCP, f"{MCP}\n    pins: {{mode: «on}}"), "`on` is none of", id="unknown mode"),
    pytest.param((MCP, f"{MCP}\n    pins: «{{mode: file}}"), "needs the `file`", id="no file"),
    pytest.param((MCP, f"{MCP}\n    pins: {{mode: off, file: «p.yaml}}"), "reads no pin file", id="file and off"),
    pytest.param((MCP, f"{MCP}\n    pins: {{mode: file, file: «p.yaml}}"), "cannot be read", id="missing file"),
    pytest.param((WEB, f"{WEB}\n    pins: «{{mode: off}}"), "only MCP servers have tools", id="plain HTTP"),
]


@pytest.mark.parametrize(("change", "error"), WRONG)
def test_a_mistake_is_refused_where_it_stands(tmp_path: Path, change: tuple[str, str], error: str) -> None:
    assert MARK in change[1]
    file = write_gateway(tmp_path, change)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, ENVIRON, check_machine=False)
    assert error in str(caught.value)
    assert str(caught.value).startswith(marked_place(file, change))
