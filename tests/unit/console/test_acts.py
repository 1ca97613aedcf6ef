"""What requesters do with their own requests, and reviewers and admins with what was opened."""

from collections.abc import AsyncGenerator

import pytest
from tests.fakes.admin_gateway import AdminError
from tests.fakes.console_browser import INTENT, Browser, browser_of, request_wire

from holdpoint.domain.values import JsonObject, JsonValue, as_object
from holdpoint.settings import Reviewers, Roles

ADMIN = Reviewers(roles=Roles(admin=frozenset({"person:rita@corp.example"})))
DIGEST = "sha256:" + "cd" * 32
GLASS: JsonObject = {"who": ["group:sre"], "duration": 900}
REASON = "the database is down"


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with browser_of(reviewers=ADMIN) as browser:
        await browser.log_in()
        yield browser


def term(**changes: JsonValue) -> JsonObject:
    terms = request_wire()["terms"]
    assert isinstance(terms, list)
    return as_object(terms[0]) | changes


def own(**changes: JsonValue) -> JsonObject:
    principal = as_object(request_wire()["principal"]) | {"person": "rita@corp.example"}
    return request_wire(principal=principal, preview_digest=DIGEST, **changes)


def grant(**changes: JsonValue) -> JsonObject:
    good: JsonObject = {"id": "grt-1", "approval": "apr-1", "person": "rita@corp.example", "target": "eks-prod"}
    good |= {"opens": "any patch of web", "scope": "window", "state": "active", "uses": 2, "ended_why": ""}
    return good | {"created_at": 1_800_000_000.0, "expires_at": 1_800_000_900.0} | changes


def sent(browser: Browser, method: str) -> list[JsonObject]:
    found = [params for name, params in browser.gateway.calls if name == method]
    return [{name: value for name, value in params.items() if name != "id_token"} for params in found]


@pytest.mark.parametrize("who", ["requester", "somebody else"])
async def test_a_requester_alone_is_offered_what_requesters_do(browser: Browser, who: str) -> None:
    browser.gateway.add(own() if who == "requester" else request_wire())
    page = (await browser.get("/requests/apr-1")).text
    for offered in ('id="why"', 'id="withdraw"'):
        assert (offered in page) == (who == "requester")
    assert 'id="glass"' not in page


@pytest.mark.parametrize(
    ("terms", "offered"),
    [
        pytest.param([term(break_glass=GLASS)], True, id="one rule that lets one"),
        pytest.param([term(break_glass=GLASS), term()], False, id="another rule does not"),
        pytest.param([term(break_glass=GLASS | {"who": ["group:dba"]})], False, id="others may"),
        pytest.param([], False, id="no rule at all"),
    ],
)
async def test_breaking_the_glass_is_offered_where_every_rule_lets_one(
    browser: Browser, terms: list[JsonValue], *, offered: bool
) -> None:
    browser.gateway.add(own(terms=terms))
    assert ('id="glass"' in (await browser.get("/requests/apr-1")).text) == offered


async def test_a_reason_is_sent_and_shown_as_the_requesters_own(browser: Browser) -> None:
    browser.gateway.add(own(terms=[term(require_reason=True)]))
    assert "nothing was said yet" in (await browser.get("/requests/apr-1")).text
    form = await browser.form_of("why")
    answer = await browser.post("/requests/apr-1/reason", form | {"reason": " incident\r\n4711 "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/requests/apr-1")
    assert sent(browser, "approvals.reason") == [{"id": "apr-1", "reason": "incident\n4711"}]
    page = (await browser.get("/requests/apr-1")).text
    assert "in the requester's own words" in page
    assert "nobody checked this" in page


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501], ids=["none", "blanks", "too long"])
async def test_no_reason_and_too_much_of_it_are_not_sent(browser: Browser, reason: str) -> None:
    browser.gateway.add(own())
    answer = await browser.post("/requests/apr-1/reason", await browser.form_of("why") | {"reason": reason})
    assert answer.status_code == 400
    assert sent(browser, "approvals.reason") == []
    assert reason.strip() in answer.text


async def test_a_request_is_withdrawn(browser: Browser) -> None:
    browser.gateway.add(own())
    await browser.post("/requests/apr-1/withdraw", await browser.form_of("withdraw"))
    assert browser.gateway.requests["apr-1"]["state"] == "withdrawn"


