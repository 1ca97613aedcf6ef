"""The console as a browser lays it out, refreshes it and sends its forms: one Chromium for all of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.fakes.chromium import chromium, log_in
from tests.fakes.console_browser import request_wire
from tests.fakes.console_running import RunningConsole, live_request

from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.settings import Reviewers, Roles

pytestmark = pytest.mark.e2e

LONG = "x" * 400
PATIENCE = 5_000
"""Milliseconds."""
DIGEST, OTHER = "sha256:" + "cd" * 32, "sha256:" + "ef" * 32
DIFF: list[JsonValue] = [
    {"path": "spec.replicas", "before": 3, "after": 0, "op": "change"},
    {"path": f"metadata.annotations[{LONG}]", "after": LONG, "op": "add"},
    {"path": "spec.paused", "before": True, "op": "remove"},
]
SHOWN: JsonObject = {
    "diff": DIFF,
    "hangs_on_it": [{"what": "budget", "text": f"web-pdb {LONG}"}],
    "warnings": [LONG],
    "object": {"kind": "Deployment", "long": LONG},
    "counts": {"matched": 70, "more": True, "names": [LONG, "web-1"]},
}
PATHS = (
    "/",
    "/requests/apr-1",
    "/requests/apr-mine",
    "/history",
    "/grants?whose=all&state=all",
    "/principals",
    "/none",
)


@dataclass
class Heard:
    """What a browser complained of, and whom it spoke to."""

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def console() -> Iterator[RunningConsole]:
    roles = Roles(admin=frozenset({"person:rita@corp.example"}))
    with RunningConsole(Reviewers(roles=roles)) as console:
        yield console


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def logged_in(browser: Browser, console: RunningConsole) -> Iterator[BrowserContext]:
    context = browser.new_context()
    log_in(context.new_page(), console.url)
    yield context
    context.close()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def page(console: RunningConsole, logged_in: BrowserContext, heard: Heard) -> Iterator[Page]:
    console.clear()
    console.put(held())
    page = logged_in.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: heard.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: heard.errors.append(str(error)))
    page.on("request", lambda request: heard.hosts.add("/".join(request.url.split("/")[:3])))
    yield page
    page.close()


def held(request_id: str = "apr-1", **changes: JsonValue) -> JsonObject:
    tried: JsonValue = {"state": "ready", "why": "", "at": 1_800_000_000.0, "shown": SHOWN}
    more: dict[str, JsonValue] = {"dry_run": tried, "preview_digest": DIGEST, "reason": LONG, "opens": LONG}
    return live_request(request_id, **(more | {"summary": f"patch deployments/web {LONG}"} | changes))


def own(request_id: str) -> JsonObject:
    terms = request_wire()["terms"]
    assert isinstance(terms, list)
    glass: JsonObject = {"break_glass": {"who": ["group:sre"], "duration": 900}, "require_reason": True}
    principal = as_object(request_wire()["principal"]) | {"person": "rita@corp.example", "name": "Rita"}
    return held(request_id, principal=principal, terms=[as_object(terms[0]) | glass], reason="")


def fill(console: RunningConsole) -> None:
    console.put(held(), own("apr-mine"), held("apr-2", state="denied", resolution=LONG))
    grant: JsonObject = {"id": "grt-1", "approval": "apr-2", "person": LONG, "target": "eks-prod", "opens": LONG}
    console.gateway.grants.append(grant | {"state": "active", "created_at": 1.0, "expires_at": 9e9, "uses": 3})
    console.gateway.suspended[LONG] = {"who": LONG, "reason": LONG, "by": "sam", "at": 1.0, "until": None}


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_scrolls_sideways(console: RunningConsole, page: Page, width: int) -> None:
    fill(console)
    page.set_viewport_size({"width": width, "height": 740})
    for path in PATHS:
        page.goto(console.url + path)
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        widths: list[int] = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], path


def test_pages_run_without_errors_and_speak_to_nobody_else(console: RunningConsole, page: Page, heard: Heard) -> None:
    fill(console)
    for path in PATHS[:-1]:
        page.goto(console.url + path)
        expect(page.locator("#badge")).to_be_visible()
    assert heard == Heard(hosts={console.url})


def test_every_page_has_its_landmarks_one_heading_and_a_name_for_each_field(
    console: RunningConsole, page: Page
) -> None:
    fill(console)
    for path in PATHS:
        page.goto(console.url + path)
        assert page.locator("html").get_attribute("lang") == "en"
        for landmark in ("header", "main", "h1"):
            assert page.locator(landmark).count() == 1, path
        nameless: list[str] = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]"
            ".filter((f) => ![...f.labels].some((l) => l.textContent.trim())).map((f) => f.outerHTML)"
        )
        assert nameless == []
        twice: list[str] = page.evaluate(
            "[...document.querySelectorAll('[id]')].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i)"
        )
        assert twice == []


def test_a_request_arrives_on_an_open_page_by_itself(console: RunningConsole, page: Page) -> None:
    page.goto(console.url + "/")
    expect(page.locator(".item")).to_have_count(1)
    console.put(held("apr-2", summary="drop the table"))
    expect(page.locator(".item")).to_have_count(2)
    expect(page).to_have_title("(2) Pending · Holdpoint")
    expect(page.locator("#badge")).to_have_text("2")
    expect(page.locator("#say")).to_have_text("2 need you")


def test_requests_that_follow_each_other_quickly_arrive_all(console: RunningConsole, page: Page) -> None:
    page.goto(console.url + "/")
    for number in range(2, 6):
        console.put(held(f"apr-{number}"))
        expect(page.locator(".item")).to_have_count(number)


def test_an_open_page_looks_again_where_a_look_failed(console: RunningConsole, page: Page) -> None:
    page.goto(console.url + "/")
    page.route(re.compile("auto=1"), lambda route: route.abort(), times=1)
    page.clock.install()
    with page.expect_event("requestfailed"):
        console.put(held("apr-2"))
    page.clock.run_for(6_000)
    expect(page.locator(".item")).to_have_count(2)


def test_an_open_request_shows_the_votes_of_others_and_keeps_what_was_typed(
    console: RunningConsole, page: Page
) -> None:
    page.goto(console.url + "/requests/apr-1")
    page.fill("#comment", "my own words")
    vote: JsonObject = {"person": "sam@corp.example", "name": "Sam", "verdict": "approve", "comment": "", "at": 1.8e9}
    console.put(held(votes=[vote]))
    expect(page.locator(".votes")).to_contain_text("Sam")
    expect(page.locator("#comment")).to_have_value("my own words")
    expect(page.locator("#approve")).to_be_enabled()


@pytest.mark.threat("T76")
def test_what_changed_under_a_reviewer_who_types_cannot_be_decided_from_the_old_page(
    console: RunningConsole, page: Page
) -> None:
    page.goto(console.url + "/requests/apr-1")
    page.fill("#comment", "looks fine")
    console.put(held(preview_digest=OTHER, summary="something else"))
    expect(page.locator("#changed")).to_contain_text("is not what you opened")
    expect(page.locator("#approve")).to_be_disabled()
    expect(page.locator("h1")).to_contain_text("patch deployments/web")
    page.click("#changed button")
    expect(page.locator("h1")).to_contain_text("something else")
    expect(page.locator("#comment")).to_have_value("looks fine")
    expect(page.locator("input[name=preview]").first).to_have_value(OTHER)
    assert console.gateway.decisions() == []


@pytest.mark.threat("T76")
def test_the_buttons_rest_when_what_is_read_is_exchanged(console: RunningConsole, page: Page) -> None:
    page.clock.install()
    page.goto(console.url + "/requests/apr-1")
    console.put(held(preview_digest=OTHER, summary="something else"))
    expect(page.locator("h1")).to_contain_text("something else")
    expect(page.locator("#approve")).to_be_disabled()
    page.clock.run_for(2_000)
    expect(page.locator("#approve")).to_be_enabled()


def test_a_dry_run_that_arrives_is_shown(console: RunningConsole, page: Page) -> None:
    console.put(held(dry_run={"state": "pending"}, preview_digest=OTHER))
    page.goto(console.url + "/requests/apr-1")
    expect(page.locator("#tried")).to_contain_text("dry run under way")
    console.put(held())
    expect(page.locator("#tried")).to_contain_text("3 fields: 1 changed, 1 added, 1 removed")
    rows = page.locator("#tried tbody tr")
    expect(rows.nth(0)).to_contain_text("changed spec.replicas")
    expect(rows.nth(2)).to_contain_text("removed spec.paused")


def test_a_comment_and_a_decision_take_two_clicks(console: RunningConsole, page: Page) -> None:
    page.goto(console.url + "/requests/apr-1")
    page.click("#comment")
    page.keyboard.type("fine, as agreed")
    page.click("#approve")
    expect(page.locator("#live .state")).to_have_text("approved")
    (decision,) = console.gateway.decisions()
    assert (decision["verdict"], decision["comment"], decision["preview"]) == ("approve", "fine, as agreed", DIGEST)


def test_tab_leads_from_the_comment_to_approve_to_deny(console: RunningConsole, page: Page) -> None:
    page.goto(console.url + "/requests/apr-1")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.focus("#comment")
    order: list[str] = []
    for _ in range(2):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
    assert order == ["approve", "deny"]
    page.keyboard.press("Enter")
    expect(page.locator("#live .state")).to_have_text("denied")


@pytest.mark.threat("T79")
def test_single_keys_are_off_and_none_of_them_decides(console: RunningConsole, page: Page) -> None:
    page.goto(console.url + "/requests/apr-1")
    page.keyboard.press("a")
    expect(page.locator("body")).to_be_focused()
    page.click("#keys-open")
    page.check("#keys-on")
    page.keyboard.press("Escape")
    for key in "abcdefghijklmnopqrstvwxyz0123456789":
        page.keyboard.press(key)
        page.keyboard.press("Escape")
    expect(page).to_have_url(console.url + "/requests/apr-1")
    assert console.gateway.decisions() == []
    page.keyboard.press("a")
    expect(page.locator("#approve")).to_be_focused()
    page.keyboard.press("c")
    page.keyboard.type("axu?")
    expect(page.locator("#comment")).to_have_value("axu?")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.keyboard.press("Enter")
    expect(page.locator("#live .state")).to_have_text("denied")
    expect(page.locator("#keys-open")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator("h1")).to_have_text("Pending")
    page.evaluate("localStorage.clear()")


def test_single_keys_walk_a_list(console: RunningConsole, page: Page) -> None:
    console.put(held("apr-2", left=60))
    page.goto(console.url + "/")
    page.evaluate("localStorage.setItem('holdpoint-keys', 'on')")
    page.reload()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page).to_have_url(console.url + "/requests/apr-2")
    page.evaluate("localStorage.clear()")


def test_breaking_the_glass_takes_a_reason_and_a_second_page(console: RunningConsole, page: Page) -> None:
    console.put(own("apr-mine"))
    page.goto(console.url + "/requests/apr-mine")
    page.click("text=Break the glass")
    page.fill("#emergency", "the database is down and nobody answers")
    page.click("#glass button")
    expect(page.locator("h1")).to_have_text("Break the glass?")
    assert not any(method == "approvals.break_glass" for method, _ in console.gateway.calls)
    page.click("button.deny")
    expect(page.locator("#live")).to_contain_text("glass broken, not reviewed")


@pytest.mark.usefixtures("page")
def test_a_session_that_ends_elsewhere_ends_the_open_page(console: RunningConsole, browser: Browser) -> None:
    context = browser.new_context()
    one, other = context.new_page(), context.new_page()
    log_in(one, console.url)
    other.goto(console.url + "/requests/apr-1")
    expect(other.locator("#badge")).to_be_visible()
    one.click("text=Log out")
    expect(other.locator("[name=password]")).to_be_visible()
    context.close()


@pytest.mark.usefixtures("page")
def test_everything_is_decided_with_scripts_off(console: RunningConsole, browser: Browser) -> None:
    console.put(own("apr-mine"))
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.set_default_timeout(PATIENCE)
    log_in(plain, console.url, then="/requests/apr-1")
    plain.fill("#comment", "no scripts")
    plain.click("#deny")
    assert console.gateway.requests["apr-1"]["state"] == "denied"
    plain.goto(console.url + "/requests/apr-mine")
    plain.fill("#reason", "incident 4711")
    plain.click("#why button")
    assert console.gateway.requests["apr-mine"]["reason"] == "incident 4711"
    plain.click("text=Take it back")
    plain.click("#withdraw button")
    assert console.gateway.requests["apr-mine"]["state"] == "withdrawn"
    context.close()


def test_no_other_site_frames_a_page(console: RunningConsole, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_content(f'<iframe src="{console.url}/goodbye"></iframe>')
    page.wait_for_load_state("networkidle")
    framed = page.frames[1]
    assert "Logged out" not in framed.content()
    context.close()


@pytest.mark.threat("T78")
def test_a_monstrous_request_still_gives_a_page_that_decides(console: RunningConsole, page: Page) -> None:
    diff: list[JsonValue] = [{"path": f"data[k{n}]", "before": n, "after": LONG, "op": "change"} for n in range(5_000)]
    tried: JsonValue = {"state": "ready", "shown": {"diff": diff, "object": {"blob": "y" * 1_000_000}}}
    console.put(held(dry_run=tried, preview={"arguments": {"blob": "z" * 1_000_000}}, reason="r" * 100_000))
    page.goto(console.url + "/requests/apr-1")
    expect(page.locator("#tried tbody tr")).to_have_count(200)
    expect(page.locator("#tried")).to_contain_text("4,800 of 5,000 changed fields are not shown")
    assert len(page.content()) < 600_000
    page.click("#approve")
    expect(page.locator("#live .state")).to_have_text("approved")
