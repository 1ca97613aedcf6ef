"""A decision that needs the reviewer's issuer: the way there and back, and everything that ends it on the way."""

import html
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fakes.console_browser import INTENT, Browser, browser_of, request_wire

from holdpoint.approvals.evidence import check_signature
from holdpoint.clock import ManualClock
from holdpoint.console.confirm import MOST_EACH, WITHIN, Confirmations
from holdpoint.console.signing import Decision, Signing, subject_of
from holdpoint.domain.statement import Statement, moment, parse
from holdpoint.domain.values import JsonObject
from holdpoint.keys import Signer

PREVIEW = "sha256:" + "cd" * 32
SIGNER = Signer("console-1", Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))


@asynccontextmanager
async def reviewing(signing: Signing, **wire: Any) -> AsyncIterator[Browser]:
    async with browser_of(signing=signing) as browser:
        browser.gateway.add(request_wire(**{"preview_digest": PREVIEW, "needs_confirm": True} | wire))
        await browser.log_in()
        yield browser


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with reviewing(Signing(SIGNER, required=True)) as browser:
        yield browser


async def approve(browser: Browser, **changes: str) -> httpx.Response:
    form = await browser.form() | {"verdict": "approve", "comment": "go\r\non", "preview": PREVIEW}
    return await browser.post("/requests/apr-1/decide", form | changes)


def way(answer: httpx.Response) -> str:
    """Where the page leads, by its link and by itself."""
    assert answer.status_code == 200, answer.text
    link = re.search(r'<a class="button" href="([^"]+)"', answer.text)
    itself = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]+)"', answer.text)
    assert link is not None
    assert itself is not None
    assert link[1] == itself[1]
    return html.unescape(link[1])


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def sent(browser: Browser) -> JsonObject:
    (decision,) = browser.gateway.decisions()
    return decision


def statement(browser: Browser) -> Statement:
    return parse(sent(browser)["statement"])


async def test_an_approval_goes_by_the_issuer_and_comes_back_confirmed(browser: Browser) -> None:
    there = way(await approve(browser))
    assert browser.gateway.decisions() == []
    back = await browser.give_password(there)
    answer = await browser.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/requests/apr-1")
    said = statement(browser)
    assert said == Statement(
        "apr-1", INTENT, PREVIEW, "approve", "go\non", browser.issuer.url, "u-rita", moment(browser.clock.now())
    )
    claims = jwt.decode(str(sent(browser)["confirm_token"]), options={"verify_signature": False})
    assert claims["nonce"] == said.digest == query(there)["nonce"]
    check_signature(
        said, key="console-1", signature=str(sent(browser)["signature"]), pinned={"console-1": SIGNER.public}
    )
    assert (sent(browser)["comment"], sent(browser)["preview"]) == ("go\non", PREVIEW)


async def test_the_way_there_is_that_of_a_login(browser: Browser) -> None:
    asked = query(way(await approve(browser)))
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert asked["redirect_uri"].endswith("/auth/callback")
    assert "prompt" not in asked


async def test_a_new_login_is_asked_for_where_the_settings_say_so() -> None:
    async with reviewing(Signing(SIGNER, again=True)) as browser:
        asked = query(way(await approve(browser)))
    assert (asked["prompt"], asked["max_age"]) == ("login", "300")


async def test_a_denial_needs_no_confirmation_and_is_signed(browser: Browser) -> None:
    assert (await approve(browser, verdict="deny")).status_code == 303
    assert "confirm_token" not in sent(browser)
    said = statement(browser)
    assert said.verdict == "deny"
    check_signature(
        said, key="console-1", signature=str(sent(browser)["signature"]), pinned={"console-1": SIGNER.public}
    )


async def test_one_reviewers_approval_is_signed_and_sent_at_once() -> None:
    async with reviewing(Signing(SIGNER, required=True), needs_confirm=False) as browser:
        assert (await approve(browser)).status_code == 303
        assert sent(browser)["key"] == "console-1"


async def test_without_a_key_every_approval_is_confirmed_where_one_has_to_be_signed() -> None:
    async with reviewing(Signing(None, required=True), needs_confirm=False) as browser:
        back = await browser.give_password(way(await approve(browser)))
        assert (await browser.get(back)).status_code == 303
        assert "signature" not in sent(browser)
        assert "confirm_token" in sent(browser)


async def test_a_page_that_does_not_say_what_was_read_confirms_nothing(browser: Browser) -> None:
    answer = await approve(browser, preview="")
    assert answer.status_code == 409
    assert browser.gateway.decisions() == []


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        pytest.param({"preview_digest": "sha256:" + "00" * 32}, 409, id="the preview changed"),
        pytest.param({"intent": "sha256:" + "00" * 32}, 409, id="it is another request"),
        pytest.param({"blocked": "the requester has to say why first"}, 403, id="nobody can approve it now"),
        pytest.param({"state": "denied"}, 409, id="it is over"),
    ],
)
async def test_nobody_is_sent_away_for_what_would_be_refused(browser: Browser, wire: Any, status: int) -> None:
    form = await browser.form() | {"verdict": "approve", "comment": "", "preview": PREVIEW}
    browser.gateway.add(browser.gateway.requests["apr-1"] | wire)
    answer = await browser.post("/requests/apr-1/decide", form)
    assert answer.status_code == status
    assert browser.gateway.decisions() == []


