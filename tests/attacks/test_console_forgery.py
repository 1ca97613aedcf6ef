"""Somebody else's page, link or cookie tries to act as the reviewer."""

import re
from collections.abc import AsyncGenerator

import httpx
import pytest
from tests.fakes.console_browser import INTENT, Browser, browser_of, request_wire

pytestmark = pytest.mark.threat("T05")
SESSION, DECIDE = "__Host-holdpoint-session", "__Host-holdpoint-decide"


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with browser_of() as browser:
        browser.gateway.add(request_wire())
        browser.gateway.add(request_wire("apr-2"))
        yield browser


async def test_a_form_without_our_token_decides_nothing(browser: Browser) -> None:
    await browser.log_in()
    form = await browser.form() | {"verdict": "approve", "comment": ""}
    for token in ("", "0" * 64, form["token"][:-1] + "g"):
        answer = await browser.post("/requests/apr-1/decide", form | {"token": token})
        assert answer.status_code == 403
    assert browser.gateway.decisions() == []


async def test_a_token_of_one_request_does_not_decide_another(browser: Browser) -> None:
    await browser.log_in()
    for one, other in (("apr-1", "apr-2"), ("apr-2", "apr-1")):
        form = await browser.form(one) | {"verdict": "approve", "comment": ""}
        assert (await browser.post(f"/requests/{other}/decide", form)).status_code == 403
    assert browser.gateway.decisions() == []


async def test_a_token_of_another_session_decides_nothing(browser: Browser) -> None:
    await browser.log_in()
    theirs = await browser.form() | {"verdict": "approve", "comment": ""}
    await browser.log_in()
    assert (await browser.post("/requests/apr-1/decide", theirs)).status_code == 403
    assert browser.gateway.decisions() == []


async def test_a_form_that_a_browser_sends_from_elsewhere_decides_nothing(browser: Browser) -> None:
    """A browser leaves the strict cookie out, and says where the form comes from. Either alone is enough."""
    await browser.log_in()
    form = await browser.form() | {"verdict": "approve", "comment": ""}
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site", "origin": "null"}):
        assert (await browser.post("/requests/apr-1/decide", form, **headers)).status_code == 403
    del browser.http.cookies[DECIDE]
    assert (await browser.post("/requests/apr-1/decide", form)).status_code == 403
    assert browser.gateway.decisions() == []


async def test_what_a_preview_of_links_fetches_changes_nothing(browser: Browser) -> None:
    await browser.log_in()
    for path in ("/requests/apr-1/decide?verdict=approve", "/logout"):
        assert (await browser.get(path)).status_code == 405
        assert (await browser.http.head(path)).status_code == 405
    for path in ("/", "/requests/apr-1", "/requests/apr-1/full", "/history", "/goodbye", "/login"):
        await browser.get(path)
    assert browser.gateway.decisions() == []
    assert (await browser.get("/")).status_code == 200


FORMS = (
    "/requests/apr-1/decide",
    "/requests/apr-1/reason",
    "/requests/apr-1/withdraw",
    "/requests/apr-1/review",
    "/requests/apr-1/try-again",
    "/requests/apr-1/break-glass",
    "/grants/grt-1/revoke",
    "/principals/suspend",
    "/principals/resume",
)
FILLED = {"reason": "an emergency of ours", "comment": "c", "expect": INTENT, "sure": "yes", "verdict": "approve"}
ACTED = {"approvals.list", "approvals.get", "approvals.wait_change", "grants.list", "principals.list"}


@pytest.mark.threat("T77")
@pytest.mark.parametrize("path", FORMS)
async def test_no_form_does_anything_without_its_own_token_and_the_strict_cookie(browser: Browser, path: str) -> None:
    await browser.log_in()
    form = FILLED | {"who": "deploy-agent", "time": "1h"}
    theirs = await browser.form()
    for token in ("", theirs["token"] if "decide" not in path else "0" * 64):
        assert (await browser.post(path, form | {"token": token})).status_code == 403
    session = browser.http.cookies[SESSION]
    browser.http.cookies.clear()
    assert (await browser.post(path, form | theirs, cookie=f"{SESSION}={session}")).status_code == 403
    assert (await browser.post(path, form | theirs)).status_code == 401
    assert (await browser.get(path)).status_code == 405
    assert {method for method, _ in browser.gateway.calls} <= ACTED


@pytest.mark.threat("T77")
async def test_the_token_of_one_grant_does_not_revoke_another(browser: Browser) -> None:
    await browser.log_in()
    browser.gateway.grants += [
        {"id": name, "approval": "apr-1", "state": "active", "expires_at": 9e9} for name in ("grt-1", "grt-2")
    ]
    form = await browser.form_of("grt-1/revoke", path="/grants") | {"reason": "wrong"}
    assert (await browser.post("/grants/grt-2/revoke", form)).status_code == 403
    assert (await browser.post("/grants/grt-1/revoke", form)).status_code == 303


