"""A real browser for tests of pages: Debian's Chromium, driven by Playwright, which fetches none of its own here."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Generator[Browser]:
    """Start one browser. Skips where there is none: it can be installed."""
    names = (os.environ.get("HOLDPOINT_BROWSER", ""), *NAMES)
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium here: install Debian's package `chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS])
        try:
            yield browser
        finally:
            browser.close()


def log_in(
    page: Page,
    url: str,
    *,
    user: str = "rita",
    then: str = "/",
    host: str = "corp.example",
    password: str = "",
) -> None:
    """Go to a page of a console, by way of its issuer's login."""
    page.goto(url + then)
    page.fill("[name=email]", f"{user}@{host}")
    page.fill("[name=password]", password or user)
    page.click("button")
    page.wait_for_url(f"{url}/**")
