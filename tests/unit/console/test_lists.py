from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest
from tests.fakes.console_browser import Browser, browser_of, request_wire

from holdpoint.console.filters import Filters, read_filters
from holdpoint.console.items import item_view, sort_out
from holdpoint.console.sessions import Session
from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.settings import Reviewers, Roles

RITA = Session("token", "Rita", "rita@corp.example", frozenset({"sre"}), ends=1.0, seen=0.0, decide_key="")
VOTE: JsonObject = {"person": "rita@corp.example", "name": "Rita", "verdict": "approve", "comment": "", "at": 1.0}
AUDITOR = Reviewers(roles=Roles(auditor=frozenset({"group:sre"})))


def of(person: str, **changes: JsonValue) -> JsonObject:
    return request_wire(principal=as_object(request_wire()["principal"]) | {"person": person}, **changes)


def term(*reviewers: str) -> list[JsonValue]:
    terms = request_wire()["terms"]
    assert isinstance(terms, list)
    return [as_object(terms[0]) | {"reviewers": [*reviewers]}]


@pytest.mark.parametrize(
    ("wire", "sees_all", "group"),
    [
        pytest.param(of("alice@corp.example"), False, "needs_me", id="a request to decide"),
        pytest.param(of("alice@corp.example", votes=[VOTE]), False, "others", id="decided by me already"),
        pytest.param(of("rita@corp.example"), False, "mine", id="my own"),
        pytest.param(of("", owners=[]), True, "needs_me", id="named as a reviewer among all that an auditor sees"),
        pytest.param(of("a@x", terms=term("group:dba")), True, "others", id="an auditor who is not asked"),
        pytest.param(of("a@x", terms=term("group:dba")), False, "needs_me", id="shown by delegation"),
    ],
)
def test_what_waits_is_sorted_by_who_has_to_do_something(wire: JsonObject, sees_all: bool, group: str) -> None:
    found = sort_out([item_view(wire)], RITA, sees_all=sees_all)
    assert [name for name in ("needs_me", "mine", "others") if getattr(found, name)] == [group]


def test_the_most_urgent_comes_first() -> None:
    found = [item_view(request_wire(f"apr-{n}", deadline=float(n))) for n in (3, 1, 2)]
    assert [item.id for item in sort_out(found, RITA, sees_all=False).needs_me] == ["apr-1", "apr-2", "apr-3"]


def test_clauses_are_counted_together() -> None:
    clauses: JsonValue = [
        {"reviewers": ["group:sre"], "required": 2, "filled_by": ["a@x"]},
        {"reviewers": ["group:dba"], "required": 1, "filled_by": ["b@x", "c@x"]},
    ]
    (wanted,) = term()
    item = item_view(request_wire(terms=[as_object(wanted) | {"clauses": clauses}]))
    assert (item.approved, item.required) == (2, 3)
    assert item.reviewers == {"group:sre", "group:dba"}


def test_a_search_is_read_from_the_address_and_makes_the_same_address() -> None:
    query = {"state": "denied", "target": " eks-prod ", "text": "drop & table", "since": "2026-07-01", "mine": "1"}
    found = read_filters(query)
    assert found.query() == "/history?state=denied&target=eks-prod&text=drop+%26+table&since=2026-07-01&mine=1"
    assert found.query(before="apr-1").endswith("&before=apr-1")
    assert found.wrong == ""


def test_days_are_whole_days_in_utc() -> None:
    params = Filters(since="2026-07-01", until="2026-07-01").params("rita@x")
    assert params["from"] == datetime(2026, 7, 1, tzinfo=UTC).timestamp()
    assert params["until"] == datetime(2026, 7, 2, tzinfo=UTC).timestamp()
    assert Filters().params("rita@x") == {}
    assert Filters(mine="1").params("rita@x") == {"person": "rita@x"}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        pytest.param({"since": "yesterday"}, "`since` is not a day", id="words"),
        pytest.param({"until": "2026-02-30"}, "`until` is not a day", id="a day that is none"),
        pytest.param({"since": "9999-12-31"}, "`since` is not a day", id="beyond time"),
        pytest.param({"since": "0001-01-01"}, "`since` is not a day", id="before time"),
        pytest.param({"text": "x" * 201}, "`text` is longer than 200", id="too long"),
    ],
)
def test_what_cannot_be_searched_for_is_left_out_and_said(query: dict[str, str], says: str) -> None:
    found = read_filters(query)
    assert says in found.wrong
    assert not found
    assert read_filters({"state": "odd", "mine": "yes"}) == Filters()


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with browser_of() as browser:
        browser.gateway.add(request_wire())
        await browser.log_in()
        yield browser


