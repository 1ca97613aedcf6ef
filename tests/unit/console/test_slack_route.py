"""Where Slack's users deny: nobody is logged in, the body goes on as it came, and nothing else does."""

import base64
from collections.abc import AsyncGenerator

import pytest
from tests.fakes.admin_gateway import AdminError
from tests.fakes.console_browser import URL, Browser, browser_of
from tests.fakes.notice_receivers import pressed, slack_headers

from holdpoint.console import slack
from holdpoint.domain.values import JsonObject

NOW = 1_800_000_000.0
BODY = pressed("apr-1")


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    async with browser_of() as browser:
        yield browser


def calls(browser: Browser) -> list[JsonObject]:
    return [params for method, params in browser.gateway.calls if method == "slack.action"]


async def post(browser: Browser, body: bytes = BODY, headers: dict[str, str] | None = None) -> tuple[int, str]:
    answer = await browser.http.post(
        URL + slack.PATH, content=body, headers=slack_headers(body, at=NOW) if headers is None else headers
    )
    assert "set-cookie" not in answer.headers
    return answer.status_code, answer.text


async def test_what_slack_signed_reaches_the_gateway_byte_for_byte(browser: Browser) -> None:
    browser.gateway.answers["slack.action"] = {"id": "apr-1", "state": "denied"}
    assert await post(browser) == (200, "")
    (params,) = calls(browser)
    headers = slack_headers(BODY, at=NOW)
    assert base64.b64decode(str(params["body"])) == BODY
    assert params["timestamp"] == headers["x-slack-request-timestamp"]
    assert params["signature"] == headers["x-slack-signature"]
    assert params.keys() == {"body", "timestamp", "signature"}


UNLIKELY = [
    pytest.param({}, id="no headers"),
    pytest.param(slack_headers(BODY, at=NOW - 301), id="old"),
    pytest.param({**slack_headers(BODY, at=NOW), "x-slack-signature": "v0=abc"}, id="odd signature"),
]


@pytest.mark.threat("T82")
@pytest.mark.parametrize("headers", UNLIKELY)
async def test_what_does_not_look_like_slack_costs_the_gateway_nothing(
    browser: Browser, headers: dict[str, str]
) -> None:
    assert (await post(browser, headers=headers))[0] == 401
    assert calls(browser) == []


@pytest.mark.threat("T82")
async def test_a_body_that_is_too_large_is_not_read_to_its_end(browser: Browser) -> None:
    body = b"payload=" + b"x" * slack.MAX_BODY
    assert (await post(browser, body))[0] == 413
    assert calls(browser) == []


@pytest.mark.threat("T82")
async def test_two_signatures_are_none(browser: Browser) -> None:
    headers = [*slack_headers(BODY, at=NOW).items(), ("x-slack-signature", "v0=" + "0" * 64)]
    answer = await browser.http.post(URL + slack.PATH, content=BODY, headers=headers)
    assert answer.status_code == 401
    assert calls(browser) == []


ANSWERS = [
    pytest.param("unauthenticated", 401, id="forged"),
    pytest.param("not_allowed", 403, id="no reviewer"),
    pytest.param("not_found", 404, id="no such request"),
    pytest.param("already_resolved", 409, id="too late"),
    pytest.param("unavailable", 503, id="gateway away"),
]


@pytest.mark.parametrize(("code", "status"), ANSWERS)
async def test_what_the_gateway_says_is_what_slack_hears(browser: Browser, code: str, status: int) -> None:
    browser.gateway.fail["slack.action"] = AdminError(code, "said so")
    assert await post(browser) == (status, "said so\n")


@pytest.mark.threat("T82")
async def test_only_a_post_is_served_there(browser: Browser) -> None:
    for method in ("GET", "PUT", "OPTIONS"):
        answer = await browser.http.request(method, URL + slack.PATH, headers=slack_headers(b"", at=NOW))
        assert answer.status_code == 405
    assert calls(browser) == []