async def test_who_changes_his_mind_at_the_issuer_has_sent_nothing(browser: Browser) -> None:
    asked = query(way(await approve(browser)))
    back = {"error": "access_denied", "state": asked["state"], "iss": browser.issuer.url}
    answer = await browser.get("/auth/callback", params=back)
    assert answer.status_code == 403
    assert "Nothing was sent" in answer.text
    assert "access_denied" in answer.text
    assert "go\non" in answer.text
    assert browser.gateway.decisions() == []


async def test_somebody_else_at_the_issuer_confirms_nothing(browser: Browser) -> None:
    browser.issuer.grants.users.append(
        {"sub": "u-sam", "email": "sam@corp.example", "name": "Sam", "groups": ["sre"], "password": "sam"}
    )
    answer = await browser.get(await browser.give_password(way(await approve(browser)), "sam"))
    assert answer.status_code == 403
    assert "sam@corp.example" in answer.text
    assert browser.gateway.decisions() == []


async def test_a_confirmation_is_good_once(browser: Browser) -> None:
    back = await browser.give_password(way(await approve(browser)))
    assert (await browser.get(back)).status_code == 303
    assert (await browser.get(back)).status_code == 400
    assert len(browser.gateway.decisions()) == 1


async def test_a_confirmation_that_comes_late_sends_nothing(browser: Browser) -> None:
    there = way(await approve(browser))
    browser.clock.advance(WITHIN)
    answer = await browser.get(await browser.give_password(there))
    assert answer.status_code == 400
    assert "Nothing was sent" in answer.text
    assert browser.gateway.decisions() == []


async def test_another_browser_or_another_session_cannot_bring_it_back(browser: Browser) -> None:
    back = await browser.give_password(way(await approve(browser)))
    cookies = dict(browser.http.cookies)
    browser.http.cookies.clear()
    assert (await browser.get(back)).status_code == 400
    await browser.log_in()
    assert (await browser.get(back)).status_code == 400
    browser.http.cookies.clear()
    browser.http.cookies.update(cookies)
    assert (await browser.get(back)).status_code == 303


async def test_the_answer_to_a_confirmation_is_no_login(browser: Browser) -> None:
    """Nor does the answer to a login confirm anything."""
    back = await browser.give_password(way(await approve(browser)))
    browser.http.cookies.clear()
    await browser.get(back)
    assert (await browser.get("/")).status_code == 303
    there = await browser.go_to_issuer()
    login = await browser.give_password(there)
    swapped = login.replace(query(login)["state"], query(back)["state"])
    assert (await browser.get(swapped)).status_code == 400
    assert browser.gateway.decisions() == []


async def test_an_answer_of_another_issuer_confirms_nothing(browser: Browser) -> None:
    back = await browser.give_password(way(await approve(browser)))
    answer = await browser.get("/auth/callback", params=query(back) | {"iss": "https://evil.example"})
    assert answer.status_code == 403
    assert browser.gateway.decisions() == []


async def test_an_issuer_that_signs_another_nonce_confirms_nothing(browser: Browser) -> None:
    back = await browser.give_password(way(await approve(browser)))
    for granted in browser.issuer.grants.codes.values():
        granted.nonce = "sha256:" + "00" * 32
    answer = await browser.get(back)
    assert answer.status_code == 403
    assert "another login" in answer.text
    assert browser.gateway.decisions() == []


async def test_the_gateways_no_is_told_with_what_was_written(browser: Browser) -> None:
    there = way(await approve(browser))
    browser.gateway.add(browser.gateway.requests["apr-1"] | {"state": "denied"})
    answer = await browser.get(await browser.give_password(there))
    assert answer.status_code == 409
    assert "denied already" in answer.text
    assert "go\non" in answer.text


async def test_the_page_on_the_way_has_the_headers_of_all_pages(browser: Browser) -> None:
    answer = await approve(browser)
    assert "form-action 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.failure("F-evidence-issuer")
async def test_an_issuer_that_is_down_sends_nothing(browser: Browser) -> None:
    form = await browser.form() | {"verdict": "approve", "comment": "", "preview": PREVIEW}
    browser.clock.advance(3_500)
    await browser.get("/")
    browser.clock.advance(200)
    browser.issuer.faults.set("error")
    answer = await browser.post("/requests/apr-1/decide", form)
    assert answer.status_code == 503
    assert "Nothing was sent" in answer.text


def test_of_many_decisions_of_one_session_the_newest_wait() -> None:
    waiting = Confirmations(ManualClock())
    decision = Decision("apr-1", "approve", "", INTENT, PREVIEW)
    said = Statement("apr-1", INTENT, PREVIEW, "approve", "", "i", "s", "2027-01-15T08:00:00Z")
    states = [waiting.begin("cookie", decision, said)[0] for _ in range(MOST_EACH + 1)]
    other, _ = waiting.begin("another", decision, said)
    assert waiting.take(state=states[0], session_cookie="cookie") is None
    assert waiting.take(state=states[1], session_cookie="another") is None
    assert waiting.take(state=states[1], session_cookie="cookie") is not None
    assert waiting.take(state=other, session_cookie="another") is not None


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.é.c", "a.W10.c", "a.eyJzdWIiOjF9.c"])
def test_a_token_that_cannot_be_read_names_nobody(token: str) -> None:
    assert subject_of(token) == ""
