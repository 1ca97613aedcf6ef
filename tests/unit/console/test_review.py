from collections.abc import AsyncGenerator

import pytest
from tests.fakes.admin_gateway import AdminError
from tests.fakes.console_browser import INTENT, Browser, browser_of, request_wire

from holdpoint.domain.values import JsonObject, JsonValue, as_object


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with browser_of() as browser:
        browser.gateway.add(request_wire())
        await browser.log_in()
        yield browser


def term(**changes: JsonValue) -> JsonObject:
    terms = request_wire()["terms"]
    assert isinstance(terms, list)
    return as_object(terms[0]) | changes


async def test_the_list_shows_what_waits_the_most_urgent_first(browser: Browser) -> None:
    browser.gateway.add(request_wire("apr-2", deadline=1_800_000_060.0, resource="tool drop_table"))
    browser.gateway.add(request_wire("apr-3", state="denied", resource="tool was_denied"))
    page = (await browser.get("/")).text
    assert page.index("drop_table") < page.index("scale_deployment")
    assert "was_denied" not in page
    assert "2 waiting for a decision" in page


async def test_the_list_renews_itself_without_scripts(browser: Browser) -> None:
    assert (
        '<noscript><meta http-equiv="refresh" content="15; url=/?auto=1"></noscript>' in (await browser.get("/")).text
    )


async def test_an_empty_list_says_so(browser: Browser) -> None:
    browser.gateway.requests.clear()
    assert "Nothing waits for a decision" in (await browser.get("/")).text


async def test_a_request_shows_everything_that_a_decision_needs(browser: Browser) -> None:
    page = (await browser.get("/requests/apr-1")).text
    for shown in (
        "Alice Archer",
        "alice@corp.example",
        "deploy-agent",
        "https://idp.example#u-alice",
        "cursor 1.2",
        "unverified",
        "eks-prod",
        "tools/call",
        "tool scale_deployment",
        "checkout",
        "eks-prod/shells-need-two-people",
        "production needs a second pair of eyes",
        "group:sre",
        "this request, once",
        "2027-01-15 08:10:00 UTC",
        "10 min",
        "1 waiting",
        INTENT,
    ):
        assert shown in page


async def test_the_command_of_an_exec_is_read_where_it_says_what_would_be_done(browser: Browser) -> None:
    does: JsonObject = {"command": "sh -c $'id\\n\\u202e'", "container": "app", "tty": True, "as": ["user 'jane'"]}
    preview: JsonObject = {"does": does, "summary": "exec demo/web: sh -c id", "arguments": {}, "verb": "exec"}
    wire = request_wire(preview=preview, summary="exec demo/web: <b>sh</b> -c id\u202e", action="exec")
    browser.gateway.add(wire)
    page = (await browser.get("/requests/apr-1")).text
    would, _, known = page.partition("What it would do")[2].partition("What the gateway knows")
    for shown in (
        "exec demo/web: &lt;b&gt;sh&lt;/b&gt; -c id",
        "\u27e6U+202E\u27e7",
        "sh -c $&#39;id\\n",
        "jane",
        "tty",
    ):
        assert shown in would
    assert "No arguments." not in page
    assert "does" not in known.partition("Decision")[0]
    listed = (await browser.get("/")).text
    assert "exec demo/web: &lt;b&gt;sh&lt;/b&gt; -c id" in listed


async def test_a_number_and_the_same_text_look_different(browser: Browser) -> None:
    browser.gateway.add(request_wire(preview={"arguments": {"a": 3, "b": "3"}}))
    page = (await browser.get("/requests/apr-1")).text
    assert '<code>a</code><span class="type">number</span>' in page
    assert '<code>b</code><span class="type">text</span>' in page


async def test_a_request_shows_who_approved_so_far_and_what_it_opens(browser: Browser) -> None:
    vote: JsonObject = {"person": "sam@corp.example", "name": "Sam", "verdict": "approve", "comment": "looks fine"}
    terms: JsonValue = [term(required=2, approved_by=["sam@corp.example"], scope="window", duration=900.0)]
    browser.gateway.add(request_wire(terms=terms, votes=[vote | {"at": 1_800_000_050.0}]))
    page = (await browser.get("/requests/apr-1")).text
    assert "<b>1</b> of 2 approved" in page
    assert "looks fine" in page
    assert "the same action on the same resource, as often as asked, for 15 min" in page


async def test_a_request_that_silence_would_approve_says_so(browser: Browser) -> None:
    assert "approved if nobody" not in (await browser.get("/requests/apr-1")).text
    browser.gateway.add(request_wire(terms=[term(auto_approve_after=30.0)]))
    assert "approved if nobody denies it within 30 s" in (await browser.get("/requests/apr-1")).text


