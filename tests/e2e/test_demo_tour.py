"""The demo's tour, run as a newcomer runs it: every step must hold, and be told."""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.demo.layout import DemoError, Ports
from tests.demo.tour import STEPS
from tests.fakes.processes import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]


def free_base() -> int:
    """Return a base from which on all ports of the demo are free, below those that the system hands out."""
    while True:
        base = secrets.randbelow(10_000) + 20_000
        try:
            Ports.from_base(base).check()
        except DemoError:
            continue
        return base


def run_demo(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the demo to its end."""
    env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    return subprocess.run(
        [sys.executable, "-m", "tests.demo.main", *arguments],
        cwd=ROOT,
        env={**env, "PYTHONPATH": str(ROOT / "addons")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_every_step_of_the_tour_holds_and_is_told(tmp_path: Path) -> None:
    done = run_demo("--tour", "--ports", str(free_base()), "--folder", str(tmp_path / "tour"))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line[5:] for line in lines if line[:3].strip().isdigit()] == [title for title, _ in STEPS]
    assert lines.count("     ok") == len(STEPS)
    for told in (
        "-> 401",
        "2026-07-28: list_notes",
        "2025-11-25: list_notes",
        '"password":"[masked]"',
        ": approved",
        "alice: wrote release",
        "holdpoint: you made this request, or answer for the one who made it",
        "once is enough",
        "rules ['demo/no-destruction']",
        "CERTIFICATE_VERIFY_FAILED",
        "none found",
        "the recordings are whole",
        "(edited-flow)",
        "(rewritten)",
        "write_note -> wrote release",
    ):
        assert told in done.stdout, told


def test_a_taken_port_is_named_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_demo("--ports", str(port), "--folder", str(tmp_path / "demo"))
    assert done.returncode == 1
    assert f"taken on 127.0.0.1: {port} (gateway, routes)" in done.stderr
    assert "--ports" in done.stderr
    assert not (tmp_path / "demo").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = run_demo("--tour", "--ports", str(free_base()), "--folder", str(tmp_path))
    assert done.returncode == 1
    assert "was not made by the demo" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