async def test_nobody_is_logged_out_by_a_foreign_form(browser: Browser) -> None:
    await browser.log_in()
    assert (await browser.post("/logout", {"token": "x"})).status_code == 403
    assert (await browser.get("/")).status_code == 200


async def test_a_session_name_planted_before_the_login_is_worth_nothing_after_it(browser: Browser) -> None:
    browser.http.cookies.set(SESSION, "planted", domain="console.example", path="/")
    await browser.log_in()
    assert browser.http.cookies.get(SESSION, domain="console.example") != "planted"
    browser.http.cookies.clear()
    assert (await browser.get("/", headers={"cookie": f"{SESSION}=planted"})).is_redirect


async def test_a_new_login_ends_the_session_of_before(browser: Browser) -> None:
    await browser.log_in(user="alice")
    before = browser.http.cookies[SESSION]
    await browser.log_in()
    assert browser.http.cookies[SESSION] != before
    browser.http.cookies.clear()
    assert (await browser.get("/", headers={"cookie": f"{SESSION}={before}"})).is_redirect


async def test_a_reviewer_is_not_logged_in_as_somebody_else_by_a_link(browser: Browser) -> None:
    """Login CSRF: the attacker's own code, brought to the reviewer's browser."""
    theirs = await browser.give_password(await browser.go_to_issuer(), "alice")
    browser.http.cookies.clear()
    for _ in range(2):
        answer = await browser.get(theirs)
        assert answer.status_code == 400
        assert "set-cookie" not in answer.headers
        await browser.go_to_issuer()  # a browser with a login of its own under way


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/%2f/evil.example",
        "/requests/a/../../login",
        "/requests/a?next=//evil.example",
        "/requests/a#x",
        "/requests/a\r\nSet-Cookie: x=y",
        "/requests/a\n",
        "javascript:alert(1)",
        " /requests/a",
        "/grants?whose=//evil.example",
        "/history?text=a&next=//evil.example",
        "/history?text=a#x",
        "/history?text=<script>",
        "/principals?x=y",
        "/events",
        "/badge",
        "/logout",
        "/login",
        "/auth/callback",
        "",
    ],
)
async def test_a_login_leads_nowhere_but_to_our_own_pages(browser: Browser, place: str) -> None:
    assert (await browser.log_in(place)).headers["location"] == "/"


@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param(["evil.example"], id="another name"),
        pytest.param(["127.0.0.1"], id="the bare address"),
        pytest.param(["console.example:444"], id="another port"),
        pytest.param(["console.example.evil.example"], id="longer name"),
        pytest.param(["console.example", "evil.example"], id="two of them"),
        pytest.param([""], id="empty"),
    ],
)
async def test_a_foreign_name_for_our_address_is_not_served(browser: Browser, hosts: list[str]) -> None:
    """DNS rebinding: the attacker's name resolves to us, so that their page is of the same origin."""
    await browser.log_in()
    answer = await browser.get("/", headers=[("host", host) for host in hosts])
    assert answer.status_code == 421
    assert "Pending" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/login",
        "/history",
        "/requests/apr-1",
        "/none",
        "/static/live.js",
        "/auth/callback",
        "/changes",
        "/badge",
        "/grants",
        "/principals",
        "/sessions",
        "/sessions/ses-1",
        "/exchanges/exc-1",
    ],
)
@pytest.mark.parametrize("logged_in", [True, False], ids=["logged in", "stranger"])
async def test_every_answer_keeps_others_from_framing_running_and_keeping_it(
    browser: Browser, path: str, *, logged_in: bool
) -> None:
    if logged_in:
        await browser.log_in()
    headers = (await browser.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["strict-transport-security"] == "max-age=31536000"


async def test_a_refused_host_gets_the_headers_too(browser: Browser) -> None:
    answer = await browser.get("/", headers={"host": "evil.example"})
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_no_page_speaks_to_another_host_or_holds_code_of_its_own(browser: Browser) -> None:
    await browser.log_in()
    for path in (
        "/",
        "/history",
        "/requests/apr-1",
        "/goodbye",
        "/grants",
        "/principals",
        "/sessions",
        "/sessions/ses-1",
    ):
        page = (await browser.get(path)).text
        addresses = re.findall(r'(?:href|src|action)="([^"]*)"', page)
        assert addresses
        for address in addresses:
            assert httpx.URL(address).is_relative_url
            assert address.startswith(("/", "#"))
            assert not address.startswith("//")
        assert re.findall(r"<script(?! src=\"/static/(?:live|keys)\.js\" defer></script>)", page) == []
        assert re.findall(r"\son\w+=|style=|javascript:", page) == []