async def test_history_asks_the_gateway_for_what_is_looked_for(browser: Browser) -> None:
    query = {"target": "eks-prod", "person": "alice@corp.example", "verb": "tools/call", "text": "scale", "mine": ""}
    page = (await browser.get("/history", params=query | {"since": "2027-01-01", "until": "2027-12-31"})).text
    assert "scale_deployment" in page
    assert 'value="2027-01-01"' in page
    _, params = browser.gateway.calls[-1]
    assert {name: params[name] for name in ("target", "person", "verb", "text")} == {
        name: query[name] for name in ("target", "person", "verb", "text")
    }
    assert params["from"] == datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert "No such request" in (await browser.get("/history", params={"target": "elsewhere"})).text


async def test_a_search_that_is_passed_on_survives_the_login(browser: Browser) -> None:
    browser.http.cookies.clear()
    answer = await browser.get("/history?target=eks-prod&text=a%26b+c&since=2026-07-01")
    then = answer.headers["location"].partition("next=")[2]
    assert then == "%2Fhistory%3Ftarget%3Deks-prod%26text%3Da%2526b%2Bc%26since%3D2026-07-01"


async def test_a_page_beyond_the_first_leads_back(browser: Browser) -> None:
    page = (await browser.get("/history", params={"before": "apr-0", "state": "denied"})).text
    assert 'href="/history?state=denied">Newest' in page


async def test_the_list_says_what_needs_this_person_and_what_does_not(browser: Browser) -> None:
    browser.gateway.add(of("rita@corp.example", id="apr-2"))
    browser.gateway.add(request_wire("apr-3", votes=[VOTE]))
    page = (await browser.get("/")).text
    assert page.index("Needs you") < page.index("You asked") < page.index("Waits for others")
    assert "<title>(1) Pending" in page
    assert "3 waiting for a decision, 1 of them for yours" in page
    assert (await browser.get("/badge")).json() == {"waiting": 1, "more": False}


async def test_a_crowded_list_shows_the_most_urgent_and_says_so(browser: Browser) -> None:
    for number in range(130):
        browser.gateway.add(request_wire(f"apr-9{number:03}", deadline=2_000_000_000.0 - number))
    page = (await browser.get("/")).text
    assert page.count('class="item"') == 100
    assert "The 100 most urgent of 131 are listed" in page
    assert "/requests/apr-9129" in page


@pytest.mark.parametrize(
    ("reviewers", "links"),
    [
        pytest.param(Reviewers(), {"/", "/grants", "/history"}, id="nobody in particular"),
        pytest.param(AUDITOR, {"/", "/grants", "/history", "/principals"}, id="auditor"),
    ],
)
async def test_navigation_offers_what_one_may(reviewers: Reviewers, links: set[str]) -> None:
    async with browser_of(reviewers=reviewers) as browser:
        await browser.log_in()
        page = (await browser.get("/")).text
        bar = page.partition('<nav aria-label="Main">')[2].partition("</nav>")[0]
        assert {link for link in ("/", "/grants", "/history", "/principals") if f'href="{link}"' in bar} == links


async def test_a_badge_is_for_who_is_logged_in_and_says_when_it_does_not_know(browser: Browser) -> None:
    browser.gateway.fail["approvals.list"] = ConnectionRefusedError()
    assert (await browser.get("/badge")).status_code == 503
    browser.http.cookies.clear()
    assert (await browser.get("/badge")).status_code == 401
