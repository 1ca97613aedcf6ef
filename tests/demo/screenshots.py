"""Makes the pictures of the documentation from real pages: `scripts/screenshots [FOLDER]`.

Everything in them is real: kubectl and an MCP client wait at a gateway, and people look at its console. Their times and
ids are new at each run, so a new picture says nothing by being another file.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect
from tests.demo.layout import ROOT
from tests.fakes.approving_world import ApprovingWorld
from tests.fakes.browser_people import PATIENCE, PersonAtBrowser
from tests.fakes.chromium import chromium

CONTAINER = {
    "name": "main",
    "image": "registry.local/web:2",
    "env": [{"name": "MODE", "value": "calm"}, {"name": "CART_TIMEOUT", "value": "30s"}],
}
ROLLOUT = json.dumps({"spec": {"replicas": 3, "template": {"spec": {"containers": [CONTAINER]}}}})
DISCOUNT = json.dumps({"data": {"discount": "10"}})
RUNBOOK = "Drain the queue first. Restart the shop at night only, and tell the people of the till."
WIDE = {"width": 1120, "height": 800}
PHONE = {"width": 390, "height": 844}


class Camera:
    """Takes pictures of one world into one folder."""

    def __init__(self, world: ApprovingWorld, browser: Browser, folder: Path) -> None:
        self.world, self.browser, self.folder = world, browser, folder

    def person(self, name: str, **options: object) -> PersonAtBrowser:
        return PersonAtBrowser(self.browser, self.world.pages, name, **{"viewport": WIDE, **options})

    def take(self, page: Page, name: str, *, height: int = 0) -> None:
        """Take the page from its top, so high, or what the window shows."""
        if height:
            size = page.viewport_size or WIDE
            page.set_viewport_size({"width": size["width"], "height": height})
        page.mouse.move(0, 0)
        file = self.folder / f"{name}.png"
        page.screenshot(path=file, animations="disabled", caret="hide")
        print(f"{file}: {file.stat().st_size // 1024} KB")

    def everything(self) -> None:
        """Ask, look, take."""
        world = self.world
        rita = self.person("rita")
        page = rita.open()
        world.run("scale", "deployment", "web", "--replicas=5")
        open_item(page, "deployments/scale")
        page.click("#approve")
        expect(page.locator("#live .state")).to_have_text("approved")
        page.goto(world.pages)
        for arguments in (
            ("delete", "deployment", "web", "--wait=false"),
            ("patch", "configmap", "prices", "-p", DISCOUNT),
            ("patch", "deployment", "web", "-p", ROLLOUT),
        ):
            world.run(*arguments)
            expect(page.locator(".item", has_text=f"{arguments[0]} {arguments[1]}s")).to_have_count(1)
        world.write_note("runbook", RUNBOOK)
        expect(page.locator(".item")).to_have_count(4)
        self.take(page, "pending", height=580)
        open_item(page, "patch deployments")
        expect(page.locator("#tried")).to_have_attribute("data-state", "ready")
        self.take(page, "request", height=1040)
        self.phone()
        self.dark(rita, page)

    def phone(self) -> None:
        phone = self.person("sam", viewport=PHONE, is_mobile=True, has_touch=True)
        page = phone.open()
        open_item(page, "patch deployments")
        page.evaluate("document.querySelector('#tried').scrollIntoView()")
        self.take(page, "request-on-a-phone")

    def dark(self, rita: PersonAtBrowser, page: Page) -> None:
        page.goto(self.world.pages)
        open_item(page, "write_note")
        page.click("#approve")
        page.wait_for_url(f"{self.world.provider}/**")
        rita.pass_login(page)
        expect(page.locator(".places .filled")).to_have_count(1)
        sam = self.person("sam", color_scheme="dark")
        other = sam.open()
        open_item(other, "write_note")
        self.take(other, "two-people-in-the-dark", height=940)
        other.goto(f"{self.world.pages}/grants?whose=all")
        self.take(other, "grants", height=400)
        page.goto(self.world.pages)
        open_item(page, "delete deployments")
        expect(page.locator("#tried")).to_have_attribute("data-state", "ready")
        page.fill("#comment", "the shop moves today, as agreed")
        self.take(page, "deletion", height=880)


def open_item(page: Page, text: str) -> None:
    """Open a request of the list, as soon as it is there."""
    page.locator(".item", has_text=text).click()
    expect(page.locator("#decision")).to_be_visible()


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    with (
        tempfile.TemporaryDirectory(prefix="holdpoint-screenshots-") as files,
        ApprovingWorld(Path(files)) as world,
        chromium() as browser,
    ):
        try:
            Camera(world, browser, folder).everything()
        finally:
            world.hang_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
