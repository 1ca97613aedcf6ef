"""People at browsers: each has a context of their own, and logs in at a certified provider by the provider's pages."""

from playwright.sync_api import Browser, BrowserContext, Page, expect

PATIENCE = 10_000
"""Milliseconds that a page is waited for. Nothing waits so long where all is well."""


class PersonAtBrowser:
    """One person, one browser profile. Close the context when done."""

    def __init__(self, browser: Browser, pages: str, name: str, **options: object) -> None:
        """Somebody whom the provider knows by `name`; `pages` is the console's URL. Options are those of a context."""
        self.pages, self.name = pages, name
        self.context: BrowserContext = browser.new_context(**options)  # type: ignore[arg-type]  # Playwright's own
        self.context.set_default_timeout(PATIENCE)
        self.forms = 0
        """How often the provider asked who it is."""

    def open(self, path: str = "/", *, page: Page | None = None) -> Page:
        """Open a page of the console, by way of the login where that is asked."""
        page = page or self.context.new_page()
        page.goto(self.pages + path)
        self.pass_login(page)
        return page

    def pass_login(self, page: Page) -> None:
        """Fill in the provider's forms, one after the other, until the browser is back at the console."""
        while not page.url.startswith(self.pages):
            form = page.locator("form").first
            expect(form).to_be_visible()
            prompt = page.locator("[name=prompt]").input_value()
            if prompt == "login":
                page.fill("[name=login]", self.name)
                page.fill("[name=password]", "anything: the provider believes everybody")
                self.forms += 1
            with page.expect_navigation():
                page.locator("form button[type=submit]").first.click()