async def test_a_reason_is_said_once(browser: Browser) -> None:
    reason = "production needs a second pair of eyes"
    browser.gateway.add(request_wire(terms=[term(reason=reason)], reasons=[reason]))
    assert (await browser.get("/requests/apr-1")).text.count(reason) == 1


async def test_a_long_value_is_cut_with_a_count_and_can_be_read_whole(browser: Browser) -> None:
    browser.gateway.add(request_wire(preview={"arguments": {"sql": "x" * 5_000 + "; drop table users"}}))
    page = (await browser.get("/requests/apr-1")).text
    assert "3,818 of 5,018 characters are not shown. Show the rest" in page
    assert "; drop table users" in page
    whole = await browser.get("/requests/apr-1/full")
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert "; drop table users" in whole.text


async def test_a_huge_value_is_read_as_plain_text(browser: Browser) -> None:
    browser.gateway.add(request_wire(preview={"arguments": {"blob": "y" * 200_000}}))
    answer = await browser.get("/requests/apr-1")
    assert "198,800 of 200,000 characters are not shown" in answer.text
    assert len(answer.text) < 50_000
    assert len((await browser.get("/requests/apr-1/full")).text) > 200_000


async def test_values_beyond_the_hundredth_are_counted(browser: Browser) -> None:
    browser.gateway.add(request_wire(preview={"arguments": {f"k{i}": i for i in range(150)}}))
    assert "50 of 150 values are not shown" in (await browser.get("/requests/apr-1")).text


@pytest.mark.parametrize("verdict", ["approve", "deny"])
async def test_a_decision_goes_to_the_gateway_with_what_was_read(browser: Browser, verdict: str) -> None:
    form = await browser.form()
    answer = await browser.post("/requests/apr-1/decide", form | {"verdict": verdict, "comment": " because \r\n so "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/requests/apr-1")
    (decision,) = browser.gateway.decisions()
    assert decision["verdict"] == verdict
    assert decision["comment"] == "because \n so"
    assert decision["expect"] == INTENT
    page = (await browser.get("/requests/apr-1")).text
    assert "because" in page
    assert 'id="decide"' not in page


async def test_what_changed_under_the_reviewer_is_not_decided(browser: Browser) -> None:
    form = await browser.form()
    browser.gateway.add(request_wire(intent="sha256:" + "cd" * 32))
    answer = await browser.post("/requests/apr-1/decide", form | {"verdict": "approve", "comment": "kept"})
    assert answer.status_code == 409
    assert "read it again before you decide" in answer.text
    assert "kept" in answer.text
    assert browser.gateway.requests["apr-1"]["state"] == "pending"


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        pytest.param(AdminError("not_allowed", "not a reviewer"), 403, "not a reviewer", id="not allowed"),
        pytest.param(AdminError("already_resolved", "denied"), 409, "Your decision came too late", id="late"),
        pytest.param(AdminError("expired", "the deadline is over"), 409, "the deadline is over", id="expired"),
        pytest.param(AdminError("unauthenticated", "too old"), 401, "Log in again", id="login too old"),
        pytest.param(AdminError("not_found", "gone"), 404, "No such request", id="gone"),
        pytest.param(ConnectionRefusedError(), 503, "look at the votes before you try again", id="gateway down"),
        pytest.param(AdminError("odd", "of tomorrow"), 409, "of tomorrow", id="unknown code"),
    ],
)
async def test_what_the_gateway_says_is_shown_and_the_comment_kept(
    browser: Browser, error: Exception, status: int, says: str
) -> None:
    form = await browser.form()
    browser.gateway.fail["approvals.decide"] = error
    answer = await browser.post("/requests/apr-1/decide", form | {"verdict": "approve", "comment": "my comment"})
    assert answer.status_code == status
    assert says in answer.text
    assert "my comment" in answer.text


@pytest.mark.parametrize(
    "changes",
    [{"verdict": "maybe"}, {"verdict": ""}, {"expect": ""}, {"comment": "x" * 2_001}],
    ids=["other verdict", "no verdict", "no digest", "long comment"],
)
async def test_half_a_decision_is_none(browser: Browser, changes: dict[str, str]) -> None:
    form = await browser.form() | {"verdict": "approve", "comment": ""} | changes
    assert (await browser.post("/requests/apr-1/decide", form)).status_code == 400
    assert browser.gateway.decisions() == []