async def test_a_dry_run_is_tried_again(browser: Browser) -> None:
    browser.gateway.add(request_wire(dry_run={"state": "failed", "why": "a timeout"}))
    assert "The dry run failed: a timeout" in (await browser.get("/requests/apr-1")).text
    await browser.post("/requests/apr-1/try-again", await browser.form_of("tried"))
    assert sent(browser, "approvals.preview_again") == [{"id": "apr-1"}]
    assert "dry run under way" in (await browser.get("/requests/apr-1")).text


async def test_the_glass_breaks_on_the_second_page_and_not_on_the_first(browser: Browser) -> None:
    browser.gateway.add(own(terms=[term(break_glass=GLASS)]))
    form = await browser.form_of("glass") | {"reason": REASON}
    page = await browser.post("/requests/apr-1/break-glass", form)
    assert page.status_code == 200
    assert "Break the glass?" in page.text
    assert REASON in page.text
    assert "15 min at most" in page.text
    assert sent(browser, "approvals.break_glass") == []
    answer = await browser.post("/requests/apr-1/break-glass", form | {"sure": "yes"})
    assert answer.status_code == 303
    params = {"id": "apr-1", "reason": REASON, "expect": INTENT, "preview": DIGEST}
    assert sent(browser, "approvals.break_glass") == [params]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"reason": "too short"}, 400),
        ({"reason": "x" * 501}, 400),
        ({"expect": ""}, 400),
        ({"preview": "sha256:0"}, 409),
    ],
    ids=["short", "long", "no digest", "changed"],
)
async def test_the_glass_stays_whole_where_something_is_wrong(
    browser: Browser, changes: dict[str, str], status: int
) -> None:
    browser.gateway.add(own(terms=[term(break_glass=GLASS)]))
    form = await browser.form_of("glass") | {"reason": REASON} | changes
    answer = await browser.post("/requests/apr-1/break-glass", form)
    assert answer.status_code == status
    assert form["reason"] in answer.text
    assert sent(browser, "approvals.break_glass") == []


async def test_what_was_opened_so_is_reviewed_afterwards(browser: Browser) -> None:
    browser.gateway.add(request_wire(state="approved", glass="broken"))
    form = await browser.form_of("review")
    assert (await browser.post("/requests/apr-1/review", form | {"comment": ""})).status_code == 400
    await browser.post("/requests/apr-1/review", form | {"comment": "it was needed"})
    assert sent(browser, "approvals.review") == [{"id": "apr-1", "comment": "it was needed"}]
    assert "glass broken, reviewed" in (await browser.get("/requests/apr-1")).text


async def test_nobody_is_asked_to_review_their_own_glass(browser: Browser) -> None:
    browser.gateway.add(own(state="approved", glass="broken"))
    assert 'id="review"' not in (await browser.get("/requests/apr-1")).text


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        pytest.param(AdminError("not_allowed", "not yours"), 403, "not yours", id="not allowed"),
        pytest.param(AdminError("already_resolved", "denied"), 409, "This came too late", id="late"),
        pytest.param(AdminError("unauthenticated", "too old"), 401, "Log in again", id="login too old"),
        pytest.param(ConnectionRefusedError(), 503, "look before you try again", id="gateway down"),
    ],
)
async def test_what_the_gateway_says_to_a_requester_is_shown_and_the_text_kept(
    browser: Browser, error: Exception, status: int, says: str
) -> None:
    browser.gateway.add(own())
    form = await browser.form_of("why")
    browser.gateway.fail["approvals.reason"] = error
    answer = await browser.post("/requests/apr-1/reason", form | {"reason": "my own words"})
    assert answer.status_code == status
    assert says in answer.text
    assert "my own words" in answer.text


async def test_ones_own_grants_in_force_are_listed_and_all_where_asked(browser: Browser) -> None:
    browser.gateway.grants += [grant(), grant(id="grt-2", opens="shell", state="revoked", ended_why="wrong one")]
    page = (await browser.get("/grants")).text
    assert "any patch of web" in page
    assert "15 min" in page
    assert "shell" not in page
    assert sent(browser, "grants.list")[-1] == {"mine": True, "state": "active"}
    page = (await browser.get("/grants?whose=all&state=all")).text
    assert "wrong one" in page
    assert sent(browser, "grants.list")[-1] == {"mine": False, "state": "all"}


