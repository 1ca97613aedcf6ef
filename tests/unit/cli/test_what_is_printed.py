"""What others wrote reaches a terminal as text, by whichever way."""

import asyncio
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from tests.fakes.admin_gateway import FakeGateway

from holdpoint.admin.errors import AdminError
from holdpoint.cli import streams
from holdpoint.cli.common import Failure, ask
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.settings import Settings

pytestmark = pytest.mark.threat("T76")
HOSTILE = "x\x1b[2J\x9b31m\u202e\r\napr-1: approved"


@dataclass
class _Settings:
    admin_socket: Path


async def test_what_the_gateway_says_no_with_is_text(tmp_path: Path) -> None:
    gateway = FakeGateway()
    gateway.fail["approvals.get"] = AdminError("already_resolved", f"denied by Rita: {HOSTILE}")
    settings = cast("Settings", _Settings(tmp_path / "admin.sock"))
    async with gateway.serve(settings.admin_socket):
        with pytest.raises(Failure) as caught:
            await asyncio.to_thread(ask, settings, "approvals.get", {"id": "apr-1", "id_token": "t"})
    said = str(caught.value)
    assert not any(c in said for c in "\x1b\x9b\u202e\r")
    assert all(line.startswith("  ") for line in said.split("\n")[1:])


def test_a_stream_cannot_write_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one: JsonObject = {"exchange": "x-1", "name": HOSTILE, "target": HOSTILE, "verb": HOSTILE, "resource": HOSTILE}

    def answer(_settings: object, _method: str, _params: JsonObject) -> JsonValue:
        return {"streams": [one]}

    monkeypatch.setattr(streams, "ask", answer)
    monkeypatch.setattr(streams, "settings_of", lambda _: None)
    streams._list(Namespace(target="", json=False))
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 2
    assert not any(c in said for c in "\x1b\x9b\u202e\r")