async def test_a_decision_after_the_session_ended_is_not_lost_in_silence(browser: Browser) -> None:
    form = await browser.form()
    browser.clock.advance(3_600)
    answer = await browser.post("/requests/apr-1/decide", form | {"verdict": "deny", "comment": "my comment"})
    assert answer.status_code == 401
    assert "your decision was not sent" in answer.text
    assert "my comment" in answer.text
    assert "/login?next=%2Frequests%2Fapr-1" in answer.text
    assert browser.gateway.decisions() == []


async def test_nobody_is_asked_to_approve_what_has_no_digest(browser: Browser) -> None:
    browser.gateway.add(request_wire(intent=""))
    page = (await browser.get("/requests/apr-1")).text
    assert 'id="decide"' not in page
    assert "cannot be decided here" in page


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"principal": {"person": "rita@corp.example"}}, "somebody else has to approve it", id="own"),
        pytest.param({"principal": {"owners": ["rita@corp.example"]}}, "somebody else has to approve it", id="owner"),
        pytest.param({"terms": [term(reviewers=["group:dba"])]}, "does not seem to be among the reviewers", id="other"),
        pytest.param({"principal": {"name": "ci"}}, "nobody may approve it", id="nobody behind it"),
    ],
)
async def test_a_reviewer_is_told_beforehand_what_will_not_count(
    browser: Browser, changes: JsonObject, says: str
) -> None:
    browser.gateway.add(request_wire(**changes))
    assert says in (await browser.get("/requests/apr-1")).text


async def test_history_is_filtered_by_state(browser: Browser) -> None:
    browser.gateway.add(request_wire("apr-2", state="denied", resource="tool was_denied", resolution="deadline"))
    assert "was_denied" in (await browser.get("/history")).text
    denied = (await browser.get("/history", params={"state": "denied"})).text
    assert "was_denied" in denied
    assert "scale_deployment" not in denied
    assert "No such request" in (await browser.get("/history", params={"state": "expired"})).text


async def test_history_has_further_pages(browser: Browser) -> None:
    for number in range(250):
        browser.gateway.add(request_wire(f"apr-9{number:03}", state="expired", resource=f"tool n{number:03}"))
    first = (await browser.get("/history", params={"state": "expired"})).text
    assert "n249" in first
    assert "n149" not in first
    assert "state=expired&amp;before=apr-9150" in first
    second = (await browser.get("/history", params={"state": "expired", "before": "apr-9150"})).text
    assert "n149" in second
    last = (await browser.get("/history", params={"state": "expired", "before": "apr-9050"})).text
    assert "Older requests" not in last


async def test_a_gateway_that_does_not_answer_is_said_plainly(browser: Browser) -> None:
    browser.gateway.fail["approvals.list"] = ConnectionRefusedError()
    browser.gateway.fail["approvals.get"] = ConnectionRefusedError()
    for path in ("/", "/history", "/requests/apr-1", "/requests/apr-1/full"):
        answer = await browser.get(path)
        assert answer.status_code == 503
        assert "The gateway does not answer" in answer.text


async def test_a_login_that_the_gateway_refuses_asks_for_another_and_does_not_run_in_a_circle(browser: Browser) -> None:
    browser.gateway.fail["approvals.list"] = AdminError("unauthenticated", "the ID token is too old")
    answer = await browser.get("/")
    assert answer.status_code == 401
    assert "the ID token is too old" in answer.text
    assert 'href="/login"' in answer.text


@pytest.mark.parametrize("path", ["/requests/none", "/requests/a%20b", "/nothing", "/static/../app.py"])
async def test_what_is_not_there_is_not_found(browser: Browser, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 404
    assert "No" in answer.text


async def test_news_are_for_who_is_logged_in(browser: Browser) -> None:
    answer = await browser.get("/changes", params={"since": "behind"})
    assert set(answer.json()) == {"version"}
    browser.http.cookies.clear()
    assert (await browser.get("/changes", params={"since": "behind"})).status_code == 401


async def test_an_open_page_alone_keeps_nobody_logged_in(browser: Browser) -> None:
    for _ in range(4):
        browser.clock.advance(1_000)
        last = await browser.get("/", params={"auto": "1"})
        await browser.get("/changes", params={"since": "behind"})
    assert last.is_redirect


async def test_an_odd_answer_of_the_gateway_still_gives_a_page(browser: Browser) -> None:
    odd: JsonObject = {"id": "apr-1", "state": "pending", "principal": "x", "terms": "x", "votes": [7], "preview": []}
    browser.gateway.add(odd | {"deadline": 1e30, "created_at": None, "action": {"verb": "get"}, "resource": {"a": 1}})
    answer = await browser.get("/requests/apr-1")
    assert answer.status_code == 200
    assert "unknown" in answer.text