async def test_a_grant_is_revoked_with_a_reason(browser: Browser) -> None:
    browser.gateway.grants.append(grant())
    form = await browser.form_of("grt-1", path="/grants")
    assert (await browser.post("/grants/grt-1/revoke", form | {"reason": " "})).status_code == 400
    answer = await browser.post("/grants/grt-1/revoke", form | {"reason": "wrong\ncluster"})
    assert answer.headers["location"] == "/grants"
    assert sent(browser, "grants.revoke") == [{"id": "grt-1", "reason": "wrong cluster"}]
    assert "No grant is in force" in (await browser.get("/grants")).text


@pytest.mark.parametrize("code", ["not_allowed", "not_found", "unauthenticated", "unavailable"])
async def test_a_grant_that_cannot_be_revoked_says_why(browser: Browser, code: str) -> None:
    browser.gateway.grants.append(grant())
    form = await browser.form_of("grt-1", path="/grants")
    browser.gateway.fail["grants.revoke"] = AdminError(code, "so it is")
    answer = await browser.post("/grants/grt-1/revoke", form | {"reason": "wrong"})
    assert answer.status_code in {401, 403, 404, 503}
    assert "so it is" in answer.text


async def test_somebody_is_suspended_and_let_in_again(browser: Browser) -> None:
    form = await browser.form_of("suspend", path="/principals")
    filled = form | {"who": " deploy-agent ", "reason": "runs in a loop", "time": "1h"}
    assert (await browser.post("/principals/suspend", filled)).headers["location"] == "/principals"
    assert sent(browser, "principals.suspend") == [{"who": "deploy-agent", "reason": "runs in a loop", "for": 3_600}]
    page = (await browser.get("/principals")).text
    assert "runs in a loop" in page
    assert "1 h" in page
    again = await browser.form_of("/principals/resume", path="/principals")
    assert again["who"] == "deploy-agent"
    await browser.post("/principals/resume", again)
    assert "Nobody is suspended" in (await browser.get("/principals")).text


async def test_a_suspension_without_an_end_names_none(browser: Browser) -> None:
    form = await browser.form_of("suspend", path="/principals")
    await browser.post("/principals/suspend", form | {"who": "x", "reason": "y", "time": ""})
    assert sent(browser, "principals.suspend") == [{"who": "x", "reason": "y"}]


@pytest.mark.parametrize(
    "changes",
    [{"who": ""}, {"reason": " "}, {"time": "9y"}, {"who": "x" * 501}, {"reason": "x" * 201}],
    ids=["nobody", "no reason", "no such time", "long name", "long reason"],
)
async def test_half_a_suspension_is_none(browser: Browser, changes: dict[str, str]) -> None:
    form = await browser.form_of("suspend", path="/principals") | {"who": "x", "reason": "y", "time": "1h"} | changes
    answer = await browser.post("/principals/suspend", form)
    assert answer.status_code == 400
    assert sent(browser, "principals.suspend") == []


@pytest.mark.threat("T79")
@pytest.mark.parametrize("path", ["/grants", "/principals"])
async def test_the_gateways_no_is_what_counts_whatever_the_pages_offer(browser: Browser, path: str) -> None:
    browser.gateway.fail[f"{path[1:]}.list"] = AdminError("not_allowed", "this needs the role `admin`")
    answer = await browser.get(path)
    assert answer.status_code == 403
    assert "this needs the role" in answer.text


@pytest.mark.threat("T79")
async def test_an_auditor_is_offered_no_suspension() -> None:
    async with browser_of(reviewers=Reviewers(roles=Roles(auditor=frozenset({"group:sre"})))) as browser:
        await browser.log_in()
        browser.gateway.suspended["x"] = {"who": "x", "reason": "y", "by": "z", "at": 1.0, "until": None}
        page = (await browser.get("/principals")).text
        assert "until somebody lets them in" in page
        assert "/principals/suspend" not in page
        assert "/principals/resume" not in page


@pytest.mark.parametrize("path", ["/grants", "/principals"])
async def test_a_stranger_is_led_to_the_login_and_back(browser: Browser, path: str) -> None:
    browser.http.cookies.clear()
    assert (await browser.get(path)).headers["location"] == f"/login?next=%2F{path[1:]}"
