"""Pages of what was recorded: for auditors and admins, and all of it as text."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest
from tests.fakes.admin_gateway import AdminError
from tests.fakes.console_browser import Browser, browser_of, request_wire

from holdpoint.console.paths import safe_next
from holdpoint.console.recorded import Looked, looked, mitmweb
from holdpoint.domain.values import JsonObject, JsonValue
from holdpoint.settings import Reviewers, Roles

pytestmark = pytest.mark.threat("T90")
AUDITOR = Reviewers(roles=Roles(auditor=frozenset({"person:rita@corp.example"})))
EVIL = "<script>alert(1)</script>\u202egnp"


def session(name: str = "ses-1", **changes: JsonValue) -> JsonObject:
    principal: JsonObject = {"id": "https://idp#u-1", "person": "alice@corp.example", "name": "Alice", "actor": "bot"}
    made: JsonObject = {"id": name, "principal": principal, "target": "eks-prod", "requests": 7, "refused": 2}
    return made | {"started": 1_800_000_000.0, "ended": 1_800_000_060.0} | changes


def row(name: str = "exc-1", **changes: JsonValue) -> JsonObject:
    made: JsonObject = {
        "id": name,
        "at": 1_800_000_001.0,
        "action": "delete",
        "resource": "deployments/web",
        "outcome": "answered",
        "refusal": "",
        "rules": ["prod/deletes"],
        "declined": "",
        "masked": 2,
        "upgrade": False,
        "approval": None,
        "requests": [],
        "call": None,
    }
    return made | changes


def shown(*rows: JsonObject, **changes: JsonValue) -> JsonObject:
    made: JsonObject = {
        "session": session(),
        "total": len(rows),
        "exchanges": [*rows],
        "files": ["sessions/2027-01-15/ses-1.flows"],
        "terminals": 0,
        "place": 0,
        "start": 0,
        "folder": "/var/lib/holdpoint/recordings",
        "whole": True,
        "broken": 0,
    }
    return made | changes


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with browser_of(reviewers=AUDITOR) as browser:
        browser.gateway.answers["sessions.list"] = {"sessions": [session()], "more": False, "whole": True, "broken": 0}
        browser.gateway.answers["sessions.show"] = shown(row())
        await browser.log_in()
        yield browser


@pytest.mark.parametrize(
    "path",
    [
        "/sessions",
        "/sessions?principal=a%40x&target=t&since=2026-01-01&until=2026-01-02&before=ses-1",
        "/sessions/ses-1",
        "/sessions/ses-1?start=200",
        "/exchanges/exc-1",
    ],
)
async def test_pages_want_a_login_and_lead_back(path: str) -> None:
    async with browser_of(reviewers=AUDITOR) as browser:
        answer = await browser.get(path)
        assert (answer.status_code, browser.gateway.calls) == (303, [])
        assert answer.headers["location"].startswith("/login?next=%2F")
        assert safe_next(path) == path


@pytest.mark.parametrize("path", ["/sessions/../x", "/sessions/a?start=x", "/sessions/a/b", "/sessions?x=1"])
def test_other_addresses_are_none_of_ours(path: str) -> None:
    assert safe_next(path) == "/"


async def test_sessions_are_listed_with_who_where_and_how_much(browser: Browser) -> None:
    page = (await browser.get("/sessions")).text
    for part in ("alice@corp.example", "bot", "eks-prod", "2 refused", "1 min", 'href="/sessions/ses-1"'):
        assert part in page
    assert 'href="/sessions" aria-current="page"' in page


async def test_a_search_goes_to_the_gateway_and_into_the_address(browser: Browser) -> None:
    browser.gateway.answers["sessions.list"] = {"sessions": [session()], "more": True}
    page = (await browser.get("/sessions?principal=a%40x&since=2027-01-01&until=2027-01-01&before=ses-9")).text
    _, params = browser.gateway.calls[-1]
    day = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert {n: params[n] for n in ("principal", "since", "until", "before", "limit")} == {
        "principal": "a@x",
        "since": day,
        "until": day + 86_400,
        "before": "ses-9",
        "limit": 50,
    }
    assert "/sessions?principal=a%40x&amp;since=2027-01-01&amp;until=2027-01-01&amp;before=ses-1" in page
    assert looked({"principal": "x" * 201, "since": "soon"}) == Looked(
        wrong="`since` is not a day as in 2026-07-31; `principal` is longer than 200 characters"
    )


async def test_what_was_not_read_is_said(browser: Browser) -> None:
    browser.gateway.answers["sessions.list"] = {"sessions": [], "more": False, "whole": False, "broken": 2}
    page = (await browser.get("/sessions")).text
    assert "Older recordings were not looked at" in page
    assert "2 places of the log cannot be read" in page
    browser.gateway.answers["sessions.show"] = shown(row(), whole=False, broken=1)
    page = (await browser.get("/sessions/ses-1")).text
    assert "Not all of the log was looked at" in page
    assert "1 place of the log cannot be read" in page


async def test_a_timeline_says_what_happened_and_who_approved(browser: Browser) -> None:
    approval: JsonObject = {
        "id": "apr-1",
        "votes": [{"person": "sam@corp.example", "verdict": "approve", "at": 1.0}],
        "state": "approved",
        "resolution": "",
    }
    linked: JsonObject = {"id": "exc-k", "session": "ses-k", "at": 1.0, "action": "get", "resource": "pods/x"}
    rows = (
        row(approval=approval, call={**linked, "outcome": "answered", "id": "exc-c"}),
        row("exc-2", outcome="refused", refusal="a reviewer denied this", upgrade=True, requests=[linked]),
    )
    browser.gateway.answers["sessions.show"] = shown(*rows, terminals=1)
    page = (await browser.get("/sessions/ses-1")).text
    for part in (
        '<a href="/requests/apr-1">approval</a>: approve by sam@corp.example',
        "2 values masked",
        "a reviewer denied this",
        "prod/deletes",
        'href="/exchanges/exc-k"',
        'href="/exchanges/exc-c"',
        "holdpoint sessions asciicast ses-1",
        "mitmweb -n -s addons/viewer.py -r /var/lib/holdpoint/recordings/sessions/2027-01-15/ses-1.flows",
        '<tr id="exc-2">',
    ):
        assert part in page


async def test_a_long_session_has_pages(browser: Browser) -> None:
    browser.gateway.answers["sessions.show"] = shown(row(), total=1_000)
    page = (await browser.get("/sessions/ses-1?start=400")).text
    assert browser.gateway.calls[-1][1]["start"] == 400
    assert 'href="/sessions/ses-1?start=200"' in page
    assert 'href="/sessions/ses-1?start=600"' in page
    for odd in ("-1", "x", "\u0664", "9" * 50, ""):
        await browser.get("/sessions/ses-1", params={"start": odd})
        assert browser.gateway.calls[-1][1]["start"] == 0


async def test_everything_of_the_log_is_text(browser: Browser) -> None:
    odd: JsonObject = {"id": EVIL, "person": EVIL, "name": EVIL, "actor": EVIL}
    bad = session(EVIL, principal=odd, target=EVIL)
    link: JsonObject = {"id": EVIL, "session": EVIL, "action": EVIL, "resource": EVIL, "outcome": EVIL}
    votes: list[JsonValue] = [{"person": EVIL, "verdict": EVIL}]
    line = row(EVIL, action=EVIL, resource=EVIL, outcome=EVIL, rules=[EVIL], refusal=EVIL, requests=[link], call=link)
    line |= {"approval": {"id": EVIL, "votes": votes, "resolution": EVIL}}
    browser.gateway.answers["sessions.list"] = {"sessions": [bad], "more": True}
    browser.gateway.answers["sessions.show"] = shown(line, session=bad, files=[EVIL], folder=EVIL)
    for path in ("/sessions", "/sessions/ses-1"):
        page = (await browser.get(path)).text
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "\u202e" not in page


def test_a_file_name_cannot_add_to_the_command() -> None:
    command = mitmweb("/r", "a; rm -rf ~ \u202e$(x)\n.flows")
    assert (
        command == "mitmweb -n -s addons/viewer.py -r '/r/a; rm -rf ~ \u27e6U+202E\u27e7$(x)\u27e6U+000A\u27e7.flows'"
    )


@pytest.mark.parametrize("name", ["..", "a%2Fb", "%2e%2e", "x" * 65, "a%0A"])
async def test_odd_ids_never_reach_the_gateway(browser: Browser, name: str) -> None:
    before = len(browser.gateway.calls)
    for path in ("sessions", "exchanges"):
        answer = await browser.get(f"/{path}/{name}")
        assert answer.status_code in {303, 404} or "Nothing waits" in answer.text or answer.url.path == "/"
    assert [m for m, _ in browser.gateway.calls[before:] if m == "sessions.show"] == []


async def test_the_gateway_decides_who_looks(browser: Browser) -> None:
    for method in ("sessions.list", "sessions.show"):
        browser.gateway.fail[method] = AdminError("not_allowed", "this needs the role `auditor` or `admin`")
    for path in ("/sessions", "/sessions/ses-1", "/exchanges/exc-1"):
        answer = await browser.get(path)
        assert answer.status_code == 403
        assert "this needs the role" in answer.text
    browser.gateway.fail["sessions.show"] = AdminError("not_found", "there is no such recorded session")
    for path in ("/sessions/ses-1", "/exchanges/exc-1"):
        assert (await browser.get(path)).status_code == 404


async def test_a_request_leads_to_its_session(browser: Browser) -> None:
    browser.gateway.add(request_wire(exchange="exc-1"))
    assert 'href="/exchanges/exc-1"' in (await browser.get("/requests/apr-1")).text
    browser.gateway.answers["sessions.show"] = shown(row(), total=900, place=450)
    answer = await browser.get("/exchanges/exc-1")
    assert answer.headers["location"] == "/sessions/ses-1?start=400#exc-1"
    browser.gateway.add(request_wire(exchange='x" onclick="y'))
    assert "/exchanges/" not in (await browser.get("/requests/apr-1")).text


async def test_who_has_no_role_is_offered_nothing() -> None:
    async with browser_of() as browser:
        await browser.log_in()
        browser.gateway.add(request_wire(exchange="exc-1"))
        page = (await browser.get("/requests/apr-1")).text
        assert "/exchanges/" not in page
        assert "/sessions" not in page
