"""The tutorial of approvals, done as it says: its commands in Alice's terminal, its clicks in a real browser."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.e2e.test_demo_tour import free_base
from tests.e2e.test_tutorial import Terminal, environment
from tests.fakes.browser_people import PATIENCE
from tests.fakes.chromium import chromium, log_in
from tests.fakes.processes import ROOT, Program

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]
expect.set_options(timeout=PATIENCE)

TUTORIAL = ROOT / "docs" / "tutorials" / "approve-your-first-request.md"
STEP = re.compile(r"^```sh ([^\n]*)\n(.*?)^```$|^<!-- browser: (.*?) -->$", re.MULTILINE | re.DOTALL)


class Desk:
    """Rita's page, and what is done at it and beside it."""

    def __init__(self, browser: Browser, console: str) -> None:
        self.browser, self.console = browser, console
        self.rita = browser.new_context().new_page()

    def opens(self) -> None:
        self.log_in(self.rita, "rita")
        expect(self.rita.locator("main")).to_contain_text("Nothing waits for a decision")

    def approves(self) -> None:
        self.decides("they look thirsty", "approve", "approved")

    def denies(self) -> None:
        self.rita.click("nav >> text=Pending")
        self.decides("they had enough", "deny", "denied")

    def decides(self, comment: str, button: str, state: str) -> None:
        self.rita.click(".item")
        expect(self.rita.locator("main")).to_contain_text("water the plants")
        expect(self.rita.locator(".opens")).to_contain_text("this one request")
        self.rita.fill("#comment", comment)
        self.rita.click(f"#{button}")
        expect(self.rita.locator("#live .state")).to_have_text(state)

    def alice_tries(self) -> None:
        page = self.browser.new_context().new_page()
        self.log_in(page, "alice")
        expect(page.locator(".group h2")).to_contain_text("You asked")
        page.click(".item")
        expect(page.locator("#decide")).to_contain_text("somebody else has to approve it")
        page.click("#approve")
        expect(page.locator("[role=alert]").first).to_contain_text("You may not decide this")
        page.click("text=Take it back")
        page.click("#withdraw button")
        expect(page.locator("#live .state")).to_have_text("withdrawn")

    def log_in(self, page: Page, who: str) -> None:
        page.set_default_timeout(PATIENCE)
        log_in(page, self.console, user=who, host="example.com", password=f"{who}-demo")


def test_every_step_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    base = free_base()
    folder = tmp_path / "demo"
    steps = STEP.findall(TUTORIAL.read_text("utf-8").replace("var/demo", str(folder)))
    assert (steps[0][0], steps[0][1].strip()) == ("demo", "scripts/demo")
    command = [sys.executable, "-m", "tests.demo.main", "--ports", str(base), "--folder", str(folder)]
    running = Program(command, env={"PYTHONPATH": str(ROOT / "addons")})
    alice = Terminal(environment(tmp_path, "alice"))
    try:
        running.wait_for("Ctrl-C stops everything")
        with chromium() as browser:
            desk = Desk(browser, f"http://127.0.0.1:{base + 2}")
            acts: dict[str, Callable[[], None]] = {
                "rita opens the console": desk.opens,
                "rita approves": desk.approves,
                "rita denies": desk.denies,
                "alice tries to approve and takes it back": desk.alice_tries,
            }
            said: list[str] = []
            waiting = ""
            for who, body, act in steps[1:]:
                if act:
                    acts.pop(act)()
                    if waiting:
                        said.append(alice.said())
                    waiting = ""
                    continue
                waiting = who.removeprefix("alice").strip()
                alice.type(f"! {body.strip()}" if "fails" in waiting else body)
                if not waiting:
                    said.append(alice.said())
    finally:
        alice.close()
        running.stop()
    assert acts == {}
    _login, wrote, denied, withdrawn, recorded = said
    assert "wrote todo" in wrote
    assert "a reviewer denied this" in denied
    assert "they had enough" in denied
    assert "this request was taken back" in withdrawn
    states = ("approved", "denied", "withdrawn", "claimed")
    assert [state for state in states if state not in recorded] == []
