"""The tutorial, done as it says: every shell block runs, in the terminal of the person whose it is."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from tests.e2e.test_demo_tour import free_base
from tests.fakes.processes import ROOT, Program, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]

TUTORIAL = ROOT / "docs" / "tutorials" / "first-held-call.md"
FENCE = re.compile(r"^```(\w+)(?: ([^\n]*))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DONE = "--- done ---"


class Terminal:
    """A bash that ends at the first command that fails."""

    def __init__(self, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "-eo", "pipefail"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def type(self, block: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{block}\necho '{DONE}'\n")
        self.process.stdin.flush()

    def said(self) -> str:
        """Wait until everything typed is done, and return what it printed."""
        text = ""
        while (line := self.lines.get(timeout=90)) is not None:
            if line.strip() == DONE:
                return text
            text += line
        raise AssertionError(f"a command failed, after: {text}")

    def close(self) -> None:
        # With what it waits for: a held call would go on for minutes.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def environment(tmp_path: Path, person: str) -> dict[str, str]:
    """Return the environment of a terminal: a browser that logs this person in, and a `holdpoint` on the path."""
    shims = tmp_path / "bin"
    shims.mkdir(exist_ok=True)
    shim = shims / "holdpoint"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m holdpoint.cli "$@"\n')
    shim.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    return {
        **kept,
        "BROWSER": f"{sys.executable} -m tests.demo.browser {person} %s",
        "PATH": f"{Path(sys.executable).parent}:{shims}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "addons"),
    }


def test_every_block_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    text = TUTORIAL.read_text("utf-8").replace("var/demo", str(folder))
    blocks = FENCE.findall(text)
    demo = next(body.strip() for kind, who, body in blocks if (kind, who) == ("sh", "demo"))
    assert demo == "scripts/demo"
    command = [sys.executable, "-m", "tests.demo.main", "--ports", str(free_base()), "--folder", str(folder)]
    running = Program(command, env={"PYTHONPATH": str(ROOT / "addons")})
    terminals = {name: Terminal(environment(tmp_path, name)) for name in ("alice", "rita")}
    said: list[str] = []
    waits = False
    try:
        running.wait_for("Ctrl-C stops everything")
        for kind, who, body in blocks:
            if kind == "yaml":
                policy = folder / "policies" / "demo.yaml"
                policy.write_text(f"{policy.read_text('utf-8').rstrip()}\n\n{body}", "utf-8")
            if kind != "sh" or who == "demo":
                continue
            if not who:
                look(body, folder)
                continue
            name, _, mode = who.partition(" ")
            if waits and name == "rita" and "ID=" in body:
                # A reader who looked around has more sessions than one.
                terminals["rita"].type('HOLDPOINT_TOKEN="$(holdpoint token --target demo)" python -m tests.demo.call')
                said.append(terminals["rita"].said())
                until_something_waits(terminals["rita"])
            terminals[name].type(body)
            waits = waits or mode == "waits"
            if mode != "waits":
                said.append(terminals[name].said())
        assert len(list(folder.glob("var/recordings/sessions/*/*.flows"))) > 1
        assert "wrote todo" in terminals["alice"].said()
        told = "".join(said)
        assert '"password":"[masked]"' in told
        assert "refused" in told
        assert ": approved" in told
        assert "the recordings are whole" in told
        assert "policies reloaded" in told
        assert_hold_wins_until_the_rule_says_otherwise(folder, terminals)
    finally:
        for terminal in terminals.values():
            terminal.close()
        running.stop()


def until_something_waits(terminal: Terminal) -> None:
    """Do what a reader does: look again until the list has something."""
    said = ""
    while "pending" not in said:
        terminal.type("holdpoint approvals list")
        said = terminal.said()


def look(body: str, folder: Path) -> None:
    """Run the block that opens the recordings, but without a browser, and only until it serves."""
    assert body.startswith("mitmweb -n ")
    line = body.strip().replace("mitmweb", str(Path(sys.executable).parent / "mitmweb"), 1)
    more = f" --no-web-open-browser --web-port {free_port()} --set confdir={folder / 'mitmproxy'}"
    web = Program(["bash", "-c", f"exec {line}{more}"])
    try:
        address = web.wait_for("Web server listening at ").partition(" listening at ")[2].strip()
        with httpx.Client(trust_env=False, follow_redirects=True) as client:
            client.get(address)  # its token is kept as a cookie
            flows = client.get(httpx.URL(address).join("/flows")).json()
        assert any("Rita" in f["comment"] or "rita@" in f["comment"] for f in flows), [f["comment"] for f in flows]
    finally:
        web.stop()


def assert_hold_wins_until_the_rule_says_otherwise(folder: Path, terminals: dict[str, Terminal]) -> None:
    call = 'python -m tests.demo.call write_note name=todo text="water the plants"'
    terminals["alice"].type(call)
    until_something_waits(terminals["rita"])
    terminals["rita"].type(
        'holdpoint approvals deny "$(holdpoint approvals list | awk \'$2 == "pending" {print $1}\')"'
    )
    terminals["rita"].said()
    with pytest.raises(AssertionError, match="Nothing was done"):
        terminals["alice"].said()
    policy = folder / "policies" / "demo.yaml"
    held = "  - name: write-needs-a-reviewer\n    effect: hold\n"
    policy.write_text(policy.read_text("utf-8").replace(held, f'{held}    when: args.name != "todo"\n'), "utf-8")
    terminals["rita"].type("holdpoint policy reload")
    terminals["rita"].said()
    alice = f'. "{folder}/as-alice"; HOLDPOINT_TOKEN=$(holdpoint token --target demo) {call}'
    terminals["rita"].type(alice)
    assert "wrote todo" in terminals["rita"].said()
