"""Pages of recordings in a real browser: on a phone, in the dark, without scripts, and nothing from the log runs."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from tests.fakes.chromium import chromium, log_in
from tests.fakes.console_running import RunningConsole

from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.settings import Reviewers, Roles

pytestmark = [pytest.mark.e2e, pytest.mark.threat("T90")]
AUDITOR = Reviewers(roles=Roles(auditor=frozenset({"person:rita@corp.example"})))
LONG = "deployments/" + "a-name-that-does-not-end-" * 12
EVIL = "<img src=x onerror=\"document.title='owned'\">\u202e"


def session(number: int) -> JsonObject:
    principal: JsonObject = {"id": "https://idp.example#u-1", "person": "alice@corp.example", "actor": "deploy-agent"}
    made: JsonObject = {"id": f"ses-{number}", "principal": principal, "target": "eks-prod", "requests": 12}
    return made | {"refused": number % 3, "started": 1_800_000_000.0 - number * 900, "ended": 1_800_000_300.0}


def row(number: int) -> JsonObject:
    link: JsonObject = {"id": "exc-k", "session": "ses-2", "at": 1.0, "action": "get", "resource": "pods/web"}
    votes: list[JsonValue] = [{"person": "sam@corp.example", "verdict": "approve", "at": 1.0}]
    made: JsonObject = {"id": f"exc-{number}", "at": 1_800_000_000.0 + number, "action": "patch", "masked": number}
    made |= {"resource": (LONG, "tool scale", EVIL)[number % 3], "outcome": ("answered", "refused", "held")[number % 3]}
    made |= {"rules": ["prod/shells-need-two-people"], "refusal": EVIL if number == 1 else "", "upgrade": number == 0}
    made["approval"] = {"id": "apr-1", "votes": votes} if number % 3 == 0 else None
    return made | {"requests": [link | {"outcome": "answered"}] if number == 1 else [], "call": None}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def console() -> Iterator[RunningConsole]:
    with RunningConsole(AUDITOR) as running:
        running.gateway.answers["sessions.list"] = {"sessions": [session(n) for n in range(8)], "more": True}
        running.gateway.answers["sessions.show"] = {
            "session": session(1),
            "total": 900,
            "exchanges": [row(n) for n in range(12)],
            "files": [f"sessions/2027-01-15/{LONG}.flows"],
            "folder": "/var/lib/holdpoint/recordings",
            "terminals": 1,
            "place": 0,
        }
        yield running


@pytest.fixture(params=[(390, "dark", True), (1280, "light", True), (390, "light", False)], ids=str)
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, scheme, scripts = request.param
    size = {"width": width, "height": 900}
    context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=scripts)
    yield context.new_page()
    context.close()


def test_pages_fit_and_nothing_of_the_log_runs(page: Page, console: RunningConsole) -> None:
    complaints: list[str] = []
    log_in(page, console.url, then="/sessions")
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    for path, title in (("/sessions", "Sessions"), ("/sessions/ses-1", "Session of alice@corp.example")):
        page.goto(console.url + path)
        assert page.title().startswith(title)
        box = page.locator("main").bounding_box()
        width = page.viewport_size["width"] if page.viewport_size else 0
        assert box
        assert box["width"] <= width
        for wide in page.locator("td, code, .sheet, section").all():
            found = wide.bounding_box()
            assert found is None or found["x"] + found["width"] <= width + 1
    assert page.locator("img[src=x]").count() == 0
    assert complaints == []


def test_a_list_leads_to_a_session_and_that_to_the_approval(page: Page, console: RunningConsole) -> None:
    log_in(page, console.url, then="/sessions")
    page.get_by_role("link", name="2027-01-15 07:45:00 UTC").click()
    assert page.url == f"{console.url}/sessions/ses-1"
    assert page.get_by_role("link", name="approval").first.get_attribute("href") == "/requests/apr-1"
    page.get_by_role("link", name="Later in the session").click()
    assert page.url == f"{console.url}/sessions/ses-1?start=200"
